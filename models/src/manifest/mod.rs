//! `manifest.toml`: what a pack holds and how its models are to be fed, decoded and judged.
//!
//! Unknown keys are refused, so a misspelt threshold cannot be silently ignored. The types here are the format; what must
//! hold between their values is in [`check`]. `models/base/manifest.toml` is the living example and
//! `docs/reference/packs.md` the description for people.
//!
//! To support another family of models: a variant of [`Decode`], its rules in `check.rs`, its decoder beside its siblings
//! in `detect/`, `face/` or `plate/`, and a row in the reference.

mod check;
mod decode;
mod input;

use std::fmt;

use serde::Deserialize;

pub use decode::{Column, Decode, LiveClass, RetinaFace, Slots, Yolo, YoloForm};
pub use input::{Aspect, Channels, ElementType, Input, Layout};

/// A parsed and checked manifest.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// About the pack as a whole.
    pub pack: PackHeader,
    /// One entry per role; several for [`Role::Pad`].
    #[serde(rename = "model")]
    pub models: Vec<ModelSpec>,
}

/// About the pack as a whole.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackHeader {
    /// Short name, for example `base`.
    pub name: String,
    /// Version of the pack.
    pub version: String,
    /// SPDX expression.
    pub licence: String,
    /// One sentence for people.
    #[serde(default)]
    pub description: String,
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Finds faces and five landmarks.
    FaceDetector,
    /// Turns an aligned face into a vector.
    FaceEmbedder,
    /// Presentation attack detection (ISO/IEC 30107): tells a live face from a picture of one.
    Pad,
    /// Finds plates and their four corners.
    PlateDetector,
    /// Reads a rectified plate.
    PlateReader,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FaceDetector => "face-detector",
            Self::FaceEmbedder => "face-embedder",
            Self::Pad => "pad",
            Self::PlateDetector => "plate-detector",
            Self::PlateReader => "plate-reader",
        })
    }
}

/// What a model may be relied upon for, by the evaluation that earned it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fitness {
    /// Shows how things work; nobody's door depends on it.
    Demo,
    /// Good enough for access control at its threshold: [`Threshold::evaluation`] says where that was measured.
    Production,
}

impl fmt::Display for Fitness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Demo => "demo",
            Self::Production => "production",
        })
    }
}

/// One model of a pack.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Stable id. It is part of every template, so that only like is compared with like.
    pub id: String,
    /// What it is for.
    pub role: Role,
    /// What it may be relied upon for.
    pub fitness: Fitness,
    /// File name inside the pack's folder.
    pub file: String,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: String,
    /// SPDX expression.
    pub licence: String,
    /// Where the weights come from.
    pub source: String,
    /// How pixels become the input tensor.
    pub input: Input,
    /// How output tensors become detections, vectors or text.
    pub decode: Decode,
    /// From which score on the output counts.
    pub threshold: Threshold,
}

/// From which score on an output counts, and what that stands for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// Scores of at least this count.
    pub value: f32,
    /// What kind of score it is.
    pub meaning: String,
    /// False-match rate at this threshold (ISO/IEC 19795-1), for an embedder or a reader.
    pub false_match_rate: Option<f64>,
    /// Where the measurement is described.
    pub evaluation: Option<String>,
}

/// Why a manifest is not usable.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not UTF-8.
    #[error("the manifest is not UTF-8 text")]
    Encoding(#[from] std::str::Utf8Error),
    /// Not TOML of this format; the source names line and key.
    #[error("the manifest is not valid")]
    Format(#[from] toml::de::Error),
    /// A value that cannot be right.
    #[error("model {model}: {problem}")]
    Model {
        /// Id of the model.
        model: String,
        /// What is wrong and what is expected.
        problem: String,
    },
    /// Two models for one role, with one id or with one file name.
    #[error(
        "{what} appears twice; ids are distinct, and a pack has one model per role (several only for {})",
        Role::Pad
    )]
    Duplicate {
        /// The role or id.
        what: String,
    },
}

impl Manifest {
    /// Parses and checks the text of a `manifest.toml`.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let mut manifest: Self = toml::from_str(text)?;
        for model in &mut manifest.models {
            model.input.complete();
        }
        manifest.check()?;
        Ok(manifest)
    }

    /// The model for `role`, if the pack has one; the first of several.
    pub fn model(&self, role: Role) -> Option<&ModelSpec> {
        self.models_for(role).next()
    }

    /// The models for `role`, in the order of the manifest.
    pub fn models_for(&self, role: Role) -> impl Iterator<Item = &ModelSpec> {
        self.models.iter().filter(move |model| model.role == role)
    }
}

#[cfg(test)]
mod tests;
