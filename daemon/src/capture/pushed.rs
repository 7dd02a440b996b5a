//! The task of one access point whose plates another camera reads: text and picture come in, a checked claim goes out.
//!
//! The camera's word is weighed by this machine's own reading of the picture that came with it. A picture that shows another
//! plate, or none, is worse than no picture at all. Without a picture, or without a reader, the text counts only where the
//! configuration says so.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cardea_access::credential::{Method, PictureCheck};
use cardea_access::grammar::{Grammar, Grammars};
use cardea_access::plate::Plate;
use cardea_access::time::{Monotonic, Now};
use cardea_access::zone::{Point, Zone};
use cardea_hardware::{PlateCamera, PlateEvent};
use cardea_models::{Area, Frame, PlatePipeline, TrackReading};
use cardea_protocol::clock::SharedClock;
use cardea_protocol::event::Timings;
use cardea_protocol::id::AccessPointId;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::sighting::{Capture, Pushed, Seen, Sighting, TrackKey};

/// Numbers of told tracks begin here, so that they are never a tracker's.
const TOLD: u64 = 1 << 63;
/// The same plate told again within this time, in milliseconds, is the same visit: a car that waits, or is parked.
const VISIT_MS: u64 = 30_000;

/// What a listener works with.
pub(crate) struct Setup {
    /// The access point's index.
    pub(crate) point: usize,
    pub(crate) id: AccessPointId,
    pub(crate) camera: Arc<dyn PlateCamera>,
    pub(crate) zone: Zone,
    /// Whether the zone is one in this camera's pictures.
    pub(crate) zone_counts: bool,
    /// `None` without plate models.
    pub(crate) plates: Option<Arc<Mutex<PlatePipeline>>>,
    pub(crate) min_confidence: f32,
    pub(crate) accept_text_only: bool,
    pub(crate) clock: SharedClock,
    pub(crate) out: mpsc::Sender<Capture>,
}

/// Listens to one camera.
pub(crate) struct Listener {
    setup: Setup,
    visit: Visit,
}

/// The vehicle that was told last.
#[derive(Default)]
struct Visit {
    text: Zeroizing<String>,
    told_at: Option<Monotonic>,
    number: u64,
}

impl Visit {
    /// The track of a plate told at `now`, and the one that ends with it.
    fn track(&mut self, text: &str, now: Monotonic) -> (u64, Option<u64>) {
        let same = *self.text == text && self.told_at.is_some_and(|at| now.since_ms(at) <= VISIT_MS);
        self.told_at = Some(now);
        if same {
            return (TOLD | self.number, None);
        }
        let before = (self.number > 0).then_some(TOLD | self.number);
        self.text = Zeroizing::new(text.to_owned());
        self.number += 1;
        (TOLD | self.number, before)
    }
}

impl Listener {
    pub(crate) fn new(setup: Setup) -> Self {
        Self { setup, visit: Visit::default() }
    }

