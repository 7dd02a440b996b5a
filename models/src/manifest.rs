//! `manifest.toml`: what a pack holds and how its models are to be fed, decoded and judged.
//!
//! Unknown keys are refused, so a misspelt threshold cannot be silently ignored. The format is described by the types
//! here; `models/base/manifest.toml` is the living example.

use std::fmt;

use serde::Deserialize;

use crate::geometry::Point;

/// A parsed and checked manifest.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// About the pack as a whole.
    pub pack: PackHeader,
    /// One entry per role.
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
            Self::PlateDetector => "plate-detector",
            Self::PlateReader => "plate-reader",
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

/// Order of the input's colour planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Blue, green, red.
    Bgr,
    /// Red, green, blue.
    Rgb,
    /// Brightness (Rec. 601).
    Gray,
}

impl Channels {
    /// Number of planes.
    pub fn count(self) -> usize {
        match self {
            Self::Bgr | Self::Rgb => 3,
            Self::Gray => 1,
        }
    }
}

/// How pixels become the input tensor: NCHW `f32`, `(value - mean) / std` on values of 0 to 255.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Order of the planes.
    pub channels: Channels,
    /// Subtracted, one value per plane.
    pub mean: Vec<f32>,
    /// Divided by, one value per plane.
    pub std: Vec<f32>,
    /// Fixed height and width, in pixels.
    pub size: Option<[usize; 2]>,
    /// Dynamic input: both sides are multiples of this, in pixels.
    pub multiple_of: Option<usize>,
    /// Dynamic input: the frame is scaled so that its longer side has this many pixels.
    pub max_side: Option<usize>,
}

/// How output tensors are understood.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Decode {
    /// `heatmap` \[1,1,h,w\] of logits, `points` \[1,2·points,h,w\] as offsets from the cell centre divided by
    /// `point_scale`, and for faces `box` \[1,4,h,w\] (left, top, right, bottom likewise).
    CentrePoints {
        /// Pixels of the input per cell.
        stride: usize,
        /// Pixels per unit of `points` and `box`.
        point_scale: f32,
        /// 4 for plates (TL TR BR BL), 5 for faces (eyes, nose, mouth corners; left to right in the image).
        points: usize,
        /// Name of the offsets' output, where it is not `points`.
        #[serde(default = "points_output")]
        points_output: String,
    },
    /// YuNet: `cls_`, `obj_`, `bbox_` and `kps_` at strides 8, 16 and 32 (libfacedetection.train).
    Yunet {},
    /// One vector per aligned face.
    Embedding {
        /// The five landmarks in the aligned crop, in pixels.
        template: [[f32; 2]; 5],
    },
    /// Connectionist temporal classification (Graves et al., 2006): logits \[1,T,C\] or \[1,C,T\].
    Ctc {
        /// The classes before the blank is inserted, in order.
        alphabet: String,
        /// Index of the blank class.
        blank: usize,
        /// Whether the reader was trained on two-line plates, their lines side by side.
        #[serde(default)]
        two_line: bool,
    },
}

fn points_output() -> String {
    "points".into()
}

impl Decode {
    /// The landmark template as points, for an embedder.
    pub(crate) fn template_points(&self) -> Option<[Point; 5]> {
        match self {
            Self::Embedding { template } => Some(template.map(|[x, y]| Point::new(x, y))),
            _ => None,
        }
    }
}

/// From which score on an output counts, and what that stands for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// Scores of at least this count.
    pub value: f32,
    /// What kind of score it is.
    pub meaning: String,
    /// False-match rate at this threshold (ISO/IEC 19795-1), for an embedder.
    pub false_match_rate: Option<f64>,
    /// Where the measurement is described.
    pub evaluation: Option<String>,
}

/// Why a manifest is not usable.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
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
    /// Two models for one role or with one id.
    #[error("{what} appears twice; a pack has one model per role and distinct ids")]
    Duplicate {
        /// The role or id.
        what: String,
    },
}

