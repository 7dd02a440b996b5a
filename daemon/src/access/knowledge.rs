//! What the controller knows at the gate: the rules, the admitted plates and cards, and the gallery of faces, built from the store.
//!
//! A new version of the holdings replaces everything at once. The old gallery is overwritten when it is dropped, before the
//! new version is announced: an erasure is confirmed only after that.

use std::collections::{BTreeMap, HashMap};

use cardea_access::card::CardNumber;
use cardea_access::credential::{FaceMatch, Fitness, Liveness, PlateMatch};
use cardea_access::grammar::{Grammar, Grammars};
use cardea_access::id::{AccessPointId, CardId, PlateId, SubjectId, TemplateId};
use cardea_access::plate::Plate;
use cardea_access::rules::{CardGrant, FaceGrant, Grant, PadPolicy, PlateGrant, RuleSet};
use cardea_access::schedule::Schedule;
use cardea_access::time::Timestamp;
use cardea_models::{Gallery, Template, TrackReading};
use cardea_protocol::card::CardHash;
use cardea_protocol::id::{self as registration, SubjectToken};
use cardea_protocol::message::{CardEntry, ENTRY_MS, PlateEntry, Validity};
use cardea_protocol::schedule::WeeklySchedule;

use crate::store::{Held, HeldTemplate};

/// Frames over which liveness is judged, at least: one frame is a weak witness, and an attack should have no lucky one.
const PAD_FRAMES: u32 = 5;

/// A held biometric reference. Two are equal if they are the *same person's*: the gallery then answers with the best
/// reference, and with the best of anybody else as the runner-up.
#[derive(Clone, Debug)]
struct Reference {
    template: TemplateId,
    subject: SubjectToken,
}

impl PartialEq for Reference {
    fn eq(&self, other: &Self) -> bool {
        self.subject == other.subject
    }
}

/// Thresholds of the models in use, from their pack's manifest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calibration {
    /// The reader's log-likelihood ratio; `None` without plate models.
    pub(crate) plate_log_ratio: Option<f64>,
    /// `None` without face models.
    pub(crate) face: Option<FaceCalibration>,
}

/// What the face models of a pack state.
#[derive(Clone, Debug)]
pub(crate) struct FaceCalibration {
    /// The embedder's id.
    pub(crate) embedder: String,
    /// The cosine from which two faces count as one person's.
    pub(crate) cosine: f32,
    /// The probability of being live from which a face counts as that; `None` where no access point asks.
    pub(crate) live: Option<f32>,
    /// The least fit of them.
    pub(crate) fitness: Fitness,
}

/// Rules, plates, cards and faces.
#[derive(Debug)]
pub(crate) struct Knowledge {
    /// What decisions are judged by.
    pub(crate) rules: RuleSet,
    calibration: Calibration,
    /// The registration behind each canonical text.
    plates: HashMap<String, PlateId>,
    /// Plates of a single entry; when they end, for those that were let in.
    guests: BTreeMap<PlateId, Option<Timestamp>>,
    /// The registration behind each card's hash.
    cards: HashMap<CardId, registration::CardId>,
    gallery: Option<Gallery<Reference>>,
}

impl Knowledge {
    /// Nothing but the access points and limits in `rules`; nothing can be matched.
    pub(crate) fn new(rules: RuleSet) -> Self {
        Self {
            rules,
            calibration: Calibration::default(),
            plates: HashMap::new(),
            guests: BTreeMap::new(),
            cards: HashMap::new(),
            gallery: None,
        }
    }

    /// Matches with these models from now on. What is held is to be replaced after that.
    pub(crate) fn calibrate(&mut self, calibration: Calibration) {
        self.gallery = calibration.face.as_ref().map(|face| Gallery::new(&face.embedder));
        self.rules.faces.clear();
        self.calibration = calibration;
    }

