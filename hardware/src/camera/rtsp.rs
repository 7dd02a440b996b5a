//! Cameras that stream over RTSP (RFC 2326), RTP interleaved in the same TCP connection: H.264, and MJPEG (RFC 2435).
//!
//! A redirect is not followed: an answer that is not a success ends the attempt, so that credentials go to the configured
//! camera only. RTSP inside TLS is not supported by the client library.

use std::sync::Arc;

use futures_util::StreamExt as _;
use retina::{
    client::{Credentials, Demuxed, PlayOptions, Session, SessionOptions, SetupOptions},
    codec::{CodecItem, FrameFormat, VideoFrame},
};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    Camera,
    backoff::Dice,
    feed::Feed,
    h264::{Pictures, Unit},
    rtp_clock::RtpClock,
    rtsp_login::{self, Asked},
};
use crate::{
    DeviceError,
    config::{CameraConfig, RtspCameraConfig},
};

/// The longest part of a library's message that is repeated: it may quote what the camera sent.
const MAX_REASON: usize = 160;

/// Starts a camera with an RTSP stream.
pub(crate) fn start(
    config: &CameraConfig,
    rtsp: &RtspCameraConfig,
    dice: Dice,
    shutdown: CancellationToken,
) -> (Arc<dyn Camera>, JoinHandle<()>) {
    let rtsp = Arc::new(rtsp.clone());
    Feed::new(config).start(dice, shutdown, move |feed| read(feed, rtsp.clone()))
}

/// What the stream carries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Codec {
    H264,
    Jpeg,
}

/// Reads one stream until it ends, breaks, falls silent or turns into nonsense; answers which.
async fn read(feed: Arc<Feed>, config: Arc<RtspCameraConfig>) -> DeviceError {
    match Stream::open(&feed, &config).await {
        Ok(mut stream) => stream.read().await,
        Err(error) => error,
    }
}

struct Stream<'a> {
    feed: &'a Feed,
    codec: Codec,
    demuxed: Demuxed,
    clock: RtpClock,
    /// Taken while a thread decodes.
    pictures: Pictures,
    limits: (u32, usize),
    /// Without a frame until then, the stream is given up.
    silent_at: Instant,
    /// Without a present frame until then, it is given up for being late.
    late_at: Instant,
}

impl<'a> Stream<'a> {
    async fn open(feed: &'a Feed, config: &RtspCameraConfig) -> Result<Self, DeviceError> {
        let deadline = Instant::now() + feed.limit;
        let silent = |_| feed.silent("stream");
        let credentials = timeout_at(deadline, credentials(feed, config)).await.map_err(silent)??;
        let options = SessionOptions::default().user_agent("cardea".into()).creds(credentials);
        let described = timeout_at(deadline, Session::describe(config.url.clone(), options)).await.map_err(silent)?;
        let mut session = described.map_err(|error| refused(feed, &error))?;
        let offered = session.streams().iter().enumerate().filter(|(_, stream)| stream.media() == "video");
        let usable = offered.filter_map(|(i, stream)| match stream.encoding_name() {
            "h264" => Some((i, Codec::H264)),
            "jpeg" => Some((i, Codec::Jpeg)),
            _ => None,
        });
        let (i, codec) = usable.into_iter().next().ok_or_else(|| {
            let reason =
                "it offers no video in H.264 or MJPEG; choose one of them in the camera's settings (not H.265)";
            DeviceError::unsupported(&feed.device, "stream", reason)
        })?;
        let setup = SetupOptions::default().frame_format(FrameFormat::SIMPLE);
        let done = timeout_at(deadline, session.setup(i, setup)).await.map_err(silent)?;
        done.map_err(|error| refused(feed, &error))?;
        let playing = timeout_at(deadline, session.play(PlayOptions::default())).await.map_err(silent)?;
        let demuxed = playing.and_then(Session::demuxed).map_err(|error| refused(feed, &error))?;
        let (limits, now) = ((config.max_pixels, config.max_bytes), Instant::now());
        Ok(Self {
            feed,
            codec,
            demuxed,
            clock: RtpClock::default(),
            pictures: Pictures::new(limits.0, limits.1),
            limits,
            silent_at: now + feed.limit,
            late_at: now + feed.limit * 2,
        })
    }

    async fn read(&mut self) -> DeviceError {
        loop {
            let (feed, ready) = (self.feed, self.pictures.is_ready());
            let wanted = async {
                feed.until_wanted().await;
                if !ready {
                    std::future::pending::<()>().await;
                }
            };
            let step = tokio::select! {
                biased;
                item = timeout_at(self.silent_at, self.demuxed.next()) => match item {
                    Err(_) => return self.feed.silent("stream"),
                    Ok(None) => return self.feed.unreachable("it ended the stream"),
                    Ok(Some(Err(error))) => return refused(self.feed, &error),
                    Ok(Some(Ok(CodecItem::VideoFrame(frame)))) => self.take(frame).await,
                    Ok(Some(Ok(_))) => Ok(()),
                },
                () = wanted => self.decode().await,
            };
            if let Err(error) = step {
                return error;
            }
        }
    }

