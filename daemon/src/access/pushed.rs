//! Plates that another machine read: what its word weighs, and what becomes of a word that came before its vehicle.

use cardea_access::credential::{PictureCheck, PlateEvidence, PlateMatch, PushedPlate, VehiclePresence};
use cardea_access::decide::Decision;
use cardea_access::reason::Reason;
use cardea_access::time::{Monotonic, Now};
use cardea_protocol::event::{EventKind, Timings};

use super::knowledge::Knowledge;
use super::task::AccessTask;
use crate::capture::{Pushed, Seen, Sighting, TrackKey};

/// Refused posts that make an alarm, each time.
const REFUSED_ALARM: u64 = 5;
/// The least time between two alarms of one access point, and between two warnings, in milliseconds.
const ALARM_EVERY_MS: u64 = 60_000;

/// What was said of refused posts at one access point.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    /// The count at the last alarm, in steps of [`REFUSED_ALARM`].
    alarmed: u64,
    alarm_at: Option<Monotonic>,
    warned_at: Option<Monotonic>,
}

impl Strangers {
    /// So many posts were refused since the start: whether to warn in the log, and whether to raise the alarm. Counts may be
    /// left out in between.
    fn on_count(&mut self, count: u64, now: Monotonic) -> (bool, bool) {
        let over = |at: Option<Monotonic>| at.is_none_or(|at| now.since_ms(at) >= ALARM_EVERY_MS);
        let warn = over(self.warned_at);
        let alarm = count / REFUSED_ALARM > self.alarmed && over(self.alarm_at);
        if warn {
            self.warned_at = Some(now);
        }
        if alarm {
            self.alarmed = count / REFUSED_ALARM;
            self.alarm_at = Some(now);
        }
        (warn, alarm)
    }
}

impl Knowledge {
    /// A told plate as evidence. Its text must be a registered plate's to the letter; what it weighs is what this machine's
    /// own reading of the picture gives that text. The other machine has followed the vehicle over `frames`.
    pub(super) fn weigh(&self, pushed: &Pushed, frames: u32, vehicle: VehiclePresence) -> PushedPlate {
        let (ratio, threshold) = match (pushed.picture, pushed.score) {
            // Nothing to weigh: the site takes the word for it.
            (PictureCheck::Waived, _) => (f64::INFINITY, 0.0),
            (_, Some(score)) => (score, self.plate_threshold()),
            (_, None) => (f64::NEG_INFINITY, self.plate_threshold()),
        };
        let plate = self.plate_of(&pushed.text);
        let best = plate.map(|plate| PlateMatch { plate, log_likelihood_ratio: ratio, threshold });
        let plate = PlateEvidence { best, frames, in_zone: pushed.in_zone, vehicle };
        PushedPlate { plate, picture: pushed.picture }
    }
}

impl AccessTask {
    /// Keeps a told plate whose vehicle is not on the loop yet: such cameras look further than the loop is. It is judged anew
    /// when the vehicle comes, by the same rules, and is then as old as it is.
    pub(super) fn keep_early(
        &mut self,
        key: TrackKey,
        told: Option<Pushed>,
        decision: &Decision,
        frames: u32,
        at: Now,
    ) {
        let Some(pushed) = told else { return };
        if decision.reason == Reason::LoopClear {
            let sighting = Sighting { key, seen: Seen::Pushed(pushed), frames, at, timings: Timings::default() };
            self.early.insert(key.point, sighting);
        } else {
            self.early.remove(&key.point);
        }
    }

    /// A vehicle has come onto the loop of an access point.
    pub(super) async fn on_arrival(&mut self, i: usize) {
        let Some(sighting) = self.early.remove(&i) else { return };
        let age_ms = self.clock.monotonic().since_ms(sighting.at.mono);
        if age_ms <= self.knowledge.rules.limits.evidence_max_age_ms {
            self.on_sighting(sighting).await;
        }
    }

    /// Somebody posts events and is not the camera.
    pub(super) fn on_unauthorised(&mut self, i: usize, count: u64) {
        let Some(point) = self.points.get(i) else { return };
        let (warn, alarm) = self.strangers.entry(i).or_default().on_count(count, self.clock.monotonic());
        if warn {
            tracing::warn!(access_point = %point.id, count, "events were refused: whoever sent them is not the camera");
        }
        if alarm {
            self.tell(i, EventKind::Alarm { alarm: "anpr-unauthorised".to_owned() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_posts_alarm_by_fives_whatever_counts_are_left_out_and_at_most_once_a_minute() {
        let mut strangers = Strangers::default();
        let mut at = |count, ms| strangers.on_count(count, Monotonic(ms));
        assert_eq!(at(1, 1_000), (true, false));
        assert_eq!(at(4, 2_000), (false, false));
        assert_eq!(at(7, 3_000), (false, true), "the fifth was left out");
        for count in 8..1_000 {
            assert_eq!(at(count, 4_000), (false, false));
        }
        assert_eq!(at(1_000, 61_000), (true, false));
        assert_eq!(at(1_001, 63_000), (false, true));
        assert_eq!(at(1_002, 200_000), (true, false), "the next step is not reached");
    }
}
