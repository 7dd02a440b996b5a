//! 1:1 comparisons of listed pairs, in folds (LFW, View 2: Huang et al., 2007).

use std::collections::BTreeSet;

use serde::Serialize;

use super::{FALSE_MATCH_RATES, NOTHING, Templates, compare};
use crate::eval::EvalError;
use crate::eval::curve::{Curve, Point};
use crate::eval::sets::FacePair;
use crate::eval::stats::{Count, Rate, mean_and_deviation};

/// Points of a curve in a report.
const CURVE_POINTS: usize = 300;

/// Fold, pictures, whether one person, score.
type Scored = (u32, String, String, bool, f64);

/// What the listed pairs say.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Verification {
    pub(crate) genuine: u64,
    pub(crate) impostor: u64,
    /// Pairs with a portrait that was not acquired: never accepted.
    pub(crate) not_compared: u64,
    /// Accuracy of each fold at the threshold that is best on the others.
    pub(crate) folds: Vec<Fold>,
    pub(crate) mean_accuracy: f64,
    /// Sample standard deviation over the folds.
    pub(crate) deviation: f64,
    /// All pairs together, each at its fold's threshold.
    pub(crate) accuracy: Rate,
    pub(crate) at_false_match: Vec<AtFalseMatch>,
    /// Impostors accepted at the manifest's threshold.
    pub(crate) false_match: Rate,
    /// Genuine pairs not accepted at the manifest's threshold.
    pub(crate) false_non_match: Rate,
    pub(crate) equal_error: f64,
    pub(crate) curve: Vec<Point>,
}

/// One fold.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Fold {
    pub(crate) fold: u32,
    pub(crate) pairs: u64,
    /// Best on the other folds.
    pub(crate) threshold: f64,
    pub(crate) accuracy: f64,
}

/// Genuine comparisons accepted where at most a given share of impostors is.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AtFalseMatch {
    pub(crate) false_match_rate: f64,
    pub(crate) threshold: f64,
    pub(crate) true_accept: Rate,
}

/// The score of each pair.
pub(super) fn scores(pairs: &[FacePair], templates: &Templates) -> Result<Vec<Scored>, EvalError> {
    pairs
        .iter()
        .map(|pair| {
            let score = compare(templates, &pair.a, &pair.b)?;
            Ok((pair.fold, pair.a.clone(), pair.b.clone(), pair.same, score))
        })
        .collect()
}

impl Verification {
    /// Sums scored pairs up; `None` without genuine or without impostor pairs.
    pub(super) fn of(scores: &[Scored], threshold: f64) -> Option<Self> {
        let of = |same: bool| scores.iter().filter(|s| s.3 == same).map(|s| s.4).collect::<Vec<f64>>();
        let (genuine, impostor) = (of(true), of(false));
        if genuine.is_empty() || impostor.is_empty() {
            return None;
        }
        let curve = Curve::new(genuine, impostor);
        let (folds, right) = folds(scores);
        let accuracies: Vec<f64> = folds.iter().map(|fold| fold.accuracy).collect();
        let (mean_accuracy, deviation) = mean_and_deviation(&accuracies);
        let accepted = curve.accepted_genuine(threshold);
        Some(Self {
            genuine: accepted.trials,
            impostor: curve.accepted_impostors(threshold).trials,
            not_compared: scores.iter().filter(|s| s.4 == NOTHING).count() as u64,
            folds,
            mean_accuracy,
            deviation,
            accuracy: Rate::of(right),
            at_false_match: FALSE_MATCH_RATES.iter().map(|rate| at_false_match(&curve, *rate)).collect(),
            false_match: Rate::rare(curve.accepted_impostors(threshold)),
            false_non_match: Rate::of(Count { events: accepted.trials - accepted.events, ..accepted }),
            equal_error: equal_error(&curve),
            curve: curve.points(CURVE_POINTS),
        })
    }
}

fn at_false_match(curve: &Curve, false_match_rate: f64) -> AtFalseMatch {
    let threshold = curve.threshold_for(false_match_rate);
    AtFalseMatch { false_match_rate, threshold, true_accept: Rate::of(curve.accepted_genuine(threshold)) }
}

pub(super) fn equal_error(curve: &Curve) -> f64 {
    let point = curve.equal_error();
    f64::midpoint(point.false_accept, point.false_reject)
}

/// Parts a set with one fold is cut into.
const PARTS: usize = 10;

/// The part each pair belongs to: its fold, or where there is only one, a tenth of the pairs of its kind in their order,
/// as LFW cuts its folds.
fn parts(scores: &[Scored]) -> Vec<u32> {
    if scores.iter().any(|s| s.0 != scores[0].0) {
        return scores.iter().map(|s| s.0).collect();
    }
    let totals = [false, true].map(|same| scores.iter().filter(|s| s.3 == same).count());
    let mut seen = [0; 2];
    let part = |s: &Scored| {
        let kind = usize::from(s.3);
        seen[kind] += 1;
        ((seen[kind] - 1) * PARTS / totals[kind]) as u32
    };
    scores.iter().map(part).collect()
}

