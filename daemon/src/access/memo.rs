//! What was already said and done about each track, so that a car that stands for a minute is one decision, not six hundred.
//!
//! Pure, with time as input. A refusal is recorded once per track and reason; while too few frames have been seen, a
//! refusal that more frames may turn is not recorded at all. A granted track is not granted again while its opening lasts:
//! a barrier's never (a new car is a new track), a door's once it is shut again and someone still stands there.

use std::collections::{BTreeMap, BTreeSet};

use cardea_access::credential::Method;
use cardea_access::machine::State;
use cardea_access::reason::Reason;
use cardea_access::time::Monotonic;

use crate::capture::TrackKey;

/// How long a door must have been granted before the same face opens it again.
const DOOR_AGAIN_MS: u64 = 3_000;
/// How long after an opening that did not come about the same track may try again.
const RETRY_MS: u64 = 2_000;
/// Tracks remembered at once; a camera has few, so more means that something floods.
const MAX_TRACKS: usize = 256;

/// What is known about the present tracks.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    tracks: BTreeMap<TrackKey, About>,
}

#[derive(Debug, Default)]
struct About {
    refused: BTreeSet<Reason>,
    granted_at: Option<Monotonic>,
    failed: bool,
    /// It was let out before it was surely recognised.
    unnamed: bool,
}

impl Memo {
    /// Whether a decision about the track makes sense at `now`, with its access point in `state`.
    pub(crate) fn wants_decision(&self, key: TrackKey, state: State, now: Monotonic) -> bool {
        let Some(about) = self.tracks.get(&key) else { return true };
        // A presentation attack is not given one more frame to look live in.
        if about.refused.contains(&Reason::FaceSpoof) {
            return false;
        }
        let Some(at) = about.granted_at else { return true };
        let waited_ms = now.since_ms(at);
        match (about.failed, key.method) {
            (true, _) => waited_ms >= RETRY_MS,
            (false, Method::Face) => state == State::Closed && waited_ms >= DOOR_AGAIN_MS,
            (false, _) => false,
        }
    }

    /// The track was granted. `unnamed`: nobody knows yet who it was, and somebody would like to.
    pub(crate) fn granted(&mut self, key: TrackKey, unnamed: bool, now: Monotonic) {
        let about = self.about(key);
        (about.granted_at, about.failed, about.unnamed) = (Some(now), false, unnamed);
    }

    /// Whether the track was let out, and who it is would still be good to know: nobody is kept in until that is sure.
    pub(crate) fn wants_name(&self, key: TrackKey) -> bool {
        self.tracks.get(&key).is_some_and(|about| about.unnamed && !about.failed)
    }

    /// It is known now who the track is.
    pub(crate) fn named(&mut self, key: TrackKey) {
        if let Some(about) = self.tracks.get_mut(&key) {
            about.unnamed = false;
        }
    }

    /// The opening that the track was granted did not come about.
    pub(crate) fn failed(&mut self, key: TrackKey) {
        // Only a track that is still there: a lost one is not brought back.
        if let Some(about) = self.tracks.get_mut(&key) {
            about.failed = true;
        }
    }

    /// Whether this refusal is news. `settled`: enough frames were seen for it to stand.
    pub(crate) fn refused(&mut self, key: TrackKey, reason: Reason, settled: bool) -> bool {
        // More frames turn the first two; the third is a car that has just driven off, of which all was said before.
        let passing = matches!(reason, Reason::PlateTooFewFrames | Reason::FaceTooFewFrames | Reason::LoopClear);
        settled && !passing && self.about(key).refused.insert(reason)
    }

    /// The track is lost.
    pub(crate) fn forget(&mut self, key: TrackKey) {
        self.tracks.remove(&key);
    }

    fn about(&mut self, key: TrackKey) -> &mut About {
        if self.tracks.len() >= MAX_TRACKS && !self.tracks.contains_key(&key) {
            self.tracks.pop_first();
        }
        self.tracks.entry(key).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAR: TrackKey = TrackKey { point: 0, method: Method::Plate, track: 1 };
    const FACE: TrackKey = TrackKey { point: 1, method: Method::Face, track: 1 };

    #[test]
    fn a_refusal_is_news_once_per_track_and_reason() {
        let mut memo = Memo::default();
        assert!(memo.refused(CAR, Reason::PlateUnknown, true));
        assert!(!memo.refused(CAR, Reason::PlateUnknown, true));
        assert!(memo.refused(CAR, Reason::PlateUncertain, true));
        memo.forget(CAR);
        assert!(memo.refused(CAR, Reason::PlateUnknown, true));
    }

    #[test]
    fn what_more_frames_may_turn_is_no_news() {
        let mut memo = Memo::default();
        assert!(!memo.refused(CAR, Reason::PlateUncertain, false));
        assert!(!memo.refused(CAR, Reason::PlateTooFewFrames, true));
        assert!(!memo.refused(CAR, Reason::LoopClear, true));
        assert!(memo.refused(CAR, Reason::PlateUncertain, true), "it still stands with enough frames");
    }

    #[test]
    fn a_car_is_granted_once_and_again_only_if_nothing_came_of_it() {
        let mut memo = Memo::default();
        memo.granted(CAR, false, Monotonic(0));
        assert!(!memo.wants_decision(CAR, State::Open, Monotonic(100)));
        assert!(!memo.wants_decision(CAR, State::Closed, Monotonic(100_000)), "a parked car stays shut out");
        memo.failed(CAR);
        assert!(!memo.wants_decision(CAR, State::Fault, Monotonic(1_000)));
        assert!(memo.wants_decision(CAR, State::Fault, Monotonic(2_000)));
    }

    #[test]
    fn a_spoof_stays_one_for_as_long_as_its_track() {
        let mut memo = Memo::default();
        assert!(memo.refused(FACE, Reason::FaceBelowThreshold, true));
        assert!(memo.wants_decision(FACE, State::Closed, Monotonic(0)), "more frames may turn that");
        assert!(memo.refused(FACE, Reason::FaceSpoof, true));
        assert!(!memo.wants_decision(FACE, State::Closed, Monotonic(60_000)));
        memo.forget(FACE);
        assert!(memo.wants_decision(FACE, State::Closed, Monotonic(60_000)));
    }

    #[test]
    fn a_face_opens_again_once_the_door_is_shut() {
        let mut memo = Memo::default();
        memo.granted(FACE, false, Monotonic(0));
        assert!(!memo.wants_decision(FACE, State::Opening, Monotonic(4_000)));
        assert!(!memo.wants_decision(FACE, State::Closed, Monotonic(2_000)));
        assert!(memo.wants_decision(FACE, State::Closed, Monotonic(5_000)));
    }

    #[test]
    fn a_flood_of_tracks_is_bounded() {
        let mut memo = Memo::default();
        for track in 0..1_000 {
            memo.refused(TrackKey { track, ..CAR }, Reason::PlateUnknown, true);
        }
        assert!(memo.tracks.len() <= MAX_TRACKS);
    }
}