    /// Holds exactly this from now on. What was held before is overwritten when this returns.
    pub(crate) fn replace(&mut self, held: &Held) {
        self.rules.plates.clear();
        self.plates.clear();
        // What was let in since the store was read counts all the same.
        let entered = std::mem::take(&mut self.guests);
        self.rules.cards.clear();
        self.cards.clear();
        self.rules.faces.clear();
        if let Some(gallery) = &mut self.gallery {
            gallery.clear();
        }
        for plate in &held.plates {
            self.add_plate(plate);
            let id = PlateId::from(plate.plate_id.as_str());
            if plate.single_entry {
                let stored = held.entered.get(&plate.plate_id).copied();
                self.guests.insert(id.clone(), None);
                if let Some(ends_at) = stored.or(entered.get(&id).copied().flatten()) {
                    self.end_guest(&id, ends_at);
                }
            }
        }
        for card in &held.cards {
            self.add_card(card);
        }
        for template in &held.templates {
            self.add_template(template);
        }
    }

    /// How many templates can be matched.
    pub(crate) fn templates(&self) -> usize {
        self.gallery.as_ref().map_or(0, Gallery::len)
    }

    fn add_plate(&mut self, held: &PlateEntry) {
        // The cloud sends canonical text of whatever grammars its site uses, so every grammar is taken here.
        let every = Grammars::new(Grammar::ALL);
        match Plate::parse(&held.plate, &every) {
            Ok(plate) => {
                let id = PlateId::from(held.plate_id.as_str());
                self.plates.insert(plate.as_str().to_owned(), id.clone());
                let subject = held.subject.as_ref().map(|subject| SubjectId::from(subject.as_str()));
                let grant = Grant { schedule: held.schedule.as_ref().map(schedule), ..grant(held.validity) };
                self.rules.plates.insert(id, PlateGrant { plate, subject, grant });
            }
            Err(error) => {
                tracing::warn!(plate_id = %held.plate_id, %error, "a held plate is unusable and admits nobody");
            }
        }
    }

    /// A plate was let in at `at`: one of a single entry ends soon. Answers when, and whether that is new.
    pub(super) fn entered(&mut self, plate: &PlateId, at: Timestamp) -> Option<(Timestamp, bool)> {
        if let Some(ends_at) = *self.guests.get(plate)? {
            return Some((ends_at, false));
        }
        let ends_at = at.plus_ms(ENTRY_MS);
        self.end_guest(plate, ends_at);
        Some((ends_at, true))
    }

    fn end_guest(&mut self, plate: &PlateId, ends_at: Timestamp) {
        self.guests.insert(plate.clone(), Some(ends_at));
        if let Some(held) = self.rules.plates.get_mut(plate) {
            let until = held.grant.valid_until.map_or(ends_at, |until| until.min(ends_at));
            held.grant.valid_until = Some(until);
        }
    }

    fn add_card(&mut self, held: &CardEntry) {
        let id = CardId::from(held.hash.as_str());
        let subject = held.subject.as_ref().map(|subject| SubjectId::from(subject.as_str()));
        self.cards.insert(id.clone(), held.card_id.clone());
        self.rules.cards.insert(id, CardGrant { subject, grant: grant(held.validity) });
    }

    fn add_template(&mut self, held: &HeldTemplate) {
        let Some(gallery) = &mut self.gallery else { return };
        let id = TemplateId::from(held.template_id.as_str());
        let reference = Reference { template: id.clone(), subject: held.subject.clone() };
        match Template::from_bytes(&held.plaintext).and_then(|template| gallery.add(reference, &template)) {
            Ok(()) => {
                let subject = SubjectId::from(held.subject.as_str());
                self.rules.faces.insert(id, FaceGrant { subject, grant: Grant::default() });
            }
            Err(error) => {
                tracing::warn!(template_id = %held.template_id, %error, "a held template is unusable and admits nobody");
            }
        }
    }

    /// What a card is called in the rules: by the hash of its number, as it is registered.
    pub(crate) fn card(number: &CardNumber) -> CardId {
        CardId::from(CardHash::of(number).as_str())
    }

