//! What the reader saw on one crop: a text, and how likely any other text would be.

use std::fmt;
use std::sync::Arc;

use super::posteriors::Posteriors;
use super::shapes::Lexicon;

/// Texts outside the shapes that a reading proposes: what they are matters little, that there is one matters.
const OTHER_HYPOTHESES: usize = 3;

/// The characters a reader knows and the index of its blank.
#[derive(Debug, Clone)]
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

    pub(crate) fn character(&self, class: usize) -> char {
        self.characters[class - usize::from(class > self.blank)]
    }

    /// `None` when the character is not in the alphabet.
    pub(crate) fn class_of(&self, character: char) -> Option<usize> {
        let index = self.characters.iter().position(|known| *known == character)?;
        Some(index + usize::from(index >= self.blank))
    }

    /// `None` when a character is not in the alphabet.
    pub(crate) fn classes_of(&self, text: &str) -> Option<Vec<usize>> {
        text.chars().map(|c| self.class_of(c)).collect()
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
    /// ln of its prior, up to a constant: 0 for a text of the shapes in use, less for any other.
    pub log_prior: f64,
}

impl Hypothesis {
    /// ln of likelihood times prior: what hypotheses are ranked by.
    pub fn log_weight(&self) -> f64 {
        self.log_likelihood + self.log_prior
    }
}

/// One reading of one plate. Its `Debug` shows no text: plates are personal data and stay out of logs.
#[derive(Clone)]
pub struct PlateReading {
    lexicon: Arc<Lexicon>,
    posteriors: Posteriors,
    characters: Vec<CharacterReading>,
    quality: f32,
}

impl PlateReading {
    pub(crate) fn new(lexicon: Arc<Lexicon>, posteriors: Posteriors, quality: f32) -> Self {
        let characters = posteriors
            .greedy()
            .into_iter()
            .map(|(class, probability)| CharacterReading { character: lexicon.alphabet.character(class), probability })
            .collect();
        Self { lexicon, posteriors, characters, quality }
    }

    /// The most probable characters one by one, whether or not a plate can have them in this order; empty when nothing was
    /// read. [`PlateReading::hypotheses`] knows the shapes.
    pub fn text(&self) -> String {
        self.characters.iter().map(|c| c.character).collect()
    }

