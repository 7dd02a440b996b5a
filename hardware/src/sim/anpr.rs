//! A camera that reads plates: both makers' streams of events, and the event that a camera posts.
//!
//! | where | what |
//! |---|---|
//! | `GET /ISAPI/Event/notification/alertStream` | Hikvision's stream |
//! | `GET /cgi-bin/snapManager.cgi` | Dahua's stream |
//! | `PUT /parts/anpr/pass` | a vehicle passes: what both streams then tell |
//! | `PUT /parts/anpr/push` | the same, posted once to `url` as Hikvision's cameras do |
//!
//! The body of both is `{"plate": "A123BC77", "camera": "plate-cam", "confidence": 0.97, "id": "7"}`; without `camera`, no picture
//! comes with it, and nothing checks that the picture shows the plate.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::Value;
use tokio::{sync::broadcast, task::JoinSet, time::sleep};

use super::{
    SimError, World, bind,
    config::SimConfig,
    fault::{Fault, FaultSwitch},
    login::Doorman,
    part::{Part, Parts},
    serve_http,
};

/// The key of the camera's address, and the name of the part.
pub(super) const KEY: &str = "anpr";
const BOUNDARY: &str = "boundary";
/// Between heartbeats.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// A vehicle that passes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Passage {
    plate: String,
    id: String,
    #[serde(default = "sure")]
    confidence: f32,
    camera: Option<String>,
    url: Option<String>,
}

fn sure() -> f32 {
    0.97
}

/// The camera.
struct PlateCamera {
    world: Arc<World>,
    fault: FaultSwitch,
    doorman: Doorman,
    /// Passages with their picture.
    passages: broadcast::Sender<(Passage, Option<Bytes>)>,
    /// Posts under way.
    posts: Mutex<JoinSet<()>>,
}

impl Part for PlateCamera {
    fn name(&self) -> &str {
        KEY
    }

    fn fault(&self) -> &FaultSwitch {
        &self.fault
    }

    fn faults(&self) -> &'static [&'static str] {
        &["dead", "silent", "garbage"]
    }

    fn actions(&self) -> &'static [&'static str] {
        &["pass", "push"]
    }

    fn act(&self, action: &str, body: Value) -> Result<(), SimError> {
        let wrong = |reason: String| SimError::Action { part: KEY.into(), action: action.into(), reason };
        if !self.actions().contains(&action) {
            return Err(self.unknown_action(action));
        }
        let passage: Passage = serde_json::from_value(body).map_err(|error| wrong(error.to_string()))?;
        let picture = match &passage.camera {
            Some(camera) => Some(self.world.camera(camera)?.picture()),
            None => None,
        };
        if action == "push" {
            let url = passage.url.clone().ok_or_else(|| wrong("url is missing".into()))?;
            let body = hikvision(&passage, picture);
            self.posts.lock().unwrap_or_else(PoisonError::into_inner).spawn(post(url, body));
        } else {
            // Nobody listens: nobody is told.
            let _ = self.passages.send((passage, picture));
        }
        Ok(())
    }
}

pub(super) async fn start(config: &SimConfig, world: &Arc<World>, parts: &mut Parts) -> Result<(), SimError> {
    let camera = Arc::new(PlateCamera {
        world: world.clone(),
        fault: FaultSwitch::default(),
        doorman: Doorman::new(config.camera_login.clone()),
        passages: broadcast::channel(16).0,
        posts: Mutex::default(),
    });
    parts.add(camera.clone());
    let router = Router::new()
        .route("/ISAPI/Event/notification/alertStream", get(alert_stream))
        .route("/cgi-bin/snapManager.cgi", get(snap_manager))
        .with_state(camera);
    let (listener, address) = bind(config.anpr).await?;
    let serving = serve_http(router, listener, world.shutdown.clone());
    parts.serve(KEY, format!("http://{address}/"), tokio::spawn(serving));
    Ok(())
}