    /// Runs until `cancel`.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        let camera = Arc::clone(&self.setup.camera);
        let mut refused = camera.refused();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                event = camera.event() => self.take(event).await,
                Ok(()) = refused.changed() => {
                    let count = *refused.borrow_and_update();
                    // The access task is gone only when the program ends.
                    let _ = self.setup.out.send(Capture::Unauthorised { point: self.setup.point, count }).await;
                }
            }
        }
    }

    async fn take(&mut self, event: PlateEvent) {
        // A confidence that is not a number is too little.
        let enough = event.confidence.map_or(self.setup.min_confidence <= 0.0, |c| c >= self.setup.min_confidence);
        if !enough {
            tracing::debug!(access_point = %self.setup.id, "a told plate does not count: the camera is not sure");
            return;
        }
        let at = self.arrived(&event);
        // Text that no plate has stands for itself: nobody is registered under it.
        let text = match Plate::parse(&event.text, &Grammars::new(Grammar::ALL)) {
            Ok(plate) => plate.as_str().to_owned(),
            Err(_) => event.text.clone(),
        };
        let (track, before) = self.visit.track(&text, self.setup.clock.monotonic());
        let key = |track| TrackKey { point: self.setup.point, method: Method::Plate, track };
        if let Some(before) = before {
            let _ = self.setup.out.send(Capture::Lost(key(before))).await;
        }
        let begun = Instant::now();
        let pushed = self.check(text, event.pictures).await;
        let timings = Timings { read_ms: Some(begun.elapsed().as_secs_f32() * 1_000.0), ..Timings::default() };
        let sighting = Sighting { key: key(track), seen: Seen::Pushed(pushed), frames: 1, at, timings };
        if self.setup.out.try_send(Capture::Seen(sighting)).is_err() {
            tracing::warn!(access_point = %self.setup.id, "a told plate was dropped: the controller is busy");
        }
    }

    /// When it arrived, on both clocks.
    fn arrived(&self, event: &PlateEvent) -> Now {
        let now = Now { wall: self.setup.clock.now(), mono: self.setup.clock.monotonic() };
        now.ago(event.arrived_at.elapsed().as_millis() as u64)
    }

    /// Reads the pictures on a thread for such work, and says what they have to say of `text`.
    async fn check(&self, text: String, pictures: Vec<Bytes>) -> Pushed {
        let word = if self.setup.accept_text_only { PictureCheck::Waived } else { PictureCheck::Missing };
        let alone = |text: String| Pushed { text, picture: word, score: None, in_zone: true };
        let Some(plates) = self.setup.plates.clone().filter(|_| !pictures.is_empty()) else { return alone(text) };
        let zone = self.setup.zone_counts.then(|| self.setup.zone.clone());
        let (name, wanted) = (self.setup.id.clone(), text.clone());
        let work = move || {
            // A pipeline is only buffers between two runs, so one that a panic left behind is as good as any.
            let mut plates = plates.lock().unwrap_or_else(PoisonError::into_inner);
            let mut frames: Vec<Zeroizing<Frame>> =
                pictures.iter().filter_map(|p| Frame::decode_photo(p).ok()).collect();
            // The largest is the scene; the others are cut from it.
            frames.sort_by_key(|frame| Reverse(u64::from(frame.width()) * u64::from(frame.height())));
            frames.iter().enumerate().find_map(|(i, frame)| {
                let zone = zone.as_ref().filter(|_| i == 0);
                best(&mut plates, frame, &wanted, zone).unwrap_or_else(|error| {
                    tracing::warn!(access_point = %name, %error, "a pushed picture could not be read");
                    None
                })
            })
        };
        let found = tokio::task::spawn_blocking(work).await.unwrap_or_default();
        match found {
            Some((score, in_zone)) if score > 0.0 => {
                Pushed { text, picture: PictureCheck::Agrees, score: Some(score), in_zone }
            }
            found => Pushed { text, picture: PictureCheck::Differs, score: found.map(|found| found.0), in_zone: true },
        }
    }
}

/// Of the plates in `frame`, how well the one fits that fits `text` best, and whether it lies in the zone. `None` if none can
/// be read.
fn best(
    plates: &mut PlatePipeline,
    frame: &Frame,
    text: &str,
    zone: Option<&Zone>,
) -> Result<Option<(f64, bool)>, cardea_models::InferenceError> {
    let (width, height) = (frame.width() as f32, frame.height() as f32);
    let seen = plates.run_in(frame, Area::WHOLE)?;
    let weighed = seen.plates.into_iter().filter_map(|plate| {
        let mut reading = TrackReading::new(1);
        reading.add(plate.reading?);
        let corners = plate
            .detection
            .corners
            .map(|p| Point { x: (p.x / width).clamp(0.0, 1.0), y: (p.y / height).clamp(0.0, 1.0) });
        Some((reading.match_score(text), zone.is_none_or(|zone| zone.contains_all(&corners))))
    });
    Ok(weighed.max_by(|one, other| one.0.total_cmp(&other.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plate_told_again_soon_is_the_same_visit_and_another_ends_it() {
        let mut visit = Visit::default();
        let (first, before) = visit.track("A123BC77", Monotonic(0));
        assert_eq!(before, None);
        assert_eq!(visit.track("A123BC77", Monotonic(VISIT_MS)), (first, None));
        assert_eq!(visit.track("A123BC77", Monotonic(2 * VISIT_MS)), (first, None), "it waits");
        let (second, before) = visit.track("B456CE99", Monotonic(2 * VISIT_MS));
        assert_eq!(before, Some(first));
        let (third, before) = visit.track("B456CE99", Monotonic(4 * VISIT_MS));
        assert_eq!(before, Some(second), "it has come again");
        assert!([first, second, third].iter().all(|track| *track > TOLD));
    }
}
