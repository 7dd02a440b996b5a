//! The hardware part of a controller's configuration. Unknown keys are refused.
//!
//! ```toml
//! [[board]]
//! id = "io1"
//! driver = "modbus-tcp"          # modbus-tcp | modbus-rtu | gpio-rppal | gpio-cdev | serial-lcus
//! address = "192.0.2.7:502"
//! unit = 1
//! profile = "plain"              # modbus only: which board it is; see [`Profile`] and [`RegisterMap`]
//! [board.timing]                 # optional, like each key in it
//! poll_ms = 20
//!
//! [[output]]
//! id = "barrier-open"
//! board = "io1"
//! channel = 0
//! safe = false
//!
//! [[input]]
//! id = "barrier-loop"
//! board = "io1"
//! channel = 0
//! debounce_ms = 20
//!
//! [[camera]]
//! id = "plate-cam"
//! driver = "http-mjpeg"          # http-mjpeg | http-snapshot | rtsp | v4l2 | replay
//! url = "http://192.0.2.8/stream.mjpeg"
//!
//! [[reader]]
//! id = "gate-reader"
//! driver = "wiegand"             # wiegand | osdp | serial-line | wiegand-sim
//! chip = "/dev/gpiochip0"
//! d0 = 17
//! d1 = 27
//!
//! [[anpr]]
//! id = "lane-1"
//! driver = "hikvision"           # hikvision | dahua | hikvision-push
//! url = "http://192.0.2.20/"
//! ```

mod anpr;
mod camera;
mod modbus;
mod reader;
mod validate;
mod validate_modbus;

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

pub use anpr::{AnprConfig, AnprPullConfig, AnprPushConfig};
pub use camera::{
    CameraConfig, HttpCameraConfig, ReplayCameraConfig, RtspCameraConfig, Secret, V4l2CameraConfig, V4l2Format,
};
pub use modbus::{
    InputMap, InputTable, Layout, ModbusRtuConfig, ModbusTcpConfig, OutputMap, OutputTable, Parity, Profile, PulseMap,
    RegisterMap,
};

pub use reader::{
    Edges, OsdpConfig, PulsesConfig, ReaderConfig, SecureChannel, SerialLineConfig, WiegandConfig, WiegandSimConfig,
};

/// Everything a controller drives. Embedded in the daemon's configuration; all lists may be empty.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HardwareConfig {
    /// Relay and input boards, and the machine's own GPIO.
    #[serde(default, rename = "board")]
    pub boards: Vec<BoardConfig>,
    /// Relays and locks.
    #[serde(default, rename = "output")]
    pub outputs: Vec<OutputConfig>,
    /// Loops, limit switches, contacts, buttons.
    #[serde(default, rename = "input")]
    pub inputs: Vec<InputConfig>,
    /// Cameras.
    #[serde(default, rename = "camera")]
    pub cameras: Vec<CameraConfig>,
    /// Cameras that read plates themselves.
    #[serde(default, rename = "anpr")]
    pub anpr: Vec<AnprConfig>,
    /// Card readers.
    #[serde(default, rename = "reader")]
    pub readers: Vec<ReaderConfig>,
}

/// A board, by driver.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(tag = "driver", rename_all = "kebab-case")]
pub enum BoardConfig {
    /// A relay and input board that speaks Modbus over TCP.
    ModbusTcp(ModbusTcpConfig),
    /// The same on a serial line (RS-485), which boards may share.
    ModbusRtu(ModbusRtuConfig),
    /// The GPIO header of a Raspberry Pi, through its registers.
    GpioRppal(GpioRppalConfig),
    /// Any GPIO chip, through the kernel's character device.
    GpioCdev(GpioCdevConfig),
    /// A USB relay board with the four-byte LCUS protocol. It has no inputs.
    SerialLcus(SerialLcusConfig),
}

/// Keys of driver `gpio-rppal`. Channels are BCM pin numbers.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GpioRppalConfig {
    /// The board's name in this configuration.
    pub id: String,
    /// Rates and limits.
    #[serde(default)]
    pub timing: Timing,
}

/// Keys of driver `gpio-cdev`. Channels are line offsets on the chip.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GpioCdevConfig {
    /// The board's name in this configuration.
    pub id: String,
    /// The chip's device file, such as `/dev/gpiochip0`.
    pub chip: PathBuf,
    /// Rates and limits.
    #[serde(default)]
    pub timing: Timing,
}

/// Keys of driver `serial-lcus`. Channels are the numbers printed beside the relays, from 1.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SerialLcusConfig {
    /// The board's name in this configuration.
    pub id: String,
    /// The serial device; a name under `/dev/serial/by-id/` survives replugging.
    pub path: PathBuf,
    /// Bits per second; these boards use 9600.
    #[serde(default = "default_baud")]
    pub baud: u32,
    /// Whether the board answers the status query (0xFF). With it, each switch is confirmed by the board; without it,
    /// *acknowledged* means that the bytes were handed to the adapter.
    #[serde(default)]
    pub feedback: bool,
    /// Rates and limits.
    #[serde(default)]
    pub timing: Timing,
}

