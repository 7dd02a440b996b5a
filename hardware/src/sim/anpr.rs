//! A camera that reads plates: both makers' streams of events, and the event that a camera posts.
//!
//! | where | what |
//! |---|---|
//! | `GET /ISAPI/Event/notification/alertStream` | Hikvision's stream |
//! | `GET /cgi-bin/snapManager.cgi` | Dahua's stream |
//! | `PUT /parts/anpr/pass` | a vehicle passes: what both streams then tell |
//! | `PUT /parts/anpr/push` | the same, posted once to `url` as Hikvision's cameras do |
//! | `PUT /parts/anpr/part` | both streams send a part that is no passage: `{"kind": "image/gif", "text": "…"}` |
//!
//! The body of the first two is `{"plate": "A123BC77", "camera": "plate-cam", "confidence": 0.97, "id": "7"}`; without `camera`,
//! no picture comes with it, and nothing checks that the picture shows the plate. Also `date` (as both makes write it: RFC 3339,
//! or seconds), `channel`, `lane`, `direction` (in the make's words), and `again`: the camera had kept it back.

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
    date: Option<String>,
    channel: Option<u32>,
    lane: Option<u32>,
    direction: Option<String>,
    #[serde(default)]
    again: bool,
}

/// A part of a stream that is no passage.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct OddPart {
    kind: String,
    text: String,
}

/// What a stream sends.
#[derive(Debug, Clone)]
enum Sent {
    /// With its picture.
    Passage(Box<Passage>, Option<Bytes>),
    Odd(OddPart),
}

fn sure() -> f32 {
    0.97
}

/// The camera.
struct PlateCamera {
    world: Arc<World>,
    fault: FaultSwitch,
    doorman: Doorman,
    sent: broadcast::Sender<Sent>,
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
        &["pass", "push", "part"]
    }

    fn act(&self, action: &str, body: Value) -> Result<(), SimError> {
        let wrong = |reason: String| SimError::Action { part: KEY.into(), action: action.into(), reason };
        if !self.actions().contains(&action) {
            return Err(self.unknown_action(action));
        }
        if action == "part" {
            let odd = serde_json::from_value(body).map_err(|error| wrong(error.to_string()))?;
            let _ = self.sent.send(Sent::Odd(odd));
            return Ok(());
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
            let _ = self.sent.send(Sent::Passage(Box::new(passage), picture));
        }
        Ok(())
    }
}

pub(super) async fn start(config: &SimConfig, world: &Arc<World>, parts: &mut Parts) -> Result<(), SimError> {
    let camera = Arc::new(PlateCamera {
        world: world.clone(),
        fault: FaultSwitch::default(),
        doorman: Doorman::new(config.camera_login.clone()),
        sent: broadcast::channel(16).0,
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
    let state = (camera.clone(), camera.sent.subscribe(), Bytes::copy_from_slice(heartbeat));
    let chunks = stream::unfold(state, move |(camera, mut sent, heartbeat)| async move {
        let chunk = tokio::select! {
            () = camera.world.shutdown.cancelled() => return None,
            () = camera.fault.until(|fault| *fault == Fault::Dead) => return None,
            Ok(sent) = sent.recv() => Bytes::from(match sent {
                Sent::Passage(passage, picture) => write(&passage, picture),
                Sent::Odd(odd) => part(&odd.kind, odd.text.as_bytes()),
            }),
            () = sleep(HEARTBEAT) => heartbeat.clone(),
        };
        camera.fault.until(|fault| *fault != Fault::Silent).await;
        let noise = camera.fault.get() == Fault::Garbage;
        let chunk = if noise { Bytes::from(part("application/xml", b"<a><b></a>")) } else { chunk };
        Some((chunk, (camera, sent, heartbeat)))
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
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><EventNotificationAlert version=\"2.0\">{}{}<eventType>ANPR</eventType>\
         <UUID>{id}</UUID>{}<ANPR><licensePlate>{plate}</licensePlate>{}{}<confidenceLevel>{:.0}</confidenceLevel>\
         <pictureInfoList>{listed}</pictureInfoList></ANPR></EventNotificationAlert>",
        element("channelID", passage.channel.as_ref()),
        element("dateTime", passage.date.as_ref()),
        element("isDataRetransmission", passage.again.then_some(&true)),
        element("line", passage.lane.as_ref()),
        element("direction", passage.direction.as_ref()),
        confidence * 100.0
    );
    let picture = picture.map(|picture| part("image/jpeg", &picture));
    [part("application/xml", event.as_bytes()), picture.unwrap_or_default()].concat()
}

fn element(name: &str, value: Option<&impl ToString>) -> String {
    value.map(|value| format!("<{name}>{}</{name}>", value.to_string())).unwrap_or_default()
}

fn dahua(passage: &Passage, picture: Option<Bytes>) -> Vec<u8> {
    let Passage { plate, id, confidence, .. } = passage;
    let event = format!(
        "Events[0].EventBaseInfo.Code=TrafficJunction\r\nEvents[0].EventID={id}\r\nEvents[0].Object.Confidence={:.0}\r\n\
         Events[0].TrafficCar.PlateNumber={plate}\r\n{}{}{}{}",
        confidence * 255.0,
        // Channels count from 0 here.
        line("EventBaseInfo.Index", passage.channel.map(|channel| channel.saturating_sub(1)).as_ref()),
        line("UTC", passage.date.as_ref()),
        line("Lane", passage.lane.as_ref()),
        line("TrafficCar.DrivingDirection[0]", passage.direction.as_ref()),
    );
    let picture = picture.map(|picture| part("image/jpeg", &picture));
    [part("text/plain", event.as_bytes()), picture.unwrap_or_default()].concat()
}

fn line(name: &str, value: Option<&impl ToString>) -> String {
    value.map(|value| format!("Events[0].{name}={}\r\n", value.to_string())).unwrap_or_default()
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
