//! When a message that was not delivered is tried again.

use rand::Rng;

/// From each failed attempt to the next, seconds: the schedule that Standard Webhooks proposes. Three days in all.
pub const RETRIES_S: [i64; 9] =
    [5, 5 * 60, 30 * 60, 2 * 3_600, 5 * 3_600, 10 * 3_600, 14 * 3_600, 20 * 3_600, 24 * 3_600];

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
    fn waits_are_spread() {
        let mut rng = StdRng::seed_from_u64(1);
        let waits: std::collections::BTreeSet<_> = (0..20).map(|_| retry_ms(1, &mut rng)).collect();
        assert!(waits.len() > 10);
    }
}
