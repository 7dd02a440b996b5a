//! Connectionist temporal classification (Graves et al., 2006): likelihoods of texts under a reader's output.
//!
//! At each of T steps the network gives the probability of each of C classes, one of them the blank. A path of classes
//! spells a text by merging repeats and dropping blanks; the likelihood of a text is the sum over its paths.

use super::search::Trie;
use super::shapes::Automaton;

/// Prefixes kept at each step of the search for likely texts.
const BEAM_WIDTH: usize = 24;
/// Classes tried at each step of the search, and the least probability beyond the first two.
const BEAM_CLASSES: usize = 10;
const BEAM_MIN_PROBABILITY: f64 = 1e-5;

/// Log-probabilities of classes over steps.
#[derive(Clone)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Posteriors {
    classes: usize,
    blank: usize,
    log_probs: Vec<f32>,
}

impl Posteriors {
    /// From logits in `[step][class]` order, by a log-softmax over each step.
    pub(crate) fn from_logits(logits: impl IntoIterator<Item = f32>, classes: usize, blank: usize) -> Self {
        let mut log_probs: Vec<f32> = logits.into_iter().collect();
        for step in log_probs.chunks_exact_mut(classes) {
            let highest = step.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            // the highest one is taken off first: added to large logits, the small term would be rounded away
            let spread = step.iter().map(|v| (v - highest).exp()).sum::<f32>().ln();
            for value in step {
                *value = *value - highest - spread;
            }
        }
        Self { classes, blank, log_probs }
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.log_probs.chunks_exact(self.classes)
    }

    /// The most probable path's text, each class with its highest probability within its run.
    pub(crate) fn greedy(&self) -> Vec<(usize, f32)> {
        let mut text: Vec<(usize, f32)> = Vec::new();
        let mut previous = self.blank;
        for row in self.rows() {
            let (class, log_prob) = row
                .iter()
                .copied()
                .enumerate()
                .fold((0, f32::NEG_INFINITY), |best, now| if now.1 > best.1 { now } else { best });
            if class != self.blank {
                match text.last_mut() {
                    Some((_, probability)) if class == previous => *probability = probability.max(log_prob.exp()),
                    _ => text.push((class, log_prob.exp())),
                }
            }
            previous = class;
        }
        text
    }

    /// ln of the likelihood of `text` (classes without blanks): the forward algorithm, scaled at each step.
    /// Minus infinity for a text that no path spells, or one less likely than about 1e-300.
    pub(crate) fn log_likelihood(&self, text: &[usize]) -> f64 {
        // states: blank, first class, blank, second class, … , blank
        let states = 2 * text.len() + 1;
        let class = |state: usize| if state.is_multiple_of(2) { self.blank } else { text[state / 2] };
        let mut alpha = vec![0.0_f64; states];
        let mut log_scale = 0.0;
        for (t, row) in self.rows().enumerate() {
            if t == 0 {
                alpha[0] = f64::from(row[self.blank]).exp();
                if let Some(first) = text.first() {
                    alpha[1] = f64::from(row[*first]).exp();
                }
            } else {
                for state in (0..states).rev() {
                    let mut sum = alpha[state];
                    if state >= 1 {
                        sum += alpha[state - 1];
                    }
                    // a blank may be skipped between different classes
                    if state >= 3 && state % 2 == 1 && text[state / 2] != text[state / 2 - 1] {
                        sum += alpha[state - 2];
                    }
                    alpha[state] = sum * f64::from(row[class(state)]).exp();
                }
            }
            let scale: f64 = alpha.iter().sum();
            if scale <= 0.0 || !scale.is_finite() {
                return f64::NEG_INFINITY;
            }
            for a in &mut alpha {
                *a /= scale;
            }
            log_scale += scale.ln();
        }
        let end: f64 = alpha[states.saturating_sub(2)..].iter().sum();
        end.ln() + log_scale
    }