impl Manifest {
    /// Parses and checks the text of a `manifest.toml`.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let manifest: Self = toml::from_str(text)?;
        for (i, model) in manifest.models.iter().enumerate() {
            model.check().map_err(|problem| ManifestError::Model { model: model.id.clone(), problem })?;
            for earlier in &manifest.models[..i] {
                if earlier.role == model.role {
                    return Err(ManifestError::Duplicate { what: format!("role {}", model.role) });
                }
                if earlier.id == model.id {
                    return Err(ManifestError::Duplicate { what: format!("id {}", model.id) });
                }
            }
        }
        Ok(manifest)
    }

    /// The model for `role`, if the pack has one.
    pub fn model(&self, role: Role) -> Option<&ModelSpec> {
        self.models.iter().find(|model| model.role == role)
    }
}

impl ModelSpec {
    fn check(&self) -> Result<(), String> {
        if self.id.is_empty() || self.id.len() > 64 || !self.id.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("`id` must be 1 to 64 printable ASCII characters without spaces".into());
        }
        if self.file.is_empty() || self.file.contains(['/', '\\', '\0']) || self.file.starts_with('.') {
            return Err("`file` must be a plain file name inside the pack's folder".into());
        }
        if self.sha256.len() != 64 || !self.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err("`sha256` must be 64 hexadecimal digits".into());
        }
        if !self.threshold.value.is_finite() {
            return Err("`threshold.value` must be a finite number".into());
        }
        if self.threshold.false_match_rate.is_some_and(|rate| !(0.0..=1.0).contains(&rate)) {
            return Err("`threshold.false_match_rate` must lie between 0 and 1".into());
        }
        self.input.check()?;
        self.check_decode()
    }

    fn check_decode(&self) -> Result<(), String> {
        match (&self.decode, self.role) {
            (Decode::CentrePoints { stride, point_scale, points, .. }, Role::FaceDetector | Role::PlateDetector) => {
                let wanted = if self.role == Role::FaceDetector { 5 } else { 4 };
                if *points != wanted {
                    return Err(format!("`decode.points` must be {wanted} for a {}", self.role));
                }
                if *stride == 0 || !point_scale.is_normal() || *point_scale < 0.0 {
                    return Err("`decode.stride` and `decode.point_scale` must be positive".into());
                }
                if !self.input.divisor().is_multiple_of(*stride) {
                    return Err(format!("the input's sides must be multiples of `decode.stride` {stride}"));
                }
                self.check_probability()
            }
            (Decode::Yunet {}, Role::FaceDetector) => {
                if !self.input.divisor().is_multiple_of(32) {
                    return Err("YuNet needs input sides that are multiples of 32".into());
                }
                self.check_probability()
            }
            (Decode::Embedding { .. }, Role::FaceEmbedder) => self.check_fixed_size(),
            (Decode::Ctc { alphabet, blank, .. }, Role::PlateReader) => {
                let classes: Vec<char> = alphabet.chars().collect();
                let repeated = classes.iter().enumerate().any(|(i, c)| classes[..i].contains(c));
                if classes.is_empty() || classes.len() > 200 || repeated || *blank > classes.len() {
                    return Err("`decode.alphabet` must be 1 to 200 distinct characters and `decode.blank` an index into it or its end".into());
                }
                self.check_fixed_size()
            }
            (decode, role) => {
                let kind = match decode {
                    Decode::CentrePoints { .. } => "centre-points",
                    Decode::Yunet {} => "yunet",
                    Decode::Embedding { .. } => "embedding",
                    Decode::Ctc { .. } => "ctc",
                };
                Err(format!("decode kind {kind} does not serve a {role}"))
            }
        }
    }

    fn check_fixed_size(&self) -> Result<(), String> {
        if self.input.size.is_none() {
            return Err(format!("a {} needs a fixed `input.size`", self.role));
        }
        Ok(())
    }

    fn check_probability(&self) -> Result<(), String> {
        if self.threshold.value <= 0.0 || self.threshold.value >= 1.0 {
            return Err("a detector's `threshold.value` must lie between 0 and 1".into());
        }
        Ok(())
    }
}

