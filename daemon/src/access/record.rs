//! From a decision to what is recorded of it: ids, scores and timings, never a plate's text nor a face.

use cardea_access::credential::{Evidence, Method, PushedPlate};
use cardea_access::decide::{CredentialRef, Decision};
use cardea_protocol::event::{AccessDecision, Timings};
use cardea_protocol::id::{CommandId, PlateId, SubjectToken};

/// The record of `decision` about `evidence`.
pub(crate) fn record(decision: &Decision, evidence: &Evidence, timings: Timings) -> AccessDecision {
    let (score, threshold) = score(evidence);
    let liveness = match evidence {
        Evidence::Face(seen) => Some(seen.liveness.name().to_owned()),
        _ => None,
    };
    let (mut plate_id, mut command_id) = (None, None);
    match &decision.credential {
        Some(CredentialRef::Plate(id)) => plate_id = PlateId::new(id.as_str()).ok(),
        Some(CredentialRef::Command(id)) => command_id = CommandId::new(id.as_str()).ok(),
        Some(CredentialRef::Face(_) | CredentialRef::Card(_)) | None => {}
    }
    AccessDecision {
        credential: credential_name(decision.method).to_owned(),
        granted: decision.is_allowed(),
        reason: decision.reason.code().to_owned(),
        plate_id,
        card_id: None,
        subject: decision.subject.as_ref().and_then(|s| SubjectToken::new(s.as_str()).ok()),
        command_id,
        score,
        threshold,
        liveness,
        ends_at: None,
        timings,
    }
}

/// The name of a kind of credential in events.
fn credential_name(method: Method) -> &'static str {
    match method {
        Method::RemoteOpen => "remote",
        other => other.name(),
    }
}

/// The comparison score and its threshold, where there was something to compare with.
fn score(evidence: &Evidence) -> (Option<f32>, Option<f32>) {
    match evidence {
        Evidence::Plate(seen) | Evidence::PushedPlate(PushedPlate { plate: seen, .. }) => {
            let best = seen.best.as_ref().filter(|best| best.log_likelihood_ratio.is_finite());
            (best.map(|b| b.log_likelihood_ratio as f32), best.map(|b| b.threshold as f32))
        }
        Evidence::Face(seen) => {
            let best = seen.best.as_ref().filter(|best| best.score.is_finite());
            (best.map(|b| b.score), best.map(|b| b.threshold))
        }
        Evidence::Card(_) | Evidence::ExitButton | Evidence::RemoteOpen(_) => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_access::credential::{
        FaceEvidence, FaceMatch, Fitness, Liveness, PlateEvidence, PlateMatch, VehiclePresence,
    };
    use cardea_access::decide::{Outcome, decide};
    use cardea_access::request::AccessRequest;
    use cardea_access::rules::RuleSet;
    use cardea_access::time::Now;

    fn judged(evidence: Evidence) -> (Decision, Evidence) {
        let now = Now::default();
        let request = AccessRequest {
            access_point: "gate".into(),
            direction: cardea_access::request::Direction::Entry,
            evidence: evidence.clone(),
            at: now.wall,
            mono: now.mono,
        };
        let mut rules = RuleSet::new("boot".into());
        rules.access_points.insert("gate".into(), cardea_access::rules::AccessPoint::default());
        (decide(&request, &rules, now), evidence)
    }

    #[test]
    fn a_refused_stranger_leaves_a_score_and_nobodys_name() {
        let best = FaceMatch { template: "t1".into(), score: 0.2, threshold: 0.4, runner_up: None };
        let (liveness, fitness) = (Liveness::Live, Fitness::Production);
        let seen = FaceEvidence { best: Some(best), frames: 3, in_zone: true, liveness, fitness };
        let (decision, evidence) = judged(Evidence::Face(seen));
        let event = record(&decision, &evidence, Timings::default());
        assert_eq!((event.granted, event.subject, event.plate_id), (false, None, None));
        assert_eq!((event.score, event.threshold), (Some(0.2), Some(0.4)));
        assert_eq!((event.reason.as_str(), event.liveness.as_deref()), ("face-below-threshold", Some("live")));
    }

    #[test]
    fn an_impossible_plate_has_no_score() {
        let best = PlateMatch { plate: "p1".into(), log_likelihood_ratio: f64::NEG_INFINITY, threshold: 3.0 };
        let vehicle = VehiclePresence::NoLoop;
        let (decision, evidence) =
            judged(Evidence::Plate(PlateEvidence { best: Some(best), frames: 3, in_zone: true, vehicle }));
        let event = record(&decision, &evidence, Timings::default());
        assert_eq!(decision.outcome, Outcome::Deny);
        assert_eq!((event.score, event.reason.as_str()), (None, "plate-unknown"));
    }

    #[test]
    fn the_cloud_calls_an_open_on_demand_remote() {
        assert_eq!(credential_name(Method::RemoteOpen), "remote");
        assert_eq!(credential_name(Method::ExitButton), "exit-button");
    }
}
