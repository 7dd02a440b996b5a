//! `cardead safe`: puts every output into its safe state, unless a running controller drives them. systemd calls it after the
//! service has ended, however it ended.

use std::process::ExitCode;
use std::time::Duration;

use cardea_hardware::make_safe;
use clap::Args;

use super::{CliError, ConfigFile, print};
use crate::config::Config;
use crate::guardian::OutputsLock;
use crate::guardian::guard::SAFE_WITHIN;
use crate::supervisor::RunError;

/// A guard that is at the same work is done by then.
const PATIENCE: Duration = Duration::from_secs(11);

#[derive(Debug, Args)]
pub(super) struct SafeArgs {
    #[command(flatten)]
    file: ConfigFile,
}

pub(super) async fn run(args: SafeArgs) -> Result<ExitCode, CliError> {
    let config = Config::load(&args.file.config)?;
    let path = OutputsLock::path(&config.state_dir);
    // Without a state folder no controller has ever run here.
    let _lock = if config.state_dir.exists() {
        Some(OutputsLock::take(&path, PATIENCE).await.map_err(RunError::from)?)
    } else {
        None
    };
    let failed = make_safe(&config.hardware(), SAFE_WITHIN).await.map_err(RunError::from)?;
    for (board, error) in &failed {
        print(&format!("{board}: not reached: {error}\n"))?;
    }
    print(if failed.is_empty() { "the outputs are in their safe states\n" } else { "the others are safe\n" })?;
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
