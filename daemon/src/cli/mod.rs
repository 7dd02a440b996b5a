//! The command line, one file per command. Results go to standard output, logs and errors to standard error.

mod check;
mod claim;
mod claim_file;
mod config;
mod guard;
mod passback;
mod posture;
mod reader_install;
mod run;
mod safe;
mod status;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use tracing_subscriber::EnvFilter;

use crate::config::ConfigError;
use crate::identity::claim::ClaimError;
use crate::local::LocalError;
use crate::supervisor::RunError;

/// The controller at a gate or door.
#[derive(Debug, Parser)]
#[command(name = "cardead", version, about, propagate_version = true)]
pub struct Cli {
    /// How logs are written to standard error; what is logged is chosen with RUST_LOG
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log: LogFormat,
    #[command(subcommand)]
    command: Command,
}

/// How logs look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people and the journal.
    Text,
    /// One JSON object per line.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the controller until SIGTERM or Ctrl-C
    Run(run::RunArgs),
    /// Put every output into its safe state, unless a running controller drives them
    Safe(safe::SafeArgs),
    /// Watch over a running controller; it starts this by itself
    #[command(hide = true)]
    Guard(guard::GuardArgs),
    /// Say what is wrong here and what to do about it
    Check(check::CheckArgs),
    /// Get this controller's identity with a one-time code from the operator
    Claim(Box<claim::ClaimArgs>),
    /// Print the effective configuration, or an example
    Config(config::ConfigArgs),
    /// Lock down, hold open, or end either
    Posture(posture::PostureArgs),
    /// Who counts as inside which area
    Passback(passback::PassbackArgs),
    /// Let an OSDP reader be given a key of its own, for ten minutes
    ReaderInstall(reader_install::ReaderInstallArgs),
    /// Ask the running controller how it is
    Status(status::StatusArgs),
}

/// Which configuration.
#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/cardea/cardead.toml")]
    config: PathBuf,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration cannot be shown.
    #[error("the configuration cannot be written as TOML")]
    Show(#[from] toml::ser::Error),
    /// Running.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Claiming.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// Asking the running controller.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// An option is missing.
    #[error("{0}")]
    Usage(String),
    /// Reading or writing.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
}

/// Runs the command.
pub async fn execute(cli: Cli) -> Result<ExitCode, CliError> {
    match cli.command {
        Command::Run(args) => run::run(args).await,
        Command::Safe(args) => safe::run(args).await,
        Command::Guard(args) => guard::run(args).await,
        Command::Check(args) => check::run(args).await,
        Command::Claim(args) => claim::run(*args).await,
        Command::Config(args) => config::run(&args),
        Command::Posture(args) => posture::run(args).await,
        Command::Passback(args) => passback::run(args).await,
        Command::ReaderInstall(args) => reader_install::run(&args),
        Command::Status(args) => status::run(args).await,
    }
}

/// Sends logs to standard error.
pub fn start_logging(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Text => builder.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
        LogFormat::Json => builder.json().init(),
    }
}

/// No core dump of this program, and nobody but root reads its memory: it holds templates and keys (prctl(2),
/// `PR_SET_DUMPABLE`). A kernel that refuses is no reason not to open gates.
pub fn forbid_dumps() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "a crash of this program may leave a dump of its memory");
    }
}

/// The error and what it comes from, for people.
pub fn print_error(error: &dyn std::error::Error) {
    let mut text = format!("cardead: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!("\n  because: {cause}"));
        source = cause.source();
    }
    // Without standard error there is nowhere left to complain to.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints to standard output; a reader that has gone is no error.
fn print(text: &str) -> Result<(), CliError> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::Io { action: "write to standard output".to_owned(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
