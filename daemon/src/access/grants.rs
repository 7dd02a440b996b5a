//! Openings under way: what to record and whom to answer, from the grant to the mechanism's own word.
//!
//! Pure bookkeeping. *Accepted* is sent once the board has acknowledged the relay (or nothing needed switching),
//! *confirmed* once the mechanism has reported; a grant whose relay was never switched ends as refused.

use std::collections::BTreeMap;

use cardea_access::machine::{GrantId, NotDone};
use cardea_access::passback::Passage;
use cardea_protocol::event::AccessDecision;
use cardea_protocol::message::CommandOutcome;
use tokio::sync::mpsc;

use crate::capture::TrackKey;

/// One opening under way.
#[derive(Debug)]
pub(crate) struct Grant {
    /// The access point, by index.
    pub(crate) point: usize,
    /// The track it was granted to, if a camera's.
    pub(crate) track: Option<TrackKey>,
    /// Its record, until it is handed over; it waits for the relay's time.
    pub(crate) event: Option<AccessDecision>,
    /// Whoever ordered it.
    pub(crate) outcome: Option<mpsc::Sender<CommandOutcome>>,
    /// Who passes into or out of which area, if that is known.
    pub(crate) passage: Option<Passage>,
    accepted: bool,
}

impl Grant {
    /// An opening that was just decided.
    pub(crate) fn new(
        point: usize,
        track: Option<TrackKey>,
        event: AccessDecision,
        outcome: Option<mpsc::Sender<CommandOutcome>>,
        passage: Option<Passage>,
    ) -> Self {
        Self { point, track, event: Some(event), outcome, passage, accepted: false }
    }

    /// The relay has switched, or nothing needed switching.
    fn accept(&mut self) {
        if !self.accepted {
            self.accepted = true;
            self.answer(CommandOutcome::Accepted);
        }
    }

    fn answer(&self, outcome: CommandOutcome) {
        if let Some(sender) = &self.outcome
            && sender.try_send(outcome).is_err()
        {
            tracing::debug!("nobody waits for the outcome of a command any more");
        }
    }
}

/// All openings under way.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    grants: BTreeMap<GrantId, Grant>,
    last: u64,
}

impl Grants {
    /// Numbers a new opening.
    pub(crate) fn begin(&mut self, grant: Grant) -> GrantId {
        self.last += 1;
        let id = GrantId(self.last);
        self.grants.insert(id, grant);
        id
    }

    /// A number for an opening that is nobody's: by order, without a record.
    pub(crate) fn nobody(&mut self) -> GrantId {
        self.last += 1;
        GrantId(self.last)
    }

    /// It is known by now whose opening the one of this track is. Answers the passage if there is none under way any more.
    pub(crate) fn name(&mut self, track: TrackKey, passage: Passage) -> Option<Passage> {
        match self.grants.values_mut().find(|grant| grant.track == Some(track)) {
            Some(grant) => {
                grant.passage.get_or_insert(passage);
                None
            }
            None => Some(passage),
        }
    }

    /// The board has acknowledged after `relay_ms`, or nothing needed switching: answers the record to hand over.
    pub(crate) fn accepted(&mut self, id: GrantId, relay_ms: Option<f32>) -> Option<(usize, AccessDecision)> {
        let grant = self.grants.get_mut(&id)?;
        grant.accept();
        grant.event.take().map(|mut event| {
            event.timings.relay_ms = relay_ms;
            (grant.point, event)
        })
    }

    /// The board has refused: answers the record to hand over. `may_have_acted`: it may have switched all the same.
    pub(crate) fn relay_failed(&mut self, id: GrantId, may_have_acted: bool) -> Option<(usize, AccessDecision)> {
        let grant = self.grants.get_mut(&id)?;
        if may_have_acted {
            grant.accept();
        }
        grant.event.take().map(|event| (grant.point, event))
    }

    /// The mechanism reported that it has opened.
    pub(crate) fn confirmed(&mut self, id: GrantId) -> Option<Grant> {
        let mut grant = self.grants.remove(&id)?;
        grant.accept();
        grant.answer(CommandOutcome::Confirmed);
        Some(grant)
    }

