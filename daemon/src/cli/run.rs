//! `cardead run`.

use std::process::ExitCode;
use std::sync::Arc;

use cardea_protocol::clock::SystemClock;
use clap::Args;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{CliError, ConfigFile};
use crate::config::Config;
use crate::supervisor;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    file: ConfigFile,
}

pub(super) async fn run(args: RunArgs) -> Result<ExitCode, CliError> {
    let config = Config::load(&args.file.config)?;
    let cancel = CancellationToken::new();
    end_on_signal(&cancel)?;
    let program = std::env::current_exe()
        .map_err(|source| CliError::Io { action: "find this program, to start its guardian".to_owned(), source })?;
    let rng = StdRng::from_os_rng();
    supervisor::run_guarded(config, Arc::new(SystemClock), rng, cancel, Some(program)).await?;
    Ok(ExitCode::SUCCESS)
}

/// SIGTERM from systemd, Ctrl-C from a person.
fn end_on_signal(cancel: &CancellationToken) -> Result<(), CliError> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals =
            signal(kind).map_err(|source| CliError::Io { action: "listen for signals".to_owned(), source })?;
        let cancel = cancel.clone();
        tokio::spawn(async move {
            signals.recv().await;
            cancel.cancel();
        });
    }
    Ok(())
}
