//! Capture: one task per access point with a camera, from the newest frame to evidence about a track.
//!
//! ```text
//! camera ── newest frame ──> look (a blocking thread)          ──> tracks ──> sightings ──> access task
//!                            decode, anything there?, models       zone, evidence over frames
//! ```
//!
//! - **Newest wins.** A frame is asked for when there is time to look at it; nothing is ever queued.
//! - **When to look.** A barrier with a loop looks while a vehicle stands on it, and only then. Everything else looks all the
//!   time, at a rate that [`pace`] sets by what [`presence`] sees change.
//! - **Evidence accumulates.** Readings and probes of one track are fused; a track that is lost takes its evidence with it.
//!   What is outside the zone does not count at all.
//! - **Another machine's word is a claim.** A camera that reads plates itself sends text and picture; [`pushed`] reads the
//!   picture, and the access task gets both.
//!
//! To add a recogniser: its pipeline in [`recognisers`], its evidence in [`tracks`], its variant in [`Seen`].

mod look;
mod pace;
mod presence;
mod pushed;
mod recognisers;
mod shown;
mod sighting;
mod track;
mod tracks;
mod watcher;

use std::sync::Arc;

use cardea_access::rules::Limits;
use cardea_hardware::Hardware;
use cardea_protocol::clock::SharedClock;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::{AccessPointConfig, Config, Credential};
use crate::local::StatusBoard;
use crate::supervisor::Tasks;

pub(crate) use look::decode;
pub use recognisers::RecognitionError;
pub(crate) use recognisers::{Recognisers, face_fitness};
pub use shown::{Faces, Told};
pub(crate) use sighting::{Capture, Pushed, Seen, Sighting, TrackKey};

/// Sightings that may wait for the access task; more are dropped, because the next ones say more.
const WAITING: usize = 8;

/// From the cameras' tasks to the access task.
pub(crate) fn channel() -> (mpsc::Sender<Capture>, mpsc::Receiver<Capture>) {
    mpsc::channel(WAITING)
}

/// Starts a task for each access point that recognises something. Names that no device has were refused before.
#[expect(clippy::too_many_arguments, reason = "each is another part of the program, and there is one caller")]
pub(crate) fn start(
    config: &Config,
    hardware: &Arc<Hardware>,
    recognisers: &Recognisers,
    clock: &SharedClock,
    status: &StatusBoard,
    out: &mpsc::Sender<Capture>,
    tasks: &mut Tasks,
    cancel: &CancellationToken,
) {
    for (i, point) in config.access_points.iter().enumerate() {
        let uses = |c: Credential| point.credentials().contains(&c);
        let anpr = point.anpr().and_then(|name| hardware.anpr.get(name)).filter(|_| uses(Credential::Plate));
        let told = config.anpr.iter().find(|camera| Some(camera.id()) == point.anpr());
        if let (Some(camera), Some(told)) = (anpr, told) {
            let listener = pushed::Listener::new(pushed::Setup {
                point: i,
                id: point.id().clone(),
                camera: Arc::clone(camera),
                zone: watcher::zone(point),
                // Without a camera of its own, the access point's zone is one in the pictures of this one.
                zone_counts: point.camera().is_none(),
                plates: recognisers.plates.clone(),
                min_confidence: told.min_confidence(),
                accept_text_only: told.accept_text_only(),
                max_age_ms: Limits::default().evidence_max_age_ms,
                clock: Arc::clone(clock),
                out: out.clone(),
            });
            tasks.spawn_infallible(format!("plates told at {}", point.id()), listener.run(cancel.clone()));
        }
        let camera = point.camera().and_then(|name| hardware.cameras.get(name));
        let Some(camera) = camera.filter(|_| uses(Credential::Plate) || uses(Credential::Face)) else { continue };
        let vehicle_loop = match point {
            AccessPointConfig::Barrier(barrier) => barrier.waiting_loop().map(|(_, name)| name),
            AccessPointConfig::Door(_) => None,
        };
        let watcher = watcher::Watcher::new(watcher::Setup {
            point: i,
            id: point.id().clone(),
            camera: Arc::clone(camera),
            zone: watcher::zone(point),
            vehicle_loop: vehicle_loop.and_then(|name| hardware.inputs.get(name)).map(|input| input.watch()),
            recognisers: Recognisers {
                plates: recognisers.plates.clone().filter(|_| uses(Credential::Plate)),
                faces: recognisers.faces.clone().filter(|_| uses(Credential::Face)),
                calibration: recognisers.calibration.clone(),
                refused: None,
            },
            plate_frames: config.plates.min_frames,
            face_frames: config.biometrics.min_frames,
            clock: Arc::clone(clock),
            status: status.clone(),
            out: out.clone(),
        });
        tasks.spawn_infallible(format!("capture at {}", point.id()), watcher.run(cancel.clone()));
    }
}