    /// Up to `count` likely texts of the shapes that `automaton` knows, with their exact log-likelihoods, likeliest first
    /// (prefix beam search).
    pub(crate) fn likely(&self, count: usize, automaton: &Automaton) -> Vec<(Vec<usize>, f64)> {
        let mut trie = Trie::new(automaton);
        // per prefix: probability of its paths that end in a blank, and that end in its last class
        let mut beam = vec![(Trie::ROOT, [1.0, 0.0])];
        for row in self.rows() {
            let tried = classes_to_try(row);
            for (prefix, [blank, last]) in beam.drain(..) {
                let total = blank + last;
                for &(class, probability) in &tried {
                    if class == self.blank {
                        trie.add(prefix, [total * probability, 0.0]);
                        continue;
                    }
                    let again = trie.last(prefix) == Some(class);
                    if again {
                        trie.add(prefix, [0.0, last * probability]);
                    }
                    if let Some(longer) = trie.child(prefix, class) {
                        trie.add(longer, [0.0, if again { blank } else { total } * probability]);
                    }
                }
            }
            trie.take_best(BEAM_WIDTH, &mut beam);
        }
        // the search's own probabilities lack pruned paths: a few more than asked for are weighed exactly
        let whole = beam.iter().filter(|(prefix, _)| trie.is_whole(*prefix)).take(count + 2);
        let mut texts: Vec<(Vec<usize>, f64)> = whole
            .map(|(prefix, _)| {
                let text = trie.text(*prefix);
                let likelihood = self.log_likelihood(&text);
                (text, likelihood)
            })
            .filter(|(_, likelihood)| likelihood.is_finite())
            .collect();
        texts.sort_by(|a, b| b.1.total_cmp(&a.1));
        texts.truncate(count);
        texts
    }
}

