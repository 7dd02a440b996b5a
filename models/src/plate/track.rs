//! Evidence over the frames of one track.
//!
//! Frames of a track share dirt, angle and light, so they are not independent: their log-likelihoods are averaged, not
//! added, which keeps the reader's calibrated threshold meaningful whatever the number of frames. A frame may also show
//! nothing of the plate (glare, a passer-by): a small chance of that bounds what one frame can say against a text.
//!
//! When a track is full, the worst picture gives way: a car that has come close, or stopped, is read from its best frames.

use std::collections::BTreeMap;
use std::fmt;

use super::reading::{Hypothesis, PlateReading};

/// ln of the least likelihood one frame may give any text: about one plate in all there can be.
const FLOOR: f64 = -30.0;
/// Texts taken from each reading as candidates.
const HYPOTHESES_PER_READING: usize = 6;

/// The readings of one track; the one from the worst picture gives way when it is full.
#[derive(Clone)]
pub struct TrackReading {
    capacity: usize,
    /// Each with the texts it proposes and their priors.
    readings: Vec<(PlateReading, Vec<(String, f64)>)>,
    /// All candidates with their fused log-likelihood, best first.
    hypotheses: Vec<Hypothesis>,
}

/// The admitted plate that explains a track best.
#[derive(Clone, Copy, PartialEq)]
pub struct PlateScore<T> {
    /// What the caller knows it by.
    pub plate: T,
    /// How much better it explains the track than the best other text, in nats per frame.
    pub score: f64,
}

impl TrackReading {
    /// An empty track that remembers up to `capacity` readings (at least one).
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), readings: Vec::new(), hypotheses: Vec::new() }
    }

    /// Adds a reading.
    pub fn add(&mut self, reading: PlateReading) {
        let texts = reading.hypotheses(HYPOTHESES_PER_READING).into_iter().map(|h| (h.text, h.log_prior)).collect();
        self.readings.push((reading, texts));
        if self.readings.len() > self.capacity {
            // of equals, the oldest
            let quality = |i: &usize| self.readings[*i].0.quality();
            let worst = (0..self.readings.len()).min_by(|a, b| quality(a).total_cmp(&quality(b)));
            self.readings.remove(worst.unwrap_or(0));
        }
        let candidates: BTreeMap<&str, f64> =
            self.readings.iter().flat_map(|(_, texts)| texts).map(|(text, prior)| (text.as_str(), *prior)).collect();
        let mut hypotheses: Vec<Hypothesis> = candidates
            .into_iter()
            .map(|(text, log_prior)| Hypothesis {
                text: text.to_owned(),
                log_likelihood: self.log_likelihood(text),
                log_prior,
            })
            .collect();
        hypotheses.sort_by(|a, b| b.log_weight().total_cmp(&a.log_weight()));
        self.hypotheses = hypotheses;
    }

    /// Number of readings remembered.
    pub fn len(&self) -> usize {
        self.readings.len()
    }

    /// Whether nothing has been read yet.
    pub fn is_empty(&self) -> bool {
        self.readings.is_empty()
    }

    /// Mean over the frames of ln likelihood of `text`, each frame bounded from below. Minus infinity without readings.
    pub fn log_likelihood(&self, text: &str) -> f64 {
        if self.readings.is_empty() {
            return f64::NEG_INFINITY;
        }
        let sum: f64 =
            self.readings.iter().map(|(reading, _)| (reading.log_likelihood(text).exp() + FLOOR.exp()).ln()).sum();
        sum / self.readings.len() as f64
    }

    /// Likely texts of the whole track, by likelihood and prior, best first.
    pub fn hypotheses(&self) -> &[Hypothesis] {
        &self.hypotheses
    }

    /// The best text and by how much (in nats) it leads the next one.
    pub fn best(&self) -> Option<(&str, f64)> {
        let best = self.hypotheses.first()?;
        let next = self.hypotheses.get(1).map_or(FLOOR, Hypothesis::log_weight);
        Some((&best.text, best.log_weight() - next))
    }

    /// How much likelier (in nats per frame) the track is under `admitted` than under the best other text, each with its
    /// prior: the score for the reader's threshold. Minus infinity without readings.
    pub fn match_score(&self, admitted: &str) -> f64 {
        let Some((first, _)) = self.readings.first() else { return f64::NEG_INFINITY };
        let own = self.log_likelihood(admitted) + first.log_prior(admitted);
        if own == f64::NEG_INFINITY {
            return own;
        }
        let other = self.hypotheses.iter().find(|hypothesis| hypothesis.text != admitted);
        own - other.map_or(FLOOR, Hypothesis::log_weight)
    }

    /// The admitted plate with the highest score, if the track proposes one at all; `admitted` answers what a text is known
    /// by. Takes the same time for ten plates as for a million: what no reading proposes is not what it shows.
    pub fn best_match<T>(&self, admitted: impl Fn(&str) -> Option<T>) -> Option<PlateScore<T>> {
        let found = self.hypotheses.iter().find_map(|hypothesis| Some((admitted(&hypothesis.text)?, &hypothesis.text)));
        found.map(|(plate, text)| PlateScore { plate, score: self.match_score(text) })
    }
}

