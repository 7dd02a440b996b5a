//! Plates: detection of four corners, rectification, reading, and evidence over the frames of a track.
//!
//! A reading keeps the network's probabilities, so the question asked at the gate is not "which text came out?" but "how
//! much more likely is this admitted plate than the best other one?" ([`PlateReading::match_score`],
//! [`TrackReading::match_score`]). No edit distance and no substring is involved. Which texts can be a plate at all
//! ([`Shapes`]) comes from the caller; what has another shape pays for it, and may still be the best explanation.

mod ctc;
mod detector;
mod padded;
mod posteriors;
mod quality;
mod reader;
mod reading;
mod rectify;
mod search;
mod shapes;
mod slots;
mod track;

pub use detector::{PlateDetection, PlateDetector};
pub use quality::quality;
pub use reader::PlateReader;
pub use reading::{CharacterReading, Hypothesis, PlateReading};
pub use rectify::{Layout, rectify};
pub use shapes::{MAX_SHAPE_CHARACTERS, MAX_SHAPES, Shapes, ShapesError};
pub use track::{PlateScore, TrackReading};

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod made {
    //! What reading needs when no network ran.

    pub(crate) use super::posteriors::Family;
    pub(crate) use super::shapes::Lexicon;
}
