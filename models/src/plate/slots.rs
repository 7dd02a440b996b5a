//! Fixed character positions: likelihoods of texts under a reader that has one classifier per slot.
//!
//! Each of S slots has a distribution over C classes, one of them the pad, which stands for "no character here". A way of
//! filling all slots spells a text by dropping pads; the likelihood of a text is the sum over its ways. So the likelihoods
//! of all texts sum to one, as under CTC, and one rule of matching serves both.

use super::search::Trie;
use super::shapes::Automaton;
use crate::manifest::Slots;
use crate::tensor::{TensorView, Unexpected, probability, softmax};

/// Prefixes kept at each slot of the search for likely texts.
const BEAM_WIDTH: usize = 24;
/// Classes tried at each slot of the search, and the least probability beyond the first two.
const BEAM_CLASSES: usize = 10;
const BEAM_MIN_PROBABILITY: f64 = 1e-5;
/// No class is held less likely than this: a classifier's zero is one of rounding.
const LEAST_PROBABILITY: f32 = 1e-12;
/// How far the sum of a slot's softmax may be from 1.
const SUM_TOLERANCE: f32 = 0.02;

/// Log-probabilities of classes over slots.
#[derive(Clone)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct SlotPosteriors {
    classes: usize,
    pad: usize,
    log_probs: Vec<f32>,
}

impl SlotPosteriors {
    /// Whether `view` has the shape of `decode`'s output.
    pub(crate) fn fit(view: TensorView<'_>, decode: &Slots) -> bool {
        let classes = decode.alphabet.chars().count();
        match *view.shape() {
            [1, slots, c] => slots == decode.slots as i64 && c == classes as i64,
            [1, all] => all == (decode.slots * classes) as i64,
            _ => false,
        }
    }

