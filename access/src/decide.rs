//! The one place that decides.
//!
//! Plate, face, card, exit button and remote open are judged by [`decide`], at the gate, in the simulator and in tests
//! alike. It follows three rules:
//!
//! - **Deny overrides allow.** Each kind of evidence passes a list of objections; one suffices, and the first is the reason
//!   given. Only what meets none is admitted.
//! - **Out is free.** The exit button always opens, and no rule about who someone is, where they were seen last, what hour
//!   it is, or whether the lists are fresh, keeps anyone in. Evidence on the way out must only be real: in the zone and recent.
//! - **Nothing is remembered.** The same request, rules and time give the same decision. What one decision means for the
//!   next (someone is on their way in, a first factor waits for a second one) is the rules' [`crate::passback::Ledger`] and
//!   [`crate::factors::Factors`], which the shell tells.
//!
//! Source of the vocabulary: EN 60839-11-1 (access decision); ONVIF Access Control service (the events access granted and
//! access denied, with a reason).

use crate::command;
use crate::credential::{
    Evidence, FaceEvidence, Fitness, Liveness, Method, PictureCheck, PlateEvidence, PushedPlate, RemoteOpen,
    VehiclePresence,
};
use crate::id::{AccessPointId, CardId, CommandId, PlateId, SubjectId, TemplateId};
use crate::passback::{Holder, Passage, Passback};
use crate::reason::Reason;
use crate::request::{AccessRequest, Direction};
use crate::rules::{AccessPoint, Blockable, FaceGrant, Grant, Mode, PadPolicy, PlateGrant, RuleSet};
use crate::time::{Now, Timestamp};

/// Admitted or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Open.
    Allow,
    /// Stay shut.
    Deny,
}

/// What was decided and why. Holds ids only, so it may be recorded and sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Admitted or not; always as [`Reason::admits`] says.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// Where.
    pub access_point: AccessPointId,
    /// Which way.
    pub direction: Direction,
    /// The kind of evidence.
    pub method: Method,
    /// The registration the evidence points at, if any: also where it was refused.
    pub credential: Option<CredentialRef>,
    /// The person behind it, if known.
    pub subject: Option<SubjectId>,
    /// Who passes into or out of which area if the access point opens, where that is known.
    pub passage: Option<Passage>,
    /// Whether someone was admitted who is inside already: to be reported, because here that refuses nobody.
    pub passback: bool,
    /// When it was decided: the wall-clock time the rules were judged by.
    pub at: Timestamp,
}

impl Decision {
    /// Whether to open.
    pub fn is_allowed(&self) -> bool {
        self.outcome == Outcome::Allow
    }
}

/// Which registration a decision is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum CredentialRef {
    Plate(PlateId),
    Face(TemplateId),
    Card(CardId),
    Command(CommandId),
}

/// Decides one request.
pub fn decide(request: &AccessRequest, rules: &RuleSet, now: Now) -> Decision {
    let judge = Judge { request, rules, now, wall: rules.wall_time(now) };
    let identity = judge.identify();
    let (reason, passage, passback) = match judge.verdict(&identity) {
        Ok(Admission { reason, passage, passback }) => (reason, passage, passback),
        Err(reason) => (reason, None, false),
    };
    let Identity { credential, subject } = identity;
    Decision {
        outcome: if reason.admits() { Outcome::Allow } else { Outcome::Deny },
        reason,
        access_point: request.access_point.clone(),
        direction: request.direction,
        method: request.evidence.method(),
        credential,
        subject,
        passage,
        passback,
        at: judge.wall,
    }
}

/// A request before the rules. Objections are `Err`, the reason to admit is `Ok`.
struct Judge<'a> {
    request: &'a AccessRequest,
    rules: &'a RuleSet,
    now: Now,
    wall: Timestamp,
}

type Verdict = Result<Reason, Reason>;

/// The registration and the person the evidence points at.
#[derive(Default)]
struct Identity {
    credential: Option<CredentialRef>,
    subject: Option<SubjectId>,
}

