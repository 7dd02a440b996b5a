//! From a rectified plate to a reading.

use std::sync::Arc;

use super::ctc::Posteriors;
use super::detector::PlateDetection;
use super::reading::{Alphabet, PlateReading};
use super::rectify::rectify;
use crate::frame::Frame;
use crate::manifest::{Decode, Input, ModelSpec, Threshold};
use crate::network::{InferenceError, Network};
use crate::raster::fill_exact;
use crate::tensor::{Tensors, Unexpected};

/// The model with the role `plate-reader`.
#[derive(Debug)]
pub struct PlateReader {
    network: Network,
    input: Input,
    size: [usize; 2],
    alphabet: Arc<Alphabet>,
    threshold: Threshold,
}

impl PlateReader {
    /// `None` when the spec is not a reader's, which a checked manifest rules out.
    pub(crate) fn new(network: Network, spec: &ModelSpec) -> Option<Self> {
        let Decode::Ctc { alphabet, blank, .. } = &spec.decode else { return None };
        Some(Self {
            network,
            input: spec.input.clone(),
            size: spec.input.size?,
            alphabet: Arc::new(Alphabet::new(alphabet, *blank)),
            threshold: spec.threshold.clone(),
        })
    }

    /// The crop this model wants of a detected plate; `None` when its corners span no area.
    pub fn rectify(&self, frame: &Frame, plate: &PlateDetection) -> Option<Frame> {
        rectify(frame, &plate.corners, self.size)
    }

    /// Reads a rectified plate.
    pub fn read(&mut self, crop: &Frame) -> Result<PlateReading, InferenceError> {
        let found = [crop.height() as usize, crop.width() as usize];
        if found != self.size {
            return Err(InferenceError::CropSize { model: self.network.model().clone(), expected: self.size, found });
        }
        fill_exact(crop, &self.input, &mut self.network.tensor);
        let alphabet = &self.alphabet;
        let posteriors = self.network.run(self.size, |outputs| posteriors(outputs, alphabet))?;
        Ok(PlateReading::new(alphabet.clone(), posteriors))
    }

    /// Id of the model.
    pub fn model(&self) -> &str {
        self.network.model()
    }

    /// From which score on a reading counts; its `meaning` says which score.
    pub fn threshold(&self) -> &Threshold {
        &self.threshold
    }

    /// Height and width of the rectified crop, in pixels.
    pub fn crop_size(&self) -> [usize; 2] {
        self.size
    }
}

/// Brings the logits into `[step][class]` order; some exporters put classes first.
fn posteriors(outputs: &impl Tensors, alphabet: &Alphabet) -> Result<Posteriors, Unexpected> {
    let classes = alphabet.classes();
    let (name, view) = outputs.first()?;
    let logits = view.data();
    if logits.iter().all(|v| v.is_finite()) {
        if let [1, steps, c] = *view.shape()
            && c == classes as i64
            && steps > 0
        {
            return Ok(Posteriors::from_logits(logits.iter().copied(), classes, alphabet.blank()));
        }
        if let [1, c, steps] = *view.shape()
            && c == classes as i64
            && steps > 0
        {
            let steps = steps as usize;
            let by_step = (0..steps).flat_map(|t| (0..classes).map(move |class| logits[class * steps + t]));
            return Ok(Posteriors::from_logits(by_step, classes, alphabet.blank()));
        }
    }
    Err(Unexpected::new(&name, format!("finite numbers of shape [1, T, {classes}]"), view.describe()))
}
