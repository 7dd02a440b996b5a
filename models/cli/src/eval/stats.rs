//! Rates with confidence intervals.
//!
//! A rate is nothing without the number of trials behind it. Independent trials get Wilson's score interval (Wilson,
//! 1927), rare events the exact one (Clopper and Pearson, 1934), and a rate at its limit (no event, or nothing but
//! events) the exact one-sided bound, which for no events in `n` trials is the "rule of three", about `3 / n`. Trials
//! that hang together (many pictures of one plate) are resampled by cluster (Davison and Hinkley, 1997, section 3.8).

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;

/// Share of intervals that should hold the true value.
pub(crate) const CONFIDENCE: f64 = 0.95;
/// The normal distribution's quantile for a two-sided interval of [`CONFIDENCE`].
const Z: f64 = 1.959_963_984_540_054;
/// Resamplings of a bootstrap.
const ROUNDS: usize = 2_000;

/// How an interval was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Method {
    /// Wilson's score interval, for independent trials.
    Wilson,
    /// Clopper and Pearson's exact interval, for independent trials and rare events.
    Exact,
    /// Exact one-sided bound where nothing, or everything, was an event.
    Bound,
    /// As `Bound`, with clusters for trials: what was seen of one cluster counts once.
    ClusterBound,
    /// Percentiles of a bootstrap over clusters.
    ClusterBootstrap,
    /// There was no trial.
    Nothing,
}

/// How many trials came out in a certain way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Count {
    pub(crate) events: u64,
    pub(crate) trials: u64,
}

impl Count {
    /// Counts one trial.
    pub(crate) fn add(&mut self, event: bool) {
        self.events += u64::from(event);
        self.trials += 1;
    }
}

/// A measured rate with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Rate {
    pub(crate) events: u64,
    pub(crate) trials: u64,
    /// Events over trials; 0 where there was no trial.
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) method: Method,
}

impl Rate {
    fn with(count: Count, (low, high): (f64, f64), method: Method) -> Self {
        let value = count.events as f64 / count.trials.max(1) as f64;
        Self { events: count.events, trials: count.trials, value, low, high, method }
    }

    /// For independent trials.
    pub(crate) fn of(count: Count) -> Self {
        match limit(count, count.trials, Method::Bound) {
            Some(rate) => rate,
            None => Self::with(count, wilson(count), Method::Wilson),
        }
    }

    /// For independent trials with rare events.
    pub(crate) fn rare(count: Count) -> Self {
        match limit(count, count.trials, Method::Bound) {
            Some(rate) => rate,
            None => Self::with(count, clopper_pearson(count), Method::Exact),
        }
    }

    /// For trials that hang together within each cluster; the same seed gives the same interval.
    ///
    /// Without events the bootstrap would say "exactly 0": then the bound counts each cluster once, the most careful of
    /// all readings.
    pub(crate) fn clustered(clusters: &[Count], seed: u64) -> Self {
        let total = sum(clusters);
        let used: Vec<Count> = clusters.iter().copied().filter(|cluster| cluster.trials > 0).collect();
        match limit(total, used.len() as u64, Method::ClusterBound) {
            Some(rate) => rate,
            None => Self::with(total, bootstrap(&used, seed), Method::ClusterBootstrap),
        }
    }
}

/// All clusters as one.
pub(crate) fn sum(clusters: &[Count]) -> Count {
    clusters.iter().fold(Count::default(), |total, cluster| Count {
        events: total.events + cluster.events,
        trials: total.trials + cluster.trials,
    })
}

/// The rate where no trial, or every trial, was an event; `units` are the trials that count as independent.
fn limit(count: Count, units: u64, method: Method) -> Option<Rate> {
    if count.trials == 0 {
        return Some(Rate::with(count, (0.0, 1.0), Method::Nothing));
    }
    // the largest rate that shows no event in all units in one of twenty cases
    let bound = 1.0 - (1.0 - CONFIDENCE).powf(1.0 / units as f64);
    if count.events == 0 {
        return Some(Rate::with(count, (0.0, bound), method));
    }
    (count.events == count.trials).then(|| Rate::with(count, (1.0 - bound, 1.0), method))
}