impl fmt::Debug for TrackReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrackReading({} readings, …)", self.readings.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::reading::tests::{showing, shown};
    use super::super::shapes::Shapes;
    use super::*;

    #[test]
    fn frames_outvote_a_misread() {
        let mut track = TrackReading::new(8);
        assert_eq!(track.match_score("A123BC77"), f64::NEG_INFINITY);
        for _ in 0..3 {
            track.add(showing("A123BC77", 9.0, &[(1, '7', 7.0)]));
        }
        track.add(showing("A723BC77", 9.0, &[(1, '1', 8.5)]));
        assert_eq!(track.best().map(|best| best.0), Some("A123BC77"));
        // (3 * 2 - 0.5) / 4
        assert!((track.match_score("A123BC77") - 1.375).abs() < 0.02);
        assert!(track.match_score("A723BC77") < 0.0);
        let admitted = |plates: &'static [&str]| move |text: &str| plates.iter().copied().find(|plate| *plate == text);
        let found = track.best_match(admitted(&["A723BC77", "A123BC77", "X000XX99"])).unwrap();
        assert_eq!(found.plate, "A123BC77");
        assert!((found.score - track.match_score("A123BC77")).abs() < 1e-9);
        assert!(track.best_match(admitted(&["A723BC77"])).unwrap().score < 0.0);
        assert!(track.best_match(admitted(&["X000XX99"])).is_none() && track.best_match(admitted(&[])).is_none());
    }

    #[test]
    fn one_frame_of_nonsense_does_not_decide() {
        let mut track = TrackReading::new(8);
        for _ in 0..4 {
            track.add(showing("A123BC77", 12.0, &[]));
        }
        let before = track.match_score("A123BC77");
        track.add(showing("XXYY00", 14.0, &[]));
        let after = track.match_score("A123BC77");
        assert!(after > 0.2 * before, "{before} fell to {after}");
        assert!(track.match_score("XXYY00") < 0.0);
    }

    #[test]
    fn the_worst_picture_gives_way_and_of_equals_the_oldest() {
        let any = Shapes::any();
        let mut track = TrackReading::new(2);
        track.add(shown(&any, 0.9, "A123BC77", 12.0, &[]));
        track.add(shown(&any, 0.2, "X000XX99", 12.0, &[]));
        track.add(shown(&any, 0.5, "A123BC77", 12.0, &[]));
        assert_eq!(track.len(), 2);
        assert!(track.hypotheses().iter().all(|h| h.text != "X000XX99"));
        track.add(shown(&any, 0.1, "X000XX99", 12.0, &[]));
        assert!(track.match_score("A123BC77") > 5.0, "a worse picture than those at hand says nothing");
        for _ in 0..2 {
            track.add(shown(&any, 0.9, "K555KK50", 12.0, &[]));
        }
        assert!(track.match_score("K555KK50") > 5.0);
    }
}