    /// The registration behind a card, for the record of a decision; `None` for one that is not registered.
    pub(crate) fn card_registration(&self, card: &CardId) -> Option<registration::CardId> {
        self.cards.get(card).cloned()
    }

    /// The admitted plate that explains the readings best.
    pub(crate) fn match_plate(&self, reading: &TrackReading) -> Option<PlateMatch> {
        let threshold = self.calibration.plate_log_ratio?;
        let best = reading.best_match(|text| self.plates.get(text))?;
        Some(PlateMatch { plate: best.plate.clone(), log_likelihood_ratio: best.score, threshold })
    }

    /// The registration of exactly this canonical text.
    pub(crate) fn plate_of(&self, text: &str) -> Option<PlateId> {
        self.plates.get(text).cloned()
    }

    /// The ratio from which a reading counts; without plate models, none does.
    pub(crate) fn plate_threshold(&self) -> f64 {
        self.calibration.plate_log_ratio.unwrap_or(f64::INFINITY)
    }

    /// What presentation attack detection has to say at an access point; everything where it is not known.
    pub(crate) fn pad(&self, access_point: &AccessPointId) -> PadPolicy {
        self.rules.access_points.get(access_point).map_or(PadPolicy::Require, |point| point.pad)
    }

    /// What the models are fit for that judge faces.
    pub(crate) fn face_fitness(&self) -> Fitness {
        self.calibration.face.as_ref().map_or(Fitness::Demo, |face| face.fitness)
    }

    /// What `judged`, the mean probability of being live over a track's frames and how many were judged, says of a face at an
    /// access point with this policy. Where the verdict only is recorded, nobody waits for it.
    pub(crate) fn liveness(&self, judged: Option<(f32, u32)>, pad: PadPolicy) -> Liveness {
        let frames = self.rules.limits.face_min_frames;
        let needed = if pad == PadPolicy::Require { frames.max(PAD_FRAMES) } else { frames };
        let threshold = self.calibration.face.as_ref().and_then(|face| face.live);
        match (judged, threshold) {
            (Some((live, frames)), Some(threshold)) if frames >= needed => {
                // a probability that is not a number is an attack
                if live >= threshold { Liveness::Live } else { Liveness::Spoof }
            }
            _ => Liveness::Unknown,
        }
    }

    /// The held face that is most like the probe.
    pub(crate) fn match_face(&self, probe: &Template) -> Option<FaceMatch> {
        let calibration = self.calibration.face.as_ref()?;
        match self.gallery.as_ref()?.search(probe) {
            Ok(found) => found.map(|best| FaceMatch {
                template: best.id.template,
                score: best.score_cosine,
                threshold: calibration.cosine,
                runner_up: best.runner_up_cosine,
            }),
            Err(error) => {
                tracing::error!(%error, "faces cannot be compared");
                None
            }
        }
    }
}

/// Whether the likeliest text has the shape of a plate, of whatever country. Lettering on a car or a wall does not, mostly,
/// and refusing it entry is no news.
pub(crate) fn could_be_a_plate(reading: &TrackReading) -> bool {
    reading.best().is_some_and(|(text, _)| Grammar::ALL.iter().any(|grammar| grammar.matches(text)))
}

/// One that is not understood never counts. The cloud refuses it, but the next one's time zones may be newer than ours.
fn schedule(weekly: &WeeklySchedule) -> Schedule {
    weekly.build().unwrap_or_else(|error| {
        tracing::warn!(%error, "the hours of a held plate are unusable and admit nobody");
        Schedule::never()
    })
}

