//! A face as numbers: a vector of unit length and the model that made it.

use std::fmt;
use std::sync::Arc;

use zeroize::{Zeroize, Zeroizing};

const MAGIC: &[u8; 4] = b"CFT1";
/// Values a template may have.
pub(super) const DIMENSIONS: std::ops::RangeInclusive<usize> = 16..=4096;
/// How far the length of a stored vector may be from 1.
pub(super) const LENGTH_TOLERANCE: f32 = 1e-3;

/// A biometric reference or probe. Overwritten when dropped, never printed.
#[derive(Clone)]
pub struct Template {
    model: Arc<str>,
    vector: Zeroizing<Vec<f32>>,
}

/// Why bytes are no template, or two templates cannot be compared.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TemplateError {
    /// Not the encoding of [`Template::to_bytes`], or damaged.
    #[error("the data is not a face template of a known version")]
    Malformed,
    /// Made by another model: the numbers mean something else.
    #[error("the face template was made by model {found}, but {expected} is in use; enrol again from a photo")]
    ForeignModel {
        /// The model in use.
        expected: String,
        /// The model of the template.
        found: String,
    },
}

impl Template {
    /// Scales `vector` to unit length. `None` if it has no direction, is not finite or too short or long.
    pub(crate) fn normalised(model: Arc<str>, mut vector: Zeroizing<Vec<f32>>) -> Option<Self> {
        let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
        if !DIMENSIONS.contains(&vector.len()) || !length.is_normal() || vector.iter().any(|v| !v.is_finite()) {
            return None;
        }
        vector.iter_mut().for_each(|v| *v /= length);
        Some(Self { model, vector })
    }

    /// Id of the model that made it.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The vector, of unit length.
    pub fn vector(&self) -> &[f32] {
        &self.vector
    }

    /// Cosine of the two templates, -1 to 1; higher is more alike.
    pub fn compare(&self, other: &Self) -> Result<f32, TemplateError> {
        self.require_model(&other.model)?;
        if self.vector.len() != other.vector.len() {
            return Err(TemplateError::Malformed);
        }
        Ok(dot(&self.vector, &other.vector))
    }

    /// One template out of several of the same person (photos of an enrolment, frames of a track): the direction of
    /// their sum. `Ok(None)` for an empty slice or opposite vectors.
    pub fn fuse(templates: &[Self]) -> Result<Option<Self>, TemplateError> {
        let Some(first) = templates.first() else { return Ok(None) };
        let mut sum = Zeroizing::new(vec![0.0; first.vector.len()]);
        for template in templates {
            first.compare(template)?;
            for (total, value) in sum.iter_mut().zip(template.vector.iter()) {
                *total += value;
            }
        }
        Ok(Self::normalised(first.model.clone(), sum))
    }

    /// Stable encoding, version 1: `CFT1`, length and bytes of the model id (u8, ASCII), count of values (u16 LE), values
    /// (f32 LE).
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(7 + self.model.len() + 4 * self.vector.len()));
        bytes.extend_from_slice(MAGIC);
        bytes.push(self.model.len() as u8);
        bytes.extend_from_slice(self.model.as_bytes());
        bytes.extend_from_slice(&(self.vector.len() as u16).to_le_bytes());
        for value in self.vector.iter() {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    /// Reads what [`Template::to_bytes`] wrote; anything else is [`TemplateError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TemplateError> {
        Self::parse(bytes).ok_or(TemplateError::Malformed)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (&length, rest) = bytes.strip_prefix(MAGIC)?.split_first()?;
        let (model, rest) = rest.split_at_checked(usize::from(length))?;
        let model = std::str::from_utf8(model).ok().filter(|id| id.bytes().all(|b| b.is_ascii_graphic()))?;
        let (count, values) = rest.split_first_chunk::<2>()?;
        let count = usize::from(u16::from_le_bytes(*count));
        if model.is_empty() || !DIMENSIONS.contains(&count) || values.len() != 4 * count {
            return None;
        }
        let mut vector = Zeroizing::new(Vec::with_capacity(count));
        for value in values.chunks_exact(4) {
            vector.push(f32::from_le_bytes(value.try_into().ok()?));
        }
        let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
        // written so that a NaN fails as well
        let unit = (length - 1.0).abs() <= LENGTH_TOLERANCE;
        unit.then(|| Self { model: model.into(), vector })
    }

    /// Refuses a template of another model than `expected`.
    pub fn require_model(&self, expected: &str) -> Result<(), TemplateError> {
        if *self.model == *expected {
            return Ok(());
        }
        Err(TemplateError::ForeignModel { expected: expected.into(), found: self.model.to_string() })
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({}, …)", self.model)
    }
}

