//! Where plates are, corner by corner.

use crate::area::Area;
use crate::detect::Detector;
use crate::frame::Frame;
use crate::geometry::{Point, Rect};
use crate::manifest::Threshold;
use crate::network::InferenceError;

/// A plate in a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlateDetection {
    /// Top left, top right, bottom right, bottom left, as one reads the plate; in pixels, may lie beyond the frame.
    pub corners: [Point; 4],
    /// Detector probability, 0 to 1.
    pub score: f32,
}

impl PlateDetection {
    /// The upright box around the corners, in pixels.
    pub fn bbox(&self) -> Rect {
        Rect::around(&self.corners)
    }

    /// Mean length of the upper and lower edge, in pixels.
    pub fn width_px(&self) -> f32 {
        let [tl, tr, br, bl] = self.corners;
        f32::midpoint(tl.distance(tr), bl.distance(br))
    }
}

/// The model with the role `plate-detector`.
#[derive(Debug)]
pub struct PlateDetector(Detector);

impl PlateDetector {
    pub(crate) fn new(detector: Detector) -> Self {
        Self(detector)
    }

    /// Plates at or above the threshold, best first.
    pub fn detect(&mut self, frame: &Frame) -> Result<Vec<PlateDetection>, InferenceError> {
        Ok(self.find(frame, Area::WHOLE)?.collect())
    }

    /// The same within `area`, without a vector of its own.
    pub(crate) fn find(
        &mut self,
        frame: &Frame,
        area: Area,
    ) -> Result<impl ExactSizeIterator<Item = PlateDetection> + use<'_>, InferenceError> {
        let found = self.0.detect(frame, area)?;
        Ok(found
            .iter()
            .map(|c| PlateDetection { corners: [c.points[0], c.points[1], c.points[2], c.points[3]], score: c.score }))
    }

    pub(crate) fn look_once(&mut self) {
        self.0.look_once();
    }

    /// A found plate once more from near, with more exact corners; `None` where the pack does not ask for it, or nothing is
    /// found there from near.
    pub(crate) fn look_again(
        &mut self,
        frame: &Frame,
        plate: &PlateDetection,
    ) -> Result<Option<PlateDetection>, InferenceError> {
        if !self.0.looks_twice() {
            return Ok(None);
        }
        let again = self.0.look_again(frame, plate.bbox())?;
        // the score stays that of the first look, which the threshold is calibrated for
        Ok(again.map(|c| PlateDetection { corners: [c.points[0], c.points[1], c.points[2], c.points[3]], ..*plate }))
    }

    /// Id of the model.
    pub fn model(&self) -> &str {
        self.0.model()
    }

    /// From which probability on a plate counts.
    pub fn threshold(&self) -> &Threshold {
        &self.0.threshold
    }
}
