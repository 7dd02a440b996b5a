//! Presentation attack detection (PAD, ISO/IEC 30107-1): does a face before the camera live, or is it a print, a screen, a
//! mask?
//!
//! The MiniFASNet family (minivision-ai, Silent-Face-Anti-Spoofing) looks at what surrounds a face as well as at the face:
//! each model of a pack has its own [`crop_scale`](crate::manifest::LiveClass::crop_scale). The score of a face is the mean
//! of the models' probabilities for their class "live". One frame is a weak witness; how many frames are fused, and what a
//! low score means at a door, is for the caller to say.

use crate::frame::Frame;
use crate::geometry::{Point, Rect};
use crate::manifest::{Decode, Input, LiveClass, ModelSpec, Threshold};
use crate::network::{InferenceError, Network};
use crate::raster::{Border, Crop, Cut, Warper};
use crate::tensor::{TensorView, Tensors, Unexpected, probability, softmax};

/// How far the sum of a softmax may be from 1.
const SUM_TOLERANCE: f32 = 0.02;

/// How live one face looks in one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PadScore {
    /// Mean probability of "live" over the models, 0 (attack) to 1 (bona fide).
    pub live: f32,
}

/// The models with the role `pad`, together.
#[derive(Debug)]
pub struct FacePad {
    models: Vec<PadModel>,
    threshold: Threshold,
}

impl FacePad {
    /// `None` without models.
    pub(crate) fn new(models: Vec<PadModel>) -> Option<Self> {
        let threshold = models.first()?.threshold.clone();
        Some(Self { models, threshold })
    }

    /// Judges the face in `bbox` (pixels of the frame, as a detector gives it). `None` when the box has no area, or the
    /// frame is too small to cut anything out.
    pub fn score(&mut self, frame: &Frame, bbox: &Rect) -> Result<Option<PadScore>, InferenceError> {
        let mut sum = 0.0;
        for model in &mut self.models {
            if model.cut(frame, bbox).is_none() {
                return Ok(None);
            }
            sum += model.live_cut()?;
        }
        Ok(Some(PadScore { live: sum / self.models.len().max(1) as f32 }))
    }

    /// Ids of the models, in the order of the manifest.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.models.iter().map(|model| &**model.network.model())
    }

    /// From which mean probability on a face counts as live.
    pub fn threshold(&self) -> &Threshold {
        &self.threshold
    }
}

/// One network with the crop it wants.
#[derive(Debug)]
pub(crate) struct PadModel {
    network: Network,
    input: Input,
    size: [usize; 2],
    decode: LiveClass,
    threshold: Threshold,
    warper: Warper,
    crop: Crop,
}

impl PadModel {
    /// `None` when the spec is not a PAD model's, which a checked manifest rules out.
    pub(crate) fn new(network: Network, spec: &ModelSpec) -> Option<Self> {
        let Decode::LiveClass(decode) = &spec.decode else { return None };
        Some(Self {
            network,
            input: spec.input.clone(),
            size: spec.input.size?,
            decode: decode.clone(),
            threshold: spec.threshold.clone(),
            warper: Warper::default(),
            crop: Crop::default(),
        })
    }

    /// Cuts the surroundings of the face out for [`PadModel::live_cut`]; `None` where there are none.
    fn cut(&mut self, frame: &Frame, bbox: &Rect) -> Option<()> {
        let [left, top, right, bottom] = surroundings(frame, bbox, self.decode.crop_scale)?;
        let [height, width] = self.size;
        let (scale_x, scale_y) = ((right - left + 1.0) / width as f32, (bottom - top + 1.0) / height as f32);
        // pixels beyond the crop do not take part, as if it had been cut out before it was scaled: hence the clamp to the
        // centres of its outermost pixels. One sample per pixel, as the models were trained: an average over the area
        // would remove the very texture they look at.
        let map = |p: Point| {
            Point::new(
                (left + p.x * scale_x).clamp(left + 0.5, right + 0.5),
                (top + p.y * scale_y).clamp(top + 0.5, bottom + 0.5),
            )
        };
        self.crop.reset(self.size, self.input.channels);
        let whole = Cut { rows: 0..height, columns: 0..width, border: Border::Replicate, shrink: [1.0; 2] };
        self.warper.warp(frame, &mut self.crop, &whole, map);
        Some(())
    }

    /// The probability of "live" for a crop of the input's size.
    pub(crate) fn live(&mut self, crop: &Frame) -> Result<f32, InferenceError> {
        let found = [crop.height() as usize, crop.width() as usize];
        if found != self.size {
            return Err(InferenceError::CropSize { model: self.network.model().clone(), expected: self.size, found });
        }
        self.crop.copy(crop);
        self.live_cut()
    }

    /// The same for what was cut last.
    fn live_cut(&mut self) -> Result<f32, InferenceError> {
        self.crop.write(&self.input, &mut self.network.tensor);
        let decode = &self.decode;
        self.network.run(self.size, |outputs| {
            let (name, view) = outputs.first()?;
            live_probability(&name, view, decode)
        })
    }
}

