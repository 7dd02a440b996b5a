//! What a controller knows when it decides: grants, blocks, limits, freshness and the mode of each access point.
//!
//! A [`RuleSet`] is a plain value. The daemon builds it from its store and changes it with each applied revision; a test
//! writes one down. Deciding never changes it.

use std::collections::{BTreeMap, BTreeSet};

use crate::credential::Method;
use crate::factors::{Factors, TwoFactor};
use crate::id::{AccessPointId, AreaId, BootId, CardId, PlateId, SubjectId, TemplateId};
use crate::passback::{Ledger, Passback};
use crate::plate::Plate;
use crate::reason::Reason;
use crate::schedule::Schedule;
use crate::time::{Monotonic, Now, Timestamp};

/// Everything a decision depends on besides the request and the time.
#[derive(Clone, Debug)]
pub struct RuleSet {
    /// This boot of the controller.
    pub boot_id: BootId,
    /// The gates and doors there are.
    pub access_points: BTreeMap<AccessPointId, AccessPoint>,
    /// Registered plates.
    pub plates: BTreeMap<PlateId, PlateGrant>,
    /// Biometric references in force. An erased one is not here.
    pub faces: BTreeMap<TemplateId, FaceGrant>,
    /// Registered cards.
    pub cards: BTreeMap<CardId, CardGrant>,
    /// Who and what is blocked, whatever the grants say.
    pub blocks: Blocks,
    /// The policy on staleness and certainty.
    pub limits: Limits,
    /// The last word of the cloud that these rules are current; `None` if there has been none.
    pub freshness: Option<Freshness>,
    /// A wall-clock time known to have passed: the date of the latest verified statement of the cloud, which the daemon
    /// keeps across starts, so that a clock set back changes nothing. Never the controller's own clock: one jump ahead
    /// would end every grant for good.
    pub clock_floor: Timestamp,
    /// Who is inside which area.
    pub ledger: Ledger,
    /// First factors that wait for a second one.
    pub factors: Factors,
}

impl RuleSet {
    /// No access points and no grants: everything is refused.
    pub fn new(boot_id: BootId) -> Self {
        Self {
            boot_id,
            access_points: BTreeMap::new(),
            plates: BTreeMap::new(),
            faces: BTreeMap::new(),
            cards: BTreeMap::new(),
            blocks: Blocks::default(),
            limits: Limits::default(),
            freshness: None,
            clock_floor: Timestamp(i64::MIN),
            ledger: Ledger::default(),
            factors: Factors::default(),
        }
    }

    /// The wall-clock time to judge by: never before what the cloud or this controller has seen pass.
    pub fn wall_time(&self, now: Now) -> Timestamp {
        let proven = self.freshness.map(|f| self.told_time(now.mono).unwrap_or(f.statement_at));
        now.wall.max(self.clock_floor).max(proven.unwrap_or(Timestamp(i64::MIN)))
    }

    /// What time it is by the last statement of the cloud, if one came since the machine started; it cannot be earlier.
    pub fn told_time(&self, now: Monotonic) -> Option<Timestamp> {
        let Freshness { statement_at, received } = self.freshness?;
        Some(statement_at.plus_ms(i64::try_from(now.since_ms(received?)).unwrap_or(i64::MAX)))
    }
}

/// A gate or door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessPoint {
    /// The mode it is in (ONVIF Door Control: `DoorMode`).
    pub mode: Mode,
    /// Whether its equipment answers. While it does not, entry is refused with a word, never queued.
    pub faulted: bool,
    /// The kinds of evidence that open it.
    pub methods: BTreeSet<Method>,
    /// What presentation attack detection has to say here.
    pub pad: PadPolicy,
    /// When each kind of evidence counts for entry; at any time where it is not named.
    pub hours: BTreeMap<Method, Schedule>,
    /// Whether two credentials are needed to enter.
    pub two_factor: Option<TwoFactor>,
    /// The area it leads into, or out of.
    pub area: Option<Area>,
}

/// An area of this controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// Its name.
    pub id: AreaId,
    /// What is done about someone who is inside already and wants in.
    pub passback: Passback,
}

/// In normal mode, in order, open to every method at any time, to living faces only, leading nowhere in particular.
impl Default for AccessPoint {
    fn default() -> Self {
        let methods = [Method::Plate, Method::Face, Method::Card, Method::ExitButton, Method::RemoteOpen];
        Self {
            mode: Mode::Normal,
            faulted: false,
            methods: methods.into(),
            pad: PadPolicy::Require,
            hours: BTreeMap::new(),
            two_factor: None,
            area: None,
        }
    }
}