impl Identity {
    /// Who that is for the ledger: the person where known, else what was presented.
    fn holder(&self) -> Option<Holder> {
        match (&self.subject, &self.credential) {
            (Some(subject), _) => Some(Holder::Subject(subject.clone())),
            (None, Some(CredentialRef::Plate(plate))) => Some(Holder::Plate(plate.clone())),
            (None, Some(CredentialRef::Card(card))) => Some(Holder::Card(card.clone())),
            (None, Some(CredentialRef::Face(_) | CredentialRef::Command(_)) | None) => None,
        }
    }
}

/// A request that meets no objection.
struct Admission {
    reason: Reason,
    passage: Option<Passage>,
    passback: bool,
}

impl Admission {
    /// Through an access point of which nothing more is to be known.
    const fn plain(reason: Reason) -> Self {
        Self { reason, passage: None, passback: false }
    }
}

impl Judge<'_> {
    fn verdict(&self, identity: &Identity) -> Result<Admission, Reason> {
        if self.request.evidence == Evidence::ExitButton {
            return Ok(Admission::plain(Reason::ExitButton));
        }
        let point = self.rules.access_points.get(&self.request.access_point).ok_or(Reason::AccessPointUnknown)?;
        // An open on demand comes from outside, whichever way the access point leads.
        if let Evidence::RemoteOpen(open) = &self.request.evidence {
            self.command(open)?;
        } else {
            self.seen_in_time()?;
            if self.request.direction == Direction::Exit {
                // Everybody may leave, but only who is surely recognised is known to have left.
                let passage = self.recognised(point.pad).and_then(|()| self.passage(point, identity.holder()));
                return self.way_out().map(|reason| Admission { reason, passage, passback: false });
            }
        }
        object(point.mode == Mode::LockedDown, Reason::LockedDown)?;
        object(point.faulted, Reason::EquipmentFault)?;
        let method = self.request.evidence.method();
        object(!point.methods.contains(&method), Reason::MethodNotAccepted)?;
        object(point.hours.get(&method).is_some_and(|hours| !hours.allows(self.wall)), Reason::OutsideHours)?;
        let reason = match &self.request.evidence {
            Evidence::Plate(seen) => self.plate(seen),
            Evidence::PushedPlate(pushed) => {
                picture(pushed)?;
                self.plate(&pushed.plate)
            }
            Evidence::Face(seen) => self.face(seen, point.pad),
            Evidence::Card(card) => self.card(card),
            Evidence::ExitButton => Ok(Reason::ExitButton),
            Evidence::RemoteOpen(_) => self.subject_is_free(identity.subject.as_ref()).map(|()| Reason::RemoteOpen),
        }?;
        self.company(point, identity, reason)
    }

    /// What depends on who passed before, or presented what before.
    fn company(&self, point: &AccessPoint, identity: &Identity, reason: Reason) -> Result<Admission, Reason> {
        let mut holder = identity.holder();
        // Before the second factor is waited for: nobody is asked for a face in order to be refused.
        let mut passback = self.passback(point, holder.as_ref())?;
        if let Some(asked) = point.two_factor.filter(|_| self.request.evidence.method().is_credential()) {
            let (method, subject) = (self.request.evidence.method(), identity.subject.as_ref());
            let id = &self.request.access_point;
            let first = self.rules.factors.judge(asked, id, method, subject, self.now.mono)?;
            if let (None, Some(first)) = (subject, first) {
                self.subject_is_free(Some(first))?;
                holder = Some(Holder::Subject(first.clone()));
                passback = self.passback(point, holder.as_ref())?;
            }
        }
        Ok(Admission { reason, passage: self.passage(point, holder), passback })
    }

    /// Whether the holder is inside already where that only is to be reported.
    fn passback(&self, point: &AccessPoint, holder: Option<&Holder>) -> Result<bool, Reason> {
        let (Some(area), Some(holder), Direction::Entry) = (&point.area, holder, self.request.direction) else {
            return Ok(false);
        };
        // The wall clock of the rules, which a clock set back does not move.
        let now = Now { wall: self.wall, ..self.now };
        let objection = self.rules.ledger.objection(&area.id, holder, area.passback, now);
        match area.passback {
            Passback::Soft => Ok(objection),
            Passback::Hard => object(objection, Reason::PassbackInside).map(|()| false),
            Passback::Timed { .. } => object(objection, Reason::PassbackTooSoon).map(|()| false),
        }
    }

    fn passage(&self, point: &AccessPoint, holder: Option<Holder>) -> Option<Passage> {
        let area = point.area.as_ref()?.id.clone();
        Some(Passage { area, direction: self.request.direction, holder: holder? })
    }

    /// The registration and the person the evidence points at, whether they will be admitted or not.
    fn identify(&self) -> Identity {
        match &self.request.evidence {
            Evidence::Plate(seen) | Evidence::PushedPlate(PushedPlate { plate: seen, .. }) => {
                let Some(best) = seen.best.as_ref().filter(|m| m.log_likelihood_ratio > 0.0) else {
                    return Identity::default();
                };
                let subject = self.rules.plates.get(&best.plate).and_then(|g| g.subject.clone());
                Identity { credential: Some(CredentialRef::Plate(best.plate.clone())), subject }
            }
            Evidence::Face(seen) => {
                // A score below the threshold names nobody: a stranger is not recorded under a resident's id.
                let Some(best) = seen.best.as_ref().filter(|m| m.score >= m.threshold) else {
                    return Identity::default();
                };
                let subject = self.rules.faces.get(&best.template).map(|g| g.subject.clone());
                Identity { credential: Some(CredentialRef::Face(best.template.clone())), subject }
            }
            Evidence::Card(card) => {
                let grant = self.rules.cards.get(card);
                let credential = grant.map(|_| CredentialRef::Card(card.clone()));
                Identity { credential, subject: grant.and_then(|g| g.subject.clone()) }
            }
            Evidence::ExitButton => Identity::default(),
            Evidence::RemoteOpen(open) => {
                let credential = Some(CredentialRef::Command(open.command.id.clone()));
                Identity { credential, subject: open.subject.clone() }
            }
        }
    }

    fn command(&self, open: &RemoteOpen) -> Result<(), Reason> {
        command::check(&open.command, open.first_seen, &self.rules.boot_id, self.wall).map_err(|r| r.reason())
    }

    fn seen_in_time(&self) -> Result<(), Reason> {
        let age_ms = self.now.mono.since_ms(self.request.mono);
        object(age_ms > self.rules.limits.evidence_max_age_ms, Reason::EvidenceTooOld)
    }

    /// Whoever is really there may leave.
    fn way_out(&self) -> Verdict {
        match &self.request.evidence {
            Evidence::Plate(seen) | Evidence::PushedPlate(PushedPlate { plate: seen, .. }) => {
                object(!seen.in_zone, Reason::PlateOutsideZone)?;
            }
            Evidence::Face(seen) => object(!seen.in_zone, Reason::FaceOutsideZone)?,
            Evidence::Card(_) | Evidence::ExitButton | Evidence::RemoteOpen(_) => {}
        }
        Ok(Reason::ExitFree)
    }

    /// Some if the evidence names a registration as surely as it has to on the way in.
    fn recognised(&self, pad: PadPolicy) -> Option<()> {
        match &self.request.evidence {
            Evidence::Plate(seen) => self.known_plate(seen).is_ok(),
            Evidence::PushedPlate(pushed) => picture(pushed).and_then(|()| self.known_plate(&pushed.plate)).is_ok(),
            Evidence::Face(seen) => self.known_face(seen, pad).is_ok(),
            Evidence::Card(card) => self.rules.cards.contains_key(card),
            Evidence::ExitButton | Evidence::RemoteOpen(_) => false,
        }
        .then_some(())
    }

    fn known_plate(&self, seen: &PlateEvidence) -> Result<&PlateGrant, Reason> {
        let limits = &self.rules.limits;
        object(!seen.in_zone, Reason::PlateOutsideZone)?;
        object(seen.vehicle == VehiclePresence::Absent, Reason::LoopClear)?;
        object(seen.vehicle == VehiclePresence::Unknown, Reason::EquipmentFault)?;
        let best = seen.best.as_ref().ok_or(Reason::PlateUnknown)?;
        require(best.log_likelihood_ratio > 0.0, Reason::PlateUnknown)?;
        require(best.log_likelihood_ratio >= best.threshold, Reason::PlateUncertain)?;
        object(seen.frames < limits.plate_min_frames.max(1), Reason::PlateTooFewFrames)?;
        self.rules.plates.get(&best.plate).ok_or(Reason::PlateUnknown)
    }

    fn plate(&self, seen: &PlateEvidence) -> Verdict {
        let known = self.known_plate(seen)?;
        self.unblocked(Blockable::Plate(known.plate.clone()), Reason::PlateBlocked)?;
        self.subject_is_free(known.subject.as_ref())?;
        self.fresh(Method::Plate, Reason::PlateStale)?;
        self.granted(&known.grant)?;
        Ok(Reason::PlateAdmitted)
    }

    fn known_face(&self, seen: &FaceEvidence, pad: PadPolicy) -> Result<&FaceGrant, Reason> {
        let limits = &self.rules.limits;
        object(!seen.in_zone, Reason::FaceOutsideZone)?;
        object(seen.fitness == Fitness::Demo && !limits.demo_face_models, Reason::FaceModelDemo)?;
        object(pad == PadPolicy::Require && seen.liveness == Liveness::Spoof, Reason::FaceSpoof)?;
        let best = seen.best.as_ref().ok_or(Reason::FaceUnknown)?;
        require(best.score >= best.threshold, Reason::FaceBelowThreshold)?;
        let clear = best.runner_up.is_none_or(|other| best.score - other >= limits.face_min_margin);
        require(clear, Reason::FaceAmbiguous)?;
        object(seen.frames < limits.face_min_frames.max(1), Reason::FaceTooFewFrames)?;
        object(pad == PadPolicy::Require && seen.liveness != Liveness::Live, Reason::FaceLivenessUnknown)?;
        self.rules.faces.get(&best.template).ok_or(Reason::FaceErased)
    }

    fn face(&self, seen: &FaceEvidence, pad: PadPolicy) -> Verdict {
        let known = self.known_face(seen, pad)?;
        self.subject_is_free(Some(&known.subject))?;
        self.fresh(Method::Face, Reason::FaceStale)?;
        self.granted(&known.grant)?;
        Ok(Reason::FaceAdmitted)
    }

    fn card(&self, card: &CardId) -> Verdict {
        self.unblocked(Blockable::Card(card.clone()), Reason::CardBlocked)?;
        let known = self.rules.cards.get(card).ok_or(Reason::CardUnknown)?;
        self.subject_is_free(known.subject.as_ref())?;
        self.fresh(Method::Card, Reason::CardStale)?;
        self.granted(&known.grant)?;
        Ok(Reason::CardAdmitted)
    }

    fn subject_is_free(&self, subject: Option<&SubjectId>) -> Result<(), Reason> {
        subject.map_or(Ok(()), |s| self.unblocked(Blockable::Subject(s.clone()), Reason::SubjectBlocked))
    }

    fn unblocked(&self, what: Blockable, reason: Reason) -> Result<(), Reason> {
        object(self.rules.blocks.is_active(&what, self.wall), reason)
    }

    fn fresh(&self, method: Method, reason: Reason) -> Result<(), Reason> {
        object(self.rules.counts_for_ms(method, self.now) == Some(0), reason)
    }

    fn granted(&self, grant: &Grant) -> Result<(), Reason> {
        grant.refusal(&self.request.access_point, self.wall).map_or(Ok(()), Err)
    }
}

/// Whether the picture bears out what another machine has read.
fn picture(pushed: &PushedPlate) -> Result<(), Reason> {
    object(pushed.picture == PictureCheck::Differs, Reason::PlatePictureDiffers)?;
    object(pushed.picture == PictureCheck::Missing, Reason::PlateTextOnly)
}

/// Refuses with `reason` if `objection` holds.
fn object(objection: bool, reason: Reason) -> Result<(), Reason> {
    if objection { Err(reason) } else { Ok(()) }
}

/// Refuses with `reason` unless `condition` holds. Comparisons go here, so that a score that is not a number refuses.
fn require(condition: bool, reason: Reason) -> Result<(), Reason> {
    object(!condition, reason)
}

#[cfg(test)]
mod company_tests;
#[cfg(test)]
mod tests;
