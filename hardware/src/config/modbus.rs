//! Modbus boards: how they are reached, and where their relays and inputs are among their coils and registers.
//!
//! ```toml
//! [[board]]
//! id = "io1"
//! driver = "modbus-rtu"
//! path = "/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0"
//! unit = 1
//! profile = "waveshare-relay"    # a board that is known here; or describe one:
//!
//! # [board.map]
//! # first_channel = 1            # the number printed beside the first relay and input
//! # [board.map.output]
//! # table = "holding-register"   # coil | holding-register
//! # address = 1                  # of the first channel, counted from 0
//! # on = 0x0100                  # what is written there; coils know on and off themselves
//! # off = 0x0200
//! # [board.map.input]
//! # table = "input-register"     # discrete-input | coil | holding-register | input-register
//! # address = 0
//! # layout = "bits"              # bits: sixteen channels in a register; words: one in each
//! ```

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Timing, default_baud};

/// Keys of driver `modbus-tcp`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModbusTcpConfig {
    /// The board's name in this configuration.
    pub id: String,
    /// `host:port`; the port of Modbus TCP is 502.
    pub address: String,
    /// Unit identifier; 255 for a board that is no gateway (Modbus Messaging on TCP/IP, section 4.4.1.2).
    #[serde(default = "default_unit")]
    pub unit: u8,
    /// Which board it is.
    #[serde(default)]
    pub profile: Profile,
    /// Where its relays and inputs are; instead of `profile`.
    #[serde(default)]
    pub map: Option<RegisterMap>,
    /// Rates and limits.
    #[serde(default)]
    pub timing: Timing,
}

/// Keys of driver `modbus-rtu`. Boards with the same `path` share the line; each has its own `unit`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModbusRtuConfig {
    /// The board's name in this configuration.
    pub id: String,
    /// The serial device; a name under `/dev/serial/by-id/` survives replugging.
    pub path: PathBuf,
    /// Bits per second, as set on the board.
    #[serde(default = "default_baud")]
    pub baud: u32,
    /// As set on the board. Most ship with none, although the standard's default is even (Modbus over Serial Line V1.02,
    /// section 2.5.1).
    #[serde(default)]
    pub parity: Parity,
    /// The board's address on the line, 1 to 247.
    pub unit: u8,
    /// Which board it is.
    #[serde(default)]
    pub profile: Profile,
    /// Where its relays and inputs are; instead of `profile`.
    #[serde(default)]
    pub map: Option<RegisterMap>,
    /// Rates and limits.
    #[serde(default)]
    pub timing: Timing,
}

/// The parity of a serial line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parity {
    /// No parity bit.
    #[default]
    None,
    /// Even parity.
    Even,
    /// Odd parity.
    Odd,
}

/// Boards whose map is known. A channel is the number printed on the board.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Relays are coils, inputs are discrete inputs, both counted from 0.
    #[default]
    Plain,
    /// Waveshare *Modbus RTU Relay*, *Modbus RTU Relay (B)*, *(C)*, *(D)*, *Modbus POE ETH Relay*, *Modbus RTU IO 8CH*.
    ///
    /// Relays CH1 … are coils from 0x0000 (functions 01, 05), inputs DI1 … are discrete inputs from 0x0000 (function 02).
    /// A relay switches itself off again after a *flash on*: function 05 at 0x0200 + n, with a count of 100 ms, up to
    /// 0x7FFF, where the level would be. Source: Waveshare wiki, *Modbus RTU Relay* and *Modbus RTU Relay (D)*,
    /// "Development Protocol".
    WaveshareRelay,
    /// Eletechsup (485io.com) R4D3B16, R4D8A08, R4E4A04, RYN404E, RYN408F and the like, which have no inputs.
    ///
    /// Relay 1 … is holding register 0x0001 …: function 06 writes 0x0100 for *open* (energised), 0x0200 for *close*,
    /// 0x0600 + s for *delay*, which is on for s seconds, at most 255; function 03 reads 1 or 0. On the RYN series *close*
    /// does not end a running *delay*, but *delay* 0 does, so an early end writes that first; it is never written to a relay
    /// that no such pulse was started on. Source: the maker's *8 Channel Rail RS485 Relay command*, and what users of the
    /// RYN408F measured. A firmware that counts its registers from 0 needs a `[board.map]` instead.
    Eletechsup,
    /// Advantech ADAM-6050, -6052, -6060, -6066 and relatives.
    ///
    /// DI0 … are discrete inputs from 0x0000 (reference 00001; function 02, and 01 as well), DO0 … are coils from 0x0010
    /// (reference 00017; functions 01, 05). Source: *ADAM-6000 Series User Manual*, appendix B "Modbus Mapping Table".
    #[serde(rename = "adam-6000")]
    Adam6000,
    /// ICP DAS ET-2200, ET-7000, PET-7000, tET and tPET.
    ///
    /// DO0 … are coils from 0x0000, DI0 … are discrete inputs from 0x0000. Source: *ET-2260 Quick Start*, "Modbus Address",
    /// and *ET-7000/PET-7000 User Manual*, appendix "Modbus Register Tables", which also tell of the host watchdog and the
    /// safe value of an output.
    IcpDas,
}

