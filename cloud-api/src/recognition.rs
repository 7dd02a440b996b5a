//! From an enrolment photo to a template. The photo lives in memory only, and is overwritten.

use std::sync::{Mutex, PoisonError};

use cardea_models::pipeline::{EnrolError, FaceEvidence, FacePipeline};
use cardea_models::{Frame, FrameError, InferenceError, Pack, PackError, Runtime, RuntimeError, Template};

use crate::config::Recognition;

/// Makes templates. The one seam in front of the models, so that the API can be tested without them.
pub trait Enroller: Send + Sync {
    /// The template of the one face in a JPEG or PNG. Blocks for the length of two inferences.
    fn enrol(&self, photo: &[u8]) -> Result<Enrolled, EnrolFailure>;
}

/// A template, and how good the photo was.
pub struct Enrolled {
    /// The template.
    pub template: Template,
    /// From which cosine on two templates of its model count as one person.
    pub same_person_cosine: f32,
    /// Distance between the eyes, pixels of the photo.
    pub eye_distance_px: f32,
    /// The detector's score of the face, 0 to 1.
    pub detection_score: f32,
    /// [`cardea_models::face::quality`], 0 to 1: ranks photos of one person.
    pub comparison_quality: f32,
}

impl std::fmt::Debug for Enrolled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Enrolled({}, …)", self.template.model())
    }
}

/// Why there is no template.
#[derive(Debug, thiserror::Error)]
pub enum EnrolFailure {
    /// No model pack is configured.
    #[error("no model pack is configured")]
    Unavailable,
    /// Not a usable picture.
    #[error(transparent)]
    Photo(#[from] FrameError),
    /// A picture, but not of one good face.
    #[error(transparent)]
    Face(#[from] EnrolError),
    /// The models failed.
    #[error(transparent)]
    Inference(#[from] InferenceError),
}

/// Why the model pack cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecognitionError {
    /// ONNX Runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The pack.
    #[error(transparent)]
    Pack(#[from] PackError),
}

/// The real one: a model pack on ONNX Runtime. One photo at a time.
#[derive(Debug)]
pub struct PackEnroller {
    pipeline: Mutex<FacePipeline>,
}

impl PackEnroller {
    /// Loads the pack; takes about a second.
    pub fn load(config: &Recognition) -> Result<Self, RecognitionError> {
        let runtime = Runtime::load(&config.onnxruntime)?;
        let mut pack = Pack::load(&config.pack, &runtime, config.threads)?;
        Ok(Self { pipeline: Mutex::new(pack.take_face_pipeline()?) })
    }
}

impl Enroller for PackEnroller {
    fn enrol(&self, photo: &[u8]) -> Result<Enrolled, EnrolFailure> {
        // Locked before the photo is decoded: 8 MiB of it may become 120 MB of pixels, and many may come at once.
        let mut pipeline = self.pipeline.lock().unwrap_or_else(PoisonError::into_inner);
        let frame = Frame::decode_photo(photo)?;
        let template = pipeline.enrol(&frame)?;
        let faces = pipeline.run(&frame)?.faces;
        let eyes = |face: &FaceEvidence| face.detection.eye_distance_px();
        let largest = faces.iter().max_by(|a, b| eyes(a).total_cmp(&eyes(b)));
        Ok(Enrolled {
            template,
            same_person_cosine: pipeline.embedder().threshold().value,
            eye_distance_px: largest.map_or(0.0, eyes),
            detection_score: largest.map_or(0.0, |face| face.detection.score),
            comparison_quality: largest.map_or(0.0, |face| face.quality),
        })
    }
}

/// Where no pack is configured.
#[derive(Clone, Copy, Debug)]
pub struct NoEnroller;

impl Enroller for NoEnroller {
    fn enrol(&self, _photo: &[u8]) -> Result<Enrolled, EnrolFailure> {
        Err(EnrolFailure::Unavailable)
    }
}
