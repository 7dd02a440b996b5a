//! Cameras over HTTP: single snapshots, or a continuous MJPEG stream.
//!
//! Latest wins: a stream's frames are read as they come and only the newest is kept. Redirects and proxies are not followed,
//! so that credentials go to the configured camera only.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::BytesMut;
use reqwest::{Client, Response, StatusCode, header::CONTENT_TYPE};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Camera, ConfigError, DeviceError, Frame, Health,
    camera::{
        backoff::{Dice, Kept as _},
        feed::Feed,
        login::{self, Login, LoginError},
    },
    config::{CameraConfig, HttpCameraConfig},
    mjpeg::Multipart,
};

/// What both cameras share.
struct Source {
    feed: Arc<Feed>,
    config: HttpCameraConfig,
    client: Client,
    login: Option<Login>,
}

impl Source {
    fn new(config: &CameraConfig, http: &HttpCameraConfig) -> Result<Self, DeviceError> {
        let client = client(http.ca_file.as_deref(), config.timeout())
            .map_err(|problem| ConfigError { problems: vec![format!("camera {:?}: {problem}", http.id)] })?;
        Ok(Self {
            feed: Feed::new(config),
            config: http.clone(),
            client,
            login: Login::new(http.username.as_ref(), http.password.as_ref(), http.allow_basic),
        })
    }

    async fn get(&self, action: &str) -> Result<Response, DeviceError> {
        let answer = login::get(&self.client, &self.config.url, self.login.as_ref()).await;
        accepted(&self.feed.device, action, answer)
    }
}

/// The answer if it is a success; else what is wrong with it.
pub(crate) fn accepted(
    device: &str,
    action: &str,
    answer: Result<Response, LoginError>,
) -> Result<Response, DeviceError> {
    let response = match answer {
        Ok(response) => response,
        Err(LoginError::Refused(reason)) => return Err(DeviceError::unsupported(device, action, reason)),
        Err(LoginError::Request(error)) => return Err(broken(device, action, error)),
    };
    match response.status() {
        StatusCode::OK => Ok(response),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let reason = format!("it answers {}; check username and password", response.status());
            Err(DeviceError::unsupported(device, action, reason))
        }
        other => Err(DeviceError::protocol(device, action, format!("it answers {other}; check the url"))),
    }
}

/// reqwest's own message repeats the URL, which may carry a token: the cause says enough.
pub(crate) fn broken(device: &str, action: &str, error: reqwest::Error) -> DeviceError {
    let mut cause: &dyn std::error::Error = &error.without_url();
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    DeviceError::unreachable(device, action, cause, true)
}

/// A client that trusts the authorities in `ca_file` and nothing else.
pub(crate) fn client(ca_file: Option<&Path>, connect_timeout: Duration) -> Result<Client, String> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
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
        .connect_timeout(connect_timeout)
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
    pub(crate) fn new(config: &CameraConfig, http: &HttpCameraConfig) -> Result<Self, DeviceError> {
        Ok(Self { source: Source::new(config, http)?, last_request: Mutex::new(None) })
    }

    async fn fetch(&self) -> Result<(), DeviceError> {
        let action = "give a picture";
        let (max_bytes, device) = (self.source.config.max_bytes, &self.source.feed.device);
        let captured_at = Instant::now();
        let mut response = self.source.get(action).await?;
        let mut bytes = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(device, action, error))? {
            if bytes.len() + chunk.len() > max_bytes {
                let reason = format!("the picture has more than {max_bytes} bytes (max_bytes)");
                return Err(DeviceError::protocol(device, action, reason));
            }
            bytes.extend_from_slice(&chunk);
        }
        self.source.feed.show_encoded(bytes.freeze(), captured_at)
    }
}

#[async_trait]
impl Camera for SnapshotCamera {
    fn id(&self) -> &str {
        &self.source.feed.id
    }

    async fn frame(&self) -> Result<Frame, DeviceError> {
        let feed = &self.source.feed;
        let mut last_request = self.last_request.lock().await;
        if let Some(last) = *last_request {
            sleep_until(last + self.source.config.min_interval()).await;
        }
        *last_request = Some(Instant::now());
        let fetched = timeout(feed.limit, self.fetch()).await;
        if let Err(error) = fetched.unwrap_or_else(|_| Err(feed.silent("give a picture"))) {
            feed.lost(&error);
            return Err(error);
        }
        feed.frame().await
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.source.feed.health()
    }
}

/// Starts a camera whose stream is read all the time.
pub(crate) fn start_mjpeg(
    config: &CameraConfig,
    http: &HttpCameraConfig,
    dice: Dice,
    shutdown: CancellationToken,
) -> Result<(Arc<dyn Camera>, JoinHandle<()>), DeviceError> {
    let source = Arc::new(Source::new(config, http)?);
    Ok(source.feed.clone().start(dice, shutdown, move |_| read_stream(source.clone())))
}

/// Reads one stream until it ends, breaks, falls silent or turns into nonsense; answers which.
async fn read_stream(source: Arc<Source>) -> DeviceError {
    match try_read_stream(&source).await {
        Ok(()) => source.feed.unreachable("it ended the stream"),
        Err(error) => error,
    }
}

async fn try_read_stream(source: &Source) -> Result<(), DeviceError> {
    let (action, feed) = ("stream", &source.feed);
    let garbled = |error| feed.protocol(error);
    let response = timeout(feed.limit, source.get(action)).await;
    let mut response = response.unwrap_or_else(|_| Err(feed.silent(action)))?;
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = Multipart::from_content_type(content_type, source.config.max_bytes).map_err(garbled)?;
    let mut silent_at = Instant::now() + feed.limit;
    let mut part_began: Option<Instant> = None;
    loop {
        let chunk = timeout_at(silent_at, response.chunk()).await.map_err(|_| feed.silent(action))?;
        let Some(chunk) = chunk.map_err(|error| broken(&feed.device, action, error))? else { return Ok(()) };
        let arrived = Instant::now();
        parts.push(&chunk);
        while let Some(body) = parts.next_body().map_err(garbled)? {
            feed.show_encoded(body, part_began.take().unwrap_or(arrived))?;
            silent_at = arrived + feed.limit;
        }
        if !parts.inside_body() {
            part_began = None;
        } else if part_began.is_none() {
            part_began = Some(arrived);
        }
    }
}
