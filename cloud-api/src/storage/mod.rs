//! The cloud's storage: SQLite, one file per area, whole operations as methods.
//!
//! Each public method is one transaction of the domain ("withdraw a consent", not "update a row"), so that a second
//! implementation can take its place method by method. One connection, on a thread of its own, behind a channel:
//! writes are ordered, and no async task ever blocks on the disk.
//!
//! `secure_delete` zeroes freed pages and [`Storage::scrub`] truncates the write-ahead log: any lesser checkpoint
//! leaves readable copies of deleted rows in it.

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

pub mod accounts;
pub mod audit;
pub mod audit_log;
pub mod cards;
pub mod certificates;
pub(crate) mod changes;
pub mod commands;
pub mod consents;
pub mod controllers;
pub mod customers;
pub mod equipment;
pub mod erasures;
pub mod events;
mod holdings;
pub mod idempotent_answers;
mod inbox;
pub mod plates;
pub mod principals;
pub mod sales;
pub mod sites;
pub mod templates;
pub mod tokens;
pub mod validity;

const SCHEMA: &str = include_str!("schema.sql");
/// Each step from one version to the next; a fresh database takes them all.
const STEPS: [&str; 3] = [SCHEMA, include_str!("schema_2.sql"), include_str!("schema_roles.sql")];
const SCHEMA_VERSION: i64 = STEPS.len() as i64;

/// Why storage failed. What a *caller* did wrong has its own variants in each area's methods.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// SQLite refused.
    #[error("the database refused an operation")]
    Sqlite(#[from] rusqlite::Error),
    /// A stored value is not what the schema promises.
    #[error("the database holds an unreadable {0}")]
    Corrupt(&'static str),
    /// The file was written by a later version.
    #[error(
        "the database has schema version {found}, this program knows {SCHEMA_VERSION}: install a newer cardea-cloud"
    )]
    TooNew {
        /// Version in the file.
        found: i64,
    },
    /// The storage thread has ended.
    #[error("the storage has been closed")]
    Closed,
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// A handle to the storage thread; cheap to clone.
#[derive(Clone)]
pub struct Storage {
    jobs: mpsc::UnboundedSender<Job>,
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Storage")
    }
}

impl Storage {
    /// Opens or creates the database file.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        Self::start(Connection::open(path)?)
    }

    /// A database in memory, with the real schema: for tests.
    pub fn in_memory() -> Result<Self, StorageError> {
        Self::start(Connection::open_in_memory()?)
    }

    fn start(mut connection: Connection) -> Result<Self, StorageError> {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        migrate(&mut connection)?;
        // What a crash between an erasure and its scrub has left behind.
        truncate_log(&connection)?;
        let (jobs, mut queue) = mpsc::unbounded_channel::<Job>();
        // The thread ends when the last handle is dropped.
        std::thread::Builder::new()
            .name("storage".to_owned())
            .spawn(move || {
                while let Some(job) = queue.blocking_recv() {
                    job(&mut connection);
                }
            })
            .map_err(|_| StorageError::Closed)?;
        Ok(Self { jobs })
    }

    /// Runs `work` in one immediate transaction: committed if it returns `Ok`, rolled back otherwise.
    pub(crate) async fn write<T, E>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        self.on_thread(move |connection| {
            let tx =
                connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(StorageError::from)?;
            let value = work(&tx)?;
            tx.commit().map_err(StorageError::from)?;
            Ok(value)
        })
        .await
    }

    /// Runs `work` on the connection, for reading.
    pub(crate) async fn read<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        self.on_thread(move |connection| work(connection)).await
    }

    /// Makes deleted bytes unreadable: checkpoints and truncates the write-ahead log.
    pub async fn scrub(&self) -> Result<(), StorageError> {
        self.on_thread(|connection| truncate_log(connection)).await
    }

    async fn on_thread<T, E>(&self, work: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Nobody may be waiting any more; the work is done all the same.
            let _ = reply.send(work(connection));
        });
        self.jobs.send(job).map_err(|_| StorageError::Closed)?;
        answer.await.map_err(|_| StorageError::Closed)?
    }
}

fn truncate_log(connection: &Connection) -> Result<(), StorageError> {
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy == 0 { Ok(()) } else { Err(StorageError::Corrupt("write-ahead log (a reader holds it)")) }
}

fn migrate(connection: &mut Connection) -> Result<(), StorageError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = usize::try_from(found).ok().and_then(|done| STEPS.get(done..));
    let Some(steps) = known else { return Err(StorageError::TooNew { found }) };
    if !steps.is_empty() {
        let tx = connection.transaction()?;
        for step in steps {
            tx.execute_batch(step)?;
        }
        tx.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        tx.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_database_of_version_1_is_taken_along_and_looks_like_a_fresh_one() {
        let folder = tempfile::tempdir().unwrap();
        let (old, fresh) = (folder.path().join("old.db"), folder.path().join("fresh.db"));
        let first = Connection::open(&old).unwrap();
        first.execute_batch(SCHEMA).unwrap();
        first.execute("INSERT INTO sites VALUES ('house-1', 'an address', 1, 0)", []).unwrap();
        first.execute("INSERT INTO changes VALUES ('house-1', 1, 'plate-removed', 'p-1', 0)", []).unwrap();
        first.pragma_update(None, "user_version", 1).unwrap();
        drop(first);
        let tables = |storage: Storage| async move {
            storage
                .read(|connection| {
                    let sql = "SELECT name || ': ' || coalesce(sql, '') FROM sqlite_schema ORDER BY name";
                    let rows = connection.prepare(sql)?.query_map([], |row| row.get::<_, String>(0))?.collect();
                    Ok::<Result<Vec<_>, _>, StorageError>(rows)
                })
                .await
                .unwrap()
                .unwrap()
        };
        let taken = Storage::open(&old).unwrap();
        let left: i64 = taken
            .read(|c| Ok::<_, StorageError>(c.query_row("SELECT count(*) FROM changes", [], |row| row.get(0))?))
            .await
            .unwrap();
        assert_eq!(left, 1);
        assert_eq!(tables(taken).await, tables(Storage::open(&fresh).unwrap()).await);
    }

    #[tokio::test]
    async fn what_a_crash_left_in_the_log_is_gone_after_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("cloud.db");
        let storage = Storage::open(&database).unwrap();
        let address = "an address nobody may read any more";
        storage
            .write(move |tx| {
                tx.execute("INSERT INTO sites VALUES ('house-1', ?1, 0, 0)", [address])?;
                Ok::<_, StorageError>(())
            })
            .await
            .unwrap();
        storage
            .write(|tx| {
                tx.execute("DELETE FROM sites", [])?;
                Ok::<_, StorageError>(())
            })
            .await
            .unwrap();
        // The files as they lie when the power goes: deleted, not scrubbed.
        let crashed = folder.path().join("crashed.db");
        let log = |database: &Path| database.with_extension("db-wal");
        std::fs::copy(&database, &crashed).unwrap();
        std::fs::copy(log(&database), log(&crashed)).unwrap();
        let readable = || {
            [crashed.clone(), log(&crashed)]
                .iter()
                .filter_map(|file| std::fs::read(file).ok())
                .any(|bytes| bytes.windows(address.len()).any(|window| window == address.as_bytes()))
        };
        assert!(readable(), "the search itself must work");
        let _storage = Storage::open(&crashed).unwrap();
        assert!(!readable());
    }
}