    async fn take(&mut self, frame: VideoFrame) -> Result<(), DeviceError> {
        let arrived = Instant::from_std(frame.start_ctx().received());
        self.silent_at = Instant::now() + self.feed.limit;
        let rate = i64::from(frame.timestamp().clock_rate().get());
        let timestamp_us = (i128::from(frame.timestamp().elapsed()) * 1_000_000 / i128::from(rate)) as i64;
        let oldest = arrived.checked_sub(self.feed.limit);
        let captured_at =
            self.clock.captured(timestamp_us, arrived).filter(|at| oldest.is_none_or(|oldest| *at >= oldest));
        if captured_at.is_some() {
            self.late_at = arrived + self.feed.limit * 2;
        } else if arrived > self.late_at {
            let reason =
                "its pictures come too late, or not at the pace of their timestamps; check the network and its clock";
            return Err(self.feed.protocol(reason));
        }
        let gap = frame.loss() > 0;
        match self.codec {
            Codec::Jpeg => {
                let data = frame.into_data();
                if data.len() > self.limits.1 {
                    return Err(self
                        .feed
                        .protocol(format!("a picture has more than {} bytes (max_bytes)", self.limits.1)));
                }
                captured_at.map_or(Ok(()), |captured_at| self.feed.show_encoded(data.into(), captured_at))
            }
            Codec::H264 => {
                let unit = Unit { data: frame.into_data(), captured_at };
                self.pictures.push(unit, gap).map_err(|reason| self.feed.protocol(reason))?;
                // As long as it is not known to be well, everything that it shows is looked at.
                let unproven = !self.feed.is_up() && captured_at.is_some();
                if self.pictures.is_ready() && (unproven || self.feed.is_wanted() || self.pictures.is_full()) {
                    self.decode().await?;
                }
                Ok(())
            }
        }
    }

    /// Decodes what has come, on a thread for such work, and shows the newest.
    async fn decode(&mut self) -> Result<(), DeviceError> {
        let empty = Pictures::new(self.limits.0, self.limits.1);
        let mut pictures = std::mem::replace(&mut self.pictures, empty);
        let work = spawn_blocking(move || {
            let shown = pictures.decode();
            (pictures, shown)
        });
        let (pictures, shown) = work.await.map_err(|_| self.feed.protocol("the decoder failed on it"))?;
        self.pictures = pictures;
        if let Some(shown) = shown.map_err(|reason| self.feed.protocol(reason))?
            && let Some(captured_at) = shown.captured_at
        {
            self.feed.show(shown.bytes, shown.kind, captured_at);
        }
        Ok(())
    }
}

/// The login, if the library may be told it.
async fn credentials(feed: &Feed, config: &RtspCameraConfig) -> Result<Option<Credentials>, DeviceError> {
    let Some(username) = &config.username else { return Ok(None) };
    if !config.allow_basic {
        let unsupported = |reason| Err(DeviceError::unsupported(&feed.device, "stream", reason));
        match rtsp_login::ask(&config.url).await.map_err(|error| feed.unreachable(error))? {
            Asked::Digest => {}
            Asked::Nothing => return Ok(None),
            Asked::Basic => {
                return unsupported(
                    "it wants the password in clear text (Basic); set its RTSP login to Digest alone, or write \
                     allow_basic = true",
                );
            }
            Asked::Unknown => return unsupported("it asks for a login that is neither Digest nor Basic"),
        }
    }
    let password = config.password.as_ref().map(|password| password.expose().to_owned()).unwrap_or_default();
    Ok(Some(Credentials { username: username.clone(), password }))
}

/// What the library says, in words for an installer. Its own messages may quote what the camera sent.
fn refused(feed: &Feed, error: &retina::Error) -> DeviceError {
    let unsupported = |reason: &str| DeviceError::unsupported(&feed.device, "stream", reason);
    match error.status_code() {
        Some(401 | 403) => unsupported("it refuses; check username and password"),
        Some(404) => unsupported("it has no such stream; check the path in url"),
        Some(status @ 300..=399) => {
            let reason =
                format!("it redirects ({status}), which is not followed; write the camera's own address into url");
            DeviceError::protocol(&feed.device, "stream", reason)
        }
        Some(status) if status >= 400 => feed.protocol(format!("it answers {status}; check url")),
        _ => {
            let text = error.to_string();
            let reason: String = text.lines().next().unwrap_or_default().chars().take(MAX_REASON).collect();
            feed.unreachable(reason)
        }
    }
}
