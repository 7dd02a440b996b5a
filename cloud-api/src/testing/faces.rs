//! Photos and templates without models: a photo is what its bytes say.

use cardea_models::pipeline::EnrolError;
use cardea_models::{FrameError, Template};

use crate::recognition::{EnrolFailure, Enrolled, Enroller};

/// A good photo.
pub(crate) const FACE_PHOTO: &[u8] = b"one face";
/// A better one of the same person.
pub(crate) const BETTER_PHOTO: &[u8] = b"one face, sharp";
/// A good photo of somebody else.
pub(crate) const ANOTHER_FACE: &[u8] = b"another face";

/// What stands in the templates of [`FACE_PHOTO`], for looking for it in files.
pub(crate) fn template_bytes() -> Vec<u8> {
    template(0, 0.0).to_bytes()[4..].to_vec()
}

/// Takes photos by what they say, in place of the models.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FakeEnroller;

impl Enroller for FakeEnroller {
    fn enrol(&self, photo: &[u8]) -> Result<Enrolled, EnrolFailure> {
        match photo {
            FACE_PHOTO => Ok(enrolled(template(0, 0.0), 0.6)),
            BETTER_PHOTO => Ok(enrolled(template(0, 0.1), 0.9)),
            ANOTHER_FACE => Ok(enrolled(template(1, 0.0), 0.7)),
            b"no face" => Err(EnrolError::NoFace.into()),
            b"two faces" => Err(EnrolError::SeveralFaces { count: 2 }.into()),
            _ => Err(FrameError::NotAnImage.into()),
        }
    }
}

fn enrolled(template: Template, comparison_quality: f32) -> Enrolled {
    Enrolled { template, same_person_cosine: 0.5, eye_distance_px: 80.0, detection_score: 0.9, comparison_quality }
}

/// A person is an axis; a photo of them leans a little towards one that is nobody's.
fn template(person: usize, leaning: f32) -> Template {
    let mut values = [0.0_f32; 16];
    (values[person], values[15]) = ((1.0 - leaning * leaning).sqrt(), leaning);
    let model = b"fake-embedder";
    let head = [b"CFT1", [model.len() as u8].as_slice(), model, &16_u16.to_le_bytes()].concat();
    let values = values.iter().flat_map(|value| value.to_le_bytes());
    Template::from_bytes(&head.into_iter().chain(values).collect::<Vec<u8>>()).unwrap()
}
