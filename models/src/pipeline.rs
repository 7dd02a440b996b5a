//! The stages in a row: what a camera thread calls for each frame, and what enrolment calls for a photo.

use crate::area::Area;
use crate::face::{FaceDetection, FaceDetector, FaceEmbedder, FacePad, Template, quality};
use crate::frame::Frame;
use crate::network::InferenceError;
use crate::plate::{PlateDetection, PlateDetector, PlateReader, PlateReading, Shapes};
use crate::stopwatch::Stopwatch;

/// Only the best few objects of a frame are read or embedded: nobody can flood the controller with a poster of faces.
const MAX_PER_FRAME: usize = 6;
/// A photo's face may be enlarged by this much at most to fill the embedder's crop.
const MAX_ENROL_ENLARGEMENT: f32 = 1.5;
/// A probe's face may be enlarged by this much at most: what is smaller is far away, or no face but a badge.
const MAX_PROBE_ENLARGEMENT: f32 = 2.5;
/// A second face counts when its eye distance is at least this share of the first one's.
const SECOND_FACE_SHARE: f32 = 0.4;
/// Least [`sharpness`](crate::face::sharpness) of an enrolled face. Of 42 LFW portraits all lie above 0.009 as they are; a 9-pixel box blur, which
/// costs a quarter to a half of the cosine, brings most below this.
const MIN_SHARPNESS: f32 = 0.003;

/// Plate detection and reading.
#[derive(Debug)]
pub struct PlatePipeline {
    detector: PlateDetector,
    reader: PlateReader,
}

/// What one frame says about plates.
#[derive(Debug, Clone)]
pub struct PlateFrame {
    /// Detected plates, best first.
    pub plates: Vec<PlateEvidence>,
    /// How long each stage took.
    pub timings: PlateTimings,
}

/// One plate of a frame.
#[derive(Debug, Clone)]
pub struct PlateEvidence {
    /// Where.
    pub detection: PlateDetection,
    /// What was read; `None` beyond the first few plates of a frame or when the corners span no area.
    pub reading: Option<PlateReading>,
}

impl PlateEvidence {
    /// Takes the plate as it was seen `near`, if it makes more sense so.
    fn choose(&mut self, near: PlateDetection, reading: Option<PlateReading>) {
        let weight = |reading: &Option<PlateReading>| reading.as_ref().map(PlateReading::best_log_weight);
        if weight(&reading) > weight(&self.reading) {
            (self.detection, self.reading) = (near, reading);
        }
    }
}

/// Durations in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PlateTimings {
    /// Scaling and plate detection.
    pub detect_ms: f32,
    /// Rectification and reading, all plates of the frame together.
    pub read_ms: f32,
}

impl PlatePipeline {
    /// A pipeline of the two stages.
    pub fn new(detector: PlateDetector, reader: PlateReader) -> Self {
        Self { detector, reader }
    }

    /// The same where plates have these shapes.
    pub fn expecting(mut self, shapes: &Shapes) -> Self {
        self.reader.expect(shapes);
        self
    }

    /// The same without second looks, whatever the pack says: cheaper, with less exact corners.
    pub fn looking_once(mut self) -> Self {
        self.detector.look_once();
        self
    }

    /// Finds and reads the plates of `frame`.
    pub fn run(&mut self, frame: &Frame) -> Result<PlateFrame, InferenceError> {
        self.run_in(frame, Area::WHOLE)
    }

    /// Finds and reads the plates in `area` of `frame`.
    pub fn run_in(&mut self, frame: &Frame, area: Area) -> Result<PlateFrame, InferenceError> {
        let mut watch = Stopwatch::start();
        let detections = self.detector.find(frame, area)?;
        let mut plates: Vec<PlateEvidence> =
            detections.map(|detection| PlateEvidence { detection, reading: None }).collect();
        let mut timings = PlateTimings { detect_ms: watch.lap_ms(), ..PlateTimings::default() };
        for plate in plates.iter_mut().take(MAX_PER_FRAME) {
            let near = self.detector.look_again(frame, &plate.detection)?;
            timings.detect_ms += watch.lap_ms();
            plate.reading = self.reader.read_plate(frame, &plate.detection)?;
            if let Some(near) = near {
                plate.choose(near, self.reader.read_plate(frame, &near)?);
            }
            timings.read_ms += watch.lap_ms();
        }
        Ok(PlateFrame { plates, timings })
    }

    /// The detector, for its model id and threshold.
    pub fn detector(&self) -> &PlateDetector {
        &self.detector
    }

    /// The reader, for its model id and threshold.
    pub fn reader(&self) -> &PlateReader {
        &self.reader
    }
}

/// Face detection, alignment and embedding, and presentation attack detection where it is asked for.
#[derive(Debug)]
pub struct FacePipeline {
    detector: FaceDetector,
    embedder: FaceEmbedder,
    pad: Option<FacePad>,
    /// Judge liveness in [`FacePipeline::run`].
    judge: bool,
}

/// What one frame says about faces.
#[derive(Debug, Clone)]
pub struct FaceFrame {
    /// Detected faces, best first.
    pub faces: Vec<FaceEvidence>,
    /// How long each stage took.
    pub timings: FaceTimings,
}

/// One face of a frame.
#[derive(Debug, Clone)]
pub struct FaceEvidence {
    /// Where.
    pub detection: FaceDetection,
    /// The probe; `None` for a face too far away, beyond the first few of a frame, or when the landmarks make no face.
    pub template: Option<Template>,
    /// How good the picture is to compare, 0 to 1: [`crate::face::quality`]. 0 without a template.
    pub quality: f32,
    /// Mean probability that the face lives, 0 to 1 ([`FacePad::score`]); `None` where there is no template, and unless
    /// [`FacePipeline::with_pad`] asked for it.
    pub live: Option<f32>,
}

