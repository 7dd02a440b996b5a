//! The task of one access point's camera.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use cardea_access::credential::Method;
use cardea_access::time::{Monotonic, Now};
use cardea_access::zone::{Point, Zone};
use cardea_hardware::{Camera, Frame as Encoded, Reading};
use cardea_models::Area;
use cardea_protocol::clock::SharedClock;
use cardea_protocol::event::Timings;
use cardea_protocol::id::AccessPointId;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::look::{Eye, Found, Occasion, look};
use super::recognisers::Recognisers;
use super::sighting::{Capture, Seen, Sighting, TrackKey};
use super::track::{Place, Tracker};
use super::tracks::{FaceTrack, PlateTrack};
use crate::config::AccessPointConfig;
use crate::local::StatusBoard;

/// A track that was not seen for this long, in milliseconds, is lost.
const LOST_AFTER_MS: u64 = 1_000;
/// How much of the picture around the zone is looked at too, as a share of its sides: what crosses the border is found whole.
const AROUND_ZONE: f32 = 0.05;
/// How often a camera that nothing triggers is asked for a frame, so that its loss is known before a car comes.
const PROBE_EVERY: Duration = Duration::from_secs(15);
/// The wait after a frame that could not be had; the camera's driver has its own patience before that.
const AFTER_FAILURE: Duration = Duration::from_millis(300);

/// What a watcher works with.
pub(crate) struct Setup {
    /// The access point's index.
    pub(crate) point: usize,
    pub(crate) id: AccessPointId,
    pub(crate) camera: Arc<dyn Camera>,
    /// Where in the picture a plate or face counts.
    pub(crate) zone: Zone,
    /// The loop that triggers it, if there is one.
    pub(crate) vehicle_loop: Option<watch::Receiver<Reading>>,
    pub(crate) recognisers: Recognisers,
    pub(crate) plate_frames: u32,
    pub(crate) face_frames: u32,
    pub(crate) clock: SharedClock,
    pub(crate) status: StatusBoard,
    pub(crate) out: mpsc::Sender<Capture>,
}

/// Watches one camera.
pub(crate) struct Watcher {
    setup: Setup,
    eye: Eye,
    /// The surroundings of the zone: all that the models look at.
    area: Area,
    plates: Tracker<PlateTrack>,
    faces: Tracker<FaceTrack>,
    /// Whether the last frame failed: a failure is logged when it begins.
    failing: bool,
}

/// The zone of an access point; the whole picture if none is configured. The configuration was checked when it was read.
pub(crate) fn zone(point: &AccessPointConfig) -> Zone {
    let corners: Vec<Point> = point.zone().iter().map(|[x, y]| Point { x: *x, y: *y }).collect();
    Zone::new(corners).unwrap_or_else(|_| Zone::whole())
}

impl Watcher {
    /// A watcher that has seen nothing.
    pub(crate) fn new(setup: Setup) -> Self {
        let plates = Tracker::new(LOST_AFTER_MS);
        Self {
            // A loop knows better than a camera who has arrived.
            plates: if setup.vehicle_loop.is_none() { plates.minding_parked() } else { plates },
            area: Area::around(setup.zone.corners().iter().map(|corner| (corner.x, corner.y)), AROUND_ZONE),
            setup,
            eye: Eye::default(),
            faces: Tracker::new(LOST_AFTER_MS),
            failing: false,
        }
    }

