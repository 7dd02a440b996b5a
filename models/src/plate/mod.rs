//! Plates: detection of four corners, rectification, reading, and evidence over the frames of a track.
//!
//! A reading keeps the network's probabilities, so the question asked at the gate is not "which text came out?" but "how
//! much more likely is this admitted plate than the best other one?" ([`PlateReading::match_score`],
//! [`TrackReading::match_score`]). No edit distance and no substring is involved.

mod ctc;
mod detector;
mod reader;
mod reading;
mod rectify;
mod track;

pub use detector::{PlateDetection, PlateDetector};
pub use reader::PlateReader;
pub use reading::{CharacterReading, Hypothesis, PlateReading};
pub use rectify::rectify;
pub use track::TrackReading;