fn classes_to_try(row: &[f32]) -> Vec<(usize, f64)> {
    let mut classes: Vec<(usize, f64)> = row.iter().map(|v| f64::from(*v).exp()).enumerate().collect();
    classes.sort_by(|a, b| b.1.total_cmp(&a.1));
    classes.truncate(BEAM_CLASSES);
    let probable = classes.iter().take_while(|(_, p)| *p >= BEAM_MIN_PROBABILITY).count();
    classes.truncate(probable.max(2));
    classes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::reading::Alphabet;
    use super::super::shapes::Shapes;
    use super::*;

    const CLASSES: usize = 4;
    const BLANK: usize = 3;

    fn automaton(shapes: &Shapes) -> Automaton {
        Automaton::new(shapes, &Alphabet::new("abc", BLANK))
    }

    /// Sums the probability of every path by the text it spells.
    fn brute_force(posteriors: &Posteriors) -> BTreeMap<Vec<usize>, f64> {
        let steps = posteriors.rows().count() as u32;
        let mut texts = BTreeMap::new();
        for path in 0..CLASSES.pow(steps) {
            let (mut text, mut previous, mut log_prob) = (Vec::new(), BLANK, 0.0_f64);
            for (t, row) in posteriors.rows().enumerate() {
                let class = path / CLASSES.pow(t as u32) % CLASSES;
                log_prob += f64::from(row[class]);
                if class != BLANK && class != previous {
                    text.push(class);
                }
                previous = class;
            }
            *texts.entry(text).or_insert(0.0) += log_prob.exp();
        }
        texts
    }

    fn posteriors() -> impl Strategy<Value = Posteriors> {
        proptest::collection::vec(-6.0_f32..6.0, CLASSES..=CLASSES * 6).prop_map(|logits| {
            Posteriors::from_logits(logits[..logits.len() / CLASSES * CLASSES].to_vec(), CLASSES, BLANK)
        })
    }

    proptest! {
        #[test]
        fn the_forward_algorithm_agrees_with_all_paths(posteriors in posteriors(), other in proptest::collection::vec(0_usize..BLANK, 0..8)) {
            let truth = brute_force(&posteriors);
            prop_assert!((truth.values().sum::<f64>() - 1.0).abs() < 1e-4);
            for (text, probability) in &truth {
                let found = posteriors.log_likelihood(text).exp();
                prop_assert!((found - probability).abs() <= 1e-6 + 1e-4 * probability, "{text:?}: {found} and not {probability}");
            }
            if !truth.contains_key(&other) {
                prop_assert_eq!(posteriors.log_likelihood(&other), f64::NEG_INFINITY);
            }
        }

        #[test]
        fn the_search_finds_the_likeliest_texts(posteriors in posteriors()) {
            let mut truth: Vec<(Vec<usize>, f64)> = brute_force(&posteriors).into_iter().collect();
            truth.sort_by(|a, b| b.1.total_cmp(&a.1));
            let found = posteriors.likely(3, &automaton(&Shapes::any()));
            // ties may come in either order: compare likelihoods
            for (mine, true_one) in found.iter().zip(&truth).take(2) {
                prop_assert!((mine.1 - true_one.1.ln()).abs() < 0.05, "{mine:?} and not {true_one:?}");
            }
            prop_assert!(!found.is_empty());
        }
    }

    proptest! {
        #[test]
        fn within_shapes_the_search_finds_the_likeliest_text_of_them(posteriors in posteriors()) {
            let shapes = Shapes::new([vec!["ab", "c"], vec!["a", "bc", "c"]]).unwrap();
            let automaton = automaton(&shapes);
            let truth = brute_force(&posteriors);
            let best = truth.iter().filter(|(text, _)| automaton.accepts(text)).max_by(|a, b| a.1.total_cmp(b.1));
            let found = posteriors.likely(3, &automaton);
            prop_assert!(found.iter().all(|(text, _)| automaton.accepts(text)));
            match (best, found.first()) {
                (Some((_, probability)), mine) if *probability > 1e-3 => {
                    prop_assert!(mine.is_some_and(|(_, found)| (found - probability.ln()).abs() < 0.05));
                }
                // too few steps for any of them, or all too unlikely to be followed surely
                (Some(_), _) => {}
                (None, mine) => prop_assert!(mine.is_none()),
            }
        }
    }

    #[test]
    fn greedy_merges_repeats_and_drops_blanks() {
        // 0 0 _ 0 1 1 _
        let path = [0, 0, BLANK, 0, 1, 1, BLANK];
        let logits = path.iter().flat_map(|best| (0..CLASSES).map(move |c| if c == *best { 5.0 } else { 0.0 }));
        let posteriors = Posteriors::from_logits(logits, CLASSES, BLANK);
        let text = posteriors.greedy();
        assert_eq!(text.iter().map(|(class, _)| *class).collect::<Vec<_>>(), [0, 0, 1]);
        assert!(text.iter().all(|(_, probability)| *probability > 0.97 && *probability < 1.0));
        assert_eq!(posteriors.likely(1, &automaton(&Shapes::any()))[0].0, [0, 0, 1]);
    }

    #[test]
    fn probabilities_sum_to_one_however_large_the_logits() {
        for size in [1.0, 1e4, 1e8, 1e30, f32::MAX] {
            let posteriors = Posteriors::from_logits([size; CLASSES], CLASSES, BLANK);
            let sum: f32 = posteriors.rows().flatten().map(|v| v.exp()).sum();
            assert!((sum - 1.0).abs() < 1e-5, "{size}: {sum}");
            assert!((posteriors.log_likelihood(&[1]) - 0.25_f64.ln()).abs() < 1e-5, "{size}");
        }
    }

    #[test]
    fn a_long_sequence_neither_underflows_nor_overflows() {
        let logits = (0..400 * CLASSES).map(|i| if i % CLASSES == BLANK { 30.0 } else { -30.0 });
        let posteriors = Posteriors::from_logits(logits, CLASSES, BLANK);
        assert!(posteriors.log_likelihood(&[]).abs() < 1e-3);
        assert!((posteriors.log_likelihood(&[1]) + 60.0 - 400.0_f64.ln()).abs() < 1e-2);
    }
}
