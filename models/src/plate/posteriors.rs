//! What a reader's output says about texts, whichever family it is of.
//!
//! To support another family of readers: a file beside `ctc.rs` and `slots.rs` with the same four questions, and a variant
//! here.

use super::ctc;
use super::reading::Alphabet;
use super::shapes::Automaton;
use super::slots::SlotPosteriors;
use crate::manifest::{Decode, Slots};
use crate::tensor::{Tensors, Unexpected};

/// No reader looks at a plate in more steps; the search for likely texts takes memory for each.
const MAX_STEPS: usize = 512;

/// How a reader's output becomes probabilities.
#[derive(Debug, Clone)]
pub(crate) enum Family {
    /// Connectionist temporal classification.
    Ctc(Alphabet),
    /// Fixed character positions.
    Slots(Slots),
}

impl Family {
    /// `None` for a decode kind that is no reader's.
    pub(crate) fn of(decode: &Decode) -> Option<Self> {
        match decode {
            Decode::Ctc { alphabet, blank, .. } => Some(Self::Ctc(Alphabet::new(alphabet, *blank))),
            Decode::Slots(slots) => slots.pad_and_characters().map(|_| Self::Slots(slots.clone())),
            _ => None,
        }
    }

    /// The characters and the class that stands for none: the blank or the pad.
    pub(crate) fn alphabet(&self) -> Alphabet {
        match self {
            Self::Ctc(alphabet) => alphabet.clone(),
            Self::Slots(slots) => {
                let (pad, characters) = slots.pad_and_characters().unwrap_or_default();
                Alphabet::new(&characters, pad)
            }
        }
    }

    /// The probabilities in the first of `outputs`; for slots in the first one of their shape, since readers of many
    /// countries also name the country.
    pub(crate) fn read(&self, outputs: &impl Tensors) -> Result<Posteriors, Unexpected> {
        let (name, view) = outputs.first()?;
        match self {
            Self::Slots(slots) => {
                for index in 1..outputs.count() {
                    let (name, other) = outputs.at(index)?;
                    if !SlotPosteriors::fit(view, slots) && SlotPosteriors::fit(other, slots) {
                        return SlotPosteriors::read(&name, other, slots).map(Posteriors::Slots);
                    }
                }
                SlotPosteriors::read(&name, view, slots).map(Posteriors::Slots)
            }
            Self::Ctc(alphabet) => {
                let (classes, blank) = (alphabet.classes(), alphabet.blank());
                let (logits, side) = (view.data(), classes as i64);
                let unexpected = || {
                    let wanted = format!("[1, T, {classes}] or [1, {classes}, T], T to {MAX_STEPS}");
                    Unexpected::new(&name, format!("finite numbers of shape {wanted}"), view.describe())
                };
                let steps = logits.len() / classes;
                if !(1..=MAX_STEPS).contains(&steps) || !logits.iter().all(|v| v.is_finite()) {
                    return Err(unexpected());
                }
                let posteriors = match *view.shape() {
                    [1, _, last] if last == side => {
                        ctc::Posteriors::from_logits(logits.iter().copied(), classes, blank)
                    }
                    // some exporters put classes first
                    [1, first, _] if first == side => {
                        let by_step = (0..steps).flat_map(|t| (0..classes).map(move |class| logits[class * steps + t]));
                        ctc::Posteriors::from_logits(by_step, classes, blank)
                    }
                    _ => return Err(unexpected()),
                };
                Ok(Posteriors::Ctc(posteriors))
            }
        }
    }
}

/// Probabilities of texts.
#[derive(Clone)]
pub(crate) enum Posteriors {
    Ctc(ctc::Posteriors),
    Slots(SlotPosteriors),
}

impl Posteriors {
    /// The likeliest characters one by one, with their probabilities.
    pub(crate) fn greedy(&self) -> Vec<(usize, f32)> {
        match self {
            Self::Ctc(posteriors) => posteriors.greedy(),
            Self::Slots(posteriors) => posteriors.greedy(),
        }
    }

    /// ln of the likelihood of `text`, given as classes; minus infinity for what cannot be.
    pub(crate) fn log_likelihood(&self, text: &[usize]) -> f64 {
        match self {
            Self::Ctc(posteriors) => posteriors.log_likelihood(text),
            Self::Slots(posteriors) => posteriors.log_likelihood(text),
        }
    }

    /// Up to `count` likely texts of the shapes that `automaton` knows, with their log-likelihoods, likeliest first.
    pub(crate) fn likely(&self, count: usize, automaton: &Automaton) -> Vec<(Vec<usize>, f64)> {
        match self {
            Self::Ctc(posteriors) => posteriors.likely(count, automaton),
            Self::Slots(posteriors) => posteriors.likely(count, automaton),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;
    use crate::tensor::made::Made;

    fn ctc() -> Family {
        Family::of(&Decode::Ctc { alphabet: "AB".into(), blank: 2, two_line: false }).unwrap()
    }

    #[test]
    fn steps_or_classes_may_come_first() {
        let by_step = vec![9.0, 0.0, 0.0, 0.0, 0.0, 9.0, 0.0, 9.0, 0.0, 0.0, 0.0, 9.0];
        let by_class = (0..3).flat_map(|c| (0..4).map(move |t| (c, t))).map(|(c, t)| by_step[t * 3 + c]).collect();
        for (shape, data) in [([1, 4, 3], by_step.clone()), ([1, 3, 4], by_class)] {
            let posteriors = ctc().read(&Made::default().with("logits", &shape, data)).unwrap();
            assert_eq!(posteriors.greedy().iter().map(|(class, _)| *class).collect::<Vec<_>>(), [0, 1]);
        }
    }

    #[test]
    fn slots_are_found_beside_other_outputs() {
        let slots = Slots { alphabet: "AB_".into(), pad: '_', slots: 2, softmax: true, two_line: false };
        let family = Family::of(&Decode::Slots(slots)).unwrap();
        let country = |made: Made| made.with("region", &[1, 4], vec![0.25; 4]);
        let plate = |made: Made| made.with("plate", &[1, 2, 3], vec![0.9, 0.0, 0.1, 0.0, 0.9, 0.1]);
        for outputs in [country(plate(Made::default())), plate(country(Made::default()))] {
            let read = family.read(&outputs).unwrap().greedy();
            assert_eq!(read.iter().map(|(class, _)| *class).collect::<Vec<_>>(), [0, 1]);
        }
        let refused = family.read(&country(Made::default())).err().unwrap();
        assert!(refused.found.contains("[1, 4]"), "{refused:?}");
    }

    #[test]
    fn more_steps_than_any_reader_has_are_refused() {
        let outputs = Made::default().with("logits", &[1, 600, 3], vec![0.0; 1800]);
        assert!(ctc().read(&outputs).is_err());
    }

    proptest! {
        #[test]
        fn no_output_panics_a_reader(
            shape in proptest::collection::vec(-1_i64..12, 0..5),
            values in proptest::collection::vec(prop_oneof![any::<f32>(), -9.0_f32..9.0], 1..20),
        ) {
            let count = shape.iter().map(|s| (*s).max(0) as usize).product::<usize>();
            let data = values.into_iter().cycle().take(count).collect();
            if let Ok(posteriors) = ctc().read(&Made(vec![("logits".into(), shape, data)])) {
                prop_assert!(posteriors.greedy().iter().all(|(class, p)| *class < 2 && (0.0..=1.001).contains(p)));
                prop_assert!(!posteriors.log_likelihood(&[0, 1]).is_nan());
            }
        }
    }
}
