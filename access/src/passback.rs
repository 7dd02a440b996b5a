//! Anti-passback: who is inside which area, so that one credential lets in one person.
//!
//! A [`Ledger`] is a plain value that takes passages as events: someone was *admitted* (the opening is under way), and then
//! *passed*, or did *not pass*. Deciding only reads it ([`Ledger::objection`]); the way out is never refused by it.
//!
//! - **Who** ([`Holder`]): the subject where it is known, else the registration. With two factors the person counts, not
//!   the car.
//! - **From admission on.** Whoever is admitted counts as inside while the opening lasts; a card handed back through the
//!   fence does not open again before the door has moved.
//! - **Unknown whereabouts admit.** Whoever the ledger does not know is outside. It survives a restart, because pulling a
//!   plug must not be a way round it; [`Ledger::forget`] is the way out for residents whom it has wrong: after a
//!   free access, after a fire, by order.
//! - **Bounded.** Beyond [`MAX_INSIDE`] the oldest is forgotten, which admits one person too often and locks out nobody.
//!
//! An area belongs to one controller: what another controller sees is not known here.

use std::collections::BTreeMap;

use crate::id::{AreaId, CardId, PlateId, SubjectId};
use crate::request::Direction;
use crate::time::{Monotonic, Now, Timestamp};

/// How many are remembered inside all areas together.
pub const MAX_INSIDE: usize = 20_000;

/// What is done about someone who is inside already and wants in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Passback {
    /// Admitted, and reported.
    Soft,
    /// Refused until they have left.
    Hard,
    /// Refused for so long after they came in, unless they have left: for areas without a reader at the way out.
    Timed {
        /// In milliseconds.
        within_ms: u64,
    },
}

/// Who is inside, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// A person.
    Subject(SubjectId),
    /// A vehicle whose owner is not known.
    Plate(PlateId),
    /// A card whose owner is not known. A credential: `Debug` hides it.
    Card(CardId),
}

/// Someone on their way through an access point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The area behind the access point.
    pub area: AreaId,
    /// Into it, or out of it.
    pub direction: Direction,
    /// Who.
    pub holder: Holder,
}

/// Since when someone is inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// By the wall clock.
    pub wall: Timestamp,
    /// By the monotonic clock; `None` if the machine has been started since.
    pub mono: Option<Monotonic>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Place {
    /// Since a passage that happened.
    inside: Option<Since>,
    /// An opening for them is under way, begun at this time.
    entering: Option<Since>,
}

/// What has changed and is to be kept across a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Someone is inside.
    Inside(AreaId, Holder, Since),
    /// Someone is not.
    Outside(AreaId, Holder),
}

/// Who is inside which area.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    places: BTreeMap<(AreaId, Holder), Place>,
}

impl Ledger {
    /// Takes back what was kept. A date later than `now` is of a clock that was wrong: it counts as now, so that a timed
    /// refusal still ends.
    pub fn restore(kept: impl IntoIterator<Item = (AreaId, Holder, Since)>, now: Now) -> Self {
        let mut ledger = Self::default();
        for (area, holder, since) in kept {
            let known = since.wall <= now.wall && since.mono.is_none_or(|at| at <= now.mono);
            let since = if known { since } else { Since { wall: now.wall, mono: Some(now.mono) } };
            ledger.places.insert((area, holder), Place { inside: Some(since), entering: None });
        }
        ledger.shrink();
        ledger
    }

    /// Whether `holder` is inside `area` in a way that `rule` minds at `now`.
    pub fn objection(&self, area: &AreaId, holder: &Holder, rule: Passback, now: Now) -> bool {
        let Some(place) = self.places.get(&(area.clone(), holder.clone())) else { return false };
        let mut since = place.inside.iter().chain(&place.entering);
        match rule {
            Passback::Soft | Passback::Hard => since.next().is_some(),
            Passback::Timed { within_ms } => since.any(|since| since.elapsed_ms(now) < within_ms),
        }
    }

    /// The opening for a passage has been accepted.
    pub fn admitted(&mut self, passage: &Passage, now: Now) {
        if passage.direction == Direction::Entry {
            let place = self.places.entry((passage.area.clone(), passage.holder.clone())).or_default();
            place.entering = Some(Since { wall: now.wall, mono: Some(now.mono) });
            self.shrink();
        }
    }

    /// The passage has happened, as far as the equipment can tell: the boom was up, the door was open, or nothing is fitted
    /// that could tell. Answers what to keep.
    pub fn passed(&mut self, passage: &Passage, now: Now) -> Option<Change> {
        let key = (passage.area.clone(), passage.holder.clone());
        match passage.direction {
            Direction::Entry => {
                let since = Since { wall: now.wall, mono: Some(now.mono) };
                self.places.insert(key.clone(), Place { inside: Some(since), entering: None });
                self.shrink();
                Some(Change::Inside(key.0, key.1, since))
            }
            Direction::Exit => self.places.remove(&key).map(|_| Change::Outside(key.0, key.1)),
        }
    }

    /// Nobody passed, or the opening did not come about: everything is as it was before it.
    pub fn not_passed(&mut self, passage: &Passage) {
        let key = (passage.area.clone(), passage.holder.clone());
        if passage.direction == Direction::Entry
            && let Some(place) = self.places.get_mut(&key)
        {
            place.entering = None;
            if place.inside.is_none() {
                self.places.remove(&key);
            }
        }
    }

    /// Forgets who is inside `area`, or all areas: everybody counts as outside. Answers how many that were.
    pub fn forget(&mut self, area: Option<&AreaId>) -> usize {
        let before = self.places.len();
        self.places.retain(|(of, _), _| area.is_some_and(|area| of != area));
        before - self.places.len()
    }