fn grant(validity: Validity) -> Grant {
    Grant { valid_from: validity.from, valid_until: validity.until, ..Grant::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seam::HoldingsVersion;
    use cardea_access::Reason;
    use cardea_access::id::BootId;
    use cardea_protocol::id;

    fn entry(plate_id: &str, plate: &str) -> PlateEntry {
        PlateEntry::new(id::PlateId::new(plate_id).unwrap(), plate.to_owned())
    }

    fn held(plates: Vec<PlateEntry>, entered: BTreeMap<id::PlateId, Timestamp>) -> Held {
        Held { version: HoldingsVersion(1), plates, entered, cards: vec![], templates: vec![] }
    }

    #[test]
    fn a_guest_ends_soon_after_the_entry_however_often_the_holdings_are_read() {
        let guest = PlateEntry { single_entry: true, ..entry("p-1", "A123BC77") };
        let mut knowledge = Knowledge::new(RuleSet::new(BootId::from("boot")));
        knowledge.replace(&held(vec![guest.clone(), entry("p-2", "B123BC77")], BTreeMap::new()));
        let (first, second) = (PlateId::from("p-1"), PlateId::from("p-2"));
        let ends_at = Timestamp(1_000 + ENTRY_MS);
        assert_eq!(knowledge.entered(&first, Timestamp(1_000)), Some((ends_at, true)));
        assert_eq!(knowledge.entered(&first, Timestamp(2_000)), Some((ends_at, false)), "the first entry counts");
        assert_eq!(knowledge.entered(&second, Timestamp(1_000)), None, "a resident comes and goes");
        let until = |knowledge: &Knowledge| knowledge.rules.plates[&first].grant.valid_until;
        assert_eq!(until(&knowledge), Some(ends_at));
        knowledge.replace(&held(vec![guest.clone()], BTreeMap::new()));
        assert_eq!(until(&knowledge), Some(ends_at), "the store was read before it was written");
        let mut anew = Knowledge::new(RuleSet::new(BootId::from("boot")));
        let stored = BTreeMap::from([(guest.plate_id.clone(), ends_at)]);
        anew.replace(&held(vec![guest.clone()], stored));
        assert_eq!(until(&anew), Some(ends_at), "after a restart");
        knowledge.replace(&held(vec![], BTreeMap::new()));
        knowledge.replace(&held(vec![guest], BTreeMap::new()));
        assert_eq!(until(&knowledge), None, "given anew");
    }

    #[test]
    fn hours_bind_a_plate_and_what_is_no_hours_admits_nobody() {
        let weekly = |line: &str| Some(WeeklySchedule { time_zone: "UTC".into(), hours: vec![line.into()] });
        let plates = vec![
            PlateEntry { schedule: weekly("thu 08:00-20:00"), ..entry("p-1", "A123BC77") },
            PlateEntry { schedule: weekly("whenever"), ..entry("p-2", "B123BC77") },
        ];
        let mut knowledge = Knowledge::new(RuleSet::new(BootId::from("boot")));
        knowledge.replace(&held(plates, BTreeMap::new()));
        let refusal = |plate: &str, hour: i64| {
            // 1 January 1970 was a Thursday.
            knowledge.rules.plates[&PlateId::from(plate)].grant.refusal(&"gate".into(), Timestamp(hour * 3_600_000))
        };
        assert_eq!((refusal("p-1", 9), refusal("p-1", 21)), (None, Some(Reason::OutsideSchedule)));
        assert_eq!(refusal("p-2", 9), Some(Reason::OutsideSchedule));
    }

    #[test]
    fn a_plate_is_its_residents_in_the_rules() {
        let subject = SubjectToken::new("5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f").unwrap();
        let entry = |plate_id: &str, plate: &str, subject| PlateEntry { subject, ..entry(plate_id, plate) };
        let plates = vec![entry("p-1", "A123BC77", Some(subject.clone())), entry("p-2", "B123BC77", None)];
        let held = held(plates, BTreeMap::new());
        let mut knowledge = Knowledge::new(RuleSet::new(BootId::from("boot")));
        knowledge.replace(&held);
        let of = |plate_id: &str| knowledge.rules.plates[&PlateId::from(plate_id)].subject.clone();
        assert_eq!((of("p-1"), of("p-2")), (Some(SubjectId::from(subject.as_str())), None));
    }
}
