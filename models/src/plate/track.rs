//! Evidence over the frames of one track.
//!
//! Frames of a track share dirt, angle and light, so they are not independent: their log-likelihoods are averaged, not
//! added, which keeps the reader's calibrated threshold meaningful whatever the number of frames. A frame may also show
//! nothing of the plate (glare, a passer-by): a small chance of that bounds what one frame can say against a text.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;

use super::reading::{Hypothesis, PlateReading};

/// ln of the least likelihood one frame may give any text: about one plate in all there can be.
const FLOOR: f64 = -30.0;
/// Texts taken from each reading as candidates.
const HYPOTHESES_PER_READING: usize = 6;

/// The readings of one track, newest last; the oldest give way when it is full.
#[derive(Clone)]
pub struct TrackReading {
    capacity: usize,
    readings: VecDeque<(PlateReading, Vec<String>)>,
    /// All candidates with their fused log-likelihood, likeliest first.
    hypotheses: Vec<Hypothesis>,
}

impl TrackReading {
    /// An empty track that remembers up to `capacity` readings (at least one).
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), readings: VecDeque::new(), hypotheses: Vec::new() }
    }

    /// Adds a reading.
    pub fn add(&mut self, reading: PlateReading) {
        if self.readings.len() == self.capacity {
            self.readings.pop_front();
        }
        let texts = reading.hypotheses(HYPOTHESES_PER_READING).into_iter().map(|h| h.text).collect();
        self.readings.push_back((reading, texts));
        let candidates: BTreeSet<&str> =
            self.readings.iter().flat_map(|(_, texts)| texts).map(String::as_str).collect();
        let mut hypotheses: Vec<Hypothesis> = candidates
            .into_iter()
            .map(|text| Hypothesis { text: text.to_owned(), log_likelihood: self.log_likelihood(text) })
            .collect();
        hypotheses.sort_by(|a, b| b.log_likelihood.total_cmp(&a.log_likelihood));
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

    /// Likely texts of the whole track, likeliest first.
    pub fn hypotheses(&self) -> &[Hypothesis] {
        &self.hypotheses
    }

    /// The likeliest text and by how much (in nats) it leads the next one.
    pub fn best(&self) -> Option<(&str, f64)> {
        let best = self.hypotheses.first()?;
        let next = self.hypotheses.get(1).map_or(FLOOR, |next| next.log_likelihood);
        Some((&best.text, best.log_likelihood - next))
    }

    /// How much likelier (in nats per frame) the track is under `admitted` than under the best other text: the score
    /// for the reader's threshold. Minus infinity without readings.
    pub fn match_score(&self, admitted: &str) -> f64 {
        let own = self.log_likelihood(admitted);
        if own == f64::NEG_INFINITY {
            return own;
        }
        let other = self.hypotheses.iter().find(|hypothesis| hypothesis.text != admitted);
        own - other.map_or(FLOOR, |hypothesis| hypothesis.log_likelihood)
    }

    /// The admitted plate with the highest score, if there is any.
    pub fn best_match<'a>(&self, admitted: impl IntoIterator<Item = &'a str>) -> Option<(&'a str, f64)> {
        admitted.into_iter().map(|text| (text, self.match_score(text))).max_by(|a, b| a.1.total_cmp(&b.1))
    }
}

impl fmt::Debug for TrackReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrackReading({} readings, …)", self.readings.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::reading::tests::showing;
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
        assert_eq!(track.best_match(["A723BC77", "A123BC77", "X000XX99"]).map(|best| best.0), Some("A123BC77"));
        assert_eq!(track.best_match([]), None);
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
    fn the_oldest_reading_gives_way() {
        let mut track = TrackReading::new(2);
        track.add(showing("X000XX99", 12.0, &[]));
        track.add(showing("A123BC77", 12.0, &[]));
        track.add(showing("A123BC77", 12.0, &[]));
        assert_eq!(track.len(), 2);
        assert!(track.hypotheses().iter().all(|h| h.text != "X000XX99"));
        assert!(track.match_score("A123BC77") > 5.0);
    }
}
