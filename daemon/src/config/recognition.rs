//! `[recognition]`: the model pack and ONNX Runtime.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What recognises.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RecognitionConfig {
    /// Folder of the pack, with `manifest.toml`.
    pub pack: PathBuf,
    /// `libonnxruntime.so`.
    pub onnxruntime: PathBuf,
    /// Threads per model, 1 to 16. More than one pays on four cores or more.
    #[serde(default = "default_threads")]
    pub threads: usize,
    /// Whether faces open although the pack calls its face models a demonstration. They confuse people too often to guard a
    /// door: for trying things out, never where somebody lives.
    #[serde(default)]
    pub allow_demo_models: bool,
}

fn default_threads() -> usize {
    1
}
