//! What the gate would make of one reading: its best text, and the score of any admitted plate.
//!
//! The one place that knows how `cardea_models` turns a reading into evidence.

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

    /// The score for the reader's threshold of `admitted`, against the best other text.
    pub(crate) fn score(&self, admitted: &str) -> f64 {
        self.track.match_score(admitted)
    }

    /// The highest score of `admitted`; minus infinity for an empty list.
    pub(crate) fn best_score(&self, admitted: &[String]) -> f64 {
        self.track.best_match(admitted.iter().map(String::as_str)).map_or(f64::NEG_INFINITY, |(_, score)| score)
    }
}
