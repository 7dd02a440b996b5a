//! The configuration file of `cardead`: TOML, one file per section, unknown keys refused.
//!
//! ```toml
//! state_dir = "/var/lib/cardea"          # database, keys (0600), certificates
//!
//! [cloud]                                # what `cardead claim` uses unless its options say otherwise
//! [recognition]                          # model pack and ONNX Runtime; needed by `plate` and `face`
//! [biometrics]                           # when a face counts
//! [plates] [cards]                       # when a plate or a card counts
//! [events]                               # how much the outbox keeps while the network is away
//! [local]                                # status socket for people at the controller
//! [posture]                              # inputs that lock down or hold open everything
//! [[schedule]] [[holidays]] [[area]]     # who may pass when; used by `[access_point.rules]`
//! [[board]] [[output]] [[input]] [[camera]] [[anpr]] [[reader]]   # see `cardea_hardware::config`
//! [[access_point]]                       # barriers and doors, by the names above
//! ```
//!
//! Relative paths start at the folder of the file. `systemd/cardead.example.toml` is a whole one; a test parses it.

mod access_point;
mod cloud;
mod events;
mod local;
mod policy;
mod recognition;
mod rules;
mod schedule;
mod validate;

use std::path::{Path, PathBuf};

use cardea_hardware::config::{
    AnprConfig, BoardConfig, CameraConfig, HardwareConfig, InputConfig, OutputConfig, ReaderConfig,
};
use serde::{Deserialize, Serialize};

pub use access_point::{AccessPointConfig, BarrierConfig, Credential, DoorConfig, Lane, LockMode, Pad};
pub use cloud::CloudConfig;
pub use events::EventsConfig;
pub use local::LocalConfig;
pub use policy::{BiometricsConfig, CardsConfig, PlatesConfig};
pub use recognition::RecognitionConfig;
pub use rules::{AntiPassback, AreaConfig, DirectionConfig, PostureConfig, RulesConfig, SecondFactorConfig};
pub use schedule::{HolidayConfig, HolidaysConfig, ScheduleConfig};

/// The example that `cardead config --example` prints; also installed as `/usr/share/cardea/cardead.example.toml`.
pub const EXAMPLE: &str = include_str!("../../../systemd/cardead.example.toml");

/// A whole configuration, checked.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the database, the keys and the certificates live; mode 0700.
    pub state_dir: PathBuf,
    /// Defaults of `cardead claim`.
    #[serde(default)]
    pub cloud: CloudConfig,
    /// Recognition. Needed where an access point takes plates or faces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recognition: Option<RecognitionConfig>,
    /// When a face counts.
    #[serde(default)]
    pub biometrics: BiometricsConfig,
    /// When a plate counts.
    #[serde(default)]
    pub plates: PlatesConfig,
    /// When a card counts.
    #[serde(default)]
    pub cards: CardsConfig,
    /// The outbox.
    #[serde(default)]
    pub events: EventsConfig,
    /// The status socket.
    #[serde(default)]
    pub local: LocalConfig,
    /// Inputs that lock down or hold open everything.
    #[serde(default, skip_serializing_if = "PostureConfig::is_empty")]
    pub posture: PostureConfig,
    /// Hours.
    #[serde(default, rename = "schedule", skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<ScheduleConfig>,
    /// Days on which other hours count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holidays: Vec<HolidaysConfig>,
    /// Areas of which it is known who is inside.
    #[serde(default, rename = "area", skip_serializing_if = "Vec::is_empty")]
    pub areas: Vec<AreaConfig>,
    /// Boards. With the next three lists this is `cardea_hardware`'s configuration.
    #[serde(default, rename = "board")]
    pub boards: Vec<BoardConfig>,
    /// Relays and locks.
    #[serde(default, rename = "output")]
    pub outputs: Vec<OutputConfig>,
    /// Contacts and sensors.
    #[serde(default, rename = "input")]
    pub inputs: Vec<InputConfig>,
    /// Cameras.
    #[serde(default, rename = "camera")]
    pub cameras: Vec<CameraConfig>,
    /// Cameras that read plates themselves.
    #[serde(default, rename = "anpr", skip_serializing_if = "Vec::is_empty")]
    pub anpr: Vec<AnprConfig>,
    /// Card readers.
    #[serde(default, rename = "reader", skip_serializing_if = "Vec::is_empty")]
    pub readers: Vec<ReaderConfig>,
    /// Barriers and doors.
    #[serde(default, rename = "access_point")]
    pub access_points: Vec<AccessPointConfig>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: check that it exists and that this user may read it")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, or a key that does not exist.
    #[error("the configuration {path} is not valid:\n{message}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Line, column and what was expected.
        message: String,
    },
    /// Values that cannot work, all of them.
    #[error("the configuration {path} cannot work:\n  - {}", .problems.join("\n  - "))]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// One sentence each: which entry, what is wrong, what to write instead.
        problems: Vec<String>,
    },
}

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Checks `text` as if it stood in the file `path`, which is used for messages and as the start of relative paths.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(text)
            .map_err(|error| ConfigError::Parse { path: path.to_owned(), message: error.to_string() })?;
        config.resolve(path.parent().unwrap_or(Path::new("")));
        let problems = validate::problems(&config);
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::Invalid { path: path.to_owned(), problems }) }
    }

    /// The part that `cardea_hardware` opens.
    pub fn hardware(&self) -> HardwareConfig {
        HardwareConfig {
            boards: self.boards.clone(),
            outputs: self.outputs.clone(),
            inputs: self.inputs.clone(),
            cameras: self.cameras.clone(),
            anpr: self.anpr.clone(),
            readers: self.readers.clone(),
        }
    }

    /// The effective configuration as TOML, defaults included, passwords as `…`.
    pub fn effective(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    fn resolve(&mut self, folder: &Path) {
        let mut paths = vec![&mut self.state_dir, &mut self.local.socket];
        paths.extend(self.local.orders.as_mut());
        paths.extend(self.cloud.ca.as_mut());
        if let Some(recognition) = &mut self.recognition {
            paths.extend([&mut recognition.pack, &mut recognition.onnxruntime]);
        }
        for camera in &mut self.cameras {
            paths.extend(camera.path_mut());
        }
        for camera in &mut self.anpr {
            paths.extend(camera.path_mut());
        }
        for path in paths {
            *path = folder.join(&*path);
        }
        for reader in &mut self.readers {
            let ReaderConfig::Osdp(osdp) = reader else { continue };
            let kept =
                osdp.key_file.get_or_insert_with(|| self.state_dir.join("readers").join(format!("{}.key", osdp.id)));
            *kept = folder.join(&*kept);
        }
    }
}

#[cfg(test)]
mod tests;
