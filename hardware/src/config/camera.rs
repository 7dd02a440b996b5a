//! Keys of cameras.

use std::{fmt, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::ZeroizeOnDrop;

/// A camera, by driver.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(tag = "driver", rename_all = "kebab-case")]
pub enum CameraConfig {
    /// One GET request for each frame.
    HttpSnapshot(HttpCameraConfig),
    /// A continuous `multipart/x-mixed-replace` stream.
    HttpMjpeg(HttpCameraConfig),
}

/// Keys of the HTTP cameras.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HttpCameraConfig {
    /// The camera's name in this configuration.
    pub id: String,
    /// `http://` or `https://`, without user or password.
    pub url: Url,
    /// For `https`: a PEM file with the camera's certificate authority (or its self-signed certificate). Nothing else is
    /// trusted.
    pub ca_file: Option<PathBuf>,
    /// User name for HTTP basic authentication.
    pub username: Option<String>,
    /// Password for HTTP basic authentication.
    pub password: Option<Secret>,
    /// How long a frame may be waited for, 50 to 30000 ms; a stream that is silent for so long is opened anew.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// The shortest time between two snapshot requests, and how long a request for a frame of a stream that is down takes to
    /// fail, 0 to 10000 ms.
    #[serde(default = "default_min_interval_ms")]
    pub min_interval_ms: u64,
    /// The largest frame that is accepted, 1024 to 33554432 bytes.
    #[serde(default = "default_max_bytes")]
    pub max_bytes: usize,
}

impl CameraConfig {
    /// The keys, whatever the driver.
    pub fn http(&self) -> &HttpCameraConfig {
        match self {
            Self::HttpSnapshot(camera) | Self::HttpMjpeg(camera) => camera,
        }
    }

    /// The camera's name in the configuration.
    pub fn id(&self) -> &str {
        &self.http().id
    }

    /// Names the camera in messages: id, driver, address.
    pub(crate) fn describe(&self) -> String {
        let driver = match self {
            Self::HttpSnapshot(_) => "http-snapshot",
            Self::HttpMjpeg(_) => "http-mjpeg",
        };
        let url = &self.http().url;
        // Without the query: some cameras want a token in it.
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = url.host_str().unwrap_or("?");
        format!("camera {:?} ({driver} {}://{host}{port}{})", self.id(), url.scheme(), url.path())
    }
}

impl HttpCameraConfig {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
    pub(crate) fn min_interval(&self) -> Duration {
        Duration::from_millis(self.min_interval_ms)
    }
}

/// A password. It never shows in `Debug`, and its memory is cleared.
#[derive(Clone, PartialEq, Eq, Deserialize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// As `Debug`: the effective configuration can be printed and passed on.
impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("…")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

fn default_timeout_ms() -> u64 {
    2000
}
fn default_min_interval_ms() -> u64 {
    50
}
fn default_max_bytes() -> usize {
    8 * 1024 * 1024
}
