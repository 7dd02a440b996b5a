//! From a rectified plate to a reading.

use std::sync::Arc;

use super::ctc::Posteriors;
use super::detector::PlateDetection;
use super::quality::quality;
use super::reading::{Alphabet, PlateReading};
use super::rectify::{Layout, rectify};
use super::shapes::{Lexicon, Shapes};
use crate::frame::Frame;
use crate::manifest::{Decode, Input, ModelSpec, Threshold};
use crate::network::{InferenceError, Network, Outputs};
use crate::raster::fill_exact;

/// The model with the role `plate-reader`.
#[derive(Debug)]
pub struct PlateReader {
    network: Network,
    input: Input,
    size: [usize; 2],
    lexicon: Arc<Lexicon>,
    two_line: bool,
    threshold: Threshold,
}

impl PlateReader {
    /// `None` when the spec is not a reader's, which a checked manifest rules out.
    pub(crate) fn new(network: Network, spec: &ModelSpec) -> Option<Self> {
        let Decode::Ctc { alphabet, blank, two_line } = &spec.decode else { return None };
        Some(Self {
            network,
            input: spec.input.clone(),
            size: spec.input.size?,
            lexicon: Arc::new(Lexicon::new(Alphabet::new(alphabet, *blank), &Shapes::any())),
            two_line: *two_line,
            threshold: spec.threshold.clone(),
        })
    }

    /// From now on, plates have these shapes: any other text is the less likely for it.
    pub fn expect(&mut self, shapes: &Shapes) {
        self.lexicon = Arc::new(Lexicon::new(self.lexicon.alphabet.clone(), shapes));
    }

    /// Reads a detected plate of `frame`: rectified, in one line or two as its shape suggests; where it suggests both, as the
    /// one that makes more sense. `None` when its corners span no area.
    pub fn read_plate(
        &mut self,
        frame: &Frame,
        plate: &PlateDetection,
    ) -> Result<Option<PlateReading>, InferenceError> {
        let layouts = if self.two_line { Layout::candidates(&plate.corners) } else { &[Layout::OneLine] };
        let mut best: Option<PlateReading> = None;
        for layout in layouts {
            let Some(crop) = rectify(frame, &plate.corners, self.size, *layout) else { continue };
            let reading = self.infer(&crop, quality(plate, &crop))?;
            if best.as_ref().is_none_or(|best| reading.best_log_weight() > best.best_log_weight()) {
                best = Some(reading);
            }
        }
        Ok(best)
    }

    /// Reads a plate that is already rectified to [`PlateReader::crop_size`].
    pub fn read(&mut self, crop: &Frame) -> Result<PlateReading, InferenceError> {
        let found = [crop.height() as usize, crop.width() as usize];
        if found != self.size {
            return Err(InferenceError::CropSize { model: self.network.model().clone(), expected: self.size, found });
        }
        self.infer(crop, 1.0)
    }

    fn infer(&mut self, crop: &Frame, quality: f32) -> Result<PlateReading, InferenceError> {
        fill_exact(crop, &self.input, &mut self.network.tensor);
        let lexicon = &self.lexicon;
        let posteriors = self.network.run(self.size, |outputs| posteriors(outputs, &lexicon.alphabet))?;
        Ok(PlateReading::new(lexicon.clone(), posteriors, quality))
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
fn posteriors(outputs: &Outputs<'_, '_>, alphabet: &Alphabet) -> Result<Posteriors, InferenceError> {
    let classes = alphabet.classes();
    let (shape, logits) = outputs.first()?;
    if logits.iter().all(|v| v.is_finite()) {
        if let [1, steps, c] = *shape
            && c == classes as i64
            && steps > 0
        {
            return Ok(Posteriors::from_logits(logits.iter().copied(), classes, alphabet.blank()));
        }
        if let [1, c, steps] = *shape
            && c == classes as i64
            && steps > 0
        {
            let steps = steps as usize;
            let by_step = (0..steps).flat_map(|t| (0..classes).map(move |class| logits[class * steps + t]));
            return Ok(Posteriors::from_logits(by_step, classes, alphabet.blank()));
        }
    }
    Err(outputs.unexpected("logits", format!("finite numbers of shape [1, T, {classes}]"), format!("shape {shape:?}")))
}
