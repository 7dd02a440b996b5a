//! `cardead reader-install`: for ten minutes, an OSDP reader that still has the default key may be given one of its own.
//!
//! It leaves a file beside the reader's key; the running controller sees it when it next tries to connect. The key itself is
//! made there and never shown.

use std::process::ExitCode;

use cardea_hardware::config::{ReaderConfig, SecureChannel};
use cardea_hardware::reader::osdp::keys::begin_install_mode;
use clap::Args;

use super::{CliError, ConfigFile, print};
use crate::config::Config;

#[derive(Debug, Args)]
pub(super) struct ReaderInstallArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// The reader's id in the configuration
    reader: String,
}

pub(super) fn run(args: &ReaderInstallArgs) -> Result<ExitCode, CliError> {
    let config = Config::load(&args.file.config)?;
    let found = config.readers.iter().find(|reader| reader.id() == args.reader);
    let Some(ReaderConfig::Osdp(osdp)) = found else {
        return Err(CliError::Usage(format!("{:?} is no [[reader]] with driver \"osdp\"", args.reader)));
    };
    let Some(key_file) = osdp.key_file.as_ref().filter(|_| osdp.secure_channel == SecureChannel::Required) else {
        return Err(CliError::Usage(format!("reader {:?} has secure_channel = \"off\" and needs no key", args.reader)));
    };
    begin_install_mode(key_file).map_err(|source| CliError::Io {
        action: format!("begin an install mode beside {}", key_file.display()),
        source,
    })?;
    print(
        "For ten minutes the reader may be given a key. Put it into its own install mode now; the log says when it is done.\n",
    )?;
    Ok(ExitCode::SUCCESS)
}
