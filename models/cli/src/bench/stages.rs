//! What is measured: the library's stages, each on what the stage before it would hand over.
//!
//! Where the picture shows no face or no plate, one of a usual size in its middle stands in, so that the later stages have
//! something to work on: how long they take does not depend on what they see.

use std::time::Duration;

use cardea_models::face::FacePad;
use cardea_models::{
    FaceDetection, FaceDetector, FaceEmbedder, Frame, Pack, PlateDetection, PlateDetector, PlateReader, Point, Rect,
};

use super::timing::measure;
use super::{Pass, Report};
use crate::Error;

/// The models for plates that a pack has.
pub(super) struct Plates {
    detector: Option<PlateDetector>,
    reader: Option<PlateReader>,
    plate: PlateDetection,
}

impl Plates {
    /// Takes them; `None` where the pack has neither.
    pub(super) fn take(pack: &mut Pack, frame: &Frame) -> Result<Option<Self>, Error> {
        let mut detector = pack.take_plate_detector().ok();
        let reader = pack.take_plate_reader().ok();
        if detector.is_none() && reader.is_none() {
            return Ok(None);
        }
        let seen = detector.as_mut().map(|detector| detector.detect(frame)).transpose()?;
        let plate = seen.and_then(|plates| plates.into_iter().next()).unwrap_or_else(|| usual_plate(frame));
        Ok(Some(Self { detector, reader, plate }))
    }

    pub(super) fn measure(mut self, frame: &Frame, long: Duration, report: &mut Report) -> Result<(), Error> {
        if let Some(detector) = &mut self.detector {
            let model = detector.model().to_owned();
            report.stage("plate-detector", &model, long, || detector.detect(frame))?;
        }
        if let Some(reader) = &mut self.reader {
            let model = reader.model().to_owned();
            report.stage("plate-reader", &model, long, || reader.read_plate(frame, &self.plate))?;
        }
        if let (Some(detector), Some(reader)) = (&mut self.detector, &mut self.reader) {
            let timing = measure(long, || {
                detector.detect(frame)?;
                reader.read_plate(frame, &self.plate)
            })?;
            report.passes.push(Pass::new("one plate", timing));
        }
        Ok(())
    }
}

/// The models for faces that a pack has.
pub(super) struct Faces {
    detector: Option<FaceDetector>,
    embedder: Option<FaceEmbedder>,
    pad: Option<FacePad>,
    face: FaceDetection,
}

impl Faces {
    /// Takes them; `None` where the pack has none.
    pub(super) fn take(pack: &mut Pack, frame: &Frame) -> Result<Option<Self>, Error> {
        let mut detector = pack.take_face_detector().ok();
        let (embedder, pad) = (pack.take_face_embedder().ok(), pack.take_face_pad().ok());
        if detector.is_none() && embedder.is_none() && pad.is_none() {
            return Ok(None);
        }
        let seen = detector.as_mut().map(|detector| detector.detect(frame)).transpose()?;
        let face = seen.and_then(|faces| faces.into_iter().next()).unwrap_or_else(|| usual_face(frame));
        Ok(Some(Self { detector, embedder, pad, face }))
    }

    pub(super) fn measure(mut self, frame: &Frame, long: Duration, report: &mut Report) -> Result<(), Error> {
        let face = &self.face;
        if let Some(detector) = &mut self.detector {
            let model = detector.model().to_owned();
            report.stage("face-detector", &model, long, || detector.detect(frame))?;
        }
        if let Some(embedder) = &mut self.embedder {
            let model = embedder.model().to_owned();
            report.stage("face-embedder", &model, long, || embed(embedder, frame, face))?;
        }
        if let Some(pad) = &mut self.pad {
            let model = pad.models().collect::<Vec<_>>().join(" + ");
            report.stage("pad", &model, long, || pad.score(frame, &face.bbox))?;
        }
        if let (Some(detector), Some(embedder)) = (&mut self.detector, &mut self.embedder) {
            let timing = measure(long, || {
                detector.detect(frame)?;
                embed(embedder, frame, face)?;
                self.pad.as_mut().map(|pad| pad.score(frame, &face.bbox)).transpose()
            })?;
            report.passes.push(Pass::new("one face", timing));
        }
        Ok(())
    }
}

fn embed(
    embedder: &mut FaceEmbedder,
    frame: &Frame,
    face: &FaceDetection,
) -> Result<(), cardea_models::InferenceError> {
    if let Some(crop) = embedder.align(frame, face) {
        embedder.embed(&crop)?;
    }
    Ok(())
}

/// A plate of 520 x 112 mm across a fifth of the frame.
fn usual_plate(frame: &Frame) -> PlateDetection {
    let (x, y) = middle(frame);
    let (w, h) = (frame.width() as f32 / 10.0, frame.width() as f32 / 10.0 * 112.0 / 520.0);
    let corner = |dx: f32, dy: f32| Point::new(x + dx * w, y + dy * h);
    PlateDetection { corners: [corner(-1.0, -1.0), corner(1.0, -1.0), corner(1.0, 1.0), corner(-1.0, 1.0)], score: 1.0 }
}

/// A face across an eighth of the frame, looking at the camera.
fn usual_face(frame: &Frame) -> FaceDetection {
    let (x, y) = middle(frame);
    let half = frame.width() as f32 / 16.0;
    let at = |dx: f32, dy: f32| Point::new(x + dx * half, y + dy * half);
    FaceDetection {
        bbox: Rect { x: x - half, y: y - 1.3 * half, width: 2.0 * half, height: 2.6 * half },
        score: 1.0,
        landmarks: [at(-0.45, -0.3), at(0.45, -0.3), at(0.0, 0.1), at(-0.35, 0.55), at(0.35, 0.55)],
    }
}

fn middle(frame: &Frame) -> (f32, f32) {
    (frame.width() as f32 / 2.0, frame.height() as f32 / 2.0)
}
