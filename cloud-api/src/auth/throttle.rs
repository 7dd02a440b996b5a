//! Limited tries: after a few wrong passwords each further one costs an ever longer wait.
//!
//! Counted per account *and* client certificate: whoever guesses must own a trusted certificate and locks out only
//! itself, never the account's owner. In memory: a restart forgives, which costs a guesser more than it gains.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use cardea_access::time::Monotonic;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Tries without a wait.
const FREE_TRIES: u32 = 4;
/// The first wait; doubled with each further wrong try.
const FIRST_WAIT_MS: u64 = 1_000;
/// The longest wait.
const LONGEST_WAIT_MS: u64 = 15 * 60 * 1_000;
/// Counters kept; the one longest untouched goes first.
const MAX_COUNTERS: usize = 10_000;

#[derive(Clone, Copy)]
struct Counter {
    failures: u32,
    last: Monotonic,
}

impl Counter {
    fn free_at(self) -> Monotonic {
        match self.failures.checked_sub(FREE_TRIES) {
            None | Some(0) => self.last,
            Some(n) => {
                let wait = FIRST_WAIT_MS.saturating_mul(1 << (n - 1).min(20));
                self.last.plus_ms(wait.min(LONGEST_WAIT_MS))
            }
        }
    }
}

/// Password hashes computed at once; each takes 19 MiB and a processor.
const HASHES_AT_ONCE: usize = 2;

/// The counters of wrong tries, and a bound on the work of checking.
pub struct Throttle {
    counters: Mutex<HashMap<[u8; 32], Counter>>,
    hashes: Semaphore,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { counters: Mutex::default(), hashes: Semaphore::new(HASHES_AT_ONCE) }
    }
}

impl std::fmt::Debug for Throttle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Throttle")
    }
}

fn key(account: &str, thumbprint: &str) -> [u8; 32] {
    Sha256::digest([account.as_bytes(), b"\0", thumbprint.as_bytes()].concat()).into()
}

impl Throttle {
    /// Takes a try, counting it as wrong until [`Throttle::succeeded`]; or says how many milliseconds to wait. Counting
    /// first means that a hundred tries at once are a hundred tries.
    pub fn take(&self, now: Monotonic, account: &str, thumbprint: &str) -> Result<(), u64> {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key(account, thumbprint);
        if let Some(counter) = counters.get(&key) {
            let wait = counter.free_at().since_ms(now);
            if wait > 0 {
                return Err(wait);
            }
        } else if counters.len() >= MAX_COUNTERS
            && let Some(oldest) = counters.iter().min_by_key(|(_, c)| c.last).map(|(k, _)| *k)
        {
            counters.remove(&oldest);
        }
        let counter = counters.entry(key).or_insert(Counter { failures: 0, last: now });
        counter.failures = counter.failures.saturating_add(1);
        counter.last = now;
        Ok(())
    }

    /// Waits for a turn to compute a password hash, so that a flood of logins leaves memory and processors to the rest.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.hashes.acquire().await.ok()
    }

    /// Forgets the wrong tries.
    pub fn succeeded(&self, account: &str, thumbprint: &str) {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(account, thumbprint));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_quarter_of_an_hour() {
        let throttle = Throttle::default();
        let mut now = Monotonic(0);
        let mut waits = Vec::new();
        for _ in 0..20 {
            assert_eq!(throttle.take(now, "a", "t"), Ok(()));
            let wait = throttle.take(now, "a", "t").err().unwrap_or(0);
            if wait == 0 {
                continue;
            }
            waits.push(wait);
            assert!(throttle.take(now.plus_ms(wait - 1), "a", "t").is_err());
            now = now.plus_ms(wait);
        }
        assert_eq!(waits[..3], [1_000, 2_000, 4_000]);
        assert_eq!(waits.last(), Some(&LONGEST_WAIT_MS));
    }

    #[test]
    fn a_guesser_locks_out_itself_only() {
        let throttle = Throttle::default();
        while throttle.take(Monotonic(0), "a", "guesser").is_ok() {}
        assert_eq!(throttle.take(Monotonic(0), "a", "owner"), Ok(()));
        assert_eq!(throttle.take(Monotonic(0), "b", "guesser"), Ok(()));
    }

    #[test]
    fn success_forgives() {
        let throttle = Throttle::default();
        while throttle.take(Monotonic(0), "a", "t").is_ok() {}
        throttle.succeeded("a", "t");
        assert_eq!(throttle.take(Monotonic(0), "a", "t"), Ok(()));
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::default();
        for i in 0..MAX_COUNTERS + 5 {
            assert_eq!(throttle.take(Monotonic(i as u64), &i.to_string(), "t"), Ok(()));
        }
        assert_eq!(throttle.counters.lock().unwrap().len(), MAX_COUNTERS);
    }
}
