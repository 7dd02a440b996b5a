//! Backups of the data, and their restoring. Neither holds a subject's key: those lie in the key store, which stays where it is
//! (`docs/design/0021-keys-and-backups.md`), so that a backup brings nobody back.
//!
//! A restored database is opened once before this returns. Opening carries out what the erasure journal holds and the backup
//! does not know, so that nothing is served in between.

mod postgres;
mod sqlite;

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cardea_protocol::clock::SharedClock;

use crate::config::Config;
use crate::keys::Vault;
use crate::server::{Data, ServerError};
use crate::storage::audit::NewAction;
use crate::storage::{Storage, StorageError};

/// Why there is no backup, or nothing was restored. What was there is as it was.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file is in the way.
    #[error("{path} is there already: name another file, or move it away")]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("{path} cannot be {what}")]
    File {
        /// Which.
        path: PathBuf,
        /// `read`, `written`, …
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Restoring under a running cloud.
    #[error("the cloud is running on this database: stop it first (systemctl stop cardea-cloud)")]
    Running,
    /// There is no key store beside the data.
    #[error(
        "{path} is not there: without it every template of the backup is noise, and what was erased since is not known. Restore it from your own copy, or read \"Backups\" in the operator's guide"
    )]
    NoKeyStore {
        /// Where it belongs.
        path: PathBuf,
    },
    /// The file holds no sound database.
    #[error("{path} is no sound backup ({found}): take another one")]
    Unsound {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        found: String,
    },
    /// One of PostgreSQL's programs failed.
    #[error("{program} failed: {said}")]
    Program {
        /// Which.
        program: &'static str,
        /// The last it said.
        said: String,
    },
    /// One of PostgreSQL's programs is missing.
    #[error(
        "{program} cannot be started: install PostgreSQL's client, of the server's version or later (apt-get install postgresql-client)"
    )]
    NoProgram {
        /// Which.
        program: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Opening the data.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Writes a backup of the data to `file`, which must not be there; the cloud may be running.
pub fn back_up(config: &Config, file: &Path) -> Result<(), BackupError> {
    let draft = beside(file, ".part");
    if file.exists() {
        return Err(BackupError::Exists { path: file.to_owned() });
    }
    make_private(&draft)?;
    let written = match &config.storage.url {
        None => sqlite::back_up(&database_file(config), &draft),
        Some(url) => postgres::back_up(&config.storage, url, &draft),
    };
    let moved = written.and_then(|()| {
        let done = std::fs::File::open(&draft).and_then(|file| file.sync_all());
        done.and_then(|()| std::fs::rename(&draft, file)).map_err(failed(file, "written"))
    });
    if moved.is_err() {
        // What is left of a backup that failed helps nobody.
        let _ = std::fs::remove_file(&draft);
    }
    moved
}

/// What a restoring has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Erasures and blocks of sales that the backup did not know, carried out again.
    pub carried_out: u64,
    /// Where the former database is, if it is a file.
    pub set_aside: Option<PathBuf>,
}

/// Puts the backup in the place of the data, and carries out what was erased and sold since. `clock` dates that.
pub fn restore(config: &Config, file: &Path, clock: &SharedClock) -> Result<Restored, BackupError> {
    let keys = config.data_dir.join("subject-keys.db");
    if !keys.exists() {
        return Err(BackupError::NoKeyStore { path: keys });
    }
    std::fs::File::open(file).map_err(failed(file, "read"))?;
    let vault = Vault::open_or_create(&config.data_dir.join("keys/vault.key")).map_err(ServerError::from)?;
    match &config.storage.url {
        None => sqlite::restore(config, &database_file(config), file, Arc::new(vault), clock),
        Some(url) => {
            postgres::restore(&config.storage, url, file)?;
            let data = Data::open(config, clock)?;
            Ok(Restored { carried_out: settle(&data.storage, clock)?, set_aside: None })
        }
    }
}

/// Enters the restoring in the audit; answers how much the opening has carried out.
fn settle(storage: &Storage, clock: &SharedClock) -> Result<u64, BackupError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(failed(Path::new("the runtime"), "started"))?;
    runtime.block_on(async {
        let carried_out = storage.carried_out_at_start().await?;
        let target = Some(format!("carried-out={carried_out}"));
        let action = NewAction { customer: None, site: None, principal_id: None, action: "restore", target };
        storage.audit_done(action, "done", clock.now()).await?;
        storage.scrub().await?;
        Ok(carried_out)
    })
}

fn database_file(config: &Config) -> PathBuf {
    config.storage.path.clone().unwrap_or_else(|| config.data_dir.join("cloud.db"))
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn failed(path: &Path, what: &'static str) -> impl FnOnce(std::io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::File { path, what, source }
}

/// An empty file that nobody else can read: a backup tells who may come in.
fn make_private(file: &Path) -> Result<(), BackupError> {
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    made.map(drop).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => BackupError::Exists { path: file.to_owned() },
        _ => failed(file, "written")(error),
    })
}

#[cfg(test)]
mod tests;
