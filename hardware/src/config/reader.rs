//! Keys of card readers.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::Bias;
use crate::reader::{
    bits::BitFormat,
    line::{LineFormat, LineRules},
    pulses::PulseTiming,
};

/// A card reader, by driver.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(tag = "driver", rename_all = "kebab-case")]
pub enum ReaderConfig {
    /// Two wires into a GPIO chip.
    Wiegand(WiegandConfig),
    /// The wires of the simulator, `cardea-sim`. For tests and demonstrations: whoever can open the socket can show any card.
    WiegandSim(WiegandSimConfig),
    /// A supervised reader on RS-485.
    Osdp(OsdpConfig),
    /// A scanner or reader that sends a line for each credential.
    SerialLine(SerialLineConfig),
}

/// Keys of driver `wiegand`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WiegandConfig {
    /// The reader's name in this configuration.
    pub id: String,
    /// The chip's device file, such as `/dev/gpiochip0`.
    pub chip: PathBuf,
    /// Line offset of D0 on the chip.
    pub d0: u32,
    /// Line offset of D1 on the chip.
    pub d1: u32,
    /// The pull resistors. Lines rest high, so `pull-up` where the level shifter does not pull.
    #[serde(default)]
    pub bias: Bias,
    /// The formats of the cards here, at most one of each length.
    #[serde(default = "default_formats")]
    pub formats: Vec<BitFormat>,
    /// What counts as a pulse.
    #[serde(default)]
    pub pulses: PulsesConfig,
}

/// Keys of driver `wiegand-sim`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WiegandSimConfig {
    /// The reader's name in this configuration.
    pub id: String,
    /// The simulator's Unix socket.
    pub socket: PathBuf,
    /// The formats of the cards here, at most one of each length.
    #[serde(default = "default_formats")]
    pub formats: Vec<BitFormat>,
    /// What counts as a pulse.
    #[serde(default)]
    pub pulses: PulsesConfig,
}

/// What counts as a pulse on D0 and D1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PulsesConfig {
    /// Which edges are looked at. `both` measures pulses too, and needs a kernel that is quicker than a pulse is short.
    pub edges: Edges,
    /// The shortest pulse, 1 to 1000 microseconds; with `edges = "both"` only.
    pub min_pulse_us: u64,
    /// The longest pulse, 20 to 10000 microseconds; with `edges = "both"` only.
    pub max_pulse_us: u64,
    /// The shortest time from pulse to pulse, 20 to 10000 microseconds.
    pub min_period_us: u64,
    /// The silence that ends a card, 2 to 500 milliseconds, more than the time from pulse to pulse.
    pub silence_ms: u64,
}

/// Which edges of a line are looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Edges {
    /// The beginnings of pulses.
    #[default]
    Falling,
    /// Beginnings and ends.
    Both,
}

impl Default for PulsesConfig {
    fn default() -> Self {
        let PulseTiming { min_pulse_us, max_pulse_us, min_period_us, silence_us, .. } = PulseTiming::default();
        Self { edges: Edges::Falling, min_pulse_us, max_pulse_us, min_period_us, silence_ms: silence_us / 1_000 }
    }
}

impl PulsesConfig {
    pub(crate) fn timing(&self) -> PulseTiming {
        PulseTiming {
            min_pulse_us: self.min_pulse_us,
            max_pulse_us: self.max_pulse_us,
            min_period_us: self.min_period_us,
            silence_us: self.silence_ms * 1_000,
            both_edges: self.edges == Edges::Both,
        }
    }
}

/// Keys of driver `osdp`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OsdpConfig {
    /// The reader's name in this configuration.
    pub id: String,
    /// The serial device of the RS-485 adapter; a name under `/dev/serial/by-id/` survives replugging. One reader for each.
    pub path: PathBuf,
    /// Bits per second, as set on the reader; most ship with 9600.
    #[serde(default = "super::default_baud")]
    pub baud: u32,
    /// The reader's address on the line, 0 to 126.
    pub address: u8,
    /// Whether cards count only from within the secure channel.
    #[serde(default)]
    pub secure_channel: SecureChannel,
    /// The file of the reader's key; made by `cardead reader-install`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The formats of the cards here, at most one of each length.
    #[serde(default = "default_osdp_formats")]
    pub formats: Vec<BitFormat>,
    /// Time between two polls, 10 to 1000 ms.
    #[serde(default = "default_poll_ms")]
    pub poll_ms: u64,
    /// Whether its light and beeper show what was decided.
    #[serde(default = "default_feedback")]
    pub feedback: bool,
}

/// Whether an OSDP reader is spoken to through the secure channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecureChannel {
    /// Always, with a key of the reader's own.
    #[default]
    Required,
    /// Never: anybody on the cable can read, copy and replay cards.
    Off,
}

impl OsdpConfig {
    /// Where its key is; `None` for a reader that is spoken to in plain.
    pub(crate) fn key_file(&self) -> Option<PathBuf> {
        self.key_file.clone().filter(|_| self.secure_channel == SecureChannel::Required)
    }
}

/// Keys of driver `serial-line`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SerialLineConfig {
    /// The reader's name in this configuration.
    pub id: String,
    /// The serial device; a name under `/dev/serial/by-id/` survives replugging.
    pub path: PathBuf,
    /// Bits per second; without meaning for most USB readers.
    #[serde(default = "super::default_baud")]
    pub baud: u32,
    /// What a line says.
    pub format: LineFormat,
    /// What every line begins with.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// What every line ends with, before CR or LF.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub suffix: String,
    /// The longest line, 4 to 256 bytes.
    #[serde(default = "default_max_length")]
    pub max_length: usize,
    /// How long a line may take, 20 to 5000 ms; a slower one is thrown away.
    #[serde(default = "default_within_ms")]
    pub within_ms: u64,
}

impl SerialLineConfig {
    pub(crate) fn rules(&self) -> LineRules {
        let (prefix, suffix) = (self.prefix.clone(), self.suffix.clone());
        LineRules { format: self.format, prefix, suffix, max_length: self.max_length }
    }

    pub(crate) fn within(&self) -> Duration {
        Duration::from_millis(self.within_ms)
    }
}

impl ReaderConfig {
    /// The reader's name in the configuration.
    pub fn id(&self) -> &str {
        match self {
            Self::Wiegand(reader) => &reader.id,
            Self::WiegandSim(reader) => &reader.id,
            Self::Osdp(reader) => &reader.id,
            Self::SerialLine(reader) => &reader.id,
        }
    }

    /// Names the reader in messages: id, driver, address.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Wiegand(reader) => {
                format!(
                    "reader {:?} (wiegand {} lines {} and {})",
                    reader.id,
                    reader.chip.display(),
                    reader.d0,
                    reader.d1
                )
            }
            Self::WiegandSim(reader) => format!("reader {:?} (wiegand-sim {})", reader.id, reader.socket.display()),
            Self::Osdp(reader) => {
                format!("reader {:?} (osdp {} address {})", reader.id, reader.path.display(), reader.address)
            }
            Self::SerialLine(reader) => format!("reader {:?} (serial-line {})", reader.id, reader.path.display()),
        }
    }
}

fn default_formats() -> Vec<BitFormat> {
    vec![BitFormat::W26]
}
fn default_osdp_formats() -> Vec<BitFormat> {
    vec![BitFormat::W26, BitFormat::Uid]
}
fn default_poll_ms() -> u64 {
    100
}
fn default_feedback() -> bool {
    true
}
fn default_max_length() -> usize {
    80
}
fn default_within_ms() -> u64 {
    500
}
