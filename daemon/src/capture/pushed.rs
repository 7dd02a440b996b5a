//! The task of one access point whose plates another camera reads: text and picture come in, a checked claim goes out.
//!
//! The camera's word is weighed by this machine's own reading of the picture that came with it. A picture that shows another
//! plate, or none, is worse than no picture at all. Without a picture, or without a reader, the text counts only where the
//! configuration says so.
//!
//! An event counts from its arrival. One that the camera's own clock dates further back than evidence may be old has waited
//! somewhere, and is as old as that clock says: it opens nothing. Where the two clocks only differ, that is said, and arrival counts.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cardea_access::credential::{Method, PictureCheck};
use cardea_access::grammar::{Grammar, Grammars};
use cardea_access::plate::Plate;
use cardea_access::time::{Monotonic, Now, Timestamp};
use cardea_access::zone::{Point, Zone};
use cardea_hardware::{Dated, PlateCamera, PlateEvent};
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
/// The least time between two warnings about a camera's clock, in milliseconds.
const WARN_EVERY_MS: u64 = 60_000;
/// Before 2020, a clock was never set.
const NEVER_SET: Timestamp = Timestamp(1_577_836_800_000);

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
    /// How old evidence may be, in milliseconds.
    pub(crate) max_age_ms: u64,
    pub(crate) clock: SharedClock,
    pub(crate) out: mpsc::Sender<Capture>,
}

/// Listens to one camera.
pub(crate) struct Listener {
    setup: Setup,
    visit: Visit,
    /// When its clock was last complained about.
    warned_at: Option<Monotonic>,
}

/// What a camera's clock says of an event that came just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Waited {
    /// How long it has waited, in milliseconds; 0 if it is of now.
    ms: u64,
    /// By how much the camera's clock is behind ours, in milliseconds, if that is too much; negative if it is ahead.
    behind_ms: Option<i64>,
}

impl Waited {
    /// Judged by what came from the camera before, if its clock is tied to ours; else by our wall clock at `arrival`. A date
    /// in the future says nothing of waiting: one of the two clocks is wrong.
    fn judge(dated: Dated, arrival: Timestamp, limit_ms: u64) -> Self {
        let known = arrival >= NEVER_SET;
        let behind_ms = dated.unix_ms.filter(|_| known).map_or(0, |at| arrival.since_ms(Timestamp(at)));
        let late_ms = dated.late_ms.unwrap_or_else(|| behind_ms.max(0).unsigned_abs());
        let wrong_ms = behind_ms.saturating_sub_unsigned(late_ms);
        Self {
            ms: if late_ms > limit_ms { late_ms } else { 0 },
            behind_ms: Some(wrong_ms).filter(|ms| ms.unsigned_abs() > limit_ms && dated.unix_ms.is_some() && known),
        }
    }
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
        Self { setup, visit: Visit::default(), warned_at: None }
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
        let (at, late) = self.happened(&event);
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
        // What is over opens nothing, whatever its picture shows.
        let pictures = if late { Vec::new() } else { event.pictures };
        let pushed = self.check(text, pictures).await;
        let timings = Timings { read_ms: Some(begun.elapsed().as_secs_f32() * 1_000.0), ..Timings::default() };
        let sighting = Sighting { key: key(track), seen: Seen::Pushed(pushed), frames: 1, at, timings };
        if self.setup.out.try_send(Capture::Seen(sighting)).is_err() {
            tracing::warn!(access_point = %self.setup.id, "a told plate was dropped: the controller is busy");
        }
    }

    /// When it was, on both clocks, and whether it came too late.
    fn happened(&mut self, event: &PlateEvent) -> (Now, bool) {
        let now = Now { wall: self.setup.clock.now(), mono: self.setup.clock.monotonic() };
        let arrived = now.ago(event.arrived_at.elapsed().as_millis() as u64);
        let waited = Waited::judge(event.dated, arrived.wall, self.setup.max_age_ms);
        let late = waited.ms > 0;
        let complains = (late || waited.behind_ms.is_some())
            && self.warned_at.is_none_or(|at| now.mono.since_ms(at) >= WARN_EVERY_MS);
        if complains {
            self.warned_at = Some(now.mono);
            let (access_point, camera) = (&self.setup.id, self.setup.camera.id());
            if let Some(ms) = waited.behind_ms {
                let behind_s = ms / 1_000;
                tracing::warn!(%access_point, camera, behind_s, "the camera's clock is not this machine's: set both by NTP");
            } else {
                let late_s = waited.ms / 1_000;
                tracing::warn!(
                    %access_point, camera, late_s,
                    "a told plate is over: the camera kept it back, or its clock is behind (set it by NTP)"
                );
            }
        }
        (arrived.ago(waited.ms), late)
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
    fn what_has_waited_is_as_old_as_it_is_and_a_wrong_clock_is_no_wait() {
        const LIMIT: u64 = 3_000;
        let arrival = Timestamp(1_777_896_000_000);
        let judge = |behind_ms: Option<i64>, late_ms| {
            let unix_ms = behind_ms.map(|ms| arrival.plus_ms(-ms).0);
            let waited = Waited::judge(Dated { unix_ms, late_ms }, arrival, LIMIT);
            (waited.ms, waited.behind_ms)
        };
        assert_eq!(judge(None, None), (0, None), "it does not say");
        assert_eq!(judge(Some(2_000), None), (0, None));
        assert_eq!(judge(Some(-2_000), None), (0, None));
        assert_eq!(judge(Some(600_000), None), (600_000, None), "kept back for ten minutes");
        assert_eq!(judge(Some(-600_000), None), (0, Some(-600_000)), "from the future: a wrong clock");
        // Its clock is tied to ours: ten minutes behind, or a year, is then only a wrong clock.
        assert_eq!(judge(Some(600_000), Some(0)), (0, Some(600_000)));
        assert_eq!(judge(Some(660_000), Some(60_000)), (60_000, Some(600_000)));
        assert_eq!(judge(Some(60_000), Some(60_000)), (60_000, None));
        assert_eq!(judge(None, Some(60_000)), (60_000, None), "without a zone, too");
        assert_eq!(judge(None, Some(LIMIT)), (0, None));
        // Our own clock was never set.
        let dated = Dated { unix_ms: Some(arrival.0), late_ms: None };
        assert_eq!(Waited::judge(dated, Timestamp(5_000), LIMIT), Waited { ms: 0, behind_ms: None });
    }

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