impl Input {
    fn check(&self) -> Result<(), String> {
        let planes = self.channels.count();
        if self.mean.len() != planes || self.std.len() != planes {
            return Err(format!("`input.mean` and `input.std` need {planes} values each"));
        }
        if !self.mean.iter().all(|v| v.is_finite()) || !self.std.iter().all(|v| v.is_normal()) {
            return Err("`input.mean` must be finite and `input.std` finite and not zero".into());
        }
        match (self.size, self.multiple_of, self.max_side) {
            (Some([h, w]), None, None) if (1..=4096).contains(&h) && (1..=4096).contains(&w) => Ok(()),
            (None, Some(m), Some(side)) if m > 0 && (m..=4096).contains(&side) && side % m == 0 => Ok(()),
            (Some(_), None, None) | (None, Some(_), Some(_)) => {
                Err("input sides must be 1 to 4096 pixels, and `max_side` a multiple of `multiple_of`".into())
            }
            _ => Err("give either `input.size` or both `input.multiple_of` and `input.max_side`".into()),
        }
    }

    /// A number that divides both sides of every input.
    fn divisor(&self) -> usize {
        match self.size {
            Some([h, w]) => gcd(h, w),
            None => self.multiple_of.unwrap_or(1),
        }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const GOOD: &str = r#"
[pack]
name = "test"
version = "0.1.0"
licence = "MIT"
[[model]]
id = "plate-detector-1"
role = "plate-detector"
file = "d.onnx"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
licence = "MIT"
source = "here"
[model.input]
channels = "bgr"
mean = [127.5, 127.5, 127.5]
std = [127.5, 127.5, 127.5]
multiple_of = 32
max_side = 640
[model.decode]
kind = "centre-points"
stride = 8
point_scale = 32.0
points = 4
[model.threshold]
value = 0.35
meaning = "peak probability"
"#;

    fn problem(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from} is not in the sample");
        match Manifest::parse(&GOOD.replacen(from, to, 1)).unwrap_err() {
            ManifestError::Format(source) => source.to_string(),
            other => other.to_string(),
        }
    }

    #[test]
    fn a_good_manifest_is_understood() {
        let manifest = Manifest::parse(GOOD).unwrap();
        let model = &manifest.models[0];
        assert_eq!((model.role, model.id.as_str()), (Role::PlateDetector, "plate-detector-1"));
        assert!(
            matches!(&model.decode, Decode::CentrePoints { points: 4, points_output, .. } if points_output == "points")
        );
        assert_eq!(model.threshold.false_match_rate, None);
    }

    #[test]
    fn unknown_keys_are_refused_at_every_level() {
        assert!(problem("name = \"test\"", "name = \"test\"\ncolour = 1").contains("colour"));
        assert!(problem("source = \"here\"", "source = \"here\"\nurl = 1").contains("url"));
        assert!(problem("channels = \"bgr\"", "channels = \"bgr\"\nscale = 2").contains("scale"));
        assert!(problem("stride = 8", "stride = 8\nstrde = 8").contains("strde"));
        assert!(problem("value = 0.35", "value = 0.35\nfmr = 0.1").contains("fmr"));
    }

    #[test]
    fn impossible_values_are_named() {
        assert!(problem("file = \"d.onnx\"", "file = \"../d.onnx\"").contains("plain file name"));
        assert!(problem("sha256 = \"00", "sha256 = \"zz").contains("64 hexadecimal"));
        assert!(problem("mean = [127.5, 127.5, 127.5]", "mean = [1.0]").contains("3 values"));
        assert!(problem("std = [127.5, 127.5, 127.5]", "std = [0.0, 1.0, 1.0]").contains("not zero"));
        assert!(problem("max_side = 640", "max_side = 650").contains("multiple of `multiple_of`"));
        assert!(problem("max_side = 640", "size = [32, 32]").contains("either `input.size`"));
        assert!(problem("points = 4", "points = 5").contains("must be 4"));
        assert!(problem("stride = 8", "stride = 24").contains("multiples of `decode.stride`"));
        assert!(problem("value = 0.35", "value = 1.5").contains("between 0 and 1"));
        assert!(problem("value = 0.35", "value = nan").contains("finite"));
        assert!(problem("role = \"plate-detector\"", "role = \"plate-reader\"").contains("does not serve"));
        assert!(problem("id = \"plate-detector-1\"", "id = \"\"").contains("printable ASCII"));
        assert!(problem("role = \"plate-detector\"", "role = \"oracle\"").contains("oracle"));
    }

    #[test]
    fn one_model_per_role() {
        let model = &GOOD[GOOD.find("[[model]]").unwrap()..];
        let twice = format!("{GOOD}\n{model}");
        assert!(matches!(Manifest::parse(&twice), Err(ManifestError::Duplicate { .. })));
    }
}
