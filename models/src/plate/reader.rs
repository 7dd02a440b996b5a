//! From a rectified plate to a reading.

use std::sync::Arc;

use super::detector::PlateDetection;
use super::padded::keep_aspect;
use super::posteriors::Family;
use super::quality::quality;
use super::reading::PlateReading;
use super::rectify::{Layout, Part, cut};
use super::shapes::{Lexicon, Shapes};
use crate::frame::Frame;
use crate::manifest::{Aspect, Input, ModelSpec, Threshold};
use crate::network::{InferenceError, Network};
use crate::raster::{Crop, Warper};

/// The model with the role `plate-reader`.
#[derive(Debug)]
pub struct PlateReader {
    network: Network,
    input: Input,
    size: [usize; 2],
    family: Family,
    two_line: bool,
    lexicon: Arc<Lexicon>,
    threshold: Threshold,
    warper: Warper,
    crop: Crop,
}

impl PlateReader {
    /// `None` when the spec is not a reader's, which a checked manifest rules out.
    pub(crate) fn new(network: Network, spec: &ModelSpec) -> Option<Self> {
        let family = Family::of(&spec.decode)?;
        Some(Self {
            network,
            input: spec.input.clone(),
            size: spec.input.size?,
            lexicon: Arc::new(Lexicon::new(family.alphabet(), &Shapes::any())),
            family,
            two_line: spec.decode.reads_two_lines(),
            threshold: spec.threshold.clone(),
            warper: Warper::default(),
            crop: Crop::default(),
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
            self.crop.reset(self.size, self.input.channels);
            let whole = Part { rows: 0..self.size[0], columns: 0..self.size[1] };
            let done = match self.input.aspect {
                Aspect::Stretch => cut(&mut self.warper, frame, &plate.corners, *layout, &mut self.crop, whole),
                Aspect::Keep => keep_aspect(&mut self.warper, frame, &plate.corners, &mut self.crop),
            };
            if done.is_none() {
                continue;
            }
            let quality = quality(plate, self.size[1] as f32, self.crop.sharpness());
            let reading = self.infer(quality)?;
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
        self.crop.copy(crop);
        self.infer(1.0)
    }

    /// Reads `crop`.
    fn infer(&mut self, quality: f32) -> Result<PlateReading, InferenceError> {
        self.crop.write(&self.input, &mut self.network.tensor);
        let family = &self.family;
        let posteriors = self.network.run(self.size, |outputs| family.read(outputs))?;
        Ok(PlateReading::new(self.lexicon.clone(), posteriors, quality))
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
