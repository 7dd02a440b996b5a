//! Faces: detection, alignment, embedding, templates and 1:N comparison.
//!
//! Vocabulary of ISO/IEC 2382-37: a [`Template`] is a biometric reference (stored) or probe (just seen), and the cosine of
//! two is the comparison score.

mod align;
mod codes;
mod detector;
mod dots;
mod embedder;
mod gallery;
mod pad;
mod quality;
mod rows;
mod template;

pub use align::{align, sharpness};
pub use detector::{FaceDetection, FaceDetector};
pub use embedder::FaceEmbedder;
pub use gallery::{Gallery, Match};
pub(crate) use pad::PadModel;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use pad::live_probability;
pub use pad::{FacePad, PadScore};
pub use quality::quality;
pub use template::{Template, TemplateError};
