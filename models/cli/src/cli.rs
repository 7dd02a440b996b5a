//! The command line: parses, dispatches, and turns the end of a command into an exit code.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::{Error, Outcome, bench, eval, list, pull, read, verify};

/// Model packs: what they hold, whether they are sound, what they read, how fast and how good they are, and where to get one
#[derive(Debug, Parser)]
#[command(name = "cardea-models", version, about, propagate_version = true)]
pub struct Cli {
    /// How logs are written to standard error; what is logged is chosen with RUST_LOG
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log: LogFormat,
    #[command(subcommand)]
    command: Command,
}

/// How logs look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// One JSON object per line
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the packs that are here, or those that `pull` knows
    List(list::Args),
    /// Say whether a pack is sound: manifest, hashes, shapes, one inference of each model
    Verify(verify::Args),
    /// Say what a pack reads on the plates of pictures
    Read(read::Args),
    /// Measure how fast each model of a pack is on this machine
    Bench(bench::Args),
    /// Measure how good a pack is on labelled pictures
    Eval(Box<eval::Args>),
    /// Download a described public pack
    Pull(pull::Args),
}

/// Parses the arguments, carries the command out and reports how it ended.
///
/// Exit code 0: done and sound; 1: it could not be done, or what was looked at is not sound; 2: wrong usage.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logging(cli.log);
    match execute(cli.command, &mut io::stdout().lock()) {
        Ok(Outcome::Sound) => ExitCode::SUCCESS,
        Ok(Outcome::Unsound) => ExitCode::FAILURE,
        // a reader that has gone, as `head` goes, is no error
        Err(Error::Write(source)) if source.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&error);
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command, out: &mut impl io::Write) -> Result<Outcome, Error> {
    match command {
        Command::List(args) => list::run(&args, out),
        Command::Verify(args) => verify::run(&args, out),
        Command::Read(args) => read::run(&args, out),
        Command::Bench(args) => bench::run(&args, out),
        Command::Eval(args) => eval::run(&args, out),
        Command::Pull(args) => pull::run(&args, out),
    }
}

fn start_logging(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Text => builder.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
        LogFormat::Json => builder.json().init(),
    }
}

/// The error and what it comes from, for people.
fn print_error(error: &dyn std::error::Error) {
    // without standard error there is nowhere left to complain to
    let _ = write!(io::stderr(), "cardea-models: {}", chain(error));
}

/// The error and its causes, one a line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = format!("{error}\n");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!("  because: {cause}\n"));
        source = cause.source();
    }
    text
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