/// Durations in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FaceTimings {
    /// Scaling and face detection.
    pub detect_ms: f32,
    /// Alignment, all faces of the frame together.
    pub align_ms: f32,
    /// Embedding, all faces of the frame together.
    pub embed_ms: f32,
    /// Presentation attack detection, all faces of the frame together.
    pub pad_ms: f32,
}

/// Why a photo gives no template to enrol.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// Nothing that looks like a face.
    #[error("no face was found in the photo; take a frontal photo in good light")]
    NoFace,
    /// It is not clear whose template this would be.
    #[error("the photo shows {count} faces; take a photo of one person only")]
    SeveralFaces {
        /// How many.
        count: usize,
    },
    /// Too few pixels to tell people apart.
    #[error("the face is too small: {eye_distance_px:.0} pixels between the eyes, at least {needed_px:.0} are needed")]
    TooSmall {
        /// Distance between the eyes.
        eye_distance_px: f32,
        /// The least that is accepted.
        needed_px: f32,
    },
    /// Out of focus or moved.
    #[error("the face is blurred; take a sharp photo")]
    Blurred,
    /// The models failed.
    #[error("the photo could not be processed")]
    Inference(#[from] InferenceError),
}

impl FacePipeline {
    /// A pipeline of the stages; `pad` is used once [`FacePipeline::with_pad`] asks for it.
    pub fn new(detector: FaceDetector, embedder: FaceEmbedder, pad: Option<FacePad>) -> Self {
        Self { detector, embedder, pad, judge: false }
    }

    /// The same pipeline, judging liveness or not. Judging needs [`FacePipeline::pad`]; it is off at first, since it costs
    /// as much as the embedding.
    #[must_use]
    pub fn with_pad(mut self, judge: bool) -> Self {
        self.judge = judge;
        self
    }

    /// Finds the faces of `frame` and makes a probe of each.
    pub fn run(&mut self, frame: &Frame) -> Result<FaceFrame, InferenceError> {
        self.run_in(frame, Area::WHOLE)
    }

    /// Finds the faces in `area` of `frame` and makes a probe of each.
    pub fn run_in(&mut self, frame: &Frame, area: Area) -> Result<FaceFrame, InferenceError> {
        let mut watch = Stopwatch::start();
        let detections = self.detector.find(frame, area)?;
        let mut timings = FaceTimings { detect_ms: watch.lap_ms(), ..FaceTimings::default() };
        let mut faces = Vec::with_capacity(detections.len());
        for (i, detection) in detections.enumerate() {
            let near = self.embedder.enlargement(&detection).is_some_and(|times| times <= MAX_PROBE_ENLARGEMENT);
            let sharpness = if near && i < MAX_PER_FRAME { self.embedder.cut(frame, &detection) } else { None };
            let eyes = self.embedder.eye_distance_px();
            let quality = sharpness.map_or(0.0, |sharpness| quality(&detection, eyes, sharpness));
            timings.align_ms += watch.lap_ms();
            let template = sharpness.map(|_| self.embedder.embed_cut()).transpose()?;
            timings.embed_ms += watch.lap_ms();
            let pad = self.pad.as_mut().filter(|_| self.judge && template.is_some());
            let live = pad.map(|pad| pad.score(frame, &detection.bbox)).transpose()?.flatten().map(|score| score.live);
            timings.pad_ms += watch.lap_ms();
            faces.push(FaceEvidence { detection, template, quality, live });
        }
        Ok(FaceFrame { faces, timings })
    }

    /// Makes the biometric reference of the one person in `photo`.
    pub fn enrol(&mut self, photo: &Frame) -> Result<Template, EnrolError> {
        let faces = self.detector.detect(photo)?;
        let largest = faces.iter().max_by(|a, b| a.eye_distance_px().total_cmp(&b.eye_distance_px()));
        let face = largest.ok_or(EnrolError::NoFace)?;
        let eye_distance_px = face.eye_distance_px();
        let count = faces.iter().filter(|other| other.eye_distance_px() >= SECOND_FACE_SHARE * eye_distance_px).count();
        if count > 1 {
            return Err(EnrolError::SeveralFaces { count });
        }
        let needed_px = self.embedder.eye_distance_px() / MAX_ENROL_ENLARGEMENT;
        if eye_distance_px < needed_px {
            return Err(EnrolError::TooSmall { eye_distance_px, needed_px });
        }
        if self.embedder.cut(photo, face).ok_or(EnrolError::NoFace)? < MIN_SHARPNESS {
            return Err(EnrolError::Blurred);
        }
        Ok(self.embedder.embed_cut()?)
    }

    /// The detector, for its model id and threshold.
    pub fn detector(&self) -> &FaceDetector {
        &self.detector
    }

    /// The embedder, for its model id and threshold.
    pub fn embedder(&self) -> &FaceEmbedder {
        &self.embedder
    }

    /// The presentation attack detection, for its model ids and threshold; `None` where the pack has no `pad` model.
    pub fn pad(&self) -> Option<&FacePad> {
        self.pad.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipelines_may_move_to_threads_of_their_own() {
        fn movable<T: Send + 'static>() {}
        movable::<PlatePipeline>();
        movable::<FacePipeline>();
        movable::<PlateFrame>();
        movable::<FaceFrame>();
    }
}
