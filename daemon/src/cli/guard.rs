//! `cardead guard`, hidden: the process beside `cardead run` that makes the outputs safe when it cannot.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::CliError;
use crate::guardian::guard::{self, Outcome, Watch};

#[derive(Debug, Args)]
pub(super) struct GuardArgs {
    /// The process to watch
    #[arg(long)]
    parent: u32,
    /// The lock of the outputs
    #[arg(long)]
    lock: PathBuf,
}

pub(super) async fn run(args: GuardArgs) -> Result<ExitCode, CliError> {
    let watch = Watch { parent: args.parent, lock: args.lock };
    let watched = guard::run(watch).await;
    let outcome = watched.map_err(|source| CliError::Io { action: "guard the outputs".to_owned(), source })?;
    match outcome {
        Outcome::Goodbye => {}
        Outcome::LeftToAnother => tracing::info!("another controller drives the outputs already"),
        Outcome::MadeSafe { not_reached } if not_reached.is_empty() => tracing::warn!("the outputs are safe"),
        Outcome::MadeSafe { .. } => return Ok(ExitCode::FAILURE),
    }
    Ok(ExitCode::SUCCESS)
}
