//! What `cardea-models` does with model packs, one folder for each command.
//!
//! Every command is `Args`, which clap parses, and `run(args, out)`, which writes its result to `out` and says whether what
//! it looked at is sound: a test calls it without a process. Progress, logs and errors go to standard error.
//!
//! A crate of its own, so that `cardead` carries neither a downloader nor plots
//! (docs/design/0010-the-tool-for-packs.md).
//!
//! To add a command: a folder with `Args` and `run`, a variant in [`cli`], a line in docs/reference/cli.md.

pub mod bench;
pub mod cli;
pub mod eval;
pub mod list;
mod onnxruntime;
pub mod pull;
pub mod read;
mod table;
pub mod verify;

pub use onnxruntime::OnnxRuntime;

use std::io;
use std::path::PathBuf;

use cardea_models::{FrameError, InferenceError, PackError, RuntimeError};

/// The folder of packs where none is named: where packages put them.
pub const PACKS: &str = "/usr/share/cardea/models";
/// Names another folder of packs.
pub const PACKS_VARIABLE: &str = "CARDEA_PACKS";

/// What a command found, hence the exit code of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// What was asked for is done, and what was looked at is in order.
    Sound,
    /// The command worked, and what it looked at is not in order; the output says what.
    Unsound,
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The result could not be written.
    #[error("cannot write the result")]
    Write(#[from] io::Error),
    /// A file or folder could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// ONNX Runtime could not be loaded.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A pack could not be loaded.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A picture could not be decoded.
    #[error("{path} is not a picture that can be used")]
    Picture {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: FrameError,
    },
    /// A model failed while it was measured.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// A pack could not be pulled.
    #[error(transparent)]
    Pull(Box<pull::PullError>),
    /// An evaluation ended without a report.
    #[error(transparent)]
    Eval(#[from] eval::EvalError),
}

impl From<pull::PullError> for Error {
    fn from(error: pull::PullError) -> Self {
        Self::Pull(Box::new(error))
    }
}
