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
pub mod verify;

pub use onnxruntime::OnnxRuntime;

use std::io;

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
    /// An evaluation ended without a report.
    #[error(transparent)]
    Eval(#[from] eval::EvalError),
}
