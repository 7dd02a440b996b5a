//! Cameras over HTTP: single snapshots, or a continuous MJPEG stream.
//!
//! Latest wins: a stream's frames are read as they come and only the newest is kept. Redirects and proxies are not followed,
//! so that credentials go to the configured camera only.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::{Client, Response, StatusCode, header::CONTENT_TYPE};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    Camera, ConfigError, DeviceError, Frame, Health, ImageKind,
    config::{CameraConfig, HttpCameraConfig},
    mjpeg::Multipart,
};

/// The first wait after a lost stream; doubled up to [`MAX_BACKOFF`] while it stays lost.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// What both cameras share: the client, the limits and the health.
struct Source {
    /// Names the camera in errors.
    device: String,
    config: HttpCameraConfig,
    client: Client,
    health: watch::Sender<Health>,
    sequence: AtomicU64,
}

impl Source {
    fn new(config: &CameraConfig) -> Result<Self, DeviceError> {
        let http = config.http();
        let client = client(http)
            .map_err(|problem| ConfigError { problems: vec![format!("camera {:?}: {problem}", http.id)] })?;
        Ok(Self {
            device: config.describe(),
            config: http.clone(),
            client,
            health: watch::Sender::new(Health::Starting),
            sequence: AtomicU64::new(0),
        })
    }

    async fn get(&self, action: &str) -> Result<Response, DeviceError> {
        let mut request = self.client.get(self.config.url.clone());
        if let Some(username) = &self.config.username {
            request = request.basic_auth(username, self.config.password.as_ref().map(|password| password.expose()));
        }
        let response = request.send().await.map_err(|error| self.broken(action, error))?;
        match response.status() {
            StatusCode::OK => Ok(response),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let reason = format!("it answers {}; check username and password", response.status());
                Err(DeviceError::unsupported(&self.device, action, reason))
            }
            other => Err(DeviceError::protocol(&self.device, action, format!("it answers {other}; check the url"))),
        }
    }

    /// reqwest's own message repeats the URL, which may carry a token: the cause says enough.
    fn broken(&self, action: &str, error: reqwest::Error) -> DeviceError {
        let mut cause: &dyn std::error::Error = &error.without_url();
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        DeviceError::unreachable(&self.device, action, cause, true)
    }

    fn silent(&self, action: &str, after: Duration) -> DeviceError {
        DeviceError::Timeout {
            device: self.device.clone(),
            action: action.into(),
            after_ms: after.as_millis() as u64,
            sent: true,
        }
    }

    fn frame(&self, bytes: Bytes, captured_at: Instant, action: &str) -> Result<Frame, DeviceError> {
        let kind = ImageKind::sniff(&bytes)
            .ok_or_else(|| DeviceError::protocol(&self.device, action, "what it sends is neither JPEG nor PNG"))?;
        Ok(Frame { bytes, kind, captured_at, sequence: self.sequence.fetch_add(1, Ordering::Relaxed) + 1 })
    }

    fn report(&self, result: Result<(), &DeviceError>) {
        let health = match result {
            Ok(()) => Health::Up,
            Err(error) => Health::Down { reason: error.to_string() },
        };
        self.health.send_if_modified(|known| {
            if *known == health {
                return false;
            }
            match &health {
                Health::Down { reason } => warn!(%reason, "camera down"),
                Health::Up | Health::Starting => info!(device = %self.device, "camera up"),
            }
            *known = health;
            true
        });
    }
}

fn client(config: &HttpCameraConfig) -> Result<Client, String> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &config.ca_file {
        let unreadable = |error: &dyn std::fmt::Display| format!("ca_file {} cannot be read: {error}", path.display());
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))? {
            roots.add(certificate.map_err(|error| unreadable(&error))?).map_err(|error| unreadable(&error))?;
        }
        if roots.is_empty() {
            return Err(unreadable(&"it holds no certificate"));
        }
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(config.timeout())
        .build()
        .map_err(|error| error.to_string())
}

/// A camera that is asked for each frame.
pub(crate) struct SnapshotCamera {
    source: Source,
    /// When the last request went out. Held during a request: a slow camera gets one at a time.
    last_request: Mutex<Option<Instant>>,
}

impl SnapshotCamera {
    pub(crate) fn new(config: &CameraConfig) -> Result<Self, DeviceError> {
        Ok(Self { source: Source::new(config)?, last_request: Mutex::new(None) })
    }

    async fn fetch(&self) -> Result<Frame, DeviceError> {
        let action = "give a picture";
        let max_bytes = self.source.config.max_bytes;
        let captured_at = Instant::now();
        let mut response = self.source.get(action).await?;
        let mut bytes = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.source.broken(action, error))? {
            if bytes.len() + chunk.len() > max_bytes {
                let reason = format!("the picture has more than {max_bytes} bytes (max_bytes)");
                return Err(DeviceError::protocol(&self.source.device, action, reason));
            }
            bytes.extend_from_slice(&chunk);
        }
        self.source.frame(bytes.freeze(), captured_at, action)
    }
}

#[async_trait]
impl Camera for SnapshotCamera {
    fn id(&self) -> &str {
        &self.source.config.id
    }