/// Where a board keeps its relays and inputs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterMap {
    /// The number of the first channel, as printed on the board.
    #[serde(default)]
    pub first_channel: u16,
    /// Where the relays are; without it the board has none.
    #[serde(default)]
    pub output: Option<OutputMap>,
    /// Where the inputs are; without it the board has none.
    #[serde(default)]
    pub input: Option<InputMap>,
}

/// Where a board keeps its relays.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OutputMap {
    /// What a relay is.
    pub table: OutputTable,
    /// The address of the first channel, counted from 0, as it is sent; the next channel has the next address.
    pub address: u16,
    /// What is written into a holding register to energise the relay.
    #[serde(default = "default_on")]
    pub on: u16,
    /// What is written into a holding register to release it.
    #[serde(default)]
    pub off: u16,
    /// How the board times a pulse by itself, if it can.
    #[serde(default)]
    pub pulse: Option<PulseMap>,
}

/// What a relay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputTable {
    /// A coil: written by function 05, read by function 01.
    Coil,
    /// A holding register: written by function 06, read by function 03.
    HoldingRegister,
}

/// A pulse that the board ends by itself, also when nobody is left to end it. It is started by writing a count of time units
/// with the function of the output's table (05 or 06).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PulseMap {
    /// The address for the first channel, counted from 0.
    pub address: u16,
    /// What is added to the count.
    #[serde(default)]
    pub base: u16,
    /// The length of a unit, 1 to 10000 ms. A pulse is rounded up to whole units; it is ended on time all the same.
    pub unit_ms: u16,
    /// The highest count.
    pub max: u16,
    /// What must be written to that address before the relay can be released early, if anything.
    #[serde(default)]
    pub cancel: Option<u16>,
}

/// Where a board keeps its inputs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct InputMap {
    /// What an input is.
    pub table: InputTable,
    /// The address of the first channel, counted from 0, as it is sent.
    pub address: u16,
    /// How registers hold them.
    #[serde(default)]
    pub layout: Layout,
}

/// What an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputTable {
    /// A discrete input: function 02.
    DiscreteInput,
    /// A coil: function 01.
    Coil,
    /// A holding register, or a bit of one: function 03.
    HoldingRegister,
    /// An input register, or a bit of one: function 04.
    InputRegister,
}

/// How registers hold inputs. It says nothing about discrete inputs and coils.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// One input in each register: not zero is true.
    #[default]
    Words,
    /// Sixteen inputs in each register, the first in its lowest bit.
    Bits,
}

impl Profile {
    /// The board's map.
    pub fn map(self) -> RegisterMap {
        let coils = |address, pulse| OutputMap { table: OutputTable::Coil, address, on: 1, off: 0, pulse };
        let discrete = InputMap { table: InputTable::DiscreteInput, address: 0, layout: Layout::Words };
        let (first_channel, output, input) = match self {
            Self::Plain | Self::IcpDas => (0, coils(0, None), Some(discrete)),
            Self::Adam6000 => (0, coils(0x10, None), Some(discrete)),
            Self::WaveshareRelay => {
                let flash = PulseMap { address: 0x0200, base: 0, unit_ms: 100, max: 0x7FFF, cancel: None };
                (1, coils(0, Some(flash)), Some(discrete))
            }
            Self::Eletechsup => {
                let delay = PulseMap { address: 1, base: 0x0600, unit_ms: 1000, max: 255, cancel: Some(0x0600) };
                let (table, pulse) = (OutputTable::HoldingRegister, Some(delay));
                (1, OutputMap { table, address: 1, on: 0x0100, off: 0x0200, pulse }, None)
            }
        };
        RegisterMap { first_channel, output: Some(output), input }
    }
}

impl ModbusTcpConfig {
    /// The map in force.
    pub fn register_map(&self) -> RegisterMap {
        self.map.clone().unwrap_or_else(|| self.profile.map())
    }
}

impl ModbusRtuConfig {
    /// The map in force.
    pub fn register_map(&self) -> RegisterMap {
        self.map.clone().unwrap_or_else(|| self.profile.map())
    }
}

impl InputMap {
    /// The address of an input, and the bit in it, by its distance from the first; `None` beyond the last address.
    pub(crate) fn place(&self, offset: u16) -> Option<(u16, u8)> {
        let registers = matches!(self.table, InputTable::HoldingRegister | InputTable::InputRegister);
        match self.layout {
            Layout::Bits if registers => Some((self.address.checked_add(offset / 16)?, (offset % 16) as u8)),
            Layout::Bits | Layout::Words => Some((self.address.checked_add(offset)?, 0)),
        }
    }

    /// How many addresses one answer may carry (Modbus Application Protocol V1.1b3, sections 6.1 to 6.4).
    pub(crate) fn most_at_once(&self) -> u16 {
        match self.table {
            InputTable::DiscreteInput | InputTable::Coil => 2000,
            InputTable::HoldingRegister | InputTable::InputRegister => 125,
        }
    }
}

fn default_unit() -> u8 {
    255
}

fn default_on() -> u16 {
    1
}
