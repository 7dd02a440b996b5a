//! `cardead posture`: locks down, holds open, or ends either, by order.

use std::process::ExitCode;

use cardea_protocol::id::AccessPointId;
use clap::Args;

use super::{CliError, ConfigFile, print};
use crate::config::Config;
use crate::local::{self, Answer, LocalOrder, PostureOrder};

#[derive(Debug, Args)]
pub(super) struct PostureArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// Every access point of this controller
    #[arg(long, conflicts_with = "access_point", required_unless_present = "access_point")]
    all: bool,
    /// What is ordered
    #[arg(value_enum)]
    posture: PostureOrder,
    /// Which access point, by its id
    #[arg(long = "at", value_name = "ACCESS_POINT")]
    access_point: Option<String>,
}

pub(super) async fn run(args: PostureArgs) -> Result<ExitCode, CliError> {
    let access_point = match args.access_point {
        Some(id) => Some(AccessPointId::new(id).map_err(|error| CliError::Usage(error.to_string()))?),
        None => None,
    };
    send(&args.file, &LocalOrder::Posture { access_point, posture: args.posture }).await
}

/// Sends an order and prints what became of it; one that is not in force, or not stored, is a failure.
pub(super) async fn send(file: &ConfigFile, order: &LocalOrder) -> Result<ExitCode, CliError> {
    let config = Config::load(&file.config)?;
    let missing =
        "[local] orders is not set in the configuration, so this controller takes no orders: name a socket there";
    let socket = config.local.orders.ok_or_else(|| CliError::Usage(missing.to_owned()))?;
    match local::order(&socket, order).await? {
        Answer::Refused { why } => Err(CliError::Usage(why)),
        Answer::Done { postures, forgotten, stored } => {
            match order {
                LocalOrder::ForgetInside { .. } => print(&format!("{forgotten} counted as inside; now nobody does\n"))?,
                LocalOrder::Posture { .. } => {
                    for (id, status) in postures {
                        print(&format!("{}: {} ({})\n", id.as_str(), status.posture, status.cause))?;
                    }
                }
            }
            if stored {
                return Ok(ExitCode::SUCCESS);
            }
            Err(CliError::Usage(
                "it is in force, but could not be stored: a restart undoes it; check the disk".to_owned(),
            ))
        }
    }
}
