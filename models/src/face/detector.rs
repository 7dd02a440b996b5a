//! Where faces are, and where in them eyes, nose and mouth.

use crate::area::Area;
use crate::detect::Detector;
use crate::frame::Frame;
use crate::geometry::{Point, Rect};
use crate::manifest::Threshold;
use crate::network::InferenceError;

/// A face in a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceDetection {
    /// Its box, in pixels; may reach beyond the frame.
    pub bbox: Rect,
    /// Detector probability, 0 to 1.
    pub score: f32,
    /// Image-left eye, image-right eye, nose, image-left and image-right mouth corner.
    pub landmarks: [Point; 5],
}

impl FaceDetection {
    /// Distance between the eyes, in pixels.
    pub fn eye_distance_px(&self) -> f32 {
        self.landmarks[0].distance(self.landmarks[1])
    }
}

/// The model with the role `face-detector`.
#[derive(Debug)]
pub struct FaceDetector(Detector);

impl FaceDetector {
    pub(crate) fn new(detector: Detector) -> Self {
        Self(detector)
    }

    /// Faces at or above the threshold, best first.
    pub fn detect(&mut self, frame: &Frame) -> Result<Vec<FaceDetection>, InferenceError> {
        Ok(self.find(frame, Area::WHOLE)?.collect())
    }

    /// The same within `area`, without a vector of its own.
    pub(crate) fn find(
        &mut self,
        frame: &Frame,
        area: Area,
    ) -> Result<impl ExactSizeIterator<Item = FaceDetection> + use<'_>, InferenceError> {
        let found = self.0.detect(frame, area)?;
        Ok(found.iter().map(|c| FaceDetection { bbox: c.bbox, score: c.score, landmarks: c.points }))
    }

    /// Id of the model.
    pub fn model(&self) -> &str {
        self.0.model()
    }

    /// From which probability on a face counts.
    pub fn threshold(&self) -> &Threshold {
        &self.0.threshold
    }
}
