//! Who passed: vehicles counted by the sensors under the boom, and their direction by the loops on either side.
//!
//! A passage is one occupation of the space under the boom, from the first sensor that sees something until all have been
//! clear for `gap_ms`. With a loop outside and one inside, both so near that a vehicle is on two at once, it also has a
//! direction:
//!
//! ```text
//!   outside                    boom                     inside
//!   [ approach loop ]   [ loop, photocell ]   [ departure loop ]
//!      came from: lit, or left just before, when the space under the boom is first occupied
//!      went to:   lit anew during the occupation, or else the only one lit at its end
//!   outside -> inside: inbound    inside -> outside: outbound    the side it came from: turned back, no passage
//! ```
//!
//! What cannot be told apart, and which side is chosen: two cars bumper to bumper are one occupation, hence one passage. A
//! gap longer than `gap_ms` makes two passages of a car and its trailer. Without the outer loops a car that backs out has
//! passed. Where the loops' story does not fit one vehicle (someone waits on either side), the direction is unknown, the
//! passage is counted, and nobody is accused of the wrong direction. Where a sensor was unknown meanwhile, or a vehicle may
//! have passed uncounted, neither tailgating nor a missing entry is reported for this opening.

use crate::request::Direction;
use crate::time::Monotonic;

/// How long after it left a loop at the side a vehicle may be first seen under the boom, in milliseconds.
const JUST_LEFT_MS: u64 = 2_000;

/// What an occupation of the space under the boom turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// Something drove through; which way, if that could be told. `free`: during a hold, when nobody is counted.
    Through { way: Option<Direction>, free: bool },
    /// It left on the side it had come from.
    TurnedBack,
}

/// A loop beside the boom.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    lit: Option<bool>,
    rose_at: Option<Monotonic>,
    fell_at: Option<Monotonic>,
}

impl Side {
    fn sense(&mut self, lit: Option<bool>, now: Monotonic) {
        match (self.lit, lit) {
            (Some(false), Some(true)) => self.rose_at = Some(now),
            (Some(true), Some(false)) => self.fell_at = Some(now),
            (_, None) => (self.rose_at, self.fell_at) = (None, None),
            _ => {}
        }
        self.lit = lit;
    }

    /// A vehicle is there, or was just now.
    fn was_near(&self, now: Monotonic) -> bool {
        self.lit == Some(true) || self.fell_at.is_some_and(|at| now.since_ms(at) <= JUST_LEFT_MS)
    }

    /// Whether it was lit at `at`, which is no longer ago than its last change but one.
    fn was_lit(&self, at: Monotonic) -> Option<bool> {
        self.lit.map(|lit| lit || self.fell_at.is_some_and(|fell| fell >= at))
    }

    fn rose_since(&self, since: Monotonic) -> bool {
        self.rose_at.is_some_and(|at| at >= since)
    }
}

/// Something is, or just was, under the boom.
#[derive(Clone, Copy, Debug)]
struct Occupation {
    since: Monotonic,
    /// The side it came from; towards which it drives is the other.
    from: Option<Direction>,
    clear_at: Option<Monotonic>,
    free: bool,
}

/// The lane through the barrier, for one opening of the boom.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    loops_fitted: bool,
    gap_ms: u64,
    outer: Side,
    inner: Side,
    under: Option<Occupation>,
    /// The sensors under the boom have spoken, all of them.
    under_known: bool,
    admitted: u32,
    passed: u32,
    /// The counts may be relied on.
    sure: bool,
    /// Somebody passed uncounted during a hold.
    free_passage: bool,
}

impl Lane {
    pub(super) fn new(loops_fitted: bool, gap_ms: u64) -> Self {
        Self {
            loops_fitted,
            gap_ms,
            outer: Side::default(),
            inner: Side::default(),
            under: None,
            under_known: false,
            admitted: 0,
            passed: 0,
            sure: false,
            free_passage: false,
        }
    }