/// What presentation attack detection (ISO/IEC 30107-1) has to say at an access point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum PadPolicy {
    /// Faces are not judged: a photograph may pass.
    Off,
    /// Faces are judged and the verdict is recorded, but it refuses nobody: for the weeks in which a site learns what it
    /// would have refused.
    Log,
    /// Only a face that was judged to be live counts.
    #[default]
    Require,
}

impl PadPolicy {
    /// The stable name for configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Log => "log",
            Self::Require => "require",
        }
    }
}

/// The mode of an access point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// Decisions open it.
    #[default]
    Normal,
    /// Nobody enters; everybody may leave.
    LockedDown,
    /// It stands open by order. Decisions are made and recorded as in [`Mode::Normal`]; the machine holds it open.
    HeldOpen,
}

impl Mode {
    /// The stable name for events and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::LockedDown => "locked-down",
            Self::HeldOpen => "held-open",
        }
    }
}

/// What every grant says about when and where.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Grant {
    /// First moment; `None` for no beginning.
    pub valid_from: Option<Timestamp>,
    /// The moment it ends, at which it no longer counts; `None` for no end.
    pub valid_until: Option<Timestamp>,
    /// Weekly hours; `None` for always.
    pub schedule: Option<Schedule>,
    /// The gates and doors it is for; `None` for all of this controller.
    pub access_points: Option<BTreeSet<AccessPointId>>,
}

impl Grant {
    /// Why this grant does not count at `at` for `access_point`; `None` if it does.
    pub fn refusal(&self, access_point: &AccessPointId, at: Timestamp) -> Option<Reason> {
        if self.access_points.as_ref().is_some_and(|only| !only.contains(access_point)) {
            Some(Reason::OtherAccessPoint)
        } else if self.valid_from.is_some_and(|from| at < from) {
            Some(Reason::NotYetValid)
        } else if self.valid_until.is_some_and(|until| at >= until) {
            Some(Reason::Expired)
        } else if self.schedule.as_ref().is_some_and(|s| !s.allows(at)) {
            Some(Reason::OutsideSchedule)
        } else {
            None
        }
    }
}

/// A registered plate. No subject is needed: a customer may register plate and site only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlateGrant {
    /// The plate.
    pub plate: Plate,
    /// The resident it belongs to, if the customer said so.
    pub subject: Option<SubjectId>,
    /// When and where.
    pub grant: Grant,
}

/// A biometric reference in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaceGrant {
    /// Whose.
    pub subject: SubjectId,
    /// When and where.
    pub grant: Grant,
}

/// A registered card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardGrant {
    /// Whose, if known.
    pub subject: Option<SubjectId>,
    /// When and where.
    pub grant: Grant,
}

/// Something that can be blocked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blockable {
    /// A person, with every credential of theirs.
    Subject(SubjectId),
    /// A plate, under whatever registration.
    Plate(Plate),
    /// A card.
    Card(CardId),
}

/// Blocks: a sold flat, a withdrawn consent, a stolen card. A block beats every grant, also a later one; only lifting it
/// ends it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Blocks(BTreeMap<Blockable, Timestamp>);

impl Blocks {
    /// Blocks `what` from `from` on. Of two blocks the earlier stays.
    pub fn insert(&mut self, what: Blockable, from: Timestamp) {
        self.0.entry(what).and_modify(|at| *at = (*at).min(from)).or_insert(from);
    }

    /// Lifts the block of `what`; whether there was one.
    pub fn lift(&mut self, what: &Blockable) -> bool {
        self.0.remove(what).is_some()
    }

    /// Whether `what` is blocked at `at`.
    pub fn is_active(&self, what: &Blockable, at: Timestamp) -> bool {
        self.0.get(what).is_some_and(|from| *from <= at)
    }

    /// The blocks and when each begins.
    pub fn iter(&self) -> impl Iterator<Item = (&Blockable, Timestamp)> {
        self.0.iter().map(|(what, from)| (what, *from))
    }
}

/// The policy of a site.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// How long after the last freshness statement faces still open, in seconds. There is no way to switch it off.
    pub face_max_staleness_s: u64,
    /// The same for plates; `None` for ever.
    pub plate_max_staleness_s: Option<u64>,
    /// The same for cards; `None` for ever.
    pub card_max_staleness_s: Option<u64>,
    /// The longest time from capture to decision, in milliseconds: later, the person has walked away.
    pub evidence_max_age_ms: u64,
    /// Frames a plate must have been read in.
    pub plate_min_frames: u32,
    /// Frames a face must have been compared in.
    pub face_min_frames: u32,
    /// How far, in cosine, a face's score must be above that of the next subject.
    pub face_min_margin: f32,
    /// Whether faces open although the models that judge them are a demonstration.
    pub demo_face_models: bool,
}