/// Rates and limits of a board. Every value has a default that suits a wired board on the same switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timing {
    /// Time between two reads of the inputs, 5 to 1000 ms. It is also the heartbeat that notices a lost board.
    pub poll_ms: u64,
    /// How long one exchange with the board may take, 20 to 5000 ms.
    pub request_timeout_ms: u64,
    /// How late a command may reach the board, 40 to 10000 ms, at least twice `request_timeout_ms`. Later it is not done.
    pub deliver_within_ms: u64,
    /// The longest wait between two attempts to reach a lost board, 100 to 60000 ms.
    pub reconnect_max_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { poll_ms: 50, request_timeout_ms: 500, deliver_within_ms: 1000, reconnect_max_ms: 5000 }
    }
}

impl Timing {
    pub(crate) fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }
    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }
    pub(crate) fn deliver_within(&self) -> Duration {
        Duration::from_millis(self.deliver_within_ms)
    }
    pub(crate) fn reconnect_max(&self) -> Duration {
        Duration::from_millis(self.reconnect_max_ms)
    }
}

/// One relay or lock.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OutputConfig {
    /// The logical name.
    pub id: String,
    /// The board it sits on.
    pub board: String,
    /// Its number on the board; each driver says how it counts.
    pub channel: u32,
    /// The logical level at start, on shutdown, and first of all after a lost connection.
    #[serde(default)]
    pub safe: bool,
    /// True when the electrical level is low, or the relay not energised, while the output is logically on.
    #[serde(default)]
    pub active_low: bool,
    /// The longest pulse, 1 to 60000 ms.
    #[serde(default = "default_max_pulse_ms")]
    pub max_pulse_ms: u64,
}

/// One contact or sensor.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct InputConfig {
    /// The logical name.
    pub id: String,
    /// The board it sits on.
    pub board: String,
    /// Its number on the board; each driver says how it counts.
    pub channel: u32,
    /// True when a low electrical level means logically true.
    #[serde(default)]
    pub active_low: bool,
    /// How long a level must stay before it counts, 0 to 2000 ms.
    #[serde(default = "default_debounce_ms")]
    pub debounce_ms: u64,
    /// The pull resistor; GPIO only.
    #[serde(default)]
    pub bias: Bias,
}

/// The pull resistor of a GPIO input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bias {
    /// None: the wiring defines the level.
    #[default]
    Off,
    /// To the supply: for contacts that close to ground.
    PullUp,
    /// To ground: for contacts that close to the supply.
    PullDown,
}

/// Pins of a Raspberry Pi are looked at least this often, in milliseconds: an edge is an event within 10 ms.
const RPPAL_POLL_MS: u64 = 5;

impl BoardConfig {
    /// The board's name in the configuration.
    pub fn id(&self) -> &str {
        match self {
            Self::ModbusTcp(board) => &board.id,
            Self::ModbusRtu(board) => &board.id,
            Self::GpioRppal(board) => &board.id,
            Self::GpioCdev(board) => &board.id,
            Self::SerialLcus(board) => &board.id,
        }
    }

    pub(crate) fn timing(&self) -> Timing {
        let configured = self.configured_timing();
        match self {
            // Its pins are memory: looking is cheap, and there is nothing that tells of an edge.
            Self::GpioRppal(_) => Timing { poll_ms: configured.poll_ms.min(RPPAL_POLL_MS), ..configured },
            _ => configured,
        }
    }

    fn configured_timing(&self) -> Timing {
        match self {
            Self::ModbusTcp(board) => board.timing,
            Self::ModbusRtu(board) => board.timing,
            Self::GpioRppal(board) => board.timing,
            Self::GpioCdev(board) => board.timing,
            Self::SerialLcus(board) => board.timing,
        }
    }

    /// Where a Modbus board keeps its relays and inputs; `None` for another.
    pub(crate) fn register_map(&self) -> Option<RegisterMap> {
        match self {
            Self::ModbusTcp(board) => Some(board.register_map()),
            Self::ModbusRtu(board) => Some(board.register_map()),
            Self::GpioRppal(_) | Self::GpioCdev(_) | Self::SerialLcus(_) => None,
        }
    }

    /// Names the board in messages: id, driver, address.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::ModbusTcp(board) => {
                format!("board {:?} (modbus-tcp {} unit {})", board.id, board.address, board.unit)
            }
            Self::ModbusRtu(board) => {
                format!("board {:?} (modbus-rtu {} unit {})", board.id, board.path.display(), board.unit)
            }
            Self::GpioRppal(board) => format!("board {:?} (gpio-rppal)", board.id),
            Self::GpioCdev(board) => format!("board {:?} (gpio-cdev {})", board.id, board.chip.display()),
            Self::SerialLcus(board) => format!("board {:?} (serial-lcus {})", board.id, board.path.display()),
        }
    }
}

fn default_baud() -> u32 {
    9600
}
fn default_max_pulse_ms() -> u64 {
    10_000
}
fn default_debounce_ms() -> u64 {
    20
}