    async fn frame(&self) -> Result<Frame, DeviceError> {
        let mut last_request = self.last_request.lock().await;
        if let Some(last) = *last_request {
            sleep_until(last + self.source.config.min_interval()).await;
        }
        *last_request = Some(Instant::now());
        let limit = self.source.config.timeout();
        let fetched = timeout(limit, self.fetch()).await;
        let result = fetched.unwrap_or_else(|_| Err(self.source.silent("give a picture", limit)));
        self.source.report(result.as_ref().map(|_| ()));
        result
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.source.health.subscribe()
    }
}

/// A camera whose stream is read all the time.
pub(crate) struct MjpegCamera {
    source: Arc<Source>,
    newest: watch::Receiver<Option<Frame>>,
    /// The sequence number of the last frame handed out.
    handed_out: AtomicU64,
}

impl MjpegCamera {
    pub(crate) fn start(
        config: &CameraConfig,
        shutdown: CancellationToken,
    ) -> Result<(Self, JoinHandle<()>), DeviceError> {
        let source = Arc::new(Source::new(config)?);
        let (frames, newest) = watch::channel(None);
        let reading = source.clone();
        let task = tokio::spawn(async move {
            shutdown.run_until_cancelled_owned(read_forever(reading, frames)).await;
        });
        Ok((Self { source, newest, handed_out: AtomicU64::new(0) }, task))
    }
}

#[async_trait]
impl Camera for MjpegCamera {
    fn id(&self) -> &str {
        &self.source.config.id
    }

    async fn frame(&self) -> Result<Frame, DeviceError> {
        let action = "give a picture";
        let (mut newest, mut health) = (self.newest.clone(), self.source.health.subscribe());
        let known = self.handed_out.load(Ordering::Acquire);
        let fresh = async {
            let frame = newest.wait_for(|frame| frame.as_ref().is_some_and(|frame| frame.sequence > known)).await;
            frame.ok().and_then(|frame| frame.clone())
        };
        let went_down = async {
            match health.wait_for(|health| matches!(health, Health::Down { .. })).await.as_deref() {
                Ok(Health::Down { reason }) => reason.clone(),
                _ => "it was closed".into(),
            }
        };
        let limit = self.source.config.timeout();
        let waited = timeout(limit, async {
            tokio::select! {
                biased;
                frame = fresh => frame.ok_or_else(|| "it was closed".into()),
                reason = went_down => Err(reason),
            }
        });
        match waited.await {
            Ok(Ok(frame)) => {
                self.handed_out.fetch_max(frame.sequence, Ordering::AcqRel);
                Ok(frame)
            }
            Ok(Err(reason)) => {
                // Whoever asks in a loop is slowed to the pace of a camera.
                sleep(self.source.config.min_interval()).await;
                Err(DeviceError::unreachable(&self.source.device, action, reason, false))
            }
            Err(_) => Err(self.source.silent(action, limit)),
        }
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.source.health.subscribe()
    }
}

async fn read_forever(source: Arc<Source>, frames: watch::Sender<Option<Frame>>) {
    let mut backoff = FIRST_BACKOFF;
    loop {
        let frames_before = source.sequence.load(Ordering::Relaxed);
        let ended = read_stream(&source, &frames).await;
        source.report(Err(&ended));
        // A frame of a stream that is gone is not the newest view of anything.
        frames.send_replace(None);
        if source.sequence.load(Ordering::Relaxed) > frames_before {
            backoff = FIRST_BACKOFF;
        }
        sleep(backoff).await;
        backoff = (backoff * 2).min(MAX_BACKOFF);
    }
}

/// Reads one stream until it ends, breaks, falls silent or turns into nonsense; answers which.
async fn read_stream(source: &Source, frames: &watch::Sender<Option<Frame>>) -> DeviceError {
    match try_read_stream(source, frames).await {
        Ok(()) => DeviceError::unreachable(&source.device, "stream", "it ended the stream", true),
        Err(error) => error,
    }
}

async fn try_read_stream(source: &Source, frames: &watch::Sender<Option<Frame>>) -> Result<(), DeviceError> {
    let action = "stream";
    let limit = source.config.timeout();
    let garbled = |error| DeviceError::protocol(&source.device, action, error);
    let response = timeout(limit, source.get(action)).await;
    let mut response = response.unwrap_or_else(|_| Err(source.silent(action, limit)))?;
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = Multipart::from_content_type(content_type, source.config.max_bytes).map_err(garbled)?;
    let mut silent_at = Instant::now() + limit;
    let mut part_began: Option<Instant> = None;
    loop {
        let chunk = timeout_at(silent_at, response.chunk()).await.map_err(|_| source.silent(action, limit))?;
        let Some(chunk) = chunk.map_err(|error| source.broken(action, error))? else { return Ok(()) };
        let arrived = Instant::now();
        parts.push(&chunk);
        while let Some(body) = parts.next_body().map_err(garbled)? {
            let frame = source.frame(body, part_began.take().unwrap_or(arrived), action)?;
            frames.send_replace(Some(frame));
            source.report(Ok(()));
            silent_at = arrived + limit;
        }
        if !parts.inside_body() {
            part_began = None;
        } else if part_began.is_none() {
            part_began = Some(arrived);
        }
    }
}
