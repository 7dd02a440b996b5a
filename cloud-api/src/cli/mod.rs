//! The command line: one file per command. Results go to standard output, everything else to standard error.

mod backup;
mod check;
mod claim_sheet;
mod init_operator;
mod issue_broker;
mod restore;
mod rotate_token_key;
mod run;
mod verify_audit;
mod verify_export;

use std::process::ExitCode;

use cardea_cloud::storage::audit::NewAction;
use clap::{Parser, Subcommand, ValueEnum};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use tracing_subscriber::EnvFilter;

/// Cardea's cloud: tells controllers whom to admit and whom to stop admitting.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// How the log is written to standard error; what, RUST_LOG says (default: info).
    #[arg(long, global = true, value_enum, default_value = "text")]
    log: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Serve, until SIGTERM or SIGINT.
    Run(run::Run),
    /// Create an operator's account: the first one, or one to get back in with.
    InitOperator(init_operator::InitOperator),
    /// Say what is wrong with the installation, and what to do.
    Check(check::Check),
    /// Make a sheet to claim a controller by, to be printed.
    ClaimSheet(claim_sheet::ClaimSheet),
    /// Write what another broker needs: a certificate for it, and what it knows controllers by.
    IssueBroker(issue_broker::IssueBroker),
    /// Relieve the key that signs access tokens.
    RotateTokenKey(rotate_token_key::RotateTokenKey),
    /// Write a backup of the data, without any resident's key.
    Backup(backup::Backup),
    /// Put a backup in the place of the data; what was erased since stays erased.
    Restore(restore::Restore),
    /// Check an incident bundle, offline.
    VerifyExport(verify_export::VerifyExport),
    /// Check the audit: the database's, or an exported one, offline.
    VerifyAudit(verify_audit::VerifyAudit),
}

/// Parses the arguments and carries the command out.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match arguments.log {
        LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => log.json().init(),
    }
    forbid_dumps();
    let result = match arguments.command {
        Command::Run(command) => command.carry_out(),
        Command::InitOperator(command) => command.carry_out(),
        Command::Check(command) => command.carry_out(),
        Command::ClaimSheet(command) => command.carry_out(),
        Command::IssueBroker(command) => command.carry_out(),
        Command::RotateTokenKey(command) => command.carry_out(),
        Command::Backup(command) => command.carry_out(),
        Command::Restore(command) => command.carry_out(),
        Command::VerifyExport(command) => command.carry_out(),
        Command::VerifyAudit(command) => command.carry_out(),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            say_error(&error);
            ExitCode::FAILURE
        }
    }
}

/// No core dump of this program, and nobody but root reads its memory: it holds photos, templates and keys (prctl(2),
/// `PR_SET_DUMPABLE`). A kernel that refuses is no reason not to serve.
fn forbid_dumps() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "a crash of this program may leave a dump of its memory");
    }
}

/// What a command does, for the audit: by whoever may read the keys, whom nobody here can name.
fn by_command(action: &'static str, target: Option<String>) -> NewAction {
    NewAction { customer: None, site: None, principal_id: None, action, target }
}

/// One line on standard output.
#[expect(clippy::print_stdout, reason = "the result of a command")]
fn say(text: impl std::fmt::Display) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "why a command failed, for the person who gave it")]
fn say_error(error: &anyhow::Error) {
    eprintln!("cardea-cloud: {error:#}");
}
