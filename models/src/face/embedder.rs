//! From an aligned face to a template.

use zeroize::Zeroizing;

use super::align::{align, cut, enlargement};
use super::detector::FaceDetection;
use super::template::Template;
use crate::frame::Frame;
use crate::geometry::Point;
use crate::manifest::{Fitness, Input, ModelSpec, Threshold};
use crate::network::{InferenceError, Network};
use crate::raster::{Crop, Warper};
use crate::tensor::{Tensors, Unexpected};

/// The model with the role `face-embedder`.
#[derive(Debug)]
pub struct FaceEmbedder {
    network: Network,
    input: Input,
    size: [usize; 2],
    template: [Point; 5],
    threshold: Threshold,
    fitness: Fitness,
    warper: Warper,
    crop: Crop,
}

impl FaceEmbedder {
    /// `None` when the spec is not an embedder's, which a checked manifest rules out.
    pub(crate) fn new(network: Network, spec: &ModelSpec) -> Option<Self> {
        Some(Self {
            network,
            input: spec.input.clone(),
            size: spec.input.size?,
            template: spec.decode.template_points()?,
            threshold: spec.threshold.clone(),
            fitness: spec.fitness,
            warper: Warper::default(),
            crop: Crop::default(),
        })
    }

    /// The crop this model wants of a detected face; `None` when its landmarks make no face.
    pub fn align(&self, frame: &Frame, face: &FaceDetection) -> Option<Zeroizing<Frame>> {
        align(frame, &face.landmarks, &self.template, self.size)
    }

    /// The template of an aligned crop, of unit length.
    pub fn embed(&mut self, crop: &Frame) -> Result<Template, InferenceError> {
        let found = [crop.height() as usize, crop.width() as usize];
        if found != self.size {
            return Err(InferenceError::CropSize { model: self.network.model().clone(), expected: self.size, found });
        }
        self.crop.copy(crop);
        self.embed_cut()
    }

    /// The template of a detected face of `frame`; `None` when its landmarks make no face.
    pub fn embed_face(&mut self, frame: &Frame, face: &FaceDetection) -> Result<Option<Template>, InferenceError> {
        self.cut(frame, face).map(|_| self.embed_cut()).transpose()
    }

    /// Aligns a detected face for [`FaceEmbedder::embed_cut`] and says how sharp it is; `None` when its landmarks make no face.
    pub(crate) fn cut(&mut self, frame: &Frame, face: &FaceDetection) -> Option<f32> {
        self.crop.reset(self.size, self.input.channels);
        cut(&mut self.warper, frame, &face.landmarks, &self.template, &mut self.crop)?;
        Some(self.crop.sharpness())
    }

    /// The template of the face that was cut last.
    pub(crate) fn embed_cut(&mut self) -> Result<Template, InferenceError> {
        self.crop.write(&self.input, &mut self.network.tensor);
        let model = self.network.model().clone();
        self.network.run(self.size, |outputs| {
            let (name, values) = outputs.first()?;
            Template::normalised(model, Zeroizing::new(values.data().to_vec()))
                .ok_or_else(|| Unexpected::new(&name, "16 to 4096 finite numbers, not all zero", values.describe()))
        })
    }

    /// How much a detected face is enlarged to fill the aligned crop; `None` when its landmarks make no face.
    pub fn enlargement(&self, face: &FaceDetection) -> Option<f32> {
        enlargement(&face.landmarks, &self.template)
    }

    /// Id of the model; templates carry it.
    pub fn model(&self) -> &str {
        self.network.model()
    }

    /// From which cosine on two templates count as one person, and the false-match rate that stands for.
    pub fn threshold(&self) -> &Threshold {
        &self.threshold
    }

    /// What the model may be relied upon for.
    pub fn fitness(&self) -> Fitness {
        self.fitness
    }

    /// Distance between the eyes in the aligned crop, in pixels: smaller faces are enlarged.
    pub fn eye_distance_px(&self) -> f32 {
        self.template[0].distance(self.template[1])
    }

    /// Height and width of the aligned crop, in pixels.
    pub fn crop_size(&self) -> [usize; 2] {
        self.size
    }
}
