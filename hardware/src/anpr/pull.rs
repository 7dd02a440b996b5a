//! Cameras whose stream of events this machine reads: it opens the connection, so nobody else can send into it.

use std::{sync::Arc, time::Duration};

use reqwest::header::CONTENT_TYPE;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{Inbox, Make, Message, Part, assembly::Assembly, dahua, hikvision, part};
use crate::{
    ConfigError, DeviceError,
    camera::{
        backoff::{Dice, keep_open},
        login::{self, Login},
    },
    config::{AnprConfig, AnprPullConfig},
    http_camera::{accepted, broken, client},
    mjpeg::Multipart,
};

/// ISAPI, event service: the stream of all events.
const HIKVISION: &str = "ISAPI/Event/notification/alertStream";
/// Dahua HTTP API, snapshot manager: events of one channel with their pictures.
fn dahua_path(channel: u32) -> String {
    format!(
        "cgi-bin/snapManager.cgi?action=attachFileProc&channel={channel}&heartbeat=5&Flags[0]=Event&Events=[TrafficJunction]"
    )
}
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

struct Source {
    inbox: Arc<Inbox>,
    client: reqwest::Client,
    login: Option<Login>,
    url: Url,
    make: Make,
    limit: Duration,
    max_bytes: usize,
}

/// Starts reading. An error is one of configuration.
pub(crate) fn start(
    config: &AnprConfig,
    pull: &AnprPullConfig,
    dice: Dice,
    shutdown: CancellationToken,
) -> Result<(Arc<Inbox>, JoinHandle<()>), DeviceError> {
    let wrong = |problem: String| ConfigError { problems: vec![format!("anpr {:?}: {problem}", pull.id)] };
    let (path, make) = match config {
        AnprConfig::Dahua(_) => (dahua_path(pull.channel), dahua::MAKE),
        AnprConfig::Hikvision(_) | AnprConfig::HikvisionPush(_) => (HIKVISION.to_owned(), hikvision::MAKE),
    };
    let source = Arc::new(Source {
        inbox: Inbox::new(&pull.id, config.describe(), config.wanted()),
        client: client(pull.ca_file.as_deref(), CONNECT).map_err(wrong)?,
        login: Login::new(pull.username.as_ref(), pull.password.as_ref(), pull.allow_basic),
        url: pull.url.join(&path).map_err(|error| wrong(format!("url: {error}")))?,
        make,
        limit: Duration::from_millis(pull.timeout_ms),
        max_bytes: pull.max_bytes,
    });
    let inbox = source.inbox.clone();
    let keeping = keep_open(inbox.clone(), dice, move |_| read(source.clone()));
    let task = tokio::spawn(async move {
        shutdown.run_until_cancelled_owned(keeping).await;
    });
    Ok((inbox, task))
}

/// Reads one stream until it ends, breaks, falls silent or turns into nonsense; answers which.
async fn read(source: Arc<Source>) -> DeviceError {
    match source.read().await {
        Ok(()) => DeviceError::unreachable(&source.inbox.device, "tell events", "it ended the stream", true),
        Err(error) => error,
    }
}

impl Source {
    async fn read(&self) -> Result<(), DeviceError> {
        let (action, device) = ("tell events", &self.inbox.device);
        let garbled = |error: &dyn std::fmt::Display| DeviceError::protocol(device, action, error);
        let silent = || DeviceError::Timeout {
            device: device.clone(),
            action: action.into(),
            after_ms: self.limit.as_millis() as u64,
            sent: true,
        };
        let answer = timeout(CONNECT, login::get(&self.client, &self.url, self.login.as_ref())).await;
        let mut response = accepted(device, action, answer.map_err(|_| silent())?)?;
        let content_type =
            response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut parts = Multipart::from_content_type(content_type, self.max_bytes).map_err(|error| garbled(&error))?;
        self.inbox.up();
        let mut assembly = Assembly::default();
        let (mut silent_at, mut part_began) = (Instant::now() + self.limit, None::<Instant>);
        loop {
            let due = assembly.due();
            let chunk = match timeout_at(due.unwrap_or(silent_at).min(silent_at), response.chunk()).await {
                Ok(chunk) => chunk.map_err(|error| broken(device, action, error))?,
                Err(_) if due.is_some() => {
                    self.deliver(assembly.take());
                    continue;
                }
                Err(_) => return Err(silent()),
            };
            let Some(chunk) = chunk else { return Ok(()) };
            let arrived = Instant::now();
            parts.push(&chunk);
            while let Some(body) = parts.next_body().map_err(|error| garbled(&error))? {
                let part = part(parts.kind(), body, self.make).map_err(|error| garbled(&error))?;
                let began = part_began.take().unwrap_or(arrived);
                self.inbox.heard();
                if let Part::Message(Message::Heartbeat(date)) = part {
                    self.inbox.beat(date, began);
                }
                self.deliver(assembly.push(part, began).map_err(|error| garbled(&error))?);
                silent_at = arrived + self.limit;
            }
            if !parts.inside_body() {
                part_began = None;
            } else if part_began.is_none() {
                part_began = Some(arrived);
            }
        }
    }

    fn deliver(&self, complete: Option<(super::Told, super::PlateEvent)>) {
        if let Some((told, event)) = complete {
            self.inbox.deliver(&told, event);
        }
    }
}
