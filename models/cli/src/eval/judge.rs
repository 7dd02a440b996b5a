//! What the gate would make of one reading: its best text, and the score of any admitted plate.
//!
//! The one place that knows how `cardea_models` turns a reading into evidence.

use std::collections::BTreeSet;

use cardea_models::TrackReading;
use cardea_models::plate::PlateReading;

/// A reading as the gate weighs it: a track of one frame.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    track: TrackReading,
}

impl Judged {
    pub(crate) fn new(reading: PlateReading) -> Self {
        let mut track = TrackReading::new(1);
        track.add(reading);
        Self { track }
    }

    /// The likeliest text; empty when nothing was read.
    pub(crate) fn text(&self) -> &str {
        self.track.best().map_or("", |(text, _)| text)
    }

    /// The plate a gate would take this for, of all that are `admitted`, and its score for the reader's threshold.
    pub(crate) fn best_match(&self, admitted: impl Fn(&str) -> bool) -> Option<(String, f64)> {
        let found = self.track.best_match(|text| admitted(text).then(|| text.to_owned()))?;
        Some((found.plate, found.score))
    }

    /// The score of the best match of `admitted`; minus infinity where nothing matches at all.
    pub(crate) fn best_score(&self, admitted: &BTreeSet<String>) -> f64 {
        self.best_match(|text| admitted.contains(text)).map_or(f64::NEG_INFINITY, |(_, score)| score)
    }

    /// The score of `text` where it is the best match of itself and `others`; minus infinity otherwise.
    pub(crate) fn score_among(&self, text: &str, others: &BTreeSet<String>) -> f64 {
        let found = self.best_match(|read| read == text || others.contains(read));
        found.filter(|(plate, _)| plate == text).map_or(f64::NEG_INFINITY, |(_, score)| score)
    }
}
