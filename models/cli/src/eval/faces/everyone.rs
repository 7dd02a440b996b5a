//! Every portrait against every other: enough comparisons to see false-match rates that listed pairs cannot show.
//!
//! The comparisons hang together by the people in them, so people are what is resampled: a person drawn `w` times gives
//! a comparison of two of its own portraits weight `w`, and one with a person drawn `v` times weight `v · w` (the
//! subsets bootstrap of Bolle et al., 2004).

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;

use super::Templates;
use crate::eval::EvalError;
use crate::eval::curve::{Curve, Point};
use crate::eval::held_out::identity_of;
use crate::eval::stats::{Count, Method, Rate, percentiles};

/// Rates reported; beyond the listed pairs' own.
const FALSE_MATCH_RATES: [f64; 3] = [1e-2, 1e-3, 1e-4];
const ROUNDS: usize = 400;
/// Impostor scores kept for the bootstrap: the highest share of this size, which decides every reported rate.
const KEPT_SHARE: f64 = 0.03;
/// Points of a curve in a report.
const CURVE_POINTS: usize = 300;

/// What all comparisons say.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Everyone {
    pub(crate) people: usize,
    pub(crate) genuine: u64,
    pub(crate) impostor: u64,
    /// At the manifest's threshold; intervals by person.
    pub(crate) false_match: Rate,
    pub(crate) false_non_match: Rate,
    pub(crate) at_false_match: Vec<super::AtFalseMatch>,
    pub(crate) equal_error: f64,
    pub(crate) curve: Vec<Point>,
}

/// A comparison: score and the two people.
type Compared = (f32, u32, u32);

impl Everyone {
    /// Compares everyone in `templates`; `None` where there is nobody to tell apart or nobody to recognise.
    pub(super) fn of(templates: &Templates, threshold: f64, seed: u64) -> Result<Option<Self>, EvalError> {
        let mut people: BTreeMap<&str, u32> = BTreeMap::new();
        let mut counts: Vec<u32> = Vec::new();
        let mut portraits = Vec::with_capacity(templates.len());
        for (name, template) in templates {
            let person = *people.entry(identity_of(name)).or_insert(counts.len() as u32);
            if person as usize == counts.len() {
                counts.push(0);
            }
            counts[person as usize] += 1;
            portraits.push((person, template));
        }
        let (mut genuine, mut impostor): (Vec<Compared>, Vec<Compared>) = (Vec::new(), Vec::new());
        for (i, (person, template)) in portraits.iter().enumerate() {
            for (other, reference) in &portraits[..i] {
                let compared = (template.compare(reference)?, *person, *other);
                if person == other { genuine.push(compared) } else { impostor.push(compared) }
            }
        }
        if genuine.is_empty() || impostor.is_empty() {
            return Ok(None);
        }
        let curve = Curve::new(
            genuine.iter().map(|c| f64::from(c.0)).collect(),
            impostor.iter().map(|c| f64::from(c.0)).collect(),
        );
        let (genuine_count, impostor_count) = (genuine.len() as u64, impostor.len() as u64);
        impostor.sort_by(|a, b| b.0.total_cmp(&a.0));
        genuine.sort_by(|a, b| b.0.total_cmp(&a.0));
        let resampled = Resampled::draw(&genuine, &impostor, &counts, threshold, seed);
        let mut at_false_match = Vec::new();
        for (i, rate) in FALSE_MATCH_RATES.iter().enumerate() {
            let at = curve.threshold_for(*rate);
            let true_accept = with(curve.accepted_genuine(at), &resampled.true_accept[i]);
            at_false_match.push(super::AtFalseMatch { false_match_rate: *rate, threshold: at, true_accept });
        }
        let accepted = curve.accepted_genuine(threshold);
        let missed = Count { events: accepted.trials - accepted.events, ..accepted };
        Ok(Some(Self {
            people: people.len(),
            genuine: genuine_count,
            impostor: impostor_count,
            false_match: with(curve.accepted_impostors(threshold), &resampled.false_match),
            false_non_match: with(missed, &resampled.false_non_match),
            at_false_match,
            equal_error: super::verification::equal_error(&curve),
            curve: curve.points(CURVE_POINTS),
        }))
    }
}

/// A rate with the interval of its resamples; the exact bound where nothing, or everything, was an event.
fn with(count: Count, resamples: &[f64]) -> Rate {
    let rate = Rate::rare(count);
    if rate.method != Method::Exact {
        return rate;
    }
    let (low, high) = percentiles(resamples.to_vec());
    Rate { low: low.min(rate.value), high: high.max(rate.value), method: Method::ClusterBootstrap, ..rate }
}

