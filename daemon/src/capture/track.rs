//! Tracks: which detections of successive frames are the same plate or the same face.
//!
//! Pure, with time as input. A detection continues the nearest track that it may belong to: its centre has moved by no more
//! than its own size, and the caller agrees that the content can be the same. A track that was not seen for a while is
//! lost, and its evidence with it: nothing is carried from one car or person to the next.
//!
//! Cars park in front of gates. Where nothing but the camera says that one has arrived, a tracker may be told to mind that
//! ([`Tracker::minding_parked`]): a car that has stood still is the same car when whoever hid it has walked on, and a car
//! that stands there when the camera begins to look, or looks again after it was blind, has not arrived until it moves.
//! Neither opens the gate by itself.

use cardea_protocol::Monotonic;

/// How far a detection may be from where it was, in its own sizes, and still stand there.
const STILL: f32 = 0.25;
/// How long something must have stood still to be parked.
const PARKED_AFTER_MS: u64 = 10_000;
/// How long a parked car may be hidden and still be the same one.
const HIDDEN_FOR_MS: u64 = 600_000;
/// How long the models must have looked before what appears has come: a detector may miss a standing car in a few frames.
const SETTLED_AFTER_MS: u64 = 3_000;

/// Where a detection is, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    /// Centre, from the left.
    pub(crate) x: f32,
    /// Centre, from the top.
    pub(crate) y: f32,
    /// Its longer side.
    pub(crate) size: f32,
}

impl Place {
    /// The box around `points`; `None` without points.
    pub(crate) fn around(points: impl IntoIterator<Item = (f32, f32)>) -> Option<Self> {
        let mut points = points.into_iter();
        let (x, y) = points.next()?;
        let (mut left, mut right, mut top, mut bottom) = (x, x, y, y);
        for (x, y) in points {
            (left, right) = (left.min(x), right.max(x));
            (top, bottom) = (top.min(y), bottom.max(y));
        }
        let size = (right - left).max(bottom - top);
        Some(Self { x: f32::midpoint(left, right), y: f32::midpoint(top, bottom), size })
    }

    /// Whether it is where it was, in place and size.
    fn is_still(self, before: Self) -> bool {
        self.distance(before) <= STILL && (self.size / before.size.max(1.0) - 1.0).abs() <= STILL
    }

    /// Distance of the centres in units of the larger of the two.
    fn distance(self, other: Self) -> f32 {
        (self.x - other.x).hypot(self.y - other.y) / self.size.max(other.size).max(1.0)
    }
}

/// One plate or face over several frames, with the evidence `E` that it has gathered.
#[derive(Debug)]
pub(crate) struct Track<E> {
    /// Unique within its tracker.
    pub(crate) id: u64,
    /// Where it was last seen.
    pub(crate) place: Place,
    /// When it was first seen.
    pub(crate) since: Monotonic,
    /// What it has shown.
    pub(crate) evidence: E,
    last_seen: Monotonic,
    last_frame: u64,
    /// Where it has been standing, and since when.
    anchor: Place,
    still_since: Monotonic,
    /// Whether it came there while the camera looked.
    arrived: bool,
}

impl<E> Track<E> {
    /// Whether it came there while the camera looked; otherwise it does not count.
    pub(crate) fn has_arrived(&self) -> bool {
        self.arrived
    }

    fn parked(&self) -> bool {
        self.last_seen.since_ms(self.still_since) >= PARKED_AFTER_MS
    }

    fn see(&mut self, place: Place, now: Monotonic, frame: u64) {
        if !place.is_still(self.anchor) {
            (self.anchor, self.still_since, self.arrived) = (place, now, true);
        }
        (self.place, self.last_seen, self.last_frame) = (place, now, frame);
    }
}

/// The tracks of one camera.
#[derive(Debug)]
pub(crate) struct Tracker<E> {
    tracks: Vec<Track<E>>,
    next_id: u64,
    frame: u64,
    lost_after_ms: u64,
    mind_parked: bool,
    /// Since when the models have looked without a break.
    looking_since: Option<Monotonic>,
}

impl<E> Tracker<E> {
    /// No tracks. One that was not seen for `lost_after_ms` is lost.
    pub(crate) fn new(lost_after_ms: u64) -> Self {
        Self { tracks: Vec::new(), next_id: 1, frame: 0, lost_after_ms, mind_parked: false, looking_since: None }
    }

    /// The same, minding cars that have parked.
    pub(crate) fn minding_parked(mut self) -> Self {
        self.mind_parked = true;
        self
    }