    /// Runs until `cancel`.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = self.step() => {}
            }
        }
    }

    /// Waits until there is a reason to look, looks once, and waits until the next look may begin.
    async fn step(&mut self) {
        if !self.triggered() {
            self.lose_all().await;
            self.wait_for_vehicle().await;
            return;
        }
        let begun = Instant::now();
        match self.setup.camera.frame().await {
            Ok(frame) => {
                let found = self.look(&frame).await;
                self.take(found, &frame).await;
                let wait = self.eye.pace.interval(
                    self.setup.clock.monotonic(),
                    self.track_since(),
                    self.setup.vehicle_loop.is_some(),
                );
                self.rest_until(begun + wait).await;
            }
            Err(error) => {
                self.failed(&error);
                self.begin_frame().await;
                sleep(AFTER_FAILURE).await;
            }
        }
    }

    /// Whether there is a reason to look: a vehicle on the loop, or no loop to ask.
    fn triggered(&self) -> bool {
        self.setup.vehicle_loop.as_ref().is_none_or(|reading| reading.borrow().value == Some(true))
    }

    async fn wait_for_vehicle(&mut self) {
        let Some(vehicle_loop) = &mut self.setup.vehicle_loop else { return };
        tokio::select! {
            changed = vehicle_loop.changed() => if changed.is_err() {
                // The board's task has ended: so does the program, soon.
                std::future::pending::<()>().await;
            },
            () = sleep(PROBE_EVERY) => match self.setup.camera.frame().await {
                Ok(_) => self.failing = false,
                Err(error) => self.failed(&error),
            },
        }
    }

    /// Waits for `next`. If the loop has news before, the vehicle that was there is gone, even if another one has come.
    async fn rest_until(&mut self, next: Instant) {
        let Some(vehicle_loop) = &mut self.setup.vehicle_loop else {
            sleep_until(next).await;
            return;
        };
        let news = tokio::select! {
            () = sleep_until(next) => false,
            changed = vehicle_loop.changed() => changed.is_ok(),
        };
        if news {
            self.lose_all().await;
        }
    }

    /// Looks at a frame on a thread for blocking work.
    async fn look(&mut self, frame: &Encoded) -> Option<Found> {
        let occasion = Occasion {
            now: self.setup.clock.monotonic(),
            track_since: self.track_since(),
            triggered: self.setup.vehicle_loop.is_some(),
            area: self.area,
        };
        let (mut eye, frame) = (mem::take(&mut self.eye), frame.clone());
        let recognisers = self.setup.recognisers.clone();
        let work = move || {
            let found = look(&mut eye, &frame, &recognisers, occasion);
            (eye, found)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok((eye, found)) => {
                self.eye = eye;
                found.map_err(|error| self.failed(&error)).ok()?
            }
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }

    /// Takes what a look has found: continues tracks and tells the access task.
    async fn take(&mut self, found: Option<Found>, frame: &Encoded) {
        self.begin_frame().await;
        self.setup.status.capture(&self.setup.id, |count| count.frames += 1);
        let Some(found) = found else { return };
        self.failing = false;
        self.plates.look(self.setup.clock.monotonic());
        self.setup.status.capture(&self.setup.id, |count| {
            count.recognised += 1;
            count.timings = found.timings;
        });
        let (at, now) = (self.captured(frame), self.setup.clock.monotonic());
        let Found { plates, faces, size, timings } = found;
        for plate in plates {
            let corners = plate.detection.corners.map(|p| (p.x, p.y));
            let Some(place) = self.place(&corners, size, true) else { continue };
            let Some(reading) = plate.reading else { continue };
            let frames = self.setup.plate_frames;
            let track = self.plates.observe(place, now, |t| t.may_be(&reading), || PlateTrack::new(frames));
            let (id, arrived, (fused, frames)) = (track.id, track.has_arrived(), track.evidence.add(reading));
            if arrived {
                self.tell(Method::Plate, id, Seen::Plate(fused), frames, at, timings);
            }
        }
        for face in faces {
            let corners = face.detection.landmarks.map(|p| (p.x, p.y));
            let Some(place) = self.place(&corners, size, false) else { continue };
            let Some(probe) = face.template else { continue };
            let frames = self.setup.face_frames;
            let same = self.setup.recognisers.calibration.face.as_ref().map_or(1.0, |face| face.cosine);
            let track = self.faces.observe(place, now, |t| t.may_be(&probe), || FaceTrack::new(frames, same));
            let (id, added) = (track.id, track.evidence.add(probe, face.quality, face.live));
            if let Some((probe, frames)) = added {
                let live = track.evidence.live();
                self.tell(Method::Face, id, Seen::Face { probe, live }, frames, at, timings);
            }
        }
    }

    /// Where a detection is, if it counts: all of a plate, the centre of a face must be in the zone.
    fn place(&self, points: &[(f32, f32)], size: (f32, f32), all: bool) -> Option<Place> {
        let place = Place::around(points.iter().copied())?;
        let normal = |(x, y): (f32, f32)| Point { x: x / size.0, y: y / size.1 };
        let zone = &self.setup.zone;
        let inside = if all {
            // Corners are estimated, and may lie a little beyond the edge of the picture.
            let clamp = |p: Point| Point { x: p.x.clamp(0.0, 1.0), y: p.y.clamp(0.0, 1.0) };
            zone.contains_all(&points.iter().map(|p| clamp(normal(*p))).collect::<Vec<_>>())
        } else {
            zone.contains(normal((place.x, place.y)))
        };
        if !inside {
            self.setup.status.capture(&self.setup.id, |count| count.outside_zone += 1);
        }
        inside.then_some(place)
    }

    fn tell(&self, method: Method, track: u64, seen: Seen, frames: u32, at: Now, timings: Timings) {
        let key = TrackKey { point: self.setup.point, method, track };
        let sighting = Sighting { key, seen, frames, at, timings };
        if self.setup.out.try_send(Capture::Seen(sighting)).is_err() {
            tracing::debug!(access_point = %self.setup.id, "a sighting was dropped: the next one says more");
        }
    }

    async fn begin_frame(&mut self) {
        let now = self.setup.clock.monotonic();
        let plates = self.plates.begin_frame(now).into_iter().map(|t| (Method::Plate, t.id));
        let faces = self.faces.begin_frame(now).into_iter().map(|t| (Method::Face, t.id));
        let lost: Vec<_> = plates.chain(faces).collect();
        self.lose(lost).await;
    }

    async fn lose_all(&mut self) {
        let plates = self.plates.reset().into_iter().map(|t| (Method::Plate, t.id));
        let faces = self.faces.reset().into_iter().map(|t| (Method::Face, t.id));
        let lost: Vec<_> = plates.chain(faces).collect();
        self.lose(lost).await;
    }

    async fn lose(&self, tracks: Vec<(Method, u64)>) {
        for (method, track) in tracks {
            let key = TrackKey { point: self.setup.point, method, track };
            // The access task is gone only when the program ends.
            let _ = self.setup.out.send(Capture::Lost(key)).await;
        }
    }

    fn track_since(&self) -> Option<Monotonic> {
        let now = self.setup.clock.monotonic();
        self.plates.oldest(now).into_iter().chain(self.faces.oldest(now)).min()
    }

    /// When the frame was captured, on both clocks.
    fn captured(&self, frame: &Encoded) -> Now {
        let now = Now { wall: self.setup.clock.now(), mono: self.setup.clock.monotonic() };
        now.ago(frame.captured_at.elapsed().as_millis() as u64)
    }

    fn failed(&mut self, error: &dyn std::error::Error) {
        self.plates.blind();
        self.setup.status.capture(&self.setup.id, |count| count.failed += 1);
        if !mem::replace(&mut self.failing, true) {
            tracing::warn!(access_point = %self.setup.id, %error, "a frame could not be used");
        }
    }
}
