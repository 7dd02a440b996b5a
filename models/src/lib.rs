//! Recognition on the controller: from a camera frame to evidence about plates and faces.
//!
//! A **pack** ([`pack`]) is a folder with `manifest.toml` and ONNX files; each model has a role, a hash, a licence, its
//! normalisation and a threshold calibrated to a stated false-match rate. [`Pack::load`] verifies the hash of the very
//! bytes it hands to ONNX Runtime ([`runtime`]), checks inputs and outputs against the manifest and runs each model once.
//!
//! ```text
//! Frame -> FaceDetector -> align -> FaceEmbedder -> Template -> Gallery (1:N)            pipeline::FacePipeline
//! Frame -> PlateDetector -> rectify -> PlateReader -> PlateReading -> TrackReading       pipeline::PlatePipeline
//! ```
//!
//! What it decides: nothing. It returns detections, probabilities and comparison scores with the thresholds they were
//! calibrated against; whether a door opens is for the access rules.
//!
//! The API is synchronous and single-threaded per pipeline (`&mut self`): a caller gives each pipeline a thread of its
//! own. Faces never reach the disk; crops, templates and galleries are overwritten when dropped. The
//! buffers of a pipeline keep what the camera saw last until the next frame overwrites them; a probe or template is never among
//! it. What ONNX Runtime keeps in its own arena between runs (activations) cannot be overwritten from here and lives until the
//! process ends.
//!
//! To support another detector or reader: add a variant to [`manifest::Decode`] and a decoder beside its siblings in
//! `face/` or `plate/`.

pub mod annotate;
mod area;
mod detect;
pub mod face;
pub mod frame;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod geometry;
pub mod manifest;
mod network;
pub mod pack;
pub mod pipeline;
pub mod plate;
mod raster;
pub mod runtime;
mod stopwatch;
mod tensor;
mod weights;

pub use area::Area;
pub use face::{FaceDetection, FaceDetector, FaceEmbedder, FacePad, Gallery, PadScore, Template};
pub use frame::{Frame, FrameError};
pub use geometry::{Point, Rect};
pub use manifest::{Fitness, Manifest, ManifestError, ModelSpec, Role, Threshold};
pub use network::InferenceError;
pub use pack::{Pack, PackError};
pub use pipeline::{EnrolError, FacePipeline, PlatePipeline};
pub use plate::{PlateDetection, PlateDetector, PlateReader, PlateReading, TrackReading};
pub use runtime::{Runtime, RuntimeError};
