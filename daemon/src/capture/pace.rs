//! When to look, and how often: fast while something happens, hardly at all while nothing does.
//!
//! Pure, with time as input.
//!
//! | what is there | frames | recognition |
//! |---|---|---|
//! | nothing changes | every 125 ms | once a second: a motionless person is found all the same |
//! | something changed, or a vehicle is on the loop | every 100 ms | every frame |
//! | a track, first second: it is being decided | every 40 ms | every frame |
//! | a track, until 4 s | every 100 ms | every frame |
//! | a track for longer: it was decided long ago | every 500 ms | every frame |
//!
//! A camera or a processor that is slower sets the rate itself.

use std::time::Duration;

use cardea_protocol::Monotonic;

/// Between frames while something happens.
const BUSY_MS: u64 = 100;
/// Between frames of a track that is younger than [`NEW_MS`].
const EAGER_MS: u64 = 40;
/// How long a track is new.
const NEW_MS: u64 = 1_000;
/// Between frames while nothing changes.
const IDLE_MS: u64 = 125;
/// Between frames of a track that has been there for longer than [`FRESH_MS`].
const SETTLED_MS: u64 = 500;
/// How long a track is looked at in every frame.
const FRESH_MS: u64 = 4_000;
/// How long an unchanged scene goes unrecognised.
const RECHECK_MS: u64 = 1_000;

/// The pace of one camera.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    last_recognised: Option<Monotonic>,
    changed: bool,
}

impl Pace {
    /// Whether the frame in hand is worth recognition. `track_since` is since when the oldest present track is there.
    pub(crate) fn recognise(&mut self, now: Monotonic, changed: bool, track_since: Option<Monotonic>) -> bool {
        self.changed = changed;
        let due = self.last_recognised.is_none_or(|at| now.since_ms(at) >= RECHECK_MS);
        let look = changed || track_since.is_some() || due;
        if look {
            self.last_recognised = Some(now);
        }
        look
    }

    /// How long after the start of one frame the next one may be asked for. `triggered`: a vehicle is on the loop.
    pub(crate) fn interval(&self, now: Monotonic, track_since: Option<Monotonic>, triggered: bool) -> Duration {
        Duration::from_millis(match track_since.map(|since| now.since_ms(since)) {
            Some(age_ms) if age_ms <= NEW_MS => EAGER_MS,
            Some(age_ms) if age_ms > FRESH_MS => SETTLED_MS,
            Some(_) => BUSY_MS,
            None if self.changed || triggered => BUSY_MS,
            None => IDLE_MS,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unchanged_scene_is_recognised_once_a_second() {
        let mut pace = Pace::default();
        let looks = (0..80).filter(|i| pace.recognise(Monotonic(i * IDLE_MS), false, None)).count();
        assert_eq!(looks, 10);
        assert_eq!(pace.interval(Monotonic(0), None, false), Duration::from_millis(IDLE_MS));
        assert_eq!(pace.interval(Monotonic(0), None, true), Duration::from_millis(BUSY_MS), "a vehicle");
    }

    #[test]
    fn change_and_tracks_are_recognised_in_every_frame() {
        let mut pace = Pace::default();
        for i in 0..10 {
            assert!(pace.recognise(Monotonic(i), true, None));
        }
        assert_eq!(pace.interval(Monotonic(10), None, false), Duration::from_millis(BUSY_MS));
        for i in 10..20 {
            assert!(pace.recognise(Monotonic(i), false, Some(Monotonic(5))));
        }
        assert_eq!(pace.interval(Monotonic(20), Some(Monotonic(5)), false), Duration::from_millis(EAGER_MS));
        assert_eq!(pace.interval(Monotonic(2_000), Some(Monotonic(5)), false), Duration::from_millis(BUSY_MS));
    }

    #[test]
    fn a_track_that_stays_costs_less() {
        let pace = Pace::default();
        assert_eq!(
            pace.interval(Monotonic(FRESH_MS + 1), Some(Monotonic(0)), false),
            Duration::from_millis(SETTLED_MS)
        );
    }
}
