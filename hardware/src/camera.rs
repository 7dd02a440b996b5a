//! Cameras: still pictures, newest first, never queued.
//!
//! A frame is what the camera's own format gives without coding it once more: an encoded picture, or raw pixels.

pub(crate) mod backoff;
pub(crate) mod feed;
mod frozen;
pub mod h264;
pub(crate) mod login;
pub(crate) mod replay;
mod rtp_clock;
pub(crate) mod rtsp;
mod rtsp_login;
pub(crate) mod v4l2;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::{sync::watch, time::Instant};

use crate::{DeviceError, Health};

/// How a frame is encoded. JPEG and PNG are told by their first bytes, not by what the camera claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageKind {
    /// JPEG (ISO/IEC 10918-1).
    Jpeg,
    /// PNG (ISO/IEC 15948).
    Png,
    /// Raw YCbCr 4:2:0 in three planes without padding: luma, then Cb and Cr with half the columns and rows, rounded up.
    I420 {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// Raw YCbCr 4:2:2, packed as Y0 Cb Y1 Cr, without padding.
    Yuyv {
        /// Pixels across, an even number.
        width: u32,
        /// Pixels down.
        height: u32,
    },
}

impl ImageKind {
    /// Tells the encoding by the signature; `None` when it is neither.
    pub fn sniff(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(&[0xFF, 0xD8, 0xFF]) {
            Some(Self::Jpeg)
        } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else {
            None
        }
    }

    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::I420 { .. } | Self::Yuyv { .. } => "application/octet-stream",
        }
    }
}

/// One picture. `Debug` shows its size only: a frame shows people. Raw pixels are overwritten when the last copy of the frame
/// is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// The picture, as `kind` says.
    pub bytes: Bytes,
    /// Its encoding.
    pub kind: ImageKind,
    /// The earliest moment at which the camera can have taken it, as far as this machine can tell: when the request for it
    /// was sent, when the first byte of it arrived on a stream, or, where the stream has a clock of its own, what that clock
    /// says. Ages computed from it are never too small by a request. It never goes back from one frame to the next.
    pub captured_at: Instant,
    /// Counts the frames of this camera since the program started.
    pub sequence: u64,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("bytes", &self.bytes.len())
            .field("kind", &self.kind)
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

/// One camera.
#[async_trait]
pub trait Camera: Send + Sync {
    /// The logical name from the configuration.
    fn id(&self) -> &str;

    /// The newest frame that was not handed out before; waits for one, within the camera's timeout. Frames that came in the
    /// meantime are dropped, oldest first. Meant for one consumer for each camera.
    async fn frame(&self) -> Result<Frame, DeviceError>;

    /// Whether the camera answers.
    fn health(&self) -> watch::Receiver<Health>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_decides_the_kind() {
        assert_eq!(ImageKind::sniff(&[0xFF, 0xD8, 0xFF, 0xE0]), Some(ImageKind::Jpeg));
        assert_eq!(ImageKind::sniff(b"\x89PNG\r\n\x1a\n...."), Some(ImageKind::Png));
        assert_eq!(ImageKind::sniff(b"<html>"), None);
        assert_eq!(ImageKind::sniff(&[]), None);
    }
}
