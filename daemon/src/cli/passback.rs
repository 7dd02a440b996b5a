//! `cardead passback forget`: nobody counts as inside any more, for residents whom the ledger has wrong.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::posture::send;
use super::{CliError, ConfigFile};
use crate::local::LocalOrder;

#[derive(Debug, Args)]
pub(super) struct PassbackArgs {
    #[command(subcommand)]
    command: PassbackCommand,
}

#[derive(Debug, Subcommand)]
enum PassbackCommand {
    /// Nobody counts as inside any more
    Forget {
        #[command(flatten)]
        file: ConfigFile,
        /// Inside this area only
        #[arg(long)]
        area: Option<String>,
    },
}

pub(super) async fn run(args: PassbackArgs) -> Result<ExitCode, CliError> {
    let PassbackCommand::Forget { file, area } = args.command;
    send(&file, &LocalOrder::ForgetInside { area }).await
}
