//! A SQLite database: copied as one state while others write, put in place only where nobody has it open.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cardea_protocol::clock::SharedClock;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{BackupError, Restored, beside, failed, make_private, settle};
use crate::config::Config;
use crate::keys::Vault;
use crate::storage::{KeyStoreSettings, Storage, StorageError};

/// How long another connection may take to end.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(20);

fn open(file: &Path, flags: OpenFlags) -> Result<Connection, BackupError> {
    let connection = Connection::open_with_flags(file, flags).map_err(StorageError::from)?;
    connection.busy_timeout(PATIENCE).map_err(StorageError::from)?;
    Ok(connection)
}

pub(super) fn back_up(database: &Path, draft: &Path) -> Result<(), BackupError> {
    // Read-write, since reading a database with a write-ahead log takes part in its locks.
    let connection = open(database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let path = draft
        .to_str()
        .ok_or_else(|| BackupError::Unsound { path: draft.to_owned(), found: "its name is not UTF-8".to_owned() })?;
    // Without it, pages that are split while the copy is written keep copies of rows where no row is any more.
    connection.pragma_update(None, "secure_delete", "ON").map_err(StorageError::from)?;
    connection.execute("VACUUM INTO ?1", [path]).map_err(StorageError::from)?;
    check(draft)
}

/// Refuses what is no database of the cloud's.
fn check(file: &Path) -> Result<(), BackupError> {
    let unsound = |found: String| BackupError::Unsound { path: file.to_owned(), found };
    let connection = open(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let said: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|e| unsound(e.to_string()))?;
    if said != "ok" {
        return Err(unsound(said));
    }
    let known = "SELECT count(*) FROM sqlite_master WHERE name IN ('sites', 'consents', 'erasures')";
    let known: i64 = connection.query_row(known, [], |row| row.get(0)).map_err(|e| unsound(e.to_string()))?;
    if known == 3 { Ok(()) } else { Err(unsound("it is no database of Cardea's cloud".to_owned())) }
}

pub(super) fn restore(
    config: &Config,
    database: &Path,
    file: &Path,
    vault: Arc<Vault>,
    clock: &SharedClock,
) -> Result<Restored, BackupError> {
    check(file)?;
    if database.exists() {
        close_log(database)?;
    }
    let draft = beside(database, ".restoring");
    let carried_out = prepare(config, file, &draft, vault, clock);
    let carried_out = match carried_out {
        Ok(carried_out) => carried_out,
        Err(error) => {
            for ending in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(beside(&draft, ending));
            }
            return Err(error);
        }
    };
    let set_aside = beside(database, ".replaced");
    let had_one = database.exists();
    if had_one {
        std::fs::rename(database, &set_aside).map_err(failed(database, "set aside"))?;
    }
    std::fs::rename(&draft, database).map_err(failed(database, "put in place"))?;
    Ok(Restored { carried_out, set_aside: had_one.then_some(set_aside) })
}

/// A copy that has followed the journal, complete in its one file.
fn prepare(
    config: &Config,
    file: &Path,
    draft: &Path,
    vault: Arc<Vault>,
    clock: &SharedClock,
) -> Result<u64, BackupError> {
    make_private(draft)?;
    std::fs::copy(file, draft).map_err(failed(draft, "written"))?;
    let keys = KeyStoreSettings { file: Some(config.data_dir.join("subject-keys.db")), vault, at: clock.now() };
    let storage = Storage::open(draft, keys)?;
    let carried_out = settle(&storage, clock)?;
    drop(storage);
    close_log(draft)?;
    rewrite(draft)?;
    std::fs::File::open(draft).and_then(|file| file.sync_all()).map_err(failed(draft, "written"))?;
    Ok(carried_out)
}

/// Nothing but the rows that are left, whatever the backup had between them: it may have been written by a program that took no care.
fn rewrite(draft: &Path) -> Result<(), BackupError> {
    let connection = open(draft, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // If it fails, the draft is thrown away: no journal of it needs to be on the disk.
    let rewritten = connection.execute_batch("PRAGMA secure_delete = ON; PRAGMA journal_mode = MEMORY; VACUUM");
    Ok(rewritten.map_err(StorageError::from)?)
}

/// Takes the write-ahead log into the database file, which needs that nobody else has it open. SQLite does not wait for that
/// by itself, and the storage's own thread may be at its end.
fn close_log(database: &Path) -> Result<(), BackupError> {
    let connection = open(database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let closed = runtime.map_err(failed(Path::new("the runtime"), "started"))?.block_on(async {
        let leaving = async {
            while !leave_log(&connection)? {
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, leaving).await
    });
    closed.unwrap_or(Err(BackupError::Running))
}

/// Whether nobody else had it open.
fn leave_log(connection: &Connection) -> Result<bool, BackupError> {
    match connection.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get::<_, String>(0)) {
        Ok(mode) => Ok(mode == "delete"),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(false),
        Err(error) => Err(StorageError::from(error).into()),
    }
}
