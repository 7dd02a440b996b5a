//! Real pictures and their labels, where the optional folder of evaluation data is.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use cardea_models::{FaceDetection, FacePipeline, Frame, Point, Template};

pub(crate) fn picture(path: &Path) -> Frame {
    Frame::decode(&fs::read(path).unwrap()).unwrap()
}

/// The rows of a CSV file below its header.
pub(crate) fn rows(path: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().skip(1).map(|line| line.split(',').map(|field| field.trim().to_owned()).collect()).collect()
}

/// Outcomes of comparing pairs of portraits.
#[derive(Debug, Default)]
pub(crate) struct Verified {
    pub(crate) genuine: usize,
    pub(crate) genuine_accepted: usize,
    pub(crate) impostors: usize,
    pub(crate) impostors_accepted: usize,
}

impl Verified {
    pub(crate) fn share_right(&self) -> f64 {
        let right = self.genuine_accepted + self.impostors - self.impostors_accepted;
        right as f64 / (self.genuine + self.impostors) as f64
    }
}

/// Compares `count` pairs of LFW View 2, spread over its first folds, at the pack's own threshold. A portrait without a
/// detected face is accepted as nobody.
pub(crate) fn verify(pipeline: &mut FacePipeline, folder: &Path, count: usize) -> Verified {
    let threshold = pipeline.embedder().threshold().value;
    let mut templates: HashMap<String, Option<Template>> = HashMap::new();
    let mut verified = Verified::default();
    let pairs = rows(&folder.join("pairs.csv"));
    for pair in pairs.iter().step_by(pairs.len() / count) {
        for name in &pair[1..3] {
            if !templates.contains_key(name) {
                let template = central(pipeline, &picture(&folder.join("images").join(name)));
                templates.insert(name.clone(), template);
            }
        }
        let accepted = match (&templates[&pair[1]], &templates[&pair[2]]) {
            (Some(a), Some(b)) => a.compare(b).unwrap() >= threshold,
            _ => false,
        };
        if pair[3] == "1" {
            verified.genuine += 1;
            verified.genuine_accepted += usize::from(accepted);
        } else {
            verified.impostors += 1;
            verified.impostors_accepted += usize::from(accepted);
        }
    }
    verified
}

/// The template of the face nearest to the centre: the one LFW's label speaks of.
fn central(pipeline: &mut FacePipeline, frame: &Frame) -> Option<Template> {
    let centre = Point::new(frame.width() as f32 / 2.0, frame.height() as f32 / 2.0);
    let distance = |face: &FaceDetection| face.landmarks[2].distance(centre);
    let faces = pipeline.run(frame).unwrap().faces;
    let face = faces.into_iter().min_by(|a, b| distance(&a.detection).total_cmp(&distance(&b.detection)))?;
    face.template
}
