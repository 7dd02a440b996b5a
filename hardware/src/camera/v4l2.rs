//! Cameras at this machine's USB or CSI connector, through the kernel's Video4Linux (V4L2).
//!
//! The driver asks for MJPG or YUYV, the formats that practically every camera has, and takes the nearest size that the camera
//! offers. Frames are copied out of the kernel's buffers, two of them, so none waits there for longer than one more takes.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use linuxvideo::{
    Device, Fract,
    format::{PixFormat, PixelFormat},
    stream::ReadStream,
};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{Camera, ImageKind, backoff::Dice, feed::Feed};
use crate::{
    DeviceError,
    config::{CameraConfig, V4l2CameraConfig, V4l2Format},
};

/// How often it is asked whether there is a frame.
const POLL: Duration = Duration::from_millis(5);

/// Starts a camera of this machine.
pub(crate) fn start(
    config: &CameraConfig,
    v4l2: &V4l2CameraConfig,
    dice: Dice,
    shutdown: CancellationToken,
) -> (Arc<dyn Camera>, JoinHandle<()>) {
    let v4l2 = Arc::new(v4l2.clone());
    Feed::new(config).start(dice, shutdown, move |feed| read(feed, v4l2.clone()))
}

/// An open camera and what it agreed to.
struct Opened {
    stream: ReadStream,
    kind: Layout,
}

/// What is in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Jpeg,
    Yuyv { width: u32, height: u32, bytes_per_line: u32 },
}

async fn read(feed: Arc<Feed>, config: Arc<V4l2CameraConfig>) -> DeviceError {
    let device = feed.device.clone();
    let opened = spawn_blocking(move || open(&device, &config)).await;
    match opened {
        Ok(Ok(opened)) => frames(&feed, opened).await,
        Ok(Err(error)) => error,
        Err(_) => feed.protocol("its driver failed"),
    }
}

fn open(device: &str, config: &V4l2CameraConfig) -> Result<Opened, DeviceError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => DeviceError::unsupported(
            device,
            "stream",
            "there is no such device file; `ls /dev/v4l/by-id` shows the cameras of this machine",
        ),
        io::ErrorKind::PermissionDenied => {
            DeviceError::unsupported(device, "stream", "no permission; add the user to the group `video`")
        }
        _ => DeviceError::unreachable(device, "stream", error, false),
    };
    let camera = Device::open(&config.path).map_err(failed)?;
    let wanted = match config.format {
        V4l2Format::Mjpg => PixelFormat::MJPG,
        V4l2Format::Yuyv => PixelFormat::YUYV,
    };
    let format = PixFormat::new(config.width, config.height, wanted);
    let capture = camera.video_capture(format).map_err(failed)?;
    let agreed = capture.format();
    let kind = match agreed.pixel_format() {
        PixelFormat::MJPG => Layout::Jpeg,
        PixelFormat::YUYV => {
            Layout::Yuyv { width: agreed.width(), height: agreed.height(), bytes_per_line: agreed.bytes_per_line() }
        }
        other => {
            let reason = format!("it gives {other} only; choose the other format (mjpg, yuyv), or another camera");
            return Err(DeviceError::unsupported(device, "stream", reason));
        }
    };
    // Cameras that cannot change their rate keep it.
    let _ = capture.set_frame_interval(Fract::new(1, config.fps));
    let stream = capture.into_stream().map_err(failed)?;
    Ok(Opened { stream, kind })
}

async fn frames(feed: &Feed, mut opened: Opened) -> DeviceError {
    let mut silent_at = Instant::now() + feed.limit;
    loop {
        match opened.stream.will_block() {
            Err(error) => return feed.unreachable(error),
            Ok(true) if Instant::now() >= silent_at => return feed.silent("stream"),
            Ok(true) => {
                sleep(POLL).await;
                continue;
            }
            Ok(false) => {}
        }
        // The frame is complete: it was taken before now, and after the last look.
        let captured_at = Instant::now() - POLL;
        let taken = opened.stream.dequeue(|view| Ok((!view.is_error()).then(|| unpack(&view, opened.kind))));
        match taken {
            Err(error) => return feed.unreachable(error),
            // USB loses a packet now and then; the next frame is whole.
            Ok(None | Some(None)) => {}
            Ok(Some(Some((bytes, kind)))) => {
                silent_at = Instant::now() + feed.limit;
                feed.show(bytes, kind, captured_at);
            }
        }
    }
}

/// A buffer as a frame; `None` if it does not hold one. Raw pixels are copied without the padding of their rows, into memory
/// that is overwritten when they are dropped.
fn unpack(buffer: &[u8], layout: Layout) -> Option<(Bytes, ImageKind)> {
    match layout {
        Layout::Jpeg => {
            let kind = ImageKind::sniff(buffer)?;
            Some((Bytes::copy_from_slice(buffer), kind))
        }
        Layout::Yuyv { width, height, bytes_per_line } => {
            let line = width as usize * 2;
            let step = (bytes_per_line as usize).max(line);
            if line == 0 || height == 0 {
                return None;
            }
            let mut pixels = Zeroizing::new(Vec::with_capacity(line * (height as usize).min(buffer.len() / line)));
            for row in 0..height as usize {
                let at = row.checked_mul(step)?;
                pixels.extend_from_slice(buffer.get(at..at.checked_add(line)?)?);
            }
            Some((Bytes::from_owner(pixels), ImageKind::Yuyv { width, height }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lose_their_padding_and_short_buffers_are_no_frames() {
        let layout = Layout::Yuyv { width: 2, height: 2, bytes_per_line: 6 };
        let buffer = [1, 2, 3, 4, 0, 0, 5, 6, 7, 8, 0, 0];
        let (bytes, kind) = unpack(&buffer, layout).unwrap();
        assert_eq!((&bytes[..], kind), (&[1, 2, 3, 4, 5, 6, 7, 8][..], ImageKind::Yuyv { width: 2, height: 2 }));
        assert!(unpack(&buffer[..9], layout).is_none());
        let absurd = Layout::Yuyv { width: u32::MAX, height: u32::MAX, bytes_per_line: u32::MAX };
        assert!(unpack(&buffer, absurd).is_none());
        assert!(unpack(&[], Layout::Yuyv { width: 0, height: 0, bytes_per_line: 0 }).is_none());
        assert!(unpack(b"\xFF\xD8\xFF\xE0...", Layout::Jpeg).is_some_and(|(_, kind)| kind == ImageKind::Jpeg));
        assert!(unpack(b"noise", Layout::Jpeg).is_none());
    }
}
