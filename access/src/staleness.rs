//! How long each kind of evidence still counts without a word from the cloud, and when that is worth telling.
//!
//! The limits are [`Limits`]' own; what is refused at the door is decided in [`decide`](crate::decide) by the same figures. An
//! alarm is raised at the half of a limit, so that somebody can act before it ends, and at its end; each is cleared by the
//! next word of the cloud.

use std::collections::BTreeMap;

use crate::credential::Method;
use crate::rules::{Freshness, Limits, RuleSet};
use crate::time::Now;

impl Limits {
    /// How long after the last freshness statement `method` still counts, in seconds; `None` for ever.
    pub fn max_staleness_s(&self, method: Method) -> Option<u64> {
        match method {
            Method::Face => Some(self.face_max_staleness_s),
            Method::Plate => self.plate_max_staleness_s,
            Method::Card => self.card_max_staleness_s,
            Method::ExitButton | Method::RemoteOpen => None,
        }
    }
}

/// How things stand with one kind of evidence in use here that has a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Staleness {
    /// The kind.
    pub method: Method,
    /// Its limit, in seconds.
    pub limit_s: u64,
    /// How long it still counts, as of [`RuleSet::counts_for_ms`].
    pub counts_for_ms: u64,
}

impl RuleSet {
    /// How old the last word of the cloud is, in milliseconds; `None` if there is none, or its age cannot be known.
    pub fn word_age_ms(&self, now: Now) -> Option<u64> {
        // A wall clock that reads no later than the floor may have been raised to it: for how long the machine was off, it
        // does not say.
        let told = |freshness: &Freshness| {
            freshness.received.is_some() || now.wall > self.clock_floor.max(freshness.statement_at)
        };
        self.freshness.filter(told)?.age_ms(now)
    }

    /// How long `method` still counts if the cloud says nothing more, in milliseconds; 0 if it is refused, `None` for ever.
    pub fn counts_for_ms(&self, method: Method, now: Now) -> Option<u64> {
        let limit_ms = self.limits.max_staleness_s(method)?.saturating_mul(1_000);
        // At the limit it counts still.
        Some(self.word_age_ms(now).map_or(0, |age_ms| limit_ms.saturating_add(1).saturating_sub(age_ms)))
    }

    /// How things stand with each kind of evidence in use here that has a limit.
    pub fn staleness(&self, now: Now) -> Vec<Staleness> {
        let standing = |(method, limit_s)| {
            let counts_for_ms = self.counts_for_ms(method, now)?;
            Some(Staleness { method, limit_s, counts_for_ms })
        };
        self.limited().filter_map(standing).collect()
    }

    /// The kinds of evidence in use here that have a limit, in order.
    fn limited(&self) -> impl Iterator<Item = (Method, u64)> {
        [Method::Plate, Method::Face, Method::Card].into_iter().filter_map(|method| {
            let used = self.access_points.values().any(|point| point.methods.contains(&method));
            Some((method, self.limits.max_staleness_s(method).filter(|_| used)?))
        })
    }

    /// The limits of the kinds of evidence in use here, in seconds.
    pub fn staleness_limits_s(&self) -> BTreeMap<Method, u64> {
        self.limited().collect()
    }
}

/// How far the cloud's last word is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    #[default]
    Fresh,
    /// More than half the limit is over.
    Waning,
    /// The limit is over.
    Stale,
}

/// Remembers what was told.
#[derive(Debug, Default)]
pub struct StalenessWatch(BTreeMap<Method, Stage>);

