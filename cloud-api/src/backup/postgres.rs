//! A PostgreSQL database, by the server's own programs: `pg_dump`, `pg_restore` and `psql`.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::BackupError;
use crate::config::StorageSection;

/// A program that is let in as the cloud is.
fn program(name: &'static str, section: &StorageSection, url: &str) -> Result<Command, BackupError> {
    let mut command = Command::new(name);
    command.arg("--no-password").arg(format!("--dbname={url}")).stdin(Stdio::null());
    let_in(&mut command, section)?;
    Ok(command)
}

fn let_in(command: &mut Command, section: &StorageSection) -> Result<(), BackupError> {
    if let Some(file) = &section.password_file {
        let password = crate::keys::password(file).map_err(crate::server::ServerError::from)?;
        let text = std::str::from_utf8(password.as_slice()).map_err(|_| BackupError::Unsound {
            path: file.clone(),
            found: "PostgreSQL's programs take a password in UTF-8 alone".to_owned(),
        })?;
        // Other users see a program's arguments, not its environment.
        command.env("PGPASSWORD", text);
    }
    if let Some(ca) = &section.ca {
        command.env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", ca);
    }
    Ok(())
}

fn run(name: &'static str, command: &mut Command) -> Result<Output, BackupError> {
    let output = command.output().map_err(|source| BackupError::NoProgram { program: name, source })?;
    if output.status.success() { Ok(output) } else { Err(refused(name, &output.stderr)) }
}

fn refused(program: &'static str, said: &[u8]) -> BackupError {
    let said = String::from_utf8_lossy(said);
    // What follows may quote rows.
    let first = said.lines().find(|line| line.contains("error") || line.contains("ERROR")).unwrap_or_default();
    BackupError::Program { program, said: first.to_owned() }
}

pub(super) fn back_up(section: &StorageSection, url: &str, draft: &Path) -> Result<(), BackupError> {
    let mut dump = program("pg_dump", section, url)?;
    dump.args(["--format=custom", "--no-owner", "--no-privileges"]).arg("--file").arg(draft);
    run("pg_dump", &mut dump).map(drop)
}

pub(super) fn restore(section: &StorageSection, url: &str, file: &Path) -> Result<(), BackupError> {
    let mut list = Command::new("pg_restore");
    let unsound = |_| BackupError::Unsound { path: file.to_owned(), found: "pg_restore cannot read it".to_owned() };
    match run("pg_restore", list.arg("--list").arg(file).stdin(Stdio::null())) {
        Err(error @ BackupError::Program { .. }) => return Err(unsound(error)),
        other => drop(other?),
    }
    if others(section, url)? > 0 {
        return Err(BackupError::Running);
    }
    let mut read = Command::new("pg_restore");
    read.args(["--no-owner", "--no-privileges", "--file=-"]).arg(file).stdin(Stdio::null());
    read.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut reading = read.spawn().map_err(|source| BackupError::NoProgram { program: "pg_restore", source })?;
    let mut write = program("psql", section, url)?;
    // One transaction: the data of before, or that of the backup, and tables of a later version do not stay behind.
    write.args(["--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", "--output=/dev/null"]);
    write.args(["--command=DROP SCHEMA IF EXISTS public CASCADE", "--command=CREATE SCHEMA public", "--file=-"]);
    if let Some(script) = reading.stdout.take() {
        write.stdin(script);
    }
    let written = run("psql", &mut write);
    let read = reading.wait_with_output();
    let read = read.map_err(|source| BackupError::NoProgram { program: "pg_restore", source })?;
    written?;
    if read.status.success() { Ok(()) } else { Err(refused("pg_restore", &read.stderr)) }
}

/// How many clouds are connected.
fn others(section: &StorageSection, url: &str) -> Result<u64, BackupError> {
    let mut ask = program("psql", section, url)?;
    ask.args(["--no-psqlrc", "--tuples-only", "--no-align"]).arg(
        "--command=SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'cardea-cloud'",
    );
    let count = run("psql", &mut ask)?;
    let refused = || BackupError::Program { program: "psql", said: "it did not count the connections".to_owned() };
    String::from_utf8_lossy(&count.stdout).trim().parse().map_err(|_| refused())
}
