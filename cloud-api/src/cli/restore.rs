//! `cardea-cloud restore`: a backup in the place of the data, and what was erased and sold since carried out again.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use cardea_cloud::backup;
use cardea_cloud::config::Config;
use cardea_protocol::clock::{SharedClock, SystemClock};

use super::say;

/// Put a backup in the place of the data. Whatever was erased or sold since is carried out again before anything is served.
#[derive(clap::Args)]
pub(super) struct Restore {
    /// The configuration file.
    #[arg(long, env = "CARDEA_CLOUD_CONFIG")]
    config: PathBuf,
    /// A file that `cardea-cloud backup` has written.
    file: PathBuf,
}

impl Restore {
    pub(super) fn carry_out(self) -> anyhow::Result<ExitCode> {
        let clock: SharedClock = Arc::new(SystemClock);
        let restored = backup::restore(&Config::load(&self.config)?, &self.file, &clock)?;
        say(format_args!("restored; erasures and blocks carried out again: {}", restored.carried_out));
        if let Some(file) = restored.set_aside {
            say(format_args!("the former database is {}: delete it once all is well", file.display()));
        }
        say("repeat what no journal holds: see \"Backups\" in the operator's guide");
        Ok(ExitCode::SUCCESS)
    }
}
