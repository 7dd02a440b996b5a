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
    /// H.264 or MJPEG over RTSP.
    Rtsp(RtspCameraConfig),
    /// A camera at this machine's USB or CSI connector.
    V4l2(V4l2CameraConfig),
    /// A recording that is played.
    Replay(ReplayCameraConfig),
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
    /// User name for HTTP Digest (RFC 7616) or Basic (RFC 7617).
    pub username: Option<String>,
    /// The password to it.
    pub password: Option<Secret>,
    /// Whether the password may be sent in clear text, to a camera that has neither Digest nor https.
    #[serde(default)]
    pub allow_basic: bool,
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
    /// After how many seconds of the very same picture the camera counts as frozen, 0 (never) to 3600. Without it, 60 for a
    /// stream and never for snapshots.
    pub frozen_after_s: Option<u64>,
}

/// Keys of driver `rtsp`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RtspCameraConfig {
    /// The camera's name in this configuration.
    pub id: String,
    /// `rtsp://`, without user or password.
    pub url: Url,
    /// User name for Digest.
    pub username: Option<String>,
    /// The password to it.
    pub password: Option<Secret>,
    /// Whether the password may be sent in clear text, to a camera that asks for Basic.
    #[serde(default)]
    pub allow_basic: bool,
    /// How long a frame may be waited for, and how old it may be when it comes, 50 to 30000 ms; a stream that is silent for so
    /// long is opened anew.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// How long a request for a frame of a stream that is down takes to fail, 0 to 10000 ms.
    #[serde(default = "default_min_interval_ms")]
    pub min_interval_ms: u64,
    /// The largest coded picture that is accepted, 1024 to 33554432 bytes.
    #[serde(default = "default_max_bytes")]
    pub max_bytes: usize,
    /// The largest picture that is decoded, 4096 to 33554432 pixels.
    #[serde(default = "default_max_pixels")]
    pub max_pixels: u32,
    /// After how many seconds of the very same picture the camera counts as frozen, 0 (never) to 3600.
    #[serde(default = "default_frozen_after_s")]
    pub frozen_after_s: u64,
}

/// Keys of driver `v4l2`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct V4l2CameraConfig {
    /// The camera's name in this configuration.
    pub id: String,
    /// The device file; a name under `/dev/v4l/by-id/` survives replugging.
    pub path: PathBuf,
    /// What the camera is asked for.
    #[serde(default)]
    pub format: V4l2Format,
    /// Pixels across, 16 to 7680; the camera takes the nearest it has.
    #[serde(default = "default_width")]
    pub width: u32,
    /// Pixels down, 16 to 4320.
    #[serde(default = "default_height")]
    pub height: u32,
    /// Frames per second, 1 to 120, where the camera can choose.
    #[serde(default = "default_v4l2_fps")]
    pub fps: u32,
    /// How long a frame may be waited for, 50 to 30000 ms; a stream that is silent for so long is opened anew.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// How long a request for a frame of a camera that is away takes to fail, 0 to 10000 ms.
    #[serde(default = "default_min_interval_ms")]
    pub min_interval_ms: u64,
    /// After how many seconds of the very same picture the camera counts as frozen, 0 (never) to 3600.
    #[serde(default = "default_frozen_after_s")]
    pub frozen_after_s: u64,
}

/// Pixel formats of V4L2.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum V4l2Format {
    /// JPEG pictures, which leave room on a USB 2 cable for more than 640x480.
    #[default]
    Mjpg,
    /// Raw YCbCr 4:2:2.
    Yuyv,
}

/// Keys of driver `replay`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayCameraConfig {
    /// The camera's name in this configuration.
    pub id: String,
    /// A folder of pictures (JPEG, PNG; shown by name), a file of JPEG pictures (`.mjpeg`), or one of H.264 (`.h264`).
    pub path: PathBuf,
    /// Frames per second, 0.1 to 120.
    #[serde(default = "default_fps")]
    pub fps: f64,
    /// Whether it begins again at its end; without it, the camera is down then.
    #[serde(default)]
    pub repeat: bool,
    /// How long a frame may be waited for, 50 to 30000 ms.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// How long a request for a frame takes to fail when there is none, 0 to 10000 ms.
    #[serde(default = "default_min_interval_ms")]
    pub min_interval_ms: u64,
    /// After how many seconds of the very same picture the camera counts as frozen, 0 (never) to 3600.
    #[serde(default)]
    pub frozen_after_s: u64,
}

impl CameraConfig {
    /// The camera's name in the configuration.
    pub fn id(&self) -> &str {
        match self {
            Self::HttpSnapshot(camera) | Self::HttpMjpeg(camera) => &camera.id,
            Self::Rtsp(camera) => &camera.id,
            Self::V4l2(camera) => &camera.id,
            Self::Replay(camera) => &camera.id,
        }
    }

    /// The file it names, for a relative path to be resolved.
    pub fn path_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::HttpSnapshot(camera) | Self::HttpMjpeg(camera) => camera.ca_file.as_mut(),
            Self::Rtsp(_) => None,
            Self::V4l2(camera) => Some(&mut camera.path),
            Self::Replay(camera) => Some(&mut camera.path),
        }
    }

    /// `timeout_ms`, `min_interval_ms` and `frozen_after_s`, which all have.
    fn limits(&self) -> (u64, u64, u64) {
        match self {
            Self::HttpSnapshot(c) => (c.timeout_ms, c.min_interval_ms, c.frozen_after_s.unwrap_or(0)),
            Self::HttpMjpeg(c) => {
                (c.timeout_ms, c.min_interval_ms, c.frozen_after_s.unwrap_or_else(default_frozen_after_s))
            }
            Self::Rtsp(c) => (c.timeout_ms, c.min_interval_ms, c.frozen_after_s),
            Self::V4l2(c) => (c.timeout_ms, c.min_interval_ms, c.frozen_after_s),
            Self::Replay(c) => (c.timeout_ms, c.min_interval_ms, c.frozen_after_s),
        }
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.limits().0)
    }

    pub(crate) fn min_interval(&self) -> Duration {
        Duration::from_millis(self.limits().1)
    }

    pub(crate) fn frozen_after_s(&self) -> u64 {
        self.limits().2
    }

    /// Names the camera in messages: id, driver, address.
    pub(crate) fn describe(&self) -> String {
        let (driver, address) = match self {
            Self::HttpSnapshot(camera) => ("http-snapshot", address(&camera.url)),
            Self::HttpMjpeg(camera) => ("http-mjpeg", address(&camera.url)),
            Self::Rtsp(camera) => ("rtsp", address(&camera.url)),
            Self::V4l2(camera) => ("v4l2", camera.path.display().to_string()),
            Self::Replay(camera) => ("replay", camera.path.display().to_string()),
        };
        format!("camera {:?} ({driver} {address})", self.id())
    }
}

/// A URL without its query: some cameras want a token in it. A user and password in it are refused, but not before it may
/// be named in a message.
pub(super) fn address(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or("?"), url.path())
}

impl HttpCameraConfig {
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
fn default_max_pixels() -> u32 {
    4_194_304
}
fn default_frozen_after_s() -> u64 {
    60
}
fn default_width() -> u32 {
    1280
}
fn default_height() -> u32 {
    720
}
fn default_v4l2_fps() -> u32 {
    15
}
fn default_fps() -> f64 {
    10.0
}