/// The part of the picture a model with `scale` looks at, as its first and last pixel (left, top, right, bottom).
///
/// The box is enlarged about its centre, by less where the picture is too small for that, and moved inside where it would
/// reach over an edge; then its corners are rounded down.
fn surroundings(frame: &Frame, bbox: &Rect, scale: f32) -> Option<[f32; 4]> {
    let (last_x, last_y) = (frame.width() as f32 - 1.0, frame.height() as f32 - 1.0);
    let finite = [bbox.x, bbox.y, bbox.width, bbox.height].into_iter().all(f32::is_finite);
    if !finite || !bbox.area().is_normal() || last_x < 1.0 || last_y < 1.0 {
        return None;
    }
    let scale = scale.min(last_x / bbox.width).min(last_y / bbox.height);
    let along = |start: f32, length: f32, last: f32| {
        let enlarged = length * scale;
        let first = start + length / 2.0 - enlarged / 2.0;
        let first = first.min(last - enlarged).max(0.0);
        (first.floor(), (first + enlarged).floor().min(last))
    };
    let (left, right) = along(bbox.x, bbox.width, last_x);
    let (top, bottom) = along(bbox.y, bbox.height, last_y);
    Some([left, top, right, bottom])
}

/// The probability of the class "live" in an output of `[1, classes]` or `[classes]`.
pub(crate) fn live_probability(name: &str, view: TensorView<'_>, decode: &LiveClass) -> Result<f32, Unexpected> {
    let values = view.data();
    if values.len() != decode.classes || view.shape().last() != Some(&(decode.classes as i64)) {
        return Err(Unexpected::new(name, format!("[1, {}]", decode.classes), view.describe()));
    }
    if !decode.softmax {
        if !values.iter().all(|v| v.is_finite()) {
            return Err(Unexpected::new(name, "logits", "NaN or infinity"));
        }
        return softmax(values).nth(decode.live).map_or_else(|| probability(f32::NAN, name), |p| probability(p, name));
    }
    let mut sum = 0.0;
    for value in values {
        sum += probability(*value, name)?;
    }
    if (sum - 1.0).abs() > SUM_TOLERANCE {
        let expected = "a softmax (or `softmax = false` in the manifest)";
        return Err(Unexpected::new(name, expected, format!("probabilities that sum to {sum}")));
    }
    probability(values[decode.live], name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn decode(softmax: bool) -> LiveClass {
        LiveClass { classes: 3, live: 1, crop_scale: 2.7, softmax }
    }

    fn live(values: &[f32], softmax: bool) -> Result<f32, Unexpected> {
        live_probability("p", TensorView::new(&[1, values.len() as i64], values).unwrap(), &decode(softmax))
    }

    #[test]
    fn the_live_class_is_read_from_a_softmax_and_from_logits() {
        assert_eq!(live(&[0.1, 0.7, 0.2], true), Ok(0.7));
        let p = live(&[0.0, 2.0_f32.ln(), 0.0], false).unwrap();
        assert!((p - 0.5).abs() < 1e-6, "{p}");
    }

    #[test]
    fn what_is_no_softmax_is_an_error() {
        for values in [&[0.1, 0.7][..], &[5.0, 1.0, -3.0], &[0.5, 0.5, 0.5], &[f32::NAN, 0.5, 0.5]] {
            assert!(live(values, true).is_err(), "{values:?}");
        }
        assert!(live(&[f32::NAN, 0.0, 0.0], false).is_err());
        assert!(live(&[1.0, 0.0], false).is_err());
        let flat = TensorView::new(&[3, 1], &[0.1, 0.7, 0.2]).unwrap();
        assert!(live_probability("p", flat, &decode(true)).is_err());
    }

    #[test]
    fn the_box_is_enlarged_about_its_centre() {
        let frame = Frame::filled(400, 300, [0; 3]);
        let bbox = Rect { x: 180.0, y: 120.0, width: 40.0, height: 60.0 };
        assert_eq!(surroundings(&frame, &bbox, 2.0), Some([160.0, 90.0, 240.0, 210.0]));
    }

    #[test]
    fn a_box_at_the_edge_is_moved_inside_and_a_large_one_grows_less() {
        let frame = Frame::filled(400, 300, [0; 3]);
        let corner = Rect { x: -10.0, y: 260.0, width: 40.0, height: 40.0 };
        assert_eq!(surroundings(&frame, &corner, 2.5), Some([0.0, 199.0, 100.0, 299.0]));
        let large = Rect { x: 100.0, y: 0.0, width: 200.0, height: 299.0 };
        assert_eq!(surroundings(&frame, &large, 4.0), Some([100.0, 0.0, 300.0, 299.0]));
    }

    #[test]
    fn a_box_that_is_none_has_no_surroundings() {
        let frame = Frame::filled(400, 300, [0; 3]);
        let good = Rect { x: 10.0, y: 10.0, width: 40.0, height: 40.0 };
        for bbox in [
            Rect { width: 0.0, ..good },
            Rect { height: -3.0, ..good },
            Rect { x: f32::NAN, ..good },
            Rect { width: f32::INFINITY, ..good },
        ] {
            assert_eq!(surroundings(&frame, &bbox, 2.7), None, "{bbox:?}");
        }
        assert_eq!(surroundings(&Frame::filled(1, 300, [0; 3]), &good, 2.7), None);
    }

    proptest! {
        #[test]
        fn the_surroundings_lie_inside_the_picture(
            (width, height) in (2_u32..900, 2_u32..900),
            (x, y) in (-2000.0_f32..2000.0, -2000.0_f32..2000.0),
            (w, h) in (0.01_f32..3000.0, 0.01_f32..3000.0),
            scale in 0.5_f32..10.0,
        ) {
            let frame = Frame::filled(width, height, [0; 3]);
            let [left, top, right, bottom] =
                surroundings(&frame, &Rect { x, y, width: w, height: h }, scale).unwrap();
            prop_assert!(left >= 0.0 && top >= 0.0 && left <= right && top <= bottom);
            prop_assert!(right < width as f32 && bottom < height as f32);
        }
    }
}