impl Zeroize for Template {
    fn zeroize(&mut self) {
        self.vector.zeroize();
    }
}

/// The inner product, in lanes that the compiler turns into vector instructions: enough of them that no addition waits
/// for the one before.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 32;
    let mut lanes = [0.0_f32; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (x, y) in a_chunks.iter().zip(b_chunks) {
        for i in 0..LANES {
            lanes[i] += x[i] * y[i];
        }
    }
    let mut quarter = [0.0_f32; LANES / 4];
    for (i, sum) in quarter.iter_mut().enumerate() {
        *sum = (lanes[i] + lanes[i + LANES / 4]) + (lanes[i + LANES / 2] + lanes[i + 3 * LANES / 4]);
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    quarter.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn template(model: &str, values: &[f32]) -> Template {
        Template::normalised(model.into(), Zeroizing::new(values.to_vec())).unwrap()
    }

    proptest! {
        #[test]
        fn bytes_come_back_as_they_went(values in proptest::collection::vec(0.01_f32..1.0, 16..300)) {
            let original = template("embedder-1", &values);
            let read = Template::from_bytes(&original.to_bytes()).unwrap();
            prop_assert_eq!(read.vector(), original.vector());
            prop_assert_eq!(read.model(), "embedder-1");
            prop_assert!((original.compare(&read).unwrap() - 1.0).abs() < 1e-4);
        }

        #[test]
        fn garbage_is_refused_without_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), good in any::<bool>()) {
            if good {
                bytes.splice(0..0, *b"CFT1");
            }
            prop_assert_eq!(Template::from_bytes(&bytes).err(), Some(TemplateError::Malformed));
        }
    }

    #[test]
    fn a_damaged_template_is_refused() {
        let bytes = template("e", &[1.0; 32]).to_bytes();
        assert!(Template::from_bytes(&bytes[..bytes.len() - 1]).is_err());
        assert!(Template::from_bytes(&[bytes.as_slice(), &[0]].concat()).is_err());
        let mut wrong_length = bytes.clone();
        wrong_length[8..12].copy_from_slice(&9.0_f32.to_le_bytes());
        assert!(Template::from_bytes(&wrong_length).is_err());
        let mut nan = bytes.clone();
        nan[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(Template::from_bytes(&nan).is_err());
    }

    #[test]
    fn only_like_is_compared_with_like() {
        let (a, b) = (template("one", &[1.0; 32]), template("two", &[1.0; 32]));
        assert!(matches!(a.compare(&b), Err(TemplateError::ForeignModel { .. })));
        assert_eq!(a.compare(&template("one", &[1.0; 48])), Err(TemplateError::Malformed));
    }

    #[test]
    fn nothing_is_printed_and_nothing_remains() {
        let mut secret = template("one", &[1.0; 32]);
        assert_eq!(format!("{secret:?}"), "Template(one, …)");
        secret.zeroize();
        assert!(secret.vector().is_empty());
    }

    #[test]
    fn fused_templates_lie_between_their_parts() {
        let mut left = [0.1_f32; 32];
        let mut right = [0.1_f32; 32];
        left[0] = 2.0;
        right[1] = 2.0;
        let (left, right) = (template("e", &left), template("e", &right));
        let fused = Template::fuse(&[left.clone(), right.clone()]).unwrap().unwrap();
        let apart = left.compare(&right).unwrap();
        assert!(fused.compare(&left).unwrap() > apart && fused.compare(&right).unwrap() > apart);
        assert!(Template::fuse(&[]).unwrap().is_none());
        assert!(Template::normalised("e".into(), Zeroizing::new(vec![0.0; 32])).is_none());
    }
}