async fn alert_stream(State(camera): State<Arc<PlateCamera>>, headers: HeaderMap) -> Response {
    let idle = "<EventNotificationAlert><eventType>videoloss</eventType><eventState>inactive</eventState>\
                </EventNotificationAlert>";
    events(&camera, &headers, &part("application/xml", idle.as_bytes()), hikvision)
}

async fn snap_manager(State(camera): State<Arc<PlateCamera>>, headers: HeaderMap) -> Response {
    events(&camera, &headers, &part("text/plain", b"Heartbeat\r\n"), dahua)
}

type Write = fn(&Passage, Option<Bytes>) -> Vec<u8>;

fn events(camera: &Arc<PlateCamera>, headers: &HeaderMap, heartbeat: &[u8], write: Write) -> Response {
    if let Some(refusal) = camera.doorman.turns_away(headers) {
        return refusal;
    }
    let state = (camera.clone(), camera.passages.subscribe(), Bytes::copy_from_slice(heartbeat));
    let chunks = stream::unfold(state, move |(camera, mut passages, heartbeat)| async move {
        let chunk = tokio::select! {
            () = camera.world.shutdown.cancelled() => return None,
            () = camera.fault.until(|fault| *fault == Fault::Dead) => return None,
            Ok((passage, picture)) = passages.recv() => Bytes::from(write(&passage, picture)),
            () = sleep(HEARTBEAT) => heartbeat.clone(),
        };
        camera.fault.until(|fault| *fault != Fault::Silent).await;
        let noise = camera.fault.get() == Fault::Garbage;
        let chunk = if noise { Bytes::from(part("application/xml", b"<a><b></a>")) } else { chunk };
        Some((chunk, (camera, passages, heartbeat)))
    });
    let body = Body::from_stream(chunks.map(Ok::<_, Infallible>));
    ([(header::CONTENT_TYPE, format!("multipart/mixed; boundary={BOUNDARY}"))], body).into_response()
}

fn part(kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("--{BOUNDARY}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body, b"\r\n"].concat()
}

fn hikvision(passage: &Passage, picture: Option<Bytes>) -> Vec<u8> {
    let Passage { plate, id, confidence, .. } = passage;
    let listed =
        if picture.is_some() { "<pictureInfo><fileName>detectionPicture.jpg</fileName></pictureInfo>" } else { "" };
    let event = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><EventNotificationAlert version=\"2.0\"><eventType>ANPR</eventType>\
         <UUID>{id}</UUID><ANPR><licensePlate>{plate}</licensePlate><confidenceLevel>{:.0}</confidenceLevel>\
         <pictureInfoList>{listed}</pictureInfoList></ANPR></EventNotificationAlert>",
        confidence * 100.0
    );
    let picture = picture.map(|picture| part("image/jpeg", &picture));
    [part("application/xml", event.as_bytes()), picture.unwrap_or_default()].concat()
}

fn dahua(passage: &Passage, picture: Option<Bytes>) -> Vec<u8> {
    let Passage { plate, id, confidence, .. } = passage;
    let event = format!(
        "Events[0].EventBaseInfo.Code=TrafficJunction\r\nEvents[0].EventID={id}\r\nEvents[0].Object.Confidence={:.0}\r\n\
         Events[0].TrafficCar.PlateNumber={plate}\r\n",
        confidence * 255.0
    );
    let picture = picture.map(|picture| part("image/jpeg", &picture));
    [part("text/plain", event.as_bytes()), picture.unwrap_or_default()].concat()
}

async fn post(url: String, mut body: Vec<u8>) {
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    let Ok(client) = crate::http_camera::client(None, Duration::from_secs(5)) else { return };
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    match client.post(url).header(header::CONTENT_TYPE, kind).body(body).send().await {
        Ok(answer) => tracing::info!(status = %answer.status(), "an event was posted"),
        Err(error) => tracing::warn!(error = %error.without_url(), "an event could not be posted"),
    }
}
