//! `cardea-cloud run`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use cardea_cloud::config::Config;
use cardea_cloud::server::{Server, write_ready_file};
use cardea_protocol::clock::SystemClock;
use tokio::signal::unix::{SignalKind, signal};

/// Serve.
#[derive(clap::Args)]
pub(super) struct Run {
    /// The configuration file.
    #[arg(long, env = "CARDEA_CLOUD_CONFIG")]
    config: PathBuf,
    /// Once it serves, its addresses are written here as JSON.
    #[arg(long)]
    ready_file: Option<PathBuf>,
}

impl Run {
    pub(super) fn carry_out(self) -> anyhow::Result<ExitCode> {
        let config = Config::load(&self.config)?;
        let runtime = tokio::runtime::Runtime::new().context("the async runtime could not be started")?;
        runtime.block_on(async {
            // Before anyone can know that it runs, and end it.
            let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
            let server = Server::start(config, Arc::new(SystemClock)).await?;
            if let Some(path) = &self.ready_file {
                let written = write_ready_file(path, server.addresses());
                written.with_context(|| format!("the ready file {} cannot be written", path.display()))?;
            }
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            server.stop().await?;
            Ok(ExitCode::SUCCESS)
        })
    }
}
