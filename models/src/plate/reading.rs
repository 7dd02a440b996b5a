//! What the reader saw on one crop: a text, and how likely any other text would be.

use std::fmt;
use std::sync::Arc;

use super::ctc::Posteriors;

/// The characters a reader knows and the index of its blank.
#[derive(Debug)]
pub(crate) struct Alphabet {
    characters: Vec<char>,
    blank: usize,
}

impl Alphabet {
    pub(crate) fn new(characters: &str, blank: usize) -> Self {
        Self { characters: characters.chars().collect(), blank }
    }

    /// Characters and the blank.
    pub(crate) fn classes(&self) -> usize {
        self.characters.len() + 1
    }

    pub(crate) fn blank(&self) -> usize {
        self.blank
    }

    fn character(&self, class: usize) -> char {
        self.characters[class - usize::from(class > self.blank)]
    }

    /// `None` when a character is not in the alphabet.
    fn classes_of(&self, text: &str) -> Option<Vec<usize>> {
        text.chars()
            .map(|c| {
                let index = self.characters.iter().position(|known| *known == c)?;
                Some(index + usize::from(index >= self.blank))
            })
            .collect()
    }
}

/// One character of the best text.
#[derive(Clone, Copy, PartialEq)]
pub struct CharacterReading {
    /// A character of the reader's alphabet (Latin look-alikes for GOST plates).
    pub character: char,
    /// Its probability, 0 to 1.
    pub probability: f32,
}

/// A text the reader holds possible.
#[derive(Clone, PartialEq)]
pub struct Hypothesis {
    /// The text.
    pub text: String,
    /// ln of its likelihood.
    pub log_likelihood: f64,
}

/// One reading of one plate. Its `Debug` shows no text: plates are personal data and stay out of logs.
#[derive(Clone)]
pub struct PlateReading {
    alphabet: Arc<Alphabet>,
    posteriors: Posteriors,
    characters: Vec<CharacterReading>,
}

impl PlateReading {
    pub(crate) fn new(alphabet: Arc<Alphabet>, posteriors: Posteriors) -> Self {
        let characters = posteriors
            .greedy()
            .into_iter()
            .map(|(class, probability)| CharacterReading { character: alphabet.character(class), probability })
            .collect();
        Self { alphabet, posteriors, characters }
    }

    /// The best text; empty when nothing was read.
    pub fn text(&self) -> String {
        self.characters.iter().map(|c| c.character).collect()
    }

    /// The best text's characters with their probabilities.
    pub fn characters(&self) -> &[CharacterReading] {
        &self.characters
    }

    /// The least of the character probabilities; 0 when nothing was read.
    pub fn weakest_probability(&self) -> f32 {
        self.characters.iter().map(|c| c.probability).reduce(f32::min).unwrap_or(0.0)
    }

    /// The mean of the character probabilities; 0 when nothing was read.
    pub fn mean_probability(&self) -> f32 {
        let sum: f32 = self.characters.iter().map(|c| c.probability).sum();
        sum / self.characters.len().max(1) as f32
    }

    /// ln P(class) at each step of the network, one row per step; the blank is one of the classes.
    pub fn log_probs(&self) -> impl Iterator<Item = &[f32]> {
        self.posteriors.rows()
    }

    /// ln of the likelihood of `text` given the picture. Minus infinity when it cannot be what is shown or contains a
    /// character outside the alphabet.
    pub fn log_likelihood(&self, text: &str) -> f64 {
        self.alphabet.classes_of(text).map_or(f64::NEG_INFINITY, |classes| self.posteriors.log_likelihood(&classes))
    }

    /// Up to `count` likely texts, likeliest first.
    pub fn hypotheses(&self, count: usize) -> Vec<Hypothesis> {
        self.posteriors
            .likely(count)
            .into_iter()
            .map(|(classes, log_likelihood)| Hypothesis {
                text: classes.into_iter().map(|class| self.alphabet.character(class)).collect(),
                log_likelihood,
            })
            .collect()
    }

