//! Two factors: an access point may ask for two credentials within a time, for example a plate and then a face.
//!
//! The first one opens nothing. It is judged by every rule like a credential that is to open, recorded as
//! [`Reason::SecondFactorAwaited`], and remembered for its access point; the second one, which must meet every rule too,
//! opens while that memory is fresh. Presenting the first factor again renews it.
//!
//! - **Only the monotonic clock counts**, and a memory from the future is none: no clock can be set so that an old first
//!   factor counts.
//! - **The same person**, where both are tied to a subject. Where one is not, as with a plate registered for the site
//!   alone, any other admitted credential of the second kind is enough.
//! - **A plate counts while its vehicle is there**, where a loop can tell: whoever comes next begins anew.
//! - **It is kept in memory only.** After a restart the first factor has to be presented again.
//!
//! The exit button, the way out and an open on demand are not concerned: whoever orders an opening stands for both.

use std::collections::BTreeMap;

use crate::credential::Method;
use crate::decide::Decision;
use crate::id::{AccessPointId, SubjectId};
use crate::reason::Reason;
use crate::time::Monotonic;

/// What an access point asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TwoFactor {
    /// What is presented first.
    pub first: Method,
    /// What is presented then; another kind.
    pub second: Method,
    /// Whether they may come the other way round, too.
    pub any_order: bool,
    /// How long after the first one the second one may come, in milliseconds.
    pub within_ms: u64,
}

/// A first factor that was presented.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Presented {
    method: Method,
    subject: Option<SubjectId>,
    at: Monotonic,
}

/// The first factors that were presented, at most one for each access point.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Factors(BTreeMap<AccessPointId, Presented>);

impl Factors {
    /// What `asked` says of an otherwise admitted credential of `method` at `access_point`: the first factor's subject if the
    /// second is complete with this one.
    pub(crate) fn judge(
        &self,
        asked: TwoFactor,
        access_point: &AccessPointId,
        method: Method,
        subject: Option<&SubjectId>,
        now: Monotonic,
    ) -> Result<Option<&SubjectId>, Reason> {
        let other = match method {
            m if m == asked.second => asked.first,
            m if m == asked.first => asked.second,
            _ => return Err(Reason::MethodNotAccepted),
        };
        let may_begin = method == asked.first || asked.any_order;
        let missing = if may_begin { Reason::SecondFactorAwaited } else { Reason::FirstFactorMissing };
        if method == asked.first && !asked.any_order {
            return Err(Reason::SecondFactorAwaited);
        }
        let Some(first) = self.0.get(access_point).filter(|first| first.method == other && first.at <= now) else {
            return Err(missing);
        };
        match now.since_ms(first.at) {
            age if age <= asked.within_ms => {}
            // Long ago it is a new beginning; before, the person should hear what went wrong.
            age if age <= asked.within_ms.saturating_mul(2) && !may_begin => return Err(Reason::SecondFactorLate),
            _ => return Err(missing),
        }
        match (&first.subject, subject) {
            (Some(first), Some(second)) if first != second => Err(Reason::SecondFactorOtherSubject),
            (first, _) => Ok(first.as_ref()),
        }
    }

    /// Takes what was decided at `now`: a first factor is remembered, an admission uses it up.
    pub fn decided(&mut self, decision: &Decision, now: Monotonic) {
        if decision.reason == Reason::SecondFactorAwaited {
            let presented = Presented { method: decision.method, subject: decision.subject.clone(), at: now };
            self.0.insert(decision.access_point.clone(), presented);
        } else if decision.is_allowed() && decision.method.is_credential() {
            self.0.remove(&decision.access_point);
        }
    }

    /// The kind of the first factor that was presented at `access_point` not more than `within_ms` ago.
    pub fn presented(&self, access_point: &AccessPointId, within_ms: u64, now: Monotonic) -> Option<Method> {
        let first = self.0.get(access_point)?;
        (first.at <= now && now.since_ms(first.at) <= within_ms).then_some(first.method)
    }

    /// Forgets the first factors of subjects who are not `held` any more.
    pub fn retain(&mut self, held: impl Fn(&SubjectId) -> bool) {
        self.0.retain(|_, first| first.subject.as_ref().is_none_or(&held));
    }

    /// The vehicle that waited at `access_point` has gone, and its plate with it.
    pub fn vehicle_left(&mut self, access_point: &AccessPointId) {
        if self.0.get(access_point).is_some_and(|first| first.method == Method::Plate) {
            self.0.remove(access_point);
        }
    }
}
