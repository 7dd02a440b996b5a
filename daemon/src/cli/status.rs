//! `cardead status`: what the running controller says about itself, as JSON.

use std::process::ExitCode;

use clap::Args;

use super::{CliError, ConfigFile, print};
use crate::config::Config;
use crate::local;

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    file: ConfigFile,
}

pub(super) async fn run(args: StatusArgs) -> Result<ExitCode, CliError> {
    let config = Config::load(&args.file.config)?;
    let status = local::ask(&config.local.socket).await?;
    let text = serde_json::to_string_pretty(&status).unwrap_or_default();
    print(&format!("{text}\n"))?;
    Ok(ExitCode::SUCCESS)
}
