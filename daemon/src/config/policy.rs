//! `[biometrics]`, `[plates]` and `[cards]`: when what was seen or shown counts. The scores' thresholds belong to the model pack.

use cardea_access::grammar::{Grammar, Grammars, UnknownGrammar};
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
}

impl Default for BiometricsConfig {
    fn default() -> Self {
        Self { max_staleness_s: 3600, min_frames: 2, min_margin: 0.05 }
    }
}

/// When a plate counts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlatesConfig {
    /// How long after the cloud's last freshness statement plates still open, in seconds. Absent: without limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_staleness_s: Option<u64>,
    /// Frames a plate must have been read in, 1 to 10.
    pub min_frames: u32,
    /// The kinds of plates that come here, by the names of [`Grammar`]. A text of another kind is the less likely for it.
    pub grammars: Vec<String>,
}

impl Default for PlatesConfig {
    fn default() -> Self {
        let grammars = Grammars::default().iter().map(|grammar| grammar.name().to_owned()).collect();
        Self { max_staleness_s: None, min_frames: 2, grammars }
    }
}

/// When a card counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CardsConfig {
    /// How long after the cloud's last freshness statement cards still open, in seconds. Absent: without limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_staleness_s: Option<u64>,
}

impl PlatesConfig {
    /// The grammars of these names.
    pub fn grammars(&self) -> Result<Vec<Grammar>, UnknownGrammar> {
        self.grammars.iter().map(|name| name.parse()).collect()
    }
}