    /// The boom is down, or begins to rise from where it was: counting starts anew.
    pub(super) fn begin(&mut self) {
        (self.admitted, self.passed, self.sure, self.free_passage) = (0, 0, self.under_known, false);
    }

    /// One more vehicle may pass.
    pub(super) fn admit(&mut self) {
        self.admitted = self.admitted.saturating_add(1);
    }

    /// What was counted so far is not to be relied on.
    pub(super) fn doubt(&mut self) {
        self.sure = false;
    }

    /// Everything is unknown.
    pub(super) fn lose(&mut self) {
        *self = Self::new(self.loops_fitted, self.gap_ms);
    }

    /// As many have passed as were admitted.
    pub(super) fn all_passed(&self) -> bool {
        self.admitted > 0 && self.passed >= self.admitted
    }

    /// Someone who was admitted has certainly not passed.
    pub(super) fn someone_missing(&self) -> bool {
        self.sure && !self.free_passage && self.under.is_none() && self.passed < self.admitted
    }

    pub(super) fn sense_outer(&mut self, lit: Option<bool>, now: Monotonic) {
        if self.loops_fitted {
            self.outer.sense(lit, now);
        }
    }

    pub(super) fn sense_inner(&mut self, lit: Option<bool>, now: Monotonic) {
        if self.loops_fitted {
            self.inner.sense(lit, now);
        }
    }

    /// What the sensors under the boom say together. `free`: whoever passes now is not counted.
    pub(super) fn sense_under(&mut self, occupied: Option<bool>, free: bool, now: Monotonic) {
        self.under_known = occupied.is_some();
        match (occupied, &mut self.under) {
            (None, under) => {
                *under = None;
                self.sure = false;
            }
            (Some(true), Some(occupation)) => occupation.clear_at = None,
            (Some(true), None) => {
                let from = match (self.outer.was_near(now), self.inner.was_near(now)) {
                    (true, false) => Some(Direction::Entry),
                    (false, true) => Some(Direction::Exit),
                    _ => None,
                };
                self.under = Some(Occupation { since: now, from, clear_at: None, free });
            }
            (Some(false), Some(occupation)) => {
                occupation.clear_at.get_or_insert(now);
                occupation.free |= free;
            }
            (Some(false), None) => {}
        }
    }

    /// When the present occupation is over, if nothing comes after it.
    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        Some(self.under?.clear_at?.plus_ms(self.gap_ms))
    }

    /// The occupation that is over by `now`.
    pub(super) fn expire(&mut self, now: Monotonic) -> Option<Passage> {
        let over = self.next_deadline().is_some_and(|at| now >= at);
        let Occupation { since, from, free, clear_at } = self.under.take_if(|_| over)?;
        let towards = self.went_towards(since, clear_at.unwrap_or(now), from);
        Some(match (from, towards) {
            (Some(from), Some(towards)) if from != towards => Passage::TurnedBack,
            (Some(way), Some(_)) => Passage::Through { way: Some(way), free },
            _ => Passage::Through { way: None, free },
        })
    }

    /// Counts a passage that was allowed; whether it was one too many.
    pub(super) fn count(&mut self) -> bool {
        self.passed = self.passed.saturating_add(1);
        self.sure && self.passed > self.admitted
    }

    /// Somebody passed during a hold.
    pub(super) fn count_free(&mut self) {
        self.free_passage = true;
    }

    /// The direction in which the vehicle left that was under the boom from `since` to `until`.
    fn went_towards(&self, since: Monotonic, until: Monotonic, from: Option<Direction>) -> Option<Direction> {
        match (self.inner.rose_since(since), self.outer.rose_since(since)) {
            (true, false) => Some(Direction::Entry),
            (false, true) => Some(Direction::Exit),
            // Whoever follows lights the loop that the first one came over.
            (true, true) => from,
            (false, false) => match (self.inner.was_lit(until), self.outer.was_lit(until)) {
                (Some(true), Some(false)) => Some(Direction::Entry),
                (Some(false), Some(true)) => Some(Direction::Exit),
                _ => None,
            },
        }
    }
}
