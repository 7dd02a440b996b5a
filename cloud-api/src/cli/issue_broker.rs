//! `cardea-cloud issue-broker`: the files that another broker than the cloud's own needs.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use cardea_cloud::config::Config;
use cardea_cloud::server::Data;
use cardea_protocol::clock::{SharedClock, SystemClock};

use super::{by_command, say};

/// Write what another broker needs.
#[derive(clap::Args)]
pub(super) struct IssueBroker {
    /// The configuration file; its `[broker]` says for which name the certificate is.
    #[arg(long, env = "CARDEA_CLOUD_CONFIG")]
    config: PathBuf,
    /// Folder for `broker.pem`, `broker.key` and `ca.pem`.
    #[arg(long)]
    out: PathBuf,
}

impl IssueBroker {
    pub(super) fn carry_out(self) -> anyhow::Result<ExitCode> {
        let config = Config::load(&self.config)?;
        let broker =
            config.broker.as_ref().context("there is no [broker] in the configuration: say where it will be")?;
        let clock: SharedClock = Arc::new(SystemClock);
        let data = Data::open(&config, &clock)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(data.storage.audit_done(by_command("issue_broker", None), "begun", clock.now()))?;
        runtime.block_on(broker.issue(&self.out, &data.storage, &data.authority, &clock))?;
        say(format_args!(
            "broker.pem, broker.key and ca.pem are in {}; the certificate is good for 398 days",
            self.out.display()
        ));
        Ok(ExitCode::SUCCESS)
    }
}
