//! How long to wait before the next connection: exponential, with jitter, so that a fleet does not come back as one.

use std::time::Duration;

use rand::Rng;

const FIRST_MS: u64 = 250;
/// A revocation that waits for the network waits at most this much longer than it must.
const LONGEST_MS: u64 = 10_000;
/// A session that held this long was a good one.
pub(super) const GOOD_SESSION: Duration = Duration::from_secs(10);

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A session ended that held for `lasted`; how long to wait now. Between half of and the whole of 250 ms, doubled for
    /// each failure in a row, at most 10 s; never less than the cloud asked for.
    pub(super) fn after(&mut self, lasted: Duration, asked_ms: u64, rng: &mut impl Rng) -> Duration {
        if lasted >= GOOD_SESSION {
            self.failures = 0;
        }
        let longest = FIRST_MS.saturating_mul(1 << self.failures.min(10)).min(LONGEST_MS);
        self.failures = self.failures.saturating_add(1);
        let wait = rng.random_range(longest / 2..=longest);
        Duration::from_millis(wait.max(asked_ms.min(30 * LONGEST_MS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    #[test]
    fn waits_grow_to_a_limit_and_fall_back_after_a_good_session() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..12).map(|_| backoff.after(Duration::ZERO, 0, &mut rng).as_millis() as u64).collect();
        for (i, wait) in waits.iter().enumerate() {
            let longest = (250u64 << i.min(10)).min(LONGEST_MS);
            assert!((longest / 2..=longest).contains(wait), "{i}: {wait}");
        }
        assert!(backoff.after(GOOD_SESSION, 0, &mut rng) <= Duration::from_millis(250));
        assert!(backoff.after(Duration::ZERO, 5_000, &mut rng) >= Duration::from_secs(5));
    }
}
