//! Error rates over a threshold: ROC and DET (ISO/IEC 19795-1, section 9).

use serde::Serialize;

use super::stats::Count;

/// Scores of comparisons that should and that should not be accepted. Higher is more alike; a score of at least the
/// threshold is accepted.
#[derive(Debug, Clone)]
pub(crate) struct Curve {
    /// Ascending.
    genuine: Vec<f64>,
    /// Ascending.
    impostor: Vec<f64>,
}

/// Error rates at one threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Point {
    pub(crate) threshold: f64,
    /// Share of impostor comparisons accepted (FMR, FPIR, false accepts).
    pub(crate) false_accept: f64,
    /// Share of genuine comparisons not accepted (FNMR, FNIR, false rejects).
    pub(crate) false_reject: f64,
}

impl Curve {
    pub(crate) fn new(mut genuine: Vec<f64>, mut impostor: Vec<f64>) -> Self {
        genuine.sort_by(f64::total_cmp);
        impostor.sort_by(f64::total_cmp);
        Self { genuine, impostor }
    }

    /// Impostor comparisons accepted at `threshold`.
    pub(crate) fn accepted_impostors(&self, threshold: f64) -> Count {
        at_least(&self.impostor, threshold)
    }

    /// Genuine comparisons accepted at `threshold`.
    pub(crate) fn accepted_genuine(&self, threshold: f64) -> Count {
        at_least(&self.genuine, threshold)
    }

    /// Both error rates at `threshold`.
    pub(crate) fn at(&self, threshold: f64) -> Point {
        let share = |count: Count| count.events as f64 / count.trials.max(1) as f64;
        Point {
            threshold,
            false_accept: share(self.accepted_impostors(threshold)),
            false_reject: if self.genuine.is_empty() { 0.0 } else { 1.0 - share(self.accepted_genuine(threshold)) },
        }
    }

    /// The lowest threshold at which at most `rate` of the impostor comparisons are accepted.
    pub(crate) fn threshold_for(&self, rate: f64) -> f64 {
        let n = self.impostor.len();
        // a hair more, so that 1 % of 400 is 4 and not 3.9999
        let allowed = (rate * n as f64 + 1e-9) as usize;
        if allowed >= n { f64::NEG_INFINITY } else { self.impostor[n - 1 - allowed].next_up() }
    }

    /// The threshold at which both error rates are nearest to each other, and their mean there.
    pub(crate) fn equal_error(&self) -> Point {
        let all = self.genuine.iter().chain(&self.impostor);
        let apart = |p: &Point| (p.false_accept - p.false_reject).abs();
        all.map(|threshold| self.at(*threshold)).min_by(|a, b| apart(a).total_cmp(&apart(b))).unwrap_or(Point {
            threshold: 0.0,
            false_accept: 0.0,
            false_reject: 0.0,
        })
    }

    /// The curve as at most `count` points by ascending threshold, dense where scores are rare: at both ends of both
    /// distributions.
    pub(crate) fn points(&self, count: usize) -> Vec<Point> {
        let mut thresholds: Vec<f64> = [&self.genuine, &self.impostor]
            .iter()
            .flat_map(|scores| ranks(scores.len(), count / 2).into_iter().map(|i| scores[i]))
            .filter(|score| score.is_finite())
            .collect();
        thresholds.sort_by(f64::total_cmp);
        thresholds.dedup();
        thresholds.into_iter().map(|threshold| self.at(threshold)).collect()
    }
}

/// At most `count` of `0..n`: all near the ends, ever fewer towards the middle.
fn ranks(n: usize, count: usize) -> Vec<usize> {
    if n <= count {
        return (0..n).collect();
    }
    let half = (count / 2).max(1);
    let reach = (n as f64 / 2.0).ln();
    let mut ranks: Vec<usize> = (0..half)
        .map(|i| ((reach * i as f64 / half as f64).exp() - 1.0).max(i as f64 * 0.2) as usize)
        .flat_map(|rank| [rank.min(n - 1), n - 1 - rank.min(n - 1)])
        .collect();
    ranks.sort_unstable();
    ranks.dedup();
    ranks
}

/// How many of the ascending `scores` are at least `threshold`.
fn at_least(scores: &[f64], threshold: f64) -> Count {
    let below = scores.partition_point(|score| *score < threshold);
    Count { events: (scores.len() - below) as u64, trials: scores.len() as u64 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_errors_and_a_threshold_for_a_rate() {
        let curve = Curve::new(vec![0.5, 0.6, 0.7, 0.8], vec![0.1, 0.2, 0.3, 0.65]);
        let equal = curve.equal_error();
        assert_eq!((equal.false_accept, equal.false_reject), (0.25, 0.25));
        let strict = curve.threshold_for(0.0);
        assert!(strict > 0.65 && curve.at(strict).false_accept == 0.0 && curve.at(strict).false_reject == 0.5);
        assert_eq!(curve.at(curve.threshold_for(0.25)).false_accept, 0.25);
        assert_eq!(curve.threshold_for(1.0), f64::NEG_INFINITY);
    }

    proptest! {
        #[test]
        fn the_curve_is_monotone(
            genuine in proptest::collection::vec(-1.0_f64..1.0, 0..200),
            impostor in proptest::collection::vec(-1.0_f64..1.0, 0..200),
            rate in 0.0_f64..=1.0,
        ) {
            let curve = Curve::new(genuine, impostor);
            let points = curve.points(60);
            for pair in points.windows(2) {
                prop_assert!(pair[0].threshold < pair[1].threshold);
                prop_assert!(pair[0].false_accept >= pair[1].false_accept);
                prop_assert!(pair[0].false_reject <= pair[1].false_reject);
            }
            prop_assert!(curve.at(curve.threshold_for(rate)).false_accept <= rate + 1e-9);
        }
    }
}
