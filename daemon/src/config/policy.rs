//! `[biometrics]` and `[plates]`: when what a camera saw counts. The scores' thresholds belong to the model pack.

use serde::{Deserialize, Serialize};

/// When a face counts.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BiometricsConfig {
    /// How long after the cloud's last freshness statement faces still open, in seconds, 1 to 604800: the worst case for
    /// a withdrawal while the network is cut. It cannot be switched off.
    pub max_staleness_s: u64,
    /// Frames a face must have been compared in, 1 to 10.
    pub min_frames: u32,
    /// How far, in cosine, its score must be above that of the next subject, 0 to 1.
    pub min_margin: f32,
    /// What a face counts whose liveness nobody judged.
    pub unknown_liveness: UnknownLiveness,
}

impl Default for BiometricsConfig {
    fn default() -> Self {
        Self { max_staleness_s: 3600, min_frames: 2, min_margin: 0.05, unknown_liveness: UnknownLiveness::Admit }
    }
}

/// What a face counts whose liveness nobody judged. The base pack has no model that judges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownLiveness {
    /// It counts. A photograph may pass.
    Admit,
    /// It does not.
    Refuse,
}

impl From<UnknownLiveness> for cardea_access::rules::UnknownLiveness {
    fn from(value: UnknownLiveness) -> Self {
        match value {
            UnknownLiveness::Admit => Self::Admit,
            UnknownLiveness::Refuse => Self::Refuse,
        }
    }
}

/// When a plate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlatesConfig {
    /// How long after the cloud's last freshness statement plates still open, in seconds. Absent: without limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_staleness_s: Option<u64>,
    /// Frames a plate must have been read in, 1 to 10.
    pub min_frames: u32,
}

impl Default for PlatesConfig {
    fn default() -> Self {
        Self { max_staleness_s: None, min_frames: 2 }
    }
}
