//! What one decision means for the next: who is on their way in, and which first factor waits for a second one.

use std::collections::{BTreeMap, BTreeSet};

use cardea_access::decide::{CredentialRef, Decision};
use cardea_access::id::{AccessPointId, AreaId, SubjectId};
use cardea_access::machine::NotDone;
use cardea_access::passback::{Holder, Passage};
use cardea_access::posture;
use cardea_access::reason::Reason;
use cardea_access::request::Direction;
use cardea_access::rules::RuleSet;
use cardea_access::time::{Now, Timestamp};
use cardea_protocol::id as registration;
use tokio::sync::oneshot;

use super::task::AccessTask;
use crate::capture::TrackKey;

impl AccessTask {
    /// A decision was made: the rules and the posture are told.
    pub(super) fn decided(&mut self, i: usize, decision: &Decision, now: Now) {
        self.knowledge.rules.factors.decided(decision, now.mono);
        if let Some((plate, ends_at, true)) = self.guest(decision) {
            // Whether it is on the disk matters to nobody who waits here.
            drop(self.store.keep_entered(plate, ends_at));
        }
        let credential = decision.method.is_credential() && decision.direction == Direction::Entry;
        if decision.is_allowed() && credential {
            self.postures.handle(i, posture::Event::Admitted);
        }
        if decision.passback {
            self.alarm(i, "passback".to_owned());
        }
    }

    /// The plate of a single entry that this decision lets in: when it ends, and whether that is new. One that waits for a
    /// second factor counts too: what opens then is the other one, and says nothing of the car.
    pub(super) fn guest(&mut self, decision: &Decision) -> Option<(registration::PlateId, Timestamp, bool)> {
        let Some(CredentialRef::Plate(plate)) = &decision.credential else { return None };
        let lets_in = decision.is_allowed() || decision.reason == Reason::SecondFactorAwaited;
        if !lets_in || decision.direction != Direction::Entry {
            return None;
        }
        let (ends_at, new) = self.knowledge.entered(plate, decision.at)?;
        Some((registration::PlateId::new(plate.as_str()).ok()?, ends_at, new))
    }

    /// An opening for someone is under way.
    pub(super) fn admitted(&mut self, passage: Option<&Passage>) {
        let now = self.now();
        if let Some(passage) = passage {
            self.knowledge.rules.ledger.admitted(passage, now);
            self.tell_inside();
        }
    }

    /// The equipment says that someone has passed, or has nothing to say it with.
    pub(super) fn passed(&mut self, passage: Option<&Passage>) {
        let now = self.now();
        if let Some(change) = passage.and_then(|passage| self.knowledge.rules.ledger.passed(passage, now)) {
            self.store.keep_passage(change);
            self.tell_inside();
        }
    }

    /// Whether who leaves here leaves an area.
    pub(super) fn is_a_way_out(&self, i: usize) -> bool {
        let point = &self.points[i];
        let rules = self.knowledge.rules.access_points.get(&AccessPointId::from(point.id.as_str()));
        point.direction == Direction::Exit && rules.is_some_and(|rules| rules.area.is_some())
    }

    /// The track that was let out may be known by now: its opening is `passage`, or was, if it has come to its end.
    pub(super) fn name(&mut self, key: TrackKey, passage: Option<Passage>) {
        let Some(passage) = passage else { return };
        self.memo.named(key);
        if let Some(passage) = self.grants.name(key, passage) {
            self.passed(Some(&passage));
        }
    }

    /// Nobody has.
    pub(super) fn not_passed(&mut self, passage: Option<&Passage>, why: NotDone) {
        if why == NotDone::NoSensor {
            return self.passed(passage);
        }
        if let Some(passage) = passage {
            self.knowledge.rules.ledger.not_passed(passage);
            self.tell_inside();
        }
    }

    /// Forgets who is inside `area`, or all areas: they may have left without being seen. Answers how many that were, and
    /// where it will be said that this is on the disk.
    pub(super) fn forget_inside(&mut self, area: Option<&AreaId>) -> (usize, oneshot::Receiver<bool>) {
        let forgotten = self.knowledge.rules.ledger.forget(area);
        self.tell_inside();
        tracing::info!(?area, forgotten, "nobody counts as inside any more");
        (forgotten, self.store.forget_inside(area))
    }

    /// Who passed unseen at this access point makes its area's ledger worthless.
    pub(super) fn passed_unseen(&mut self, i: usize) {
        let id = AccessPointId::from(self.points[i].id.as_str());
        let area = self.knowledge.rules.access_points.get(&id).and_then(|point| point.area.as_ref());
        if let Some(area) = area.map(|area| area.id.clone()) {
            // Whether it is on the disk matters to nobody who waits here.
            drop(self.forget_inside(Some(&area)));
        }
    }

    /// Tells the status how many are inside each area. The ledger is long: this is for when it has changed.
    pub(super) fn tell_inside(&self) {
        let inside = self.knowledge.rules.ledger.inside();
        self.status.inside(inside.into_iter().map(|(area, count)| (area.as_str().to_owned(), count)).collect());
    }

    /// What waits for a second factor where.
    pub(super) fn awaited(&self) -> BTreeMap<AccessPointId, &'static str> {
        let (rules, now) = (&self.knowledge.rules, self.clock.monotonic());
        let awaited = rules.access_points.iter().filter_map(|(id, point)| {
            let asked = point.two_factor?;
            let first = rules.factors.presented(id, asked.within_ms, now)?;
            let awaited = if first == asked.first { asked.second } else { asked.first };
            Some((id.clone(), awaited.name()))
        });
        awaited.collect()
    }
}

/// Forgets whoever is held no more: erased, blocked, removed.
pub(super) fn forget_gone(rules: &mut RuleSet) {
    let of_faces = rules.faces.values().map(|face| face.subject.clone());
    let of_cards = rules.cards.values().filter_map(|card| card.subject.clone());
    let of_plates = rules.plates.values().filter_map(|plate| plate.subject.clone());
    let subjects: BTreeSet<SubjectId> = of_faces.chain(of_cards).chain(of_plates).collect();
    let (plates, cards) = (&rules.plates, &rules.cards);
    rules.ledger.retain(|holder| match holder {
        Holder::Subject(subject) => subjects.contains(subject),
        Holder::Plate(plate) => plates.contains_key(plate),
        Holder::Card(card) => cards.contains_key(card),
    });
    rules.factors.retain(|subject| subjects.contains(subject));
}
