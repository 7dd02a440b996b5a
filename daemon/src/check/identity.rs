//! Is this controller claimed, and for how long is its certificate good?

use cardea_access::time::Timestamp;
use cardea_protocol::rfc3339;

use super::{Context, Finding, chain};

const NAME: &str = "identity";
const DAY_MS: i64 = 24 * 3_600_000;

pub(super) fn check(context: &Context) -> Vec<Finding> {
    match &context.identity {
        Err(error) => vec![Finding::failure(NAME, chain(error), "claim this controller anew: cardead claim --replace")],
        Ok(None) => vec![Finding::failure(
            NAME,
            "this controller has not been claimed, so nobody can be registered here",
            "get a claim code from the operator and run: cardead claim",
        )],
        Ok(Some(identity)) => {
            let who = format!("claimed as {} at site {}", identity.controller(), identity.site());
            let credential = &identity.credential;
            vec![validity(&who, context.clock.now(), credential.not_before, credential.not_after)]
        }
    }
}

/// A certificate is renewed in the last third of its life; it worries in the last sixth.
fn validity(who: &str, now: Timestamp, from: Timestamp, until: Timestamp) -> Finding {
    let (left, life) = (until.since_ms(now), until.since_ms(from));
    let found =
        format!("{who}; the certificate is good until {} ({} days left)", rfc3339::format(until), left / DAY_MS);
    if now < from {
        let found = format!("{who}; the certificate is not good before {}", rfc3339::format(from));
        Finding::failure(NAME, found, "set the clock: timedatectl set-ntp true")
    } else if left <= 0 {
        let todo = "a running cardead renews it where the cloud's enrolment port can be reached, for 90 days if the operator has not chosen otherwise; after that, ask the operator for a new id and its code, and claim with --replace";
        Finding::failure(NAME, format!("{who}; the certificate ended on {}", rfc3339::format(until)), todo)
    } else if left < life / 6 {
        Finding::warning(
            NAME,
            found,
            "it should have renewed itself: check that cardead runs and the cloud is reachable",
        )
    } else {
        Finding::ok(NAME, found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_certificate_has_a_beginning_a_worry_and_an_end() {
        let verdict =
            |day: i64| validity("claimed", Timestamp(day * DAY_MS), Timestamp(0), Timestamp(60 * DAY_MS)).verdict;
        assert_eq!(verdict(-1), Verdict::Failure);
        assert_eq!(verdict(0), Verdict::Ok);
        assert_eq!(verdict(49), Verdict::Ok);
        assert_eq!(verdict(51), Verdict::Warning);
        assert_eq!(verdict(60), Verdict::Failure);
    }
}
