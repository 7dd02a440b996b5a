//! `cardead config`: what is in force, defaults included, passwords as `…`; or an example to start from.

use std::process::ExitCode;

use clap::Args;

use super::{CliError, ConfigFile, print};
use crate::config::{Config, EXAMPLE};

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// Print an example instead
    #[arg(long)]
    example: bool,
}

pub(super) fn run(args: &ConfigArgs) -> Result<ExitCode, CliError> {
    if args.example {
        print(EXAMPLE)?;
    } else {
        print(&Config::load(&args.file.config)?.effective()?)?;
    }
    Ok(ExitCode::SUCCESS)
}
