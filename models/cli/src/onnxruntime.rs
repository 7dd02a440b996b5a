//! Which ONNX Runtime the commands that run models use: one option, the same everywhere.

use std::path::PathBuf;

use cardea_models::{Runtime, RuntimeError};

/// The option `--onnxruntime`, to flatten into a command's arguments.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct OnnxRuntime {
    /// ONNX Runtime's shared library, 1.20 or later
    #[arg(long = "onnxruntime", value_name = "FILE", env = cardea_models::runtime::LIBRARY_VARIABLE)]
    pub library: Option<PathBuf>,
}

impl OnnxRuntime {
    /// Loads the library; [`RuntimeError::NotConfigured`] where none is named.
    pub fn load(&self) -> Result<Runtime, RuntimeError> {
        self.library.as_deref().map_or(Err(RuntimeError::NotConfigured), Runtime::load)
    }
}
