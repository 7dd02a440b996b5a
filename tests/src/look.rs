//! Looking over the controller's shoulder: the same models, run again over a picture, and what they found drawn on it.

use std::path::{Path, PathBuf};

use cardea_models::annotate::{GREEN, RED, YELLOW, dot, label, outline, rect};
use cardea_models::{FacePipeline, Frame, Pack, PlatePipeline, Point, Runtime, Template};

/// Where `make setup` puts ONNX Runtime.
pub fn onnxruntime() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/onnxruntime/libonnxruntime.so")
}

/// The project's own model pack.
pub fn base_pack() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/base")
}

/// Both pipelines of the base pack.
pub struct Onlooker {
    /// Plates.
    pub plates: PlatePipeline,
    /// Faces.
    pub faces: FacePipeline,
}

impl Onlooker {
    /// Loads the base pack.
    pub fn load() -> anyhow::Result<Self> {
        let runtime = Runtime::load(&onnxruntime())?;
        let mut pack = Pack::load(&base_pack(), &runtime, 1)?;
        Ok(Self { plates: pack.take_plate_pipeline()?, faces: pack.take_face_pipeline()? })
    }

    /// The picture with every plate outlined and read, as a JPEG, and the best text.
    pub fn plates(&mut self, picture: &[u8]) -> anyhow::Result<(Vec<u8>, Option<String>)> {
        let mut frame = Frame::decode(picture)?;
        let found = self.plates.run(&frame)?;
        let best = found.plates.first().and_then(|p| p.reading.as_ref()).map(|reading| reading.text());
        let thickness = stroke(&frame);
        for plate in &found.plates {
            outline(&mut frame, &plate.detection.corners, thickness, GREEN);
            let area = plate.detection.bbox();
            let text = plate.reading.as_ref().map_or_else(
                || format!("PLATE {:.2}", plate.detection.score),
                |reading| {
                    format!("{} {:.2} DET {:.2}", reading.text(), reading.mean_probability(), plate.detection.score)
                },
            );
            let below = Point::new(area.x, area.y + area.height + 6.0);
            label(&mut frame, below, &text, thickness, YELLOW);
        }
        Ok((frame.to_jpeg(85)?, best))
    }

    /// The picture with every face boxed, its landmarks, and its cosine with `enrolled`, as a JPEG.
    pub fn faces(&mut self, picture: &[u8], enrolled: Option<&Template>) -> anyhow::Result<Vec<u8>> {
        let mut frame = Frame::decode(picture)?;
        let found = self.faces.run(&frame)?;
        let threshold = self.faces.embedder().threshold().value;
        let thickness = stroke(&frame);
        for face in &found.faces {
            let score = match (&face.template, enrolled) {
                (Some(probe), Some(reference)) => Some(probe.compare(reference)?),
                _ => None,
            };
            let colour = match score {
                Some(score) if score >= threshold => GREEN,
                Some(_) => RED,
                None => YELLOW,
            };
            rect(&mut frame, &face.detection.bbox, thickness, colour);
            for landmark in face.detection.landmarks {
                dot(&mut frame, landmark, thickness * 3, colour);
            }
            let area = face.detection.bbox;
            let text = match score {
                Some(score) => format!("COS {score:.2} NEEDS {threshold:.2}"),
                None => format!("FACE {:.2}", face.detection.score),
            };
            label(&mut frame, Point::new(area.x, area.y + area.height + 4.0), &text, thickness, colour);
        }
        Ok(frame.to_jpeg(85)?)
    }

    /// The template of an enrolment photo, as the cloud would make it.
    pub fn enrol(&mut self, photo: &[u8]) -> anyhow::Result<Template> {
        Ok(self.faces.enrol(&*Frame::decode_photo(photo)?)?)
    }
}

/// Lines that stay visible when the report scales the picture down.
fn stroke(frame: &Frame) -> u32 {
    (frame.width() / 320).max(2)
}