    /// The mechanism did not report, or the relay was never switched.
    pub(crate) fn not_confirmed(&mut self, id: GrantId, why: NotDone) -> Option<Grant> {
        let grant = self.grants.remove(&id)?;
        grant.answer(if grant.accepted {
            CommandOutcome::NotConfirmed
        } else {
            CommandOutcome::Refused { reason: why.code().to_owned() }
        });
        Some(grant)
    }

    /// The machine did not begin: the record says so, too.
    pub(crate) fn refused(&mut self, id: GrantId, why: NotDone) -> Option<Grant> {
        let mut grant = self.grants.remove(&id)?;
        if let Some(event) = &mut grant.event {
            (event.granted, event.reason) = (false, why.code().to_owned());
        }
        grant.answer(CommandOutcome::Refused { reason: why.code().to_owned() });
        Some(grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_protocol::event::Timings;

    fn begun(grants: &mut Grants) -> (GrantId, mpsc::Receiver<CommandOutcome>) {
        let (sender, outcomes) = mpsc::channel(4);
        let event = AccessDecision {
            credential: "remote".into(),
            granted: true,
            reason: "remote-open".into(),
            plate_id: None,
            card_id: None,
            subject: None,
            command_id: None,
            score: None,
            threshold: None,
            liveness: None,
            ends_at: None,
            timings: Timings::default(),
        };
        (grants.begin(Grant::new(0, None, event, Some(sender), None)), outcomes)
    }

    fn all(mut outcomes: mpsc::Receiver<CommandOutcome>) -> Vec<CommandOutcome> {
        std::iter::from_fn(|| outcomes.try_recv().ok()).collect()
    }

    #[test]
    fn accepted_by_the_relay_then_confirmed_by_the_mechanism() {
        let mut grants = Grants::default();
        let (id, outcomes) = begun(&mut grants);
        let (_, event) = grants.accepted(id, Some(7.0)).unwrap();
        assert_eq!(event.timings.relay_ms, Some(7.0));
        assert!(grants.accepted(id, Some(9.0)).is_none(), "recorded once");
        assert!(grants.confirmed(id).is_some());
        assert!(grants.confirmed(id).is_none());
        assert_eq!(all(outcomes), [CommandOutcome::Accepted, CommandOutcome::Confirmed]);
    }

    #[test]
    fn a_boom_that_is_up_already_is_accepted_before_it_is_confirmed() {
        let mut grants = Grants::default();
        let (id, outcomes) = begun(&mut grants);
        assert!(grants.confirmed(id).unwrap().event.is_some(), "still to be recorded");
        assert_eq!(all(outcomes), [CommandOutcome::Accepted, CommandOutcome::Confirmed]);
    }

    #[test]
    fn a_relay_that_never_switched_is_a_refusal() {
        let mut grants = Grants::default();
        let (id, outcomes) = begun(&mut grants);
        assert_eq!(grants.relay_failed(id, false).unwrap().1.timings.relay_ms, None);
        grants.not_confirmed(id, NotDone::ActuationFailed);
        assert_eq!(all(outcomes), [CommandOutcome::Refused { reason: "actuation-failed".into() }]);
    }

    #[test]
    fn a_relay_that_may_have_switched_is_not_confirmed() {
        let mut grants = Grants::default();
        let (id, outcomes) = begun(&mut grants);
        grants.relay_failed(id, true);
        grants.not_confirmed(id, NotDone::ActuationFailed);
        assert_eq!(all(outcomes), [CommandOutcome::Accepted, CommandOutcome::NotConfirmed]);
    }

    #[test]
    fn what_the_machine_did_not_begin_is_recorded_as_refused() {
        let mut grants = Grants::default();
        let (id, outcomes) = begun(&mut grants);
        let event = grants.refused(id, NotDone::Busy).unwrap().event.unwrap();
        assert_eq!((event.granted, event.reason.as_str()), (false, "busy"));
        assert_eq!(all(outcomes), [CommandOutcome::Refused { reason: "busy".into() }]);
    }
}