    /// Forgets everyone who is not `held` any more: erased, blocked, removed.
    pub fn retain(&mut self, held: impl Fn(&Holder) -> bool) {
        self.places.retain(|(_, holder), _| held(holder));
    }

    /// How many are inside each area.
    pub fn inside(&self) -> BTreeMap<&AreaId, usize> {
        let mut count = BTreeMap::new();
        for ((area, _), place) in &self.places {
            *count.entry(area).or_default() += usize::from(place.inside.is_some());
        }
        count
    }

    fn shrink(&mut self) {
        while self.places.len() > MAX_INSIDE {
            let oldest = self.places.iter().min_by_key(|(_, place)| place.inside.or(place.entering).map(|s| s.wall));
            let Some(key) = oldest.map(|(key, _)| key.clone()) else { return };
            self.places.remove(&key);
        }
    }
}

impl Since {
    /// How long ago that is at least. Within a boot the monotonic clock alone tells, which nobody can set.
    fn elapsed_ms(self, now: Now) -> u64 {
        match self.mono {
            Some(at) => now.mono.since_ms(at),
            None => u64::try_from(now.wall.since_ms(self.wall)).unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(s: i64) -> Now {
        Now { wall: Timestamp(s * 1_000), mono: Monotonic(s as u64 * 1_000) }
    }

    fn passage(direction: Direction) -> Passage {
        Passage { area: "garage".into(), direction, holder: Holder::Subject("s".into()) }
    }

    fn objects(ledger: &Ledger, rule: Passback, at: Now) -> bool {
        ledger.objection(&"garage".into(), &Holder::Subject("s".into()), rule, at)
    }

    const TIMED: Passback = Passback::Timed { within_ms: 60_000 };

    #[test]
    fn in_then_out_then_in_again() {
        let mut ledger = Ledger::default();
        assert!(!objects(&ledger, Passback::Hard, now(0)));
        ledger.admitted(&passage(Direction::Entry), now(0));
        assert!(objects(&ledger, Passback::Hard, now(0)), "while the opening is under way");
        assert!(matches!(ledger.passed(&passage(Direction::Entry), now(1)), Some(Change::Inside(..))));
        assert!(objects(&ledger, Passback::Hard, now(99_999)) && objects(&ledger, Passback::Soft, now(1)));
        ledger.admitted(&passage(Direction::Exit), now(2));
        assert!(objects(&ledger, Passback::Hard, now(2)), "not out before the door has moved");
        assert!(matches!(ledger.passed(&passage(Direction::Exit), now(3)), Some(Change::Outside(..))));
        assert!(!objects(&ledger, Passback::Hard, now(3)));
        assert_eq!(ledger.passed(&passage(Direction::Exit), now(4)), None, "nothing to keep");
    }

    #[test]
    fn who_did_not_pass_is_where_they_were() {
        let mut ledger = Ledger::default();
        ledger.admitted(&passage(Direction::Entry), now(0));
        ledger.not_passed(&passage(Direction::Entry));
        assert_eq!(ledger, Ledger::default());
        ledger.passed(&passage(Direction::Entry), now(1));
        ledger.admitted(&passage(Direction::Entry), now(100));
        assert!(objects(&ledger, TIMED, now(110)));
        ledger.not_passed(&passage(Direction::Entry));
        assert!(!objects(&ledger, TIMED, now(110)), "the first entry counts again");
        assert!(objects(&ledger, Passback::Hard, now(110)));
    }

    #[test]
    fn a_timed_refusal_ends_and_the_wall_clock_cannot_lengthen_it() {
        let mut ledger = Ledger::default();
        ledger.passed(&passage(Direction::Entry), now(100));
        assert!(objects(&ledger, TIMED, now(159)) && !objects(&ledger, TIMED, now(160)));
        let back = Now { wall: Timestamp(0), mono: Monotonic(160_000) };
        assert!(!objects(&ledger, TIMED, back));
    }

    #[test]
    fn after_a_restart_the_future_counts_as_now() {
        let future = Since { wall: Timestamp(9_999_000), mono: None };
        let ledger = Ledger::restore([("garage".into(), Holder::Subject("s".into()), future)], now(100));
        assert!(objects(&ledger, TIMED, now(159)) && !objects(&ledger, TIMED, now(160)));
        assert!(objects(&ledger, Passback::Hard, now(99_999)));
    }

    #[test]
    fn an_area_is_forgotten_alone_or_with_all_and_who_is_gone_goes() {
        let mut ledger = Ledger::default();
        for (area, holder) in [
            ("garage", Holder::Subject("s".into())),
            ("garage", Holder::Plate("p".into())),
            ("yard", Holder::Card("c".into())),
        ] {
            let passage = Passage { area: area.into(), direction: Direction::Entry, holder };
            ledger.passed(&passage, now(0));
        }
        assert_eq!(ledger.inside().values().copied().collect::<Vec<_>>(), [2, 1]);
        ledger.retain(|holder| *holder != Holder::Plate("p".into()));
        assert_eq!(ledger.forget(Some(&"garage".into())), 1);
        assert_eq!(ledger.forget(None), 1);
        assert_eq!(ledger, Ledger::default());
    }

    #[test]
    fn it_is_bounded_and_the_oldest_goes() {
        let kept = (0..=MAX_INSIDE as i64).map(|n| {
            let since = Since { wall: Timestamp(n), mono: None };
            ("garage".into(), Holder::Plate(format!("p{n}").into()), since)
        });
        let ledger = Ledger::restore(kept, now(1_000));
        assert_eq!(ledger.places.len(), MAX_INSIDE);
        assert!(!ledger.objection(&"garage".into(), &Holder::Plate("p0".into()), Passback::Hard, now(0)));
    }
}
