//! Durations of repeated calls.

use std::time::{Duration, Instant};

use serde::Serialize;

/// Runs before the clock counts: caches fill, memory is allocated, the processor wakes up.
const WARM_UPS: usize = 3;
/// Fewer runs say nothing about a 95th percentile; more than this are not needed.
const RUNS: std::ops::RangeInclusive<usize> = 20..=100_000;

/// How long a call takes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Timing {
    /// Half of the runs took at most this, in milliseconds.
    pub(super) median_ms: f64,
    /// 95 of 100 took at most this.
    pub(super) p95_ms: f64,
    /// How often it was called.
    pub(super) runs: usize,
}

/// Calls `call` for as long as `long`, and often enough.
pub(super) fn measure<T, E>(long: Duration, mut call: impl FnMut() -> Result<T, E>) -> Result<Timing, E> {
    for _ in 0..WARM_UPS {
        call()?;
    }
    let begin = now();
    let mut samples = Vec::new();
    while samples.len() < *RUNS.start() || (now() - begin < long && samples.len() < *RUNS.end()) {
        let start = now();
        call()?;
        samples.push((now() - start).as_secs_f64() * 1_000.0);
    }
    Ok(Timing::of(samples))
}

impl Timing {
    fn of(mut samples_ms: Vec<f64>) -> Self {
        samples_ms.sort_by(f64::total_cmp);
        // nearest rank: a value that was measured
        let rank = |share: f64| (share * samples_ms.len() as f64).ceil() as usize;
        let at = |share| samples_ms.get(rank(share).saturating_sub(1)).copied().unwrap_or(f64::NAN);
        Self { median_ms: at(0.5), p95_ms: at(0.95), runs: samples_ms.len() }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a call takes is what this command is for")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let samples = (1..=100).rev().map(f64::from).collect();
        assert_eq!(Timing::of(samples), Timing { median_ms: 50.0, p95_ms: 95.0, runs: 100 });
        assert_eq!(Timing::of(vec![7.0]), Timing { median_ms: 7.0, p95_ms: 7.0, runs: 1 });
    }

    #[test]
    fn a_slow_call_is_still_repeated_often_enough() {
        let mut calls = 0;
        let timing = measure(Duration::ZERO, || {
            calls += 1;
            Ok::<_, ()>(())
        });
        assert_eq!((timing.map(|timing| timing.runs), calls), (Ok(20), 23));
    }

    #[test]
    fn a_call_that_fails_ends_it() {
        let mut calls = 0;
        let failed = measure(Duration::from_hours(1), || {
            calls += 1;
            if calls < 5 { Ok(()) } else { Err(calls) }
        });
        assert_eq!(failed, Err(5));
    }
}