/// Wilson's score interval.
pub(crate) fn wilson(count: Count) -> (f64, f64) {
    let n = count.trials as f64;
    let p = count.events as f64 / n;
    let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let (centre, scale) = (p + Z * Z / (2.0 * n), 1.0 + Z * Z / n);
    (((centre - spread) / scale).max(0.0), ((centre + spread) / scale).min(1.0))
}

/// Clopper and Pearson's interval: quantiles of beta distributions.
pub(crate) fn clopper_pearson(count: Count) -> (f64, f64) {
    let (k, n) = (count.events as f64, count.trials as f64);
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let low = if count.events == 0 { 0.0 } else { beta_quantile(tail, k, n - k + 1.0) };
    let high = if count.events == count.trials { 1.0 } else { beta_quantile(1.0 - tail, k + 1.0, n - k) };
    (low, high)
}

/// The `x` at which the beta distribution's function reaches `p`, by bisection.
fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if incomplete_beta(middle, a, b) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The regularised incomplete beta function I_x(a, b): DLMF 8.17.22, evaluated as Lentz (1976) proposed.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // the fraction converges quickly on this side only; DLMF 8.17.4 gives the other
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let front = (a * x.ln() + b * (1.0 - x).ln() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b)).exp() / a;
    let keep = |v: f64| if v.abs() < 1e-300 { 1e-300 } else { v };
    let (mut above, mut below) = (1.0, 1.0 / keep(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = below;
    for m in 1..10_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            below = 1.0 / keep(1.0 + term * below);
            above = keep(1.0 + term / above);
            change = above * below;
            fraction *= change;
        }
        if (change - 1.0).abs() < 1e-14 {
            break;
        }
    }
    front * fraction
}

/// ln of the gamma function for positive `x`: Stirling's series (DLMF 5.11.1) after the recurrence has made `x` large.
fn ln_gamma(mut x: f64) -> f64 {
    let mut shift = 0.0;
    while x < 15.0 {
        shift += x.ln();
        x += 1.0;
    }
    let square = x * x;
    let series = (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - 1.0 / (1680.0 * square)) / square) / square) / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - shift
}

/// Percentile interval of the pooled rate over resampled clusters.
fn bootstrap(clusters: &[Count], seed: u64) -> (f64, f64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let values = (0..ROUNDS).map(|_| {
        let drawn = (0..clusters.len()).fold(Count::default(), |total, _| {
            let cluster = clusters[rng.random_range(0..clusters.len())];
            Count { events: total.events + cluster.events, trials: total.trials + cluster.trials }
        });
        drawn.events as f64 / drawn.trials.max(1) as f64
    });
    percentiles(values.collect())
}

/// The middle [`CONFIDENCE`] of `values`.
pub(crate) fn percentiles(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = (share * (values.len().saturating_sub(1)) as f64).round() as usize;
        values.get(index).copied().unwrap_or_default()
    };
    (at((1.0 - CONFIDENCE) / 2.0), at(f64::midpoint(1.0, CONFIDENCE)))
}