    /// From an output of `[1, slots, classes]` or `[1, slots * classes]`.
    pub(crate) fn read(name: &str, view: TensorView<'_>, decode: &Slots) -> Result<Self, Unexpected> {
        let classes = decode.alphabet.chars().count();
        let expected = || format!("[1, {}, {classes}] or [1, {}]", decode.slots, decode.slots * classes);
        let Some((pad, _)) = decode.pad_and_characters() else {
            return Err(Unexpected::new(name, "a pad class", "an alphabet without one"));
        };
        if !Self::fit(view, decode) {
            return Err(Unexpected::new(name, expected(), view.describe()));
        }
        let mut log_probs = Vec::with_capacity(view.data().len());
        for slot in view.data().chunks_exact(classes) {
            if decode.softmax {
                let mut sum = 0.0;
                for value in slot {
                    sum += probability(*value, name)?;
                }
                if (sum - 1.0).abs() > SUM_TOLERANCE {
                    let wanted = "a softmax per slot (or `softmax = false` in the manifest)";
                    return Err(Unexpected::new(name, wanted, format!("probabilities that sum to {sum}")));
                }
                log_probs.extend(slot.iter().map(|value| (value / sum).max(LEAST_PROBABILITY).ln()));
            } else {
                if !slot.iter().all(|v| v.is_finite()) {
                    return Err(Unexpected::new(name, "logits", "NaN or infinity"));
                }
                log_probs.extend(softmax(slot).map(|value| value.max(LEAST_PROBABILITY).ln()));
            }
        }
        Ok(Self { classes, pad, log_probs })
    }

    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.log_probs.chunks_exact(self.classes)
    }

    /// The text of the likeliest class of each slot, with its probabilities.
    pub(crate) fn greedy(&self) -> Vec<(usize, f32)> {
        let best = |row: &[f32]| {
            row.iter()
                .copied()
                .enumerate()
                .fold((0, f32::NEG_INFINITY), |best, now| if now.1 > best.1 { now } else { best })
        };
        self.rows().map(best).filter(|(class, _)| *class != self.pad).map(|(class, log)| (class, log.exp())).collect()
    }

    /// ln of the likelihood of `text` (classes without pads). Minus infinity for a text longer than the slots.
    pub(crate) fn log_likelihood(&self, text: &[usize]) -> f64 {
        // ways[n]: probability that the slots so far spell the first n characters; scaled at each slot
        let mut ways = vec![0.0_f64; text.len() + 1];
        ways[0] = 1.0;
        let mut log_scale = 0.0;
        for row in self.rows() {
            let pad = f64::from(row[self.pad]).exp();
            for n in (0..=text.len()).rev() {
                let longer = if n > 0 { ways[n - 1] * f64::from(row[text[n - 1]]).exp() } else { 0.0 };
                ways[n] = ways[n] * pad + longer;
            }
            let scale: f64 = ways.iter().sum();
            if scale <= 0.0 || !scale.is_finite() {
                return f64::NEG_INFINITY;
            }
            for way in &mut ways {
                *way /= scale;
            }
            log_scale += scale.ln();
        }
        ways[text.len()].ln() + log_scale
    }

    /// Up to `count` likely texts of the shapes that `automaton` knows, with their exact log-likelihoods, likeliest first
    /// (prefix beam search).
    pub(crate) fn likely(&self, count: usize, automaton: &Automaton) -> Vec<(Vec<usize>, f64)> {
        let mut trie = Trie::new(automaton);
        let mut beam = vec![(Trie::ROOT, [1.0, 0.0])];
        for row in self.rows() {
            let tried = classes_to_try(row, self.pad);
            for (prefix, [weight, _]) in beam.drain(..) {
                for &(class, probability) in &tried {
                    let next = if class == self.pad { Some(prefix) } else { trie.child(prefix, class) };
                    if let Some(next) = next {
                        trie.add(next, [weight * probability, 0.0]);
                    }
                }
            }
            trie.take_best(BEAM_WIDTH, &mut beam);
        }
        // the search's own weights lack pruned ways: a few more than asked for are weighed exactly
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

/// The likely classes of a slot, and the pad: without it a prefix could not end.
fn classes_to_try(row: &[f32], pad: usize) -> Vec<(usize, f64)> {
    let mut classes: Vec<(usize, f64)> = row.iter().map(|v| f64::from(*v).exp()).enumerate().collect();
    classes.sort_by(|a, b| b.1.total_cmp(&a.1));
    let probable = classes.iter().take(BEAM_CLASSES).take_while(|(_, p)| *p >= BEAM_MIN_PROBABILITY).count();
    let skipped = classes.iter().skip(probable.max(2)).find(|(class, _)| *class == pad).copied();
    classes.truncate(probable.max(2));
    classes.extend(skipped);
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
    const PAD: usize = 3;

    fn slots(alphabet: &str, slots: usize, softmax: bool) -> Slots {
        Slots { alphabet: alphabet.into(), pad: '_', slots, softmax, two_line: false }
    }

    fn automaton(alphabet: &str, shapes: &Shapes) -> Automaton {
        let (pad, characters) = slots(alphabet, 1, false).pad_and_characters().unwrap();
        Automaton::new(shapes, &Alphabet::new(&characters, pad))
    }

    fn from_logits(logits: &[f32]) -> SlotPosteriors {
        let decode = slots("ABC_", logits.len() / CLASSES, false);
        let shape = [1, decode.slots as i64, CLASSES as i64];
        SlotPosteriors::read("slots", TensorView::new(&shape, logits).unwrap(), &decode).unwrap()
    }

    /// Logits of slots that show `text` (`_` is the pad) surely.
    fn showing(alphabet: &str, text: &str, sure: f32) -> Vec<f32> {
        text.chars().flat_map(|c| alphabet.chars().map(move |known| if known == c { sure } else { 0.0 })).collect()
    }

    /// Sums the probability of every way of filling the slots by the text it spells.
    fn brute_force(posteriors: &SlotPosteriors) -> BTreeMap<Vec<usize>, f64> {
        let count = posteriors.rows().count() as u32;
        let mut texts = BTreeMap::new();
        for way in 0..CLASSES.pow(count) {
            let filled: Vec<usize> = (0..count).map(|s| way / CLASSES.pow(s) % CLASSES).collect();
            let log: f64 = posteriors.rows().zip(&filled).map(|(row, class)| f64::from(row[*class])).sum();
            *texts.entry(filled.into_iter().filter(|c| *c != PAD).collect()).or_insert(0.0) += log.exp();
        }
        texts
    }

    fn posteriors() -> impl Strategy<Value = SlotPosteriors> {
        proptest::collection::vec(-6.0_f32..6.0, CLASSES..=CLASSES * 6)
            .prop_map(|logits| from_logits(&logits[..logits.len() / CLASSES * CLASSES]))
    }

    proptest! {
        #[test]
        fn likelihoods_agree_with_all_ways(posteriors in posteriors(), other in proptest::collection::vec(0..PAD, 0..8)) {
            let truth = brute_force(&posteriors);
            prop_assert!((truth.values().sum::<f64>() - 1.0).abs() < 1e-4);
            for (text, probability) in &truth {
                let found = posteriors.log_likelihood(text).exp();
                prop_assert!((found - probability).abs() <= 1e-6 + 1e-4 * probability, "{text:?}: {found}, {probability}");
            }
            if !truth.contains_key(&other) {
                prop_assert_eq!(posteriors.log_likelihood(&other), f64::NEG_INFINITY);
            }
        }

        #[test]
        fn the_search_finds_the_likeliest_texts(posteriors in posteriors()) {
            let mut truth: Vec<(Vec<usize>, f64)> = brute_force(&posteriors).into_iter().collect();
            truth.sort_by(|a, b| b.1.total_cmp(&a.1));
            let found = posteriors.likely(3, &automaton("ABC_", &Shapes::any()));
            for (mine, true_one) in found.iter().zip(&truth).take(2) {
                prop_assert!((mine.1 - true_one.1.ln()).abs() < 0.05, "{mine:?} and not {true_one:?}");
            }
            prop_assert!(!found.is_empty());
        }

        #[test]
        fn no_output_panics_the_reader(
            shape in proptest::collection::vec(-1_i64..12, 0..4),
            values in proptest::collection::vec(any::<f32>(), 1..20),
            softmax in any::<bool>(),
        ) {
            let count = shape.iter().map(|s| (*s).max(0) as usize).product::<usize>();
            let data: Vec<f32> = values.into_iter().cycle().take(count).collect();
            if let Some(view) = TensorView::new(&shape, &data)
                && let Ok(posteriors) = SlotPosteriors::read("slots", view, &slots("ABC_", 3, softmax))
            {
                prop_assert!(posteriors.rows().flatten().all(|v| v.is_finite()));
                let likely = posteriors.likely(3, &automaton("ABC_", &Shapes::any()));
                prop_assert!(likely.len() <= 3 && posteriors.greedy().len() <= 3);
            }
        }
    }

    #[test]
    fn a_flat_softmax_and_slotted_logits_say_the_same() {
        let alphabet = "0123456789ABC_";
        let logits = showing(alphabet, "A77____", 9.0);
        let decode = slots(alphabet, 7, false);
        let by_logits = SlotPosteriors::read("s", TensorView::new(&[1, 7, 14], &logits).unwrap(), &decode).unwrap();
        let probabilities: Vec<f32> = logits.chunks(14).flat_map(|slot| softmax(slot).collect::<Vec<_>>()).collect();
        let flat = TensorView::new(&[1, 98], &probabilities).unwrap();
        let by_softmax = SlotPosteriors::read("s", flat, &slots(alphabet, 7, true)).unwrap();
        for (a, b) in by_logits.rows().flatten().zip(by_softmax.rows().flatten()) {
            assert!((a - b).abs() < 1e-4);
        }
        assert_eq!(by_softmax.greedy().iter().map(|(class, _)| *class).collect::<Vec<_>>(), [10, 7, 7]);
        let any = automaton(alphabet, &Shapes::any());
        assert_eq!(by_softmax.likely(1, &any)[0].0, [10, 7, 7]);
        let four = automaton(alphabet, &Shapes::new([vec!["A", "7", "7", "0123"]]).unwrap());
        assert_eq!(by_softmax.likely(1, &four)[0].0.len(), 4);
    }

    #[test]
    fn seventy_seven_is_not_seven_hundred_and_seventy_seven() {
        let alphabet = "0123456789ABC_";
        let read = |text: &str| {
            let logits = showing(alphabet, text, 12.0);
            let decode = slots(alphabet, text.len(), false);
            let shape = [1, text.len() as i64, 14];
            SlotPosteriors::read("s", TensorView::new(&shape, &logits).unwrap(), &decode).unwrap()
        };
        let (short, long) = ([10, 7, 7], [10, 7, 7, 7]);
        let apart = |p: &SlotPosteriors| p.log_likelihood(&short) - p.log_likelihood(&long);
        assert!(apart(&read("A77______")) > 5.0);
        assert!(apart(&read("A777_____")) < -5.0);
    }

    #[test]
    fn what_is_no_softmax_is_an_error() {
        let decode = slots("ABC_", 1, true);
        for values in [[0.5, 0.5, 0.5, 0.5], [9.0, -3.0, 0.0, 1.0], [f32::NAN, 0.0, 0.0, 1.0]] {
            assert!(SlotPosteriors::read("s", TensorView::new(&[1, 1, 4], &values).unwrap(), &decode).is_err());
        }
        let error = SlotPosteriors::read("s", TensorView::new(&[1, 4, 1], &[0.25; 4]).unwrap(), &decode).unwrap_err();
        assert_eq!((error.expected.as_str(), error.found.as_str()), ("[1, 1, 4] or [1, 4]", "[1, 4, 1]"));
    }
}