impl StalenessWatch {
    /// The names of the alarms that are to be raised or cleared now: `face-waning`, `face-stale`, the same for plates and cards,
    /// each followed by the same name with `-cleared`. None before the first word of the cloud: nothing was admitted yet.
    pub fn look(&mut self, rules: &RuleSet, now: Now) -> Vec<String> {
        if rules.freshness.is_none() {
            return Vec::new();
        }
        let mut alarms = Vec::new();
        for Staleness { method, limit_s, counts_for_ms } in rules.staleness(now) {
            let stage = match counts_for_ms {
                0 => Stage::Stale,
                left_ms if left_ms <= limit_s.saturating_mul(500) => Stage::Waning,
                _ => Stage::Fresh,
            };
            let told = self.0.entry(method).or_default();
            let name = |stage: &str, cleared: &str| format!("{}-{stage}{cleared}", method.name());
            match (*told, stage) {
                (Stage::Fresh, Stage::Waning) => alarms.push(name("waning", "")),
                (Stage::Fresh | Stage::Waning, Stage::Stale) => alarms.push(name("stale", "")),
                (Stage::Waning, Stage::Fresh) => alarms.push(name("waning", "-cleared")),
                (Stage::Stale, Stage::Fresh | Stage::Waning) => alarms.push(name("stale", "-cleared")),
                _ => {}
            }
            // A statement that is old when it comes clears what it clears; that it wanes was told.
            *told = stage;
        }
        alarms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{AccessPoint, Freshness};
    use crate::time::{Monotonic, Timestamp};

    fn rules() -> RuleSet {
        let mut rules = RuleSet::new("boot".into());
        rules.access_points.insert("gate".into(), AccessPoint::default());
        rules.limits = Limits { face_max_staleness_s: 60, card_max_staleness_s: Some(600), ..Limits::default() };
        rules
    }

    fn now(ms: u64) -> Now {
        Now { wall: Timestamp(i64::try_from(ms).unwrap()), mono: Monotonic(ms) }
    }

    fn stated(ms: u64) -> Option<Freshness> {
        Some(Freshness { statement_at: now(ms).wall, received: Some(now(ms).mono) })
    }

    #[test]
    fn it_is_told_at_the_half_and_at_the_end_and_cleared_by_the_next_word() {
        let (mut rules, mut watch) = (rules(), StalenessWatch::default());
        assert!(watch.look(&rules, now(0)).is_empty(), "never heard of the cloud");
        assert_eq!(rules.counts_for_ms(Method::Face, now(0)), Some(0));
        rules.freshness = stated(0);
        let mut told = Vec::new();
        for second in 0..=700 {
            told.extend(watch.look(&rules, now(second * 1_000)).into_iter().map(|alarm| (second, alarm)));
        }
        rules.freshness = stated(700_000);
        told.extend(watch.look(&rules, now(700_000)).into_iter().map(|alarm| (700, alarm)));
        let expected = [
            (31, "face-waning"),
            (61, "face-stale"),
            (301, "card-waning"),
            (601, "card-stale"),
            (700, "face-stale-cleared"),
            (700, "card-stale-cleared"),
        ];
        assert_eq!(told, expected.map(|(second, alarm)| (second, alarm.to_owned())));
        assert_eq!(rules.counts_for_ms(Method::Plate, now(900_000)), None, "plates have no limit here");
        assert_eq!(rules.staleness_limits_s(), BTreeMap::from([(Method::Face, 60), (Method::Card, 600)]));
    }

    #[test]
    fn after_a_power_cut_a_clock_raised_to_the_floor_proves_no_freshness() {
        let mut rules = rules();
        rules.freshness = Some(Freshness { statement_at: Timestamp(10_000), received: None });
        // As the access task judges: never earlier than what is known to have passed.
        let counts = |rules: &RuleSet, wall| {
            let raw = Now { wall: Timestamp(wall), mono: Monotonic(0) };
            rules.counts_for_ms(Method::Face, Now { wall: rules.wall_time(raw), ..raw })
        };
        assert_eq!(counts(&rules, 0), Some(0), "a clock that was never set");
        assert_eq!(counts(&rules, 9_999), Some(0), "a clock set back");
        assert_eq!(counts(&rules, 11_000), Some(59_001));
        rules.clock_floor = Timestamp(15_000);
        assert_eq!(counts(&rules, 11_000), Some(0), "less than was known before the cut");
        assert_eq!(counts(&rules, 16_000), Some(54_001));
    }

    #[test]
    fn what_nothing_here_uses_is_not_told() {
        let (mut rules, mut watch) = (rules(), StalenessWatch::default());
        rules.access_points.values_mut().for_each(|point| {
            point.methods.remove(&Method::Face);
        });
        rules.freshness = stated(0);
        assert!(watch.look(&rules, now(61_000)).is_empty());
    }
}
