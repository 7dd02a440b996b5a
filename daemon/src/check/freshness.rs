//! Do credentials still count without a word from the cloud, and for how long?

use std::collections::BTreeMap;

use super::{Context, Finding};
use crate::local::HoldingsStatus;

const NAME: &str = "freshness";
const TODO: &str = "the checks of cloud and broker say why it is not heard";

pub(super) fn check(context: &Context) -> Vec<Finding> {
    context.running.as_ref().map(|status| judge(&status.holdings)).unwrap_or_default()
}

fn judge(held: &HoldingsStatus) -> Vec<Finding> {
    let limits: BTreeMap<&String, (u64, u64)> = held
        .staleness_limits_s
        .iter()
        .filter_map(|(of, limit_s)| Some((of, (*limit_s, *held.counts_for_ms.get(of)?))))
        .collect();
    let heard = match held.freshness_age_ms {
        Some(age_ms) => format!("the last word of the cloud is {} old", span(age_ms)),
        None => "the cloud was never heard, or the clock stands before its last word".to_owned(),
    };
    let mut findings: Vec<Finding> = limits
        .iter()
        .filter_map(|(of, (limit_s, left_ms))| match left_ms {
            0 => Some(Finding::failure(
                NAME,
                format!("{heard}: no {of} opens, the limit is {}", span(limit_s * 1_000)),
                TODO,
            )),
            left_ms if *left_ms <= limit_s * 500 => {
                Some(Finding::warning(NAME, format!("{heard}: in {} no {of} opens any more", span(*left_ms)), TODO))
            }
            _ => None,
        })
        .collect();
    if findings.is_empty() && !limits.is_empty() {
        findings.push(Finding::ok(NAME, heard));
    }
    findings
}

/// A span as people say it, rounded down.
fn span(ms: u64) -> String {
    match ms / 1_000 {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7_200 => format!("{} min", s / 60),
        s => format!("{} h", s / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn held(age_ms: Option<u64>, left_ms: u64) -> HoldingsStatus {
        HoldingsStatus {
            freshness_age_ms: age_ms,
            counts_for_ms: BTreeMap::from([("face".to_owned(), left_ms)]),
            staleness_limits_s: BTreeMap::from([("face".to_owned(), 3_600)]),
            ..HoldingsStatus::default()
        }
    }

    #[test]
    fn the_end_is_seen_coming() {
        let one = |age_ms, left_ms| judge(&held(age_ms, left_ms)).remove(0);
        assert_eq!(one(Some(20_000), 3_580_000).verdict, Verdict::Ok);
        let soon = one(Some(2_400_000), 1_200_000);
        assert_eq!(soon.verdict, Verdict::Warning);
        assert_eq!(soon.found, "the last word of the cloud is 40 min old: in 20 min no face opens any more");
        let over = one(Some(7_200_000), 0);
        assert_eq!(over.verdict, Verdict::Failure);
        assert_eq!(over.found, "the last word of the cloud is 2 h old: no face opens, the limit is 60 min");
        assert_eq!(one(None, 0).verdict, Verdict::Failure);
        assert!(judge(&HoldingsStatus::default()).is_empty(), "nothing here has a limit");
    }
}
