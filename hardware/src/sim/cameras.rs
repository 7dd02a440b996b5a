//! The cameras: single pictures and MJPEG streams over HTTP, with their faults.

use std::{
    io,
    io::Cursor,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::stream;
use image::{ImageFormat, Rgb, RgbImage};
use tokio::{sync::watch, time::sleep};

use super::{
    SimError, World, bind,
    config::{SimCameraConfig, SimConfig},
    fault::{Fault, FaultSwitch},
    login::Doorman,
    part::{Part, Parts},
    serve_http,
};
use crate::ImageKind;

/// The key of the cameras' address.
pub(super) const KEY: &str = "cameras";
const BOUNDARY: &str = "cardea-frame";

pub(super) async fn start(config: &SimConfig, world: &Arc<World>, parts: &mut Parts) -> Result<(), SimError> {
    for camera in world.cameras.values() {
        parts.add(camera.clone());
    }
    let (listener, address) = bind(config.cameras).await?;
    let entrance = Arc::new(Entrance { world: world.clone(), doorman: Doorman::new(config.camera_login.clone()) });
    let serving = serve_http(router(entrance), listener, world.shutdown.clone());
    parts.serve(KEY, format!("http://{address}"), tokio::spawn(serving));
    Ok(())
}

/// Where requests come in.
struct Entrance {
    world: Arc<World>,
    doorman: Doorman,
}

/// A camera's current picture and fault.
pub(super) struct SimCamera {
    id: String,
    interval: Duration,
    picture: watch::Sender<(Bytes, ImageKind)>,
    /// What it shows while nobody says otherwise.
    rest: (Bytes, ImageKind),
    /// What stands before it while its picture is frozen.
    unseen: Mutex<Option<(Bytes, ImageKind)>>,
    pub(super) fault: FaultSwitch,
}

impl SimCamera {
    pub(super) fn new(config: &SimCameraConfig) -> Result<Self, SimError> {
        let mut camera = Self {
            id: config.id.clone(),
            interval: Duration::from_secs_f64(1.0 / config.fps.clamp(0.1, 1000.0)),
            picture: watch::Sender::new((Bytes::new(), ImageKind::Png)),
            rest: (empty_scene(), ImageKind::Png),
            unseen: Mutex::new(None),
            fault: FaultSwitch::default(),
        };
        if let Some(path) = &config.picture {
            let picture = std::fs::read(path).map_err(|source| SimError::PictureFile {
                camera: config.id.clone(),
                path: path.display().to_string(),
                source,
            })?;
            camera.rest = camera.understood(picture.into())?;
        }
        camera.show(None);
        Ok(camera)
    }

    pub(super) fn picture(&self) -> Bytes {
        self.served().0
    }

    pub(super) fn set_picture(&self, picture: Bytes) -> Result<(), SimError> {
        self.put(self.understood(picture)?);
        Ok(())
    }

    /// Shows a picture, or, without one or with one that is none, what it shows by itself.
    pub(super) fn show(&self, picture: Option<Bytes>) {
        let picture = picture.and_then(|picture| self.understood(picture).ok());
        self.put(picture.unwrap_or_else(|| self.rest.clone()));
    }

    fn put(&self, picture: (Bytes, ImageKind)) {
        let mut unseen = self.unseen.lock().unwrap_or_else(PoisonError::into_inner);
        if self.fault.get() == Fault::Frozen {
            *unseen = Some(picture);
        } else {
            *unseen = None;
            self.picture.send_replace(picture);
        }
    }

    /// What it sends to whoever asks: what stands before it, or what did when its picture froze.
    fn served(&self) -> (Bytes, ImageKind) {
        let mut unseen = self.unseen.lock().unwrap_or_else(PoisonError::into_inner);
        if self.fault.get() != Fault::Frozen
            && let Some(picture) = unseen.take()
        {
            self.picture.send_replace(picture);
        }
        self.picture.borrow().clone()
    }

    fn understood(&self, picture: Bytes) -> Result<(Bytes, ImageKind), SimError> {
        let kind = ImageKind::sniff(&picture).ok_or_else(|| SimError::NotAPicture { camera: self.id.clone() })?;
        Ok((picture, kind))
    }
}

impl Part for SimCamera {
    fn name(&self) -> &str {
        &self.id
    }

    fn fault(&self) -> &FaultSwitch {
        &self.fault
    }

    fn faults(&self) -> &'static [&'static str] {
        &["slow", "dead", "silent", "garbage", "frozen"]
    }
}

