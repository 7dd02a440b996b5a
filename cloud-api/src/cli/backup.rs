//! `cardea-cloud backup`: the data in one file, without any subject's key.

use std::path::PathBuf;
use std::process::ExitCode;

use cardea_cloud::backup;
use cardea_cloud::config::Config;

use super::say;

/// Write a backup of the data: it holds no key of a resident's, and brings nobody back who was erased.
#[derive(clap::Args)]
pub(super) struct Backup {
    /// The configuration file.
    #[arg(long, env = "CARDEA_CLOUD_CONFIG")]
    config: PathBuf,
    /// The file to write; it must not be there.
    file: PathBuf,
}

impl Backup {
    pub(super) fn carry_out(self) -> anyhow::Result<ExitCode> {
        backup::back_up(&Config::load(&self.config)?, &self.file)?;
        say(format_args!(
            "{} written. It tells who may come in: keep it as you keep the data, and keep keys/ elsewhere",
            self.file.display()
        ));
        Ok(ExitCode::SUCCESS)
    }
}