/// The rates of each round.
struct Resampled {
    false_match: Vec<f64>,
    false_non_match: Vec<f64>,
    true_accept: [Vec<f64>; 3],
}

impl Resampled {
    /// `genuine` and `impostor` by descending score; `portraits` of each person.
    fn draw(genuine: &[Compared], impostor: &[Compared], portraits: &[u32], threshold: f64, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut rounds = Self { false_match: Vec::new(), false_non_match: Vec::new(), true_accept: Default::default() };
        let accepted = impostor.partition_point(|c| f64::from(c.0) >= threshold);
        let kept = ((impostor.len() as f64 * KEPT_SHARE) as usize).max(accepted + 1).min(impostor.len());
        let people = portraits.len();
        for _ in 0..ROUNDS {
            let mut weights = vec![0_u32; people];
            for _ in 0..people {
                weights[rng.random_range(0..people)] += 1;
            }
            let weight = |c: &Compared| f64::from(weights[c.1 as usize] * weights[c.2 as usize]);
            // a genuine comparison is of one person: counted once per draw of that person
            let own = |c: &Compared| f64::from(weights[c.1 as usize]);
            // all impostor comparisons: half of what is left of the square when each person's own is taken away
            let drawn: Vec<f64> = weights.iter().zip(portraits).map(|(w, n)| f64::from(w * n)).collect();
            let all = (drawn.iter().sum::<f64>().powi(2) - drawn.iter().map(|v| v * v).sum::<f64>()) / 2.0;
            let known: f64 = genuine.iter().map(own).sum();
            if all == 0.0 || known == 0.0 {
                continue;
            }
            let accepted_weight: f64 = impostor[..accepted].iter().map(weight).sum();
            rounds.false_match.push(accepted_weight / all);
            let admitted: f64 = genuine.iter().filter(|c| f64::from(c.0) >= threshold).map(own).sum();
            rounds.false_non_match.push(1.0 - admitted / known);
            for (rate, values) in FALSE_MATCH_RATES.iter().zip(&mut rounds.true_accept) {
                let at = quantile(&impostor[..kept], weight, rate * all);
                let admitted: f64 = genuine.iter().take_while(|c| c.0 > at).map(own).sum();
                values.push(admitted / known);
            }
        }
        rounds
    }
}

/// The score above which comparisons weigh `allowed` together.
fn quantile(descending: &[Compared], weight: impl Fn(&Compared) -> f64, allowed: f64) -> f32 {
    let mut total = 0.0;
    for compared in descending {
        total += weight(compared);
        if total > allowed {
            return compared.0;
        }
    }
    f32::NEG_INFINITY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weighted_threshold_lets_no_more_through_than_allowed() {
        let compared = [(0.9, 0, 1), (0.8, 0, 1), (0.7, 0, 2), (0.6, 1, 2)];
        let weight = |c: &Compared| f64::from(c.1 + 1);
        assert_eq!(quantile(&compared, weight, 0.5), 0.9);
        assert_eq!(quantile(&compared, weight, 2.0), 0.7);
        assert_eq!(quantile(&compared, weight, 3.5), 0.6);
        assert_eq!(quantile(&compared, weight, 9.0), f32::NEG_INFINITY);
    }

    #[test]
    fn resampled_people_give_an_interval_around_the_rate() {
        // twelve people with three portraits each; one pair of people looks alike
        let (mut genuine, mut impostor) = (Vec::new(), Vec::new());
        let mut rng = StdRng::seed_from_u64(3);
        for a in 0..36_u32 {
            for b in 0..a {
                let alike = a / 3 == 7 && b / 3 == 4;
                if a / 3 == b / 3 {
                    genuine.push((rng.random_range(0.5..0.9), a / 3, b / 3));
                } else {
                    impostor.push((if alike { 0.8 } else { rng.random_range(0.0..0.4) }, a / 3, b / 3));
                }
            }
        }
        genuine.sort_by(|a: &Compared, b| b.0.total_cmp(&a.0));
        impostor.sort_by(|a: &Compared, b| b.0.total_cmp(&a.0));
        let rounds = Resampled::draw(&genuine, &impostor, &[3; 12], 0.6, 9);
        let (low, high) = percentiles(rounds.false_match.clone());
        let rate = 9.0 / impostor.len() as f64;
        // independent comparisons would promise at most twice the rate
        assert!(low == 0.0 && high > 2.5 * rate && high < 10.0 * rate, "{low} {rate} {high}");
        assert_eq!(rounds.false_match, Resampled::draw(&genuine, &impostor, &[3; 12], 0.6, 9).false_match);
        assert!(rounds.true_accept.iter().flatten().all(|v| (0.0..=1.0).contains(v)));
    }
}
