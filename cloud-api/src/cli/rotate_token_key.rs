//! `cardea-cloud rotate-token-key`: another key signs access tokens from now on. Running clouds take it up by themselves.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use cardea_cloud::auth::token_keys;
use cardea_cloud::config::Config;
use cardea_cloud::server::Data;
use cardea_protocol::clock::{SharedClock, SystemClock};
use cardea_protocol::rfc3339;

use super::{by_command, say};

/// Relieve the key that signs access tokens.
#[derive(clap::Args)]
pub(super) struct RotateTokenKey {
    /// The configuration file.
    #[arg(long, env = "CARDEA_CLOUD_CONFIG")]
    config: PathBuf,
    /// The old keys are in wrong hands: every token they have signed is refused within half a minute. Without it they
    /// verify until their last token has expired, and nobody notices.
    #[arg(long)]
    at_once: bool,
}

impl RotateTokenKey {
    pub(super) fn carry_out(self) -> anyhow::Result<ExitCode> {
        let config = Config::load(&self.config)?;
        let clock: SharedClock = Arc::new(SystemClock);
        let data = Data::open(&config, &clock)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let now = clock.now();
        runtime.block_on(data.storage.audit_done(by_command("rotate_token_key", None), "begun", now))?;
        if self.at_once {
            runtime.block_on(token_keys::replace(&data.storage, &data.vault, now))?;
            say("a new key signs access tokens; all others count no more");
        } else {
            let from = runtime.block_on(token_keys::rotate(&data.storage, &data.vault, now))?;
            say(format_args!("a new key signs access tokens from {}", rfc3339::format(from)));
        }
        Ok(ExitCode::SUCCESS)
    }
}
