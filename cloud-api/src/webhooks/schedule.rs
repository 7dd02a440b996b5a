//! When a message that was not delivered is tried again, and when it is given up.

use rand::Rng;

/// From each failed attempt to the next, seconds: the schedule that Standard Webhooks proposes. Three days in all.
pub const RETRIES_S: [i64; 9] =
    [5, 5 * 60, 30 * 60, 2 * 3_600, 5 * 3_600, 10 * 3_600, 14 * 3_600, 20 * 3_600, 24 * 3_600];

/// How long a message may wait, milliseconds: three and a half days, more than [`RETRIES_S`] and a tenth. It bounds the outbox
/// where a receiver has so much waiting that not every message has its attempts.
pub const KEEP_MS: i64 = 84 * 3_600 * 1_000;

/// The longest pause of a webhook that fails, milliseconds. A receiver that is back is found out as soon.
pub const MAX_PAUSE_MS: i64 = 5 * 60 * 1_000;

/// How long nothing is attempted through a webhook whose every attempt has failed for `failing_ms`, milliseconds: a tenth of
/// that time, so that one failure among many successes stops nothing, and no more than [`MAX_PAUSE_MS`].
pub fn pause_ms(failing_ms: i64) -> i64 {
    (failing_ms / 10).clamp(0, MAX_PAUSE_MS)
}

/// How long to wait after attempt `attempt`, counted from 1, has failed, milliseconds: the schedule, a tenth more or less, so
/// that receivers that have failed together are not asked together. `None` after the last one.
pub fn retry_ms(attempt: u32, rng: &mut impl Rng) -> Option<i64> {
    let place = usize::try_from(attempt.checked_sub(1)?).ok()?;
    let wait_ms = RETRIES_S.get(place)? * 1_000;
    Some(rng.random_range(wait_ms * 9 / 10..=wait_ms * 11 / 10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    proptest! {
        #[test]
        fn each_wait_is_its_own_a_tenth_more_or_less(seed: u64, attempt in 0u32..20) {
            let wait = retry_ms(attempt, &mut StdRng::seed_from_u64(seed));
            let meant = (1..=9).contains(&attempt).then(|| RETRIES_S[attempt as usize - 1] * 1_000);
            prop_assert_eq!(wait.is_some(), meant.is_some());
            if let (Some(wait), Some(meant)) = (wait, meant) {
                prop_assert!((wait - meant).abs() * 10 <= meant, "{} {}", wait, meant);
            }
        }
    }

    #[test]
    fn the_schedule_ends_before_a_message_is_too_old() {
        assert!(RETRIES_S.iter().sum::<i64>() * 1_100 < KEEP_MS);
    }

    #[test]
    fn pauses_grow_with_the_failure_and_delay_no_message_that_waits_alone() {
        assert_eq!([-1, 0, 9, 10, 60_000].map(pause_ms), [0, 0, 0, 1, 6_000]);
        assert_eq!(pause_ms(i64::MAX), MAX_PAUSE_MS);
        let mut failing_s = 0;
        for wait_s in RETRIES_S {
            assert!(pause_ms(failing_s * 1_100) <= wait_s * 900, "before {wait_s} s");
            failing_s += wait_s;
        }
    }

    #[test]
    fn waits_are_spread() {
        let mut rng = StdRng::seed_from_u64(1);
        let waits: std::collections::BTreeSet<_> = (0..20).map(|_| retry_ms(1, &mut rng)).collect();
        assert!(waits.len() > 10);
    }
}