/// Each fold at the threshold that is best on all others, and all pairs that came out right.
fn folds(scores: &[Scored]) -> (Vec<Fold>, Count) {
    let parts = parts(scores);
    let numbers: BTreeSet<u32> = parts.iter().copied().collect();
    let mut total = Count::default();
    let folds = numbers
        .iter()
        .map(|fold| {
            let (own, others): (Vec<_>, Vec<_>) = scores.iter().zip(&parts).partition(|(_, part)| *part == fold);
            let threshold = best_threshold(others.iter().map(|(scored, _)| (scored.4, scored.3)));
            let mut right = Count::default();
            for (scored, _) in own {
                right.add((scored.4 >= threshold) == scored.3);
            }
            total = crate::eval::stats::sum(&[total, right]);
            let accuracy = right.events as f64 / right.trials.max(1) as f64;
            Fold { fold: *fold, pairs: right.trials, threshold, accuracy }
        })
        .collect();
    (folds, total)
}

/// The threshold with the most pairs right, in the middle between two scores; of several, the lowest.
fn best_threshold(scores: impl Iterator<Item = (f64, bool)>) -> f64 {
    let mut sorted: Vec<(f64, bool)> = scores.collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    // with a threshold below all scores, every genuine pair is right
    let mut right = sorted.iter().filter(|(_, same)| *same).count();
    let mut best = (right, sorted.first().map_or(0.0, |(score, _)| *score));
    for (i, (score, same)) in sorted.iter().enumerate() {
        if *same {
            right -= 1;
        } else {
            right += 1;
        }
        let next = sorted.get(i + 1).map_or(score.next_up(), |(next, _)| *next);
        // a threshold cannot come between equal scores
        if next > *score && right > best.0 {
            best = (right, f64::midpoint(*score, next).max(score.next_up()));
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(fold: u32, same: bool, score: f64) -> Scored {
        (fold, String::new(), String::new(), same, score)
    }

    #[test]
    fn a_fold_is_judged_by_the_others_threshold() {
        // fold 1 alone would choose 0.55; fold 2 alone 0.25
        let scores = [
            pair(1, true, 0.6),
            pair(1, true, 0.7),
            pair(1, false, 0.5),
            pair(1, false, 0.1),
            pair(2, true, 0.3),
            pair(2, true, 0.8),
            pair(2, false, 0.2),
            pair(2, false, NOTHING),
        ];
        let found = Verification::of(&scores, 0.4).unwrap();
        assert!((found.folds[0].threshold - 0.25).abs() < 1e-9 && (found.folds[1].threshold - 0.55).abs() < 1e-9);
        assert_eq!((found.folds[0].accuracy, found.folds[1].accuracy), (0.75, 0.75));
        assert_eq!((found.mean_accuracy, found.deviation, found.accuracy.events), (0.75, 0.0, 6));
        assert_eq!((found.genuine, found.impostor, found.not_compared), (4, 4, 1));
        assert_eq!((found.false_match.events, found.false_non_match.events), (1, 1));
        // at 1 % of four impostors none may pass: above 0.5 three genuine pairs are left
        assert_eq!(found.at_false_match[0].true_accept.events, 3);
        assert!(Verification::of(&scores[..2], 0.4).is_none());
    }

    #[test]
    fn a_single_fold_is_cut_into_ten_parts() {
        let scores: Vec<Scored> = (0..40).map(|i| pair(7, i < 20, if i < 20 { 0.9 } else { 0.1 })).collect();
        let found = Verification::of(&scores, 0.4).unwrap();
        assert_eq!((found.mean_accuracy, found.folds.len(), found.folds[0].pairs), (1.0, 10, 4));
        // fewer pairs than parts
        assert_eq!(Verification::of(&scores[18..22], 0.4).unwrap().folds.iter().map(|fold| fold.pairs).sum::<u64>(), 4);
    }

    #[test]
    fn the_best_threshold_may_lie_at_either_end() {
        assert!(best_threshold([(0.2, true), (0.4, true)].into_iter()) <= 0.2);
        assert!(best_threshold([(0.2, false), (0.4, false)].into_iter()) > 0.4);
        // equal scores cannot be told apart
        let threshold = best_threshold([(0.3, false), (0.3, false), (0.3, true), (0.9, true)].into_iter());
        assert!((threshold - 0.6).abs() < 1e-9, "{threshold}");
        assert_eq!(best_threshold(std::iter::empty()), 0.0);
    }
}