    /// How good the picture is to read from, 0 to 1: [`super::quality`].
    pub fn quality(&self) -> f32 {
        self.quality
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

    /// ln of the likelihood of `text` given the picture. Minus infinity when it cannot be what is shown or contains a
    /// character outside the alphabet.
    pub fn log_likelihood(&self, text: &str) -> f64 {
        let classes = self.lexicon.alphabet.classes_of(text);
        classes.map_or(f64::NEG_INFINITY, |classes| self.posteriors.log_likelihood(&classes))
    }

    /// ln of the prior of `text`, up to a constant: 0 for the shapes in use.
    pub fn log_prior(&self, text: &str) -> f64 {
        self.lexicon.alphabet.classes_of(text).map_or(f64::NEG_INFINITY, |classes| self.lexicon.log_prior(&classes))
    }

    /// Up to `count` texts of the shapes in use and a few others, by likelihood and prior, best first.
    pub fn hypotheses(&self, count: usize) -> Vec<Hypothesis> {
        let mut texts = self.posteriors.likely(count, &self.lexicon.shaped);
        if self.lexicon.is_limited() {
            let others = self.posteriors.likely(OTHER_HYPOTHESES, &self.lexicon.free);
            texts.extend(others.into_iter().filter(|(classes, _)| !self.lexicon.shaped.accepts(classes)));
        }
        let mut hypotheses: Vec<Hypothesis> = texts
            .into_iter()
            .map(|(classes, log_likelihood)| Hypothesis {
                log_prior: self.lexicon.log_prior(&classes),
                text: classes.into_iter().map(|class| self.lexicon.alphabet.character(class)).collect(),
                log_likelihood,
            })
            .collect();
        hypotheses.sort_by(|a, b| b.log_weight().total_cmp(&a.log_weight()));
        hypotheses
    }

    /// ln of likelihood times prior of the best text: how much sense the picture makes, read this way.
    pub(crate) fn best_log_weight(&self) -> f64 {
        self.hypotheses(1).first().map_or(f64::NEG_INFINITY, Hypothesis::log_weight)
    }

    /// How much likelier (in nats) the picture is under `admitted` than under the best text that is not `admitted`, each
    /// with its prior. Positive: it is the best reading. Minus infinity: impossible.
    pub fn match_score(&self, admitted: &str) -> f64 {
        let own = self.log_likelihood(admitted);
        if own == f64::NEG_INFINITY {
            return own;
        }
        let other = self.hypotheses(2).into_iter().find(|hypothesis| hypothesis.text != admitted);
        // everything else together is an upper bound for the best of it
        let other = other.map_or_else(|| (-own.exp()).ln_1p().max(-700.0), |hypothesis| hypothesis.log_weight());
        own + self.log_prior(admitted) - other
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
    use super::super::ctc;
    use super::super::shapes::Shapes;
    use super::super::shapes::tests::cars;
    use super::*;

    const CHARACTERS: &str = "0123456789ABEKMHOPCTYX";

    /// A reading that shows `text` with the logit of each right character `sure` above the others, and of `rivals`
    /// (position, character, logit) as given; every text is possible.
    pub(crate) fn showing(text: &str, sure: f32, rivals: &[(usize, char, f32)]) -> PlateReading {
        shown(&Shapes::any(), 1.0, text, sure, rivals)
    }

    /// The same within `shapes`, from a picture of some quality.
    pub(crate) fn shown(
        shapes: &Shapes,
        quality: f32,
        text: &str,
        sure: f32,
        rivals: &[(usize, char, f32)],
    ) -> PlateReading {
        let alphabet = Alphabet::new(CHARACTERS, 22);
        let classes = alphabet.classes();
        let mut logits = Vec::new();
        for (position, c) in text.chars().enumerate() {
            let mut row = vec![0.0; classes];
            if let Some(class) = alphabet.class_of(c) {
                row[class] = sure;
            }
            for (_, rival, logit) in rivals.iter().filter(|rival| rival.0 == position) {
                if let Some(class) = alphabet.class_of(*rival) {
                    row[class] = *logit;
                }
            }
            let mut blank = vec![0.0; classes];
            blank[22] = 12.0;
            logits.extend(row.into_iter().chain(blank));
        }
        let lexicon = Arc::new(Lexicon::new(alphabet, shapes));
        let posteriors = ctc::Posteriors::from_logits(logits, classes, 22);
        PlateReading::new(lexicon, Posteriors::Ctc(posteriors), quality)
    }

    #[test]
    fn the_text_and_its_probabilities() {
        let reading = showing("A123BC77", 9.0, &[(1, '7', 8.0)]);
        assert_eq!(reading.text(), "A123BC77");
        assert!(reading.weakest_probability() < 0.75 && reading.mean_probability() > 0.9);
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
    fn region_77_is_not_region_777() {
        let cars = cars();
        let long = shown(&cars, 1.0, "A123BC777", 12.0, &[]);
        assert!(long.match_score("A123BC777") > 5.0 && long.match_score("A123BC77") < -5.0);
        let short = shown(&cars, 1.0, "A123BC77", 12.0, &[]);
        assert!(short.match_score("A123BC77") > 5.0 && short.match_score("A123BC777") < -5.0);
    }

    #[test]
    fn the_letter_o_and_the_digit_0_are_told_apart_by_their_place() {
        // the reader cannot tell them apart at all: only one of them can stand at each place
        let reading = shown(&cars(), 1.0, "0O0OOO77", 9.0, &[(0, 'O', 9.0), (1, '0', 9.0), (3, '0', 9.0)]);
        let best = &reading.hypotheses(3)[0];
        assert_eq!((best.text.as_str(), best.log_prior), ("O000OO77", 0.0));
        assert!(reading.match_score("O000OO77") > 5.0);
        // without shapes the same picture is a guess
        let reading = showing("0O0OOO77", 9.0, &[(0, 'O', 9.0), (1, '0', 9.0), (3, '0', 9.0)]);
        assert!(reading.match_score("O000OO77") < 0.1);
    }

    #[test]
    fn b_and_8_are_told_apart_by_their_place_and_never_guessed_where_both_are_digits() {
        let reading = shown(&cars(), 1.0, "8128BC77", 9.0, &[(0, 'B', 8.5)]);
        assert!(reading.match_score("B128BC77") > 3.0, "a plate begins with a letter");
        let reading = shown(&cars(), 1.0, "B128BC77", 9.0, &[(3, '3', 8.9)]);
        assert!(reading.match_score("B128BC77") < 0.2 && reading.match_score("B123BC77") < 0.2);
    }

    #[test]
    fn lettering_is_no_plate_although_a_plate_is_near() {
        let reading = shown(&cars(), 1.0, "A1238C7", 12.0, &[]);
        let best = &reading.hypotheses(3)[0];
        assert!(best.text == "A1238C7" && best.log_prior < 0.0, "no plate has that shape");
        for plate in ["A123BC77", "A123BC7", "A123PC77"] {
            assert!(reading.match_score(plate) < 0.0, "{plate}: {}", reading.match_score(plate));
        }
    }

    #[test]
    fn a_plate_of_another_country_is_weighed_against_its_own_kind() {
        let reading = shown(&cars(), 1.0, "AA0123", 12.0, &[(2, 'O', 11.0)]);
        assert!(reading.match_score("AA0123") > 0.5, "{}", reading.match_score("AA0123"));
        assert!(reading.match_score("AAO123") < 0.0, "{}", reading.match_score("AAO123"));
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
