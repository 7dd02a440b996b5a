//! Keys of cameras that read plates themselves.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use url::Url;

use super::{Secret, camera::address};
use crate::anpr::{Course, Wanted};

/// A camera that reads plates, by driver.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(tag = "driver", rename_all = "kebab-case")]
pub enum AnprConfig {
    /// Hikvision: this machine reads its stream of events (ISAPI `alertStream`).
    Hikvision(AnprPullConfig),
    /// Dahua: this machine reads its stream of events (`snapManager.cgi`).
    Dahua(AnprPullConfig),
    /// Hikvision: the camera posts its events to this machine ("HTTP listening").
    HikvisionPush(AnprPushConfig),
}

/// Keys of the drivers whose stream is read.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AnprPullConfig {
    /// The camera's name in this configuration.
    pub id: String,
    /// The camera: `http://host/` or `https://host/`, without user or password; the driver knows the path.
    pub url: Url,
    /// For `https`: a PEM file with the camera's certificate authority (or its self-signed certificate). Nothing else is
    /// trusted.
    pub ca_file: Option<PathBuf>,
    /// User name for HTTP Digest.
    pub username: Option<String>,
    /// The password to it.
    pub password: Option<Secret>,
    /// Whether the password may be sent in clear text, to a camera that has neither Digest nor https.
    #[serde(default)]
    pub allow_basic: bool,
    /// A stream that says nothing for so long, not even a heartbeat, is opened anew, 1000 to 300000 ms.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// The largest picture that is accepted, 1024 to 33554432 bytes.
    #[serde(default = "default_max_bytes")]
    pub max_bytes: usize,
    /// The camera's channel whose events count, 1 to 512.
    #[serde(default = "default_channel")]
    pub channel: u32,
    /// The lane whose events count, as the camera numbers them; without it, all.
    pub lane: Option<u32>,
    /// Where vehicles go whose events count; without it, anywhere. What the camera does not say is not turned away.
    pub direction: Option<Course>,
    /// Below this confidence of the camera, 0 to 1, an event does not count; nor does one without, unless this is 0.
    #[serde(default = "default_min_confidence")]
    pub min_confidence: f32,
    /// Whether the camera's word alone opens where there is no picture, or no reader to check it with.
    #[serde(default)]
    pub accept_text_only: bool,
}

/// Keys of driver `hikvision-push`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AnprPushConfig {
    /// The camera's name in this configuration.
    pub id: String,
    /// Where this machine listens, `address:port`.
    pub listen: SocketAddr,
    /// The addresses the camera may post from.
    pub allow_from: Vec<IpAddr>,
    /// The secret in the path `/anpr/{token}` that is entered in the camera: 24 to 128 letters and digits.
    pub token: Secret,
    /// How long a request may take, 1000 to 300000 ms.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// The largest picture that is accepted, 1024 to 33554432 bytes.
    #[serde(default = "default_max_bytes")]
    pub max_bytes: usize,
    /// The camera's channel whose events count, 1 to 512.
    #[serde(default = "default_channel")]
    pub channel: u32,
    /// The lane whose events count, as the camera numbers them; without it, all.
    pub lane: Option<u32>,
    /// Where vehicles go whose events count; without it, anywhere. What the camera does not say is not turned away.
    pub direction: Option<Course>,
    /// Below this confidence of the camera, 0 to 1, an event does not count; nor does one without, unless this is 0.
    #[serde(default = "default_min_confidence")]
    pub min_confidence: f32,
    /// Whether the camera's word alone opens where there is no picture, or no reader to check it with.
    #[serde(default)]
    pub accept_text_only: bool,
}

impl AnprConfig {
    /// The camera's name in the configuration.
    pub fn id(&self) -> &str {
        match self {
            Self::Hikvision(camera) | Self::Dahua(camera) => &camera.id,
            Self::HikvisionPush(camera) => &camera.id,
        }
    }

    /// Below this, an event does not count.
    pub fn min_confidence(&self) -> f32 {
        match self {
            Self::Hikvision(camera) | Self::Dahua(camera) => camera.min_confidence,
            Self::HikvisionPush(camera) => camera.min_confidence,
        }
    }

    /// Whether the camera's word alone opens.
    pub fn accept_text_only(&self) -> bool {
        match self {
            Self::Hikvision(camera) | Self::Dahua(camera) => camera.accept_text_only,
            Self::HikvisionPush(camera) => camera.accept_text_only,
        }
    }

    /// Which events count.
    pub(crate) fn wanted(&self) -> Wanted {
        let (channel, lane, course) = match self {
            Self::Hikvision(camera) | Self::Dahua(camera) => (camera.channel, camera.lane, camera.direction),
            Self::HikvisionPush(camera) => (camera.channel, camera.lane, camera.direction),
        };
        Wanted { channel, lane, course }
    }

    /// The file it names, for a relative path to be resolved.
    pub fn path_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::Hikvision(camera) | Self::Dahua(camera) => camera.ca_file.as_mut(),
            Self::HikvisionPush(_) => None,
        }
    }

    /// `timeout_ms` and `max_bytes`, which all have.
    pub(super) fn limits(&self) -> (u64, usize) {
        match self {
            Self::Hikvision(camera) | Self::Dahua(camera) => (camera.timeout_ms, camera.max_bytes),
            Self::HikvisionPush(camera) => (camera.timeout_ms, camera.max_bytes),
        }
    }

    /// Names the camera in messages: id, driver, address.
    pub(crate) fn describe(&self) -> String {
        let (driver, place) = match self {
            Self::Hikvision(camera) => ("hikvision", address(&camera.url)),
            Self::Dahua(camera) => ("dahua", address(&camera.url)),
            Self::HikvisionPush(camera) => ("hikvision-push", format!("on {}", camera.listen)),
        };
        format!("plate camera {:?} ({driver} {place})", self.id())
    }
}

fn default_timeout_ms() -> u64 {
    30_000
}
fn default_max_bytes() -> usize {
    4 * 1024 * 1024
}
fn default_channel() -> u32 {
    1
}
fn default_min_confidence() -> f32 {
    0.8
}