    /// The models look at this frame.
    pub(crate) fn look(&mut self, now: Monotonic) {
        self.looking_since.get_or_insert(now);
    }

    /// The camera gave nothing to look at: what is seen next may have been there all the time.
    pub(crate) fn blind(&mut self) {
        self.looking_since = None;
    }

    /// A new frame begins; answers the tracks that are lost by now.
    pub(crate) fn begin_frame(&mut self, now: Monotonic) -> Vec<Track<E>> {
        self.frame += 1;
        let (limit, mind_parked) = (self.lost_after_ms, self.mind_parked);
        let lost = |track: &mut Track<E>| {
            let limit = if mind_parked && track.parked() { limit.max(HIDDEN_FOR_MS) } else { limit };
            now.since_ms(track.last_seen) > limit
        };
        self.tracks.extract_if(.., lost).collect()
    }

    /// The track that a detection at `place` continues, or a new one with evidence `fresh`. In one frame, each track is
    /// continued once.
    pub(crate) fn observe(
        &mut self,
        place: Place,
        now: Monotonic,
        may_be: impl Fn(&E) -> bool,
        fresh: impl FnOnce() -> E,
    ) -> &mut Track<E> {
        let (frame, limit) = (self.frame, self.lost_after_ms);
        let settled = self.looking_since.is_some_and(|since| now.since_ms(since) >= SETTLED_AFTER_MS);
        let near = |track: &Track<E>| {
            let hidden = now.since_ms(track.last_seen) > limit;
            if hidden { place.is_still(track.anchor) } else { track.place.distance(place) <= 1.0 }
        };
        let nearest = self
            .tracks
            .iter()
            .enumerate()
            .filter(|(_, track)| track.last_frame != frame && near(track) && may_be(&track.evidence))
            .map(|(i, track)| (i, track.place.distance(place)))
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(i, _)| i);
        let i = nearest.unwrap_or_else(|| {
            let id = self.next_id;
            self.next_id += 1;
            self.tracks.push(Track {
                id,
                place,
                since: now,
                evidence: fresh(),
                last_seen: now,
                last_frame: frame,
                anchor: place,
                still_since: now,
                // what is there at once was there before
                arrived: settled || !self.mind_parked,
            });
            self.tracks.len() - 1
        });
        let track = &mut self.tracks[i];
        track.see(place, now, frame);
        track
    }

    /// Loses all tracks: the loop is clear, the camera is gone.
    pub(crate) fn reset(&mut self) -> Vec<Track<E>> {
        std::mem::take(&mut self.tracks)
    }

    /// When the oldest of the present tracks was first seen.
    pub(crate) fn oldest(&self, now: Monotonic) -> Option<Monotonic> {
        let present = self.tracks.iter().filter(|track| now.since_ms(track.last_seen) <= self.lost_after_ms);
        present.map(|track| track.since).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: f32) -> Place {
        Place { x, y: 50.0, size: 100.0 }
    }

    fn see(tracker: &mut Tracker<u32>, place: Place, ms: u64) -> u64 {
        let track = tracker.observe(place, Monotonic(ms), |_| true, || 0);
        track.evidence += 1;
        track.id
    }

    #[test]
    fn a_moving_thing_is_one_track_and_a_jump_is_another() {
        let mut tracker = Tracker::new(1_000);
        for (i, x) in [0.0, 60.0, 140.0, 230.0].into_iter().enumerate() {
            tracker.begin_frame(Monotonic(i as u64 * 100));
            assert_eq!(see(&mut tracker, at(x), i as u64 * 100), 1);
        }
        tracker.begin_frame(Monotonic(400));
        assert_eq!(see(&mut tracker, at(800.0), 400), 2);
        assert_eq!(tracker.oldest(Monotonic(400)), Some(Monotonic(0)));
    }

    #[test]
    fn two_detections_of_a_frame_are_two_tracks() {
        let mut tracker = Tracker::new(1_000);
        tracker.begin_frame(Monotonic(0));
        assert_ne!(see(&mut tracker, at(0.0), 0), see(&mut tracker, at(10.0), 0));
    }

    #[test]
    fn what_is_not_seen_is_lost_and_its_evidence_with_it() {
        let mut tracker = Tracker::new(1_000);
        tracker.begin_frame(Monotonic(0));
        see(&mut tracker, at(0.0), 0);
        assert!(tracker.begin_frame(Monotonic(1_000)).is_empty());
        let lost = tracker.begin_frame(Monotonic(1_001));
        assert_eq!(lost.iter().map(|t| (t.id, t.evidence)).collect::<Vec<_>>(), [(1, 1)]);
        assert_eq!(see(&mut tracker, at(0.0), 1_001), 2);
        assert_eq!(tracker.reset().len(), 1);
        assert_eq!(tracker.oldest(Monotonic(1_001)), None);
    }

    #[test]
    fn a_detection_that_cannot_be_the_same_starts_anew() {
        let mut tracker = Tracker::new(1_000);
        tracker.begin_frame(Monotonic(0));
        see(&mut tracker, at(0.0), 0);
        tracker.begin_frame(Monotonic(100));
        assert_eq!(tracker.observe(at(0.0), Monotonic(100), |_| false, || 0).id, 2);
    }

    #[test]
    fn a_parked_car_that_was_hidden_is_the_same_car() {
        let mut tracker = Tracker::new(1_000).minding_parked();
        tracker.begin_frame(Monotonic(0));
        for ms in (100..12_000).step_by(500) {
            assert!(tracker.begin_frame(Monotonic(ms)).is_empty());
            assert_eq!(see(&mut tracker, at(10.0), ms), 1);
        }
        // somebody walks past for half a minute
        assert!(tracker.begin_frame(Monotonic(40_000)).is_empty());
        assert_eq!(tracker.oldest(Monotonic(40_000)), None, "hidden is not present");
        assert_eq!(see(&mut tracker, at(12.0), 40_000), 1);
        // another car stops nearly there
        tracker.begin_frame(Monotonic(60_000));
        assert_eq!(see(&mut tracker, at(60.0), 60_000), 2);
        assert_eq!(tracker.begin_frame(Monotonic(900_000)).len(), 2);
    }

    #[test]
    fn a_car_that_only_stopped_is_lost_as_any_other() {
        let mut tracker = Tracker::new(1_000).minding_parked();
        tracker.begin_frame(Monotonic(0));
        for ms in (100..5_000).step_by(500) {
            tracker.begin_frame(Monotonic(ms));
            see(&mut tracker, at(10.0), ms);
        }
        assert_eq!(tracker.begin_frame(Monotonic(8_000)).len(), 1);
        assert_eq!(see(&mut tracker, at(10.0), 8_000), 2);
    }

    #[test]
    fn a_car_that_is_there_at_once_has_not_arrived_until_it_moves() {
        let mut tracker = Tracker::new(1_000).minding_parked();
        let arrived = |tracker: &mut Tracker<u32>, x: f32, ms: u64| {
            tracker.begin_frame(Monotonic(ms));
            tracker.look(Monotonic(ms));
            tracker.observe(at(x), Monotonic(ms), |_| true, || 0).has_arrived()
        };
        assert!(!arrived(&mut tracker, 0.0, 0));
        assert!(!arrived(&mut tracker, 5.0, 500), "detections jitter");
        assert!(!arrived(&mut tracker, 600.0, 900), "one that the detector missed at first");
        assert!(arrived(&mut tracker, 50.0, 1_000));
        assert!(arrived(&mut tracker, 50.0, 1_500), "and then it stays arrived");
        assert!(arrived(&mut tracker, 900.0, 4_000), "a car that comes later");
        let mut plain = Tracker::new(1_000);
        assert!(arrived(&mut plain, 0.0, 0));
    }

    #[test]
    fn after_a_camera_was_blind_a_parked_car_has_not_arrived() {
        let mut tracker = Tracker::<u32>::new(1_000).minding_parked();
        // the camera boots more slowly than the controller, and its first pictures are no good
        for ms in (0..9_000).step_by(300) {
            tracker.begin_frame(Monotonic(ms));
            tracker.blind();
        }
        let arrived = |tracker: &mut Tracker<u32>, ms: u64| {
            tracker.begin_frame(Monotonic(ms));
            tracker.look(Monotonic(ms));
            tracker.observe(at(0.0), Monotonic(ms), |_| true, || 0).has_arrived()
        };
        for ms in (9_000..20_000).step_by(500) {
            assert!(!arrived(&mut tracker, ms), "it parks on at {ms}");
        }
        // hours later the camera fails and comes back
        tracker.begin_frame(Monotonic(9_000_000));
        tracker.blind();
        assert!(!arrived(&mut tracker, 9_000_500));
    }

    #[test]
    fn a_place_is_the_box_around_its_points() {
        let place = Place::around([(10.0, 10.0), (30.0, 12.0), (29.0, 20.0), (11.0, 18.0)]);
        assert_eq!(place, Some(Place { x: 20.0, y: 15.0, size: 20.0 }));
        assert_eq!(Place::around([]), None);
    }
}
