//! Can the clock be right? Certificates, commands and freshness depend on it.

use cardea_access::time::Timestamp;
use cardea_protocol::rfc3339;

use super::{Context, Finding};

const NAME: &str = "clock";
/// 2026-01-01: no clock is right that says less.
const BEFORE_THIS_PROGRAM: Timestamp = Timestamp(1_767_225_600_000);

pub(super) fn check(context: &Context) -> Vec<Finding> {
    let issued = context.claimed().map(|identity| identity.credential.not_before);
    let free_hours = context.config.access_points.iter().any(|point| point.rules().free_hours.is_some());
    vec![judge(context.clock.now(), issued, free_hours && !context.clock.is_set())]
}

/// `issued` is when this controller's certificate began to be valid: time that has certainly passed. `waiting`: there are free
/// hours, and nothing is known to have set the clock since the start.
fn judge(now: Timestamp, issued: Option<Timestamp>, waiting: bool) -> Finding {
    let floor = issued.map_or(BEFORE_THIS_PROGRAM, |at| at.max(BEFORE_THIS_PROGRAM));
    let shown = rfc3339::format(now);
    if now < floor {
        let found = format!("the clock says {shown}, but {} has certainly passed", rfc3339::format(floor));
        return Finding::failure(NAME, found, "set it and let it be kept: timedatectl set-ntp true");
    }
    if waiting {
        let found = format!("the clock says {shown}, and nothing is known to have set it since the start");
        let todo = "free hours begin when the cloud has told the time; without it: timedatectl set-ntp true, or a clock with \
                    a battery";
        return Finding::warning(NAME, found, todo);
    }
    Finding::ok(NAME, format!("the clock says {shown}, which can be"))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_clock_behind_what_has_passed_is_a_failure() {
        assert_eq!(judge(Timestamp(0), None, false).verdict, Verdict::Failure, "a board without a battery");
        let issued = BEFORE_THIS_PROGRAM.plus_ms(1_000);
        assert_eq!(judge(BEFORE_THIS_PROGRAM, Some(issued), true).verdict, Verdict::Failure);
        assert_eq!(judge(issued, Some(issued), false).verdict, Verdict::Ok);
        assert_eq!(judge(issued, Some(issued), true).verdict, Verdict::Warning);
    }
}