/// One day for faces, no limit for plates and cards, evidence of 3 s at most from two frames or more, models fit for it.
impl Default for Limits {
    fn default() -> Self {
        Self {
            face_max_staleness_s: 24 * 3600,
            plate_max_staleness_s: None,
            card_max_staleness_s: None,
            evidence_max_age_ms: 3_000,
            plate_min_frames: 2,
            face_min_frames: 2,
            face_min_margin: 0.05,
            demo_face_models: false,
        }
    }
}

/// A verified statement of the cloud that the rules are current, and when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// The statement's own date.
    pub statement_at: Timestamp,
    /// When it came, on this boot's monotonic clock. `None` if it came before the machine last started: then only the
    /// wall clock can tell its age.
    pub received: Option<Monotonic>,
}

impl Freshness {
    /// How old the statement is at most, in milliseconds; `None` if that cannot be known, because it came before the
    /// last start and the clock now reads an earlier time than the statement does.
    ///
    /// The older of two answers counts: that of the wall clock (a statement delayed on its way is old on arrival) and that
    /// of the monotonic clock (which cannot be set back).
    pub fn age_ms(&self, now: Now) -> Option<u64> {
        let by_wall = now.wall.since_ms(self.statement_at);
        match self.received {
            Some(at) => Some(now.mono.since_ms(at).max(u64::try_from(by_wall).unwrap_or(0))),
            None => u64::try_from(by_wall).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(wall: i64, mono: u64) -> Now {
        Now { wall: Timestamp(wall), mono: Monotonic(mono) }
    }

    #[test]
    fn freshness_takes_the_older_of_two_clocks() {
        let f = Freshness { statement_at: Timestamp(10_000), received: Some(Monotonic(500)) };
        assert_eq!(f.age_ms(now(12_000, 600)), Some(2_000), "delayed on its way");
        assert_eq!(f.age_ms(now(0, 5_500)), Some(5_000), "wall clock set back");
    }

    #[test]
    fn after_a_start_a_clock_behind_the_statement_proves_nothing() {
        let f = Freshness { statement_at: Timestamp(10_000), received: None };
        assert_eq!(f.age_ms(now(9_999, 0)), None);
        assert_eq!(f.age_ms(now(11_000, 0)), Some(1_000));
    }

    #[test]
    fn a_clock_set_back_does_not_lengthen_a_grant() {
        let mut rules = RuleSet::new("b".into());
        rules.clock_floor = Timestamp(50);
        assert_eq!(rules.wall_time(now(10, 0)), Timestamp(50));
        rules.freshness = Some(Freshness { statement_at: Timestamp(100), received: Some(Monotonic(1_000)) });
        assert_eq!(rules.wall_time(now(10, 1_500)), Timestamp(600));
        assert_eq!(rules.wall_time(now(700, 1_500)), Timestamp(700));
    }

    #[test]
    fn a_grant_counts_from_its_beginning_to_before_its_end() {
        let grant = Grant { valid_from: Some(Timestamp(10)), valid_until: Some(Timestamp(20)), ..Grant::default() };
        let gate = AccessPointId::from("gate");
        assert_eq!(grant.refusal(&gate, Timestamp(9)), Some(Reason::NotYetValid));
        assert_eq!(grant.refusal(&gate, Timestamp(10)), None);
        assert_eq!(grant.refusal(&gate, Timestamp(20)), Some(Reason::Expired));
        let door_only = Grant { access_points: Some(["door".into()].into()), ..Grant::default() };
        assert_eq!(door_only.refusal(&gate, Timestamp(10)), Some(Reason::OtherAccessPoint));
    }

    #[test]
    fn of_two_blocks_the_earlier_stays() {
        let mut blocks = Blocks::default();
        let who = Blockable::Subject("s".into());
        blocks.insert(who.clone(), Timestamp(20));
        blocks.insert(who.clone(), Timestamp(10));
        blocks.insert(who.clone(), Timestamp(30));
        assert!(!blocks.is_active(&who, Timestamp(9)) && blocks.is_active(&who, Timestamp(10)));
        assert!(blocks.lift(&who) && !blocks.lift(&who));
        assert!(!blocks.is_active(&who, Timestamp(99)));
    }
}