    /// How much likelier (in nats) the picture is under `admitted` than under the best text that is not `admitted`.
    /// Positive: it is the best reading. Minus infinity: impossible.
    pub fn match_score(&self, admitted: &str) -> f64 {
        let own = self.log_likelihood(admitted);
        if own == f64::NEG_INFINITY {
            return own;
        }
        let other = self.hypotheses(2).into_iter().find(|hypothesis| hypothesis.text != admitted);
        // everything else together is an upper bound for the best of it
        own - other.map_or_else(|| (-own.exp()).ln_1p().max(-700.0), |hypothesis| hypothesis.log_likelihood)
    }
}

impl fmt::Debug for PlateReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlateReading({} characters, weakest {:.2}, …)", self.characters.len(), self.weakest_probability())
    }
}

impl fmt::Debug for Hypothesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hypothesis(…, {:.2})", self.log_likelihood)
    }
}

impl fmt::Debug for CharacterReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CharacterReading(…, {:.2})", self.probability)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const CHARACTERS: &str = "0123456789ABEKMHOPCTYX";

    /// A reading that shows `text` with the logit of each right character `sure` above the others, and of `rivals`
    /// (position, character, logit) as given.
    pub(crate) fn showing(text: &str, sure: f32, rivals: &[(usize, char, f32)]) -> PlateReading {
        let alphabet = Arc::new(Alphabet::new(CHARACTERS, 22));
        let mut logits = Vec::new();
        for (position, c) in text.chars().enumerate() {
            let mut row = vec![0.0; alphabet.classes()];
            for class in alphabet.classes_of(&c.to_string()).into_iter().flatten() {
                row[class] = sure;
            }
            for (_, rival, logit) in rivals.iter().filter(|rival| rival.0 == position) {
                for class in alphabet.classes_of(&rival.to_string()).into_iter().flatten() {
                    row[class] = *logit;
                }
            }
            let mut blank = vec![0.0; alphabet.classes()];
            blank[22] = 12.0;
            logits.extend(row.into_iter().chain(blank));
        }
        PlateReading::new(alphabet.clone(), Posteriors::from_logits(logits, alphabet.classes(), 22))
    }

    #[test]
    fn the_text_and_its_probabilities() {
        let reading = showing("A123BC77", 9.0, &[(1, '7', 8.0)]);
        assert_eq!(reading.text(), "A123BC77");
        assert!(reading.weakest_probability() < 0.75 && reading.mean_probability() > 0.9);
        assert_eq!(reading.log_probs().count(), 16);
        let hypotheses = reading.hypotheses(2);
        assert_eq!(hypotheses[0].text, "A123BC77");
        assert_eq!(hypotheses[1].text, "A723BC77");
        assert!((hypotheses[0].log_likelihood - hypotheses[1].log_likelihood - 1.0).abs() < 1e-3);
    }

    #[test]
    fn the_admitted_plate_is_weighed_against_the_best_other() {
        let reading = showing("A123BC77", 9.0, &[(1, '7', 8.0)]);
        assert!((reading.match_score("A123BC77") - 1.0).abs() < 0.01);
        assert!((reading.match_score("A723BC77") + 1.0).abs() < 0.01);
        assert!(reading.match_score("A123BC78") < -8.0);
        assert_eq!(reading.match_score("A123BC7Ж"), f64::NEG_INFINITY);
        assert_eq!(reading.match_score(&"A".repeat(40)), f64::NEG_INFINITY);
    }

    #[test]
    fn a_plate_within_another_plate_does_not_match() {
        let long = showing("A123BC777", 12.0, &[]);
        assert!(long.match_score("A123BC777") > 5.0);
        assert!(long.match_score("A123BC77") < -5.0);
        assert!(long.match_score("123BC777") < -5.0);
        assert!(showing("A123BC77", 12.0, &[]).match_score("A123BC777") < -5.0);
    }

    #[test]
    fn a_blank_in_the_middle_of_the_alphabet_is_skipped_over() {
        let alphabet = Alphabet::new("ABC", 1);
        assert_eq!(alphabet.classes_of("ABC"), Some(vec![0, 2, 3]));
        assert_eq!([0, 2, 3].map(|class| alphabet.character(class)), ['A', 'B', 'C']);
    }

    #[test]
    fn no_text_in_debug_output() {
        let reading = showing("A123BC77", 9.0, &[]);
        let shown = format!("{reading:?} {:?} {:?}", reading.hypotheses(1), reading.characters());
        assert!(!shown.contains("A123BC77") && !shown.contains('A'), "{shown}");
    }
}