fn router(entrance: Arc<Entrance>) -> Router {
    Router::new()
        .route("/cameras/{id}/snapshot.jpg", get(snapshot))
        .route("/cameras/{id}/stream.mjpeg", get(stream_of))
        .with_state(entrance)
}

async fn snapshot(State(entrance): State<Arc<Entrance>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if let Some(refusal) = entrance.doorman.turns_away(&headers) {
        return refusal;
    }
    let world = &entrance.world;
    let Ok(camera) = world.camera(&id) else { return StatusCode::NOT_FOUND.into_response() };
    match camera.fault.get() {
        Fault::Slow { ms } => sleep(Duration::from_millis(ms)).await,
        Fault::Dead => return broken(),
        Fault::Silent => {
            tokio::select! {
                () = world.shutdown.cancelled() => {}
                () = camera.fault.until(|fault| *fault != Fault::Silent) => {}
            }
            return broken();
        }
        Fault::Garbage => return ([(header::CONTENT_TYPE, "image/jpeg")], noise()).into_response(),
        _ => {}
    }
    let (picture, kind) = camera.served();
    ([(header::CONTENT_TYPE, kind.content_type()), (header::CACHE_CONTROL, "no-store")], picture).into_response()
}

async fn stream_of(State(entrance): State<Arc<Entrance>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if let Some(refusal) = entrance.doorman.turns_away(&headers) {
        return refusal;
    }
    let world = &entrance.world;
    let Ok(camera) = world.camera(&id) else { return StatusCode::NOT_FOUND.into_response() };
    if camera.fault.get() == Fault::Dead {
        return broken();
    }
    let picture = camera.picture.subscribe();
    let parts = stream::unfold((world.clone(), id, picture, true), |(world, id, mut picture, first)| async move {
        let part = next_part(&world, &id, &mut picture, first).await?;
        Some((part, (world, id, picture, false)))
    });
    let content_type = format!("multipart/x-mixed-replace; boundary={BOUNDARY}");
    ([(header::CONTENT_TYPE, content_type)], Body::from_stream(parts)).into_response()
}

/// The next part of a stream, in its time; an error breaks the connection, `None` ends the stream.
async fn next_part(
    world: &World,
    id: &str,
    picture: &mut watch::Receiver<(Bytes, ImageKind)>,
    first: bool,
) -> Option<io::Result<Bytes>> {
    let camera = world.camera(id).ok()?;
    let due = async {
        if !first {
            tokio::select! {
                () = sleep(camera.interval) => {}
                changed = picture.changed() => drop(changed),
            }
        }
        if let Fault::Slow { ms } = camera.fault.get() {
            sleep(Duration::from_millis(ms)).await;
        }
        // A silent camera keeps the connection and says nothing.
        camera.fault.until(|fault| *fault != Fault::Silent).await;
    };
    tokio::select! {
        () = world.shutdown.cancelled() => return None,
        () = camera.fault.until(|fault| *fault == Fault::Dead) => {
            return Some(Err(io::ErrorKind::ConnectionReset.into()));
        }
        () = due => {}
    }
    let (bytes, kind) = match camera.fault.get() {
        Fault::Garbage => (noise(), ImageKind::Jpeg),
        _ => {
            let served = camera.served();
            picture.mark_unchanged();
            served
        }
    };
    let head =
        format!("--{BOUNDARY}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n", kind.content_type(), bytes.len());
    let mut part = BytesMut::with_capacity(head.len() + bytes.len() + 2);
    part.put_slice(head.as_bytes());
    part.put(bytes);
    part.put_slice(b"\r\n");
    Some(Ok(part.freeze()))
}

/// An answer that breaks off: the connection is closed by the failing body.
fn broken() -> Response {
    let failing = stream::iter([Err::<Bytes, io::Error>(io::ErrorKind::ConnectionReset.into())]);
    Body::from_stream(failing).into_response()
}

fn noise() -> Bytes {
    (0..2048u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn empty_scene() -> Bytes {
    let scene = RgbImage::from_pixel(640, 480, Rgb([128, 128, 128]));
    let mut encoded = Cursor::new(Vec::new());
    // Writing to memory does not fail; an empty picture would be seen at once by whoever fetches it.
    let _ = scene.write_to(&mut encoded, ImageFormat::Png);
    encoded.into_inner().into()
}
