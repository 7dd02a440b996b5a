//! ONNX Runtime as a shared library, loaded once per process from a path the caller names.
//!
//! The library is not linked: packages put it beside the daemon, and a missing or foreign file is an error with its path,
//! not a failure to start. ONNX Runtime has one environment per process, so a second [`Runtime::load`] of the same path
//! returns the first one, and of another path is refused.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;

/// Names the library when the configuration does not; the variable ONNX Runtime's own bindings use.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

/// A loaded ONNX Runtime. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Runtime {
    library: PathBuf,
    environment: Environment,
}

/// Why ONNX Runtime is not available.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The path does not lead to a file.
    #[error("ONNX Runtime library {path} cannot be opened; run setup/onnxruntime.py or correct the configured path")]
    Missing {
        /// The path as it was given.
        path: PathBuf,
        /// What the file system said.
        source: std::io::Error,
    },
    /// The file is no ONNX Runtime, or one that is too old.
    #[error("{path} is not a usable ONNX Runtime library (1.20 or later is needed); run setup/onnxruntime.py")]
    Unusable {
        /// The resolved path.
        path: PathBuf,
        /// What the loader said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another library is loaded in this process.
    #[error("ONNX Runtime is already loaded from {loaded}; one process cannot also use {requested}")]
    AlreadyLoaded {
        /// The library in use.
        loaded: PathBuf,
        /// The library asked for.
        requested: PathBuf,
    },
    /// [`LIBRARY_VARIABLE`] is not set.
    #[error("no ONNX Runtime library is configured; name one in the configuration or in ORT_DYLIB_PATH")]
    NotConfigured,
}

impl Runtime {
    /// Loads the library at `path`, or returns the one this process already loaded from there.
    pub fn load(path: &Path) -> Result<Self, RuntimeError> {
        // ort would search a relative path beside the executable first: resolve it here, as everyone else does
        let library = path.canonicalize().map_err(|source| RuntimeError::Missing { path: path.into(), source })?;
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = loaded.as_ref() {
            return if runtime.library == library {
                Ok(runtime.clone())
            } else {
                Err(RuntimeError::AlreadyLoaded { loaded: runtime.library.clone(), requested: library })
            };
        }
        let environment = ort::init_from(&library)
            .map_err(|source| RuntimeError::Unusable { path: library.clone(), source: source.into() })?
            .with_name("cardea")
            .with_telemetry(false)
            .build()
            .map_err(|source| RuntimeError::Unusable { path: library.clone(), source: source.into() })?;
        tracing::info!(library = %library.display(), "ONNX Runtime loaded");
        Ok(loaded.insert(Self { library, environment }).clone())
    }

    /// Loads the library named by [`LIBRARY_VARIABLE`].
    pub fn load_from_env() -> Result<Self, RuntimeError> {
        let path = env::var_os(LIBRARY_VARIABLE).ok_or(RuntimeError::NotConfigured)?;
        Self::load(Path::new(&path))
    }

    /// The resolved path of the library in use.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// ONNX Runtime's environment, for a caller with a model of its own.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }
}