/// Mean and sample standard deviation; 0 where too few.
pub(crate) fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n.max(1.0);
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (mean, if values.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(found: (f64, f64), expected: (f64, f64)) {
        let good = (found.0 - expected.0).abs() < 5e-5 && (found.1 - expected.1).abs() < 5e-5;
        assert!(good, "{found:?} and not {expected:?}");
    }

    #[test]
    fn wilson_as_published() {
        // Newcombe (1998), table I: 81/263 and 15/148 by the score method
        near(wilson(Count { events: 81, trials: 263 }), (0.2553, 0.3662));
        near(wilson(Count { events: 15, trials: 148 }), (0.0624, 0.1605));
        near(wilson(Count { events: 1, trials: 29 }), (0.0061, 0.1718));
    }

    #[test]
    fn clopper_and_pearson_as_published() {
        // Newcombe (1998), table I, exact method
        near(clopper_pearson(Count { events: 81, trials: 263 }), (0.2527, 0.3676));
        near(clopper_pearson(Count { events: 15, trials: 148 }), (0.0578, 0.1617));
        near(clopper_pearson(Count { events: 1, trials: 29 }), (0.0009, 0.1776));
        near(clopper_pearson(Count { events: 0, trials: 20 }), (0.0, 0.1684));
    }

    #[test]
    fn the_exact_interval_survives_large_counts() {
        let (low, high) = clopper_pearson(Count { events: 3, trials: 3_000_000 });
        assert!((low * 3e6 - 0.6187).abs() < 1e-3 && (high * 3e6 - 8.7673).abs() < 1e-3, "{low} {high}");
    }

    #[test]
    fn nothing_seen_is_the_rule_of_three() {
        let rate = Rate::rare(Count { events: 0, trials: 10_000 });
        assert_eq!((rate.value, rate.low, rate.method), (0.0, 0.0, Method::Bound));
        assert!((rate.high * 10_000.0 - 2.9953).abs() < 1e-3, "{}", rate.high);
        let all = Rate::of(Count { events: 20, trials: 20 });
        assert!((all.low - 0.05_f64.powf(1.0 / 20.0)).abs() < 1e-12 && all.high == 1.0);
        assert_eq!(Rate::of(Count::default()).method, Method::Nothing);
    }

    #[test]
    fn many_pictures_of_one_plate_prove_little() {
        let clusters = vec![Count { events: 0, trials: 1_000 }; 10];
        let rate = Rate::clustered(&clusters, 1);
        assert_eq!((rate.trials, rate.method), (10_000, Method::ClusterBound));
        assert!(rate.high > 0.25, "{}", rate.high);
        // all events in one of ten clusters: the interval is far wider than that of independent trials
        let mut clusters = clusters;
        clusters[3].events = 500;
        let rate = Rate::clustered(&clusters, 1);
        assert_eq!((rate.value, rate.method), (0.05, Method::ClusterBootstrap));
        assert!(rate.low == 0.0 && rate.high >= 0.15, "{rate:?}");
    }

    #[test]
    fn means_and_deviations() {
        let (mean, deviation) = mean_and_deviation(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert!((mean - 5.0).abs() < 1e-12 && (deviation - 2.1381).abs() < 1e-4);
        assert_eq!(mean_and_deviation(&[3.0]), (3.0, 0.0));
    }

    proptest! {
        #[test]
        fn intervals_hold_the_measured_rate(trials in 1_u64..5_000, share in 0.0_f64..=1.0) {
            let count = Count { events: (trials as f64 * share) as u64, trials };
            for rate in [Rate::of(count), Rate::rare(count)] {
                prop_assert!(0.0 <= rate.low && rate.low <= rate.value && rate.value <= rate.high && rate.high <= 1.0, "{rate:?}");
            }
        }

        #[test]
        fn the_exact_interval_has_its_tails(trials in 2_u64..400, share in 0.01_f64..0.99) {
            let count = Count { events: ((trials as f64 * share) as u64).clamp(1, trials - 1), trials };
            let (low, high) = clopper_pearson(count);
            // P(X >= k | low) and P(X <= k | high) are 2.5 % each, summed term by term
            let tail = |p: f64, from: u64, to: u64| -> f64 {
                (from..=to)
                    .map(|k| {
                        let (k, n) = (k as f64, trials as f64);
                        let choose = ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0);
                        (choose + k * p.ln() + (n - k) * (1.0 - p).ln()).exp()
                    })
                    .sum()
            };
            prop_assert!((tail(low, count.events, trials) - 0.025).abs() < 1e-6);
            prop_assert!((tail(high, 0, count.events) - 0.025).abs() < 1e-6);
        }

        #[test]
        fn a_bootstrap_repeats_itself(
            clusters in proptest::collection::vec((0_u64..20, 0_u64..20), 2..30),
            seed in any::<u64>(),
        ) {
            let clusters: Vec<Count> =
                clusters.iter().map(|(a, b)| Count { events: *a.min(b), trials: *b }).collect();
            let rate = Rate::clustered(&clusters, seed);
            prop_assert_eq!(rate, Rate::clustered(&clusters, seed));
            prop_assert!(0.0 <= rate.low && rate.low <= rate.high && rate.high <= 1.0);
        }
    }
}
