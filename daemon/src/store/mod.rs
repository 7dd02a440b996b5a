//! The controller's storage: SQLite on a thread of its own, behind a channel; one file per area, whole operations as
//! methods. A simulation that owns the time has the same queue carried out by a task instead ([`Store::on_runtime`]).
//!
//! Writes are ordered and durable (`synchronous = FULL`), and no async task ever blocks on the disk. What the rest of the
//! program must know at once leaves through watch channels: the [`HoldingsVersion`], the last freshness statement, the
//! growth of the outbox.
//!
//! The connection locks the file exclusively: a second `cardead` on the same state is refused, and no other reader can
//! hold the write-ahead log open when [`erasure`] truncates it.
//!
//! To add a table: a file `schema_N.sql` as the next of the `STEPS`, and a file here with `impl Store { pub async fn … }`.

mod commands;
mod company;
mod erasure;
mod freshness;
mod held;
mod holdings;
mod outbox;
mod traces;
mod vault;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cardea_access::time::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};

pub use company::Kept;
pub use erasure::PendingErasure;
pub use freshness::machine_boot;
pub use held::{Held, HeldTemplate, Standing};
pub use holdings::{Applied, ApplyError, ChangesBatch, Opener, SnapshotBatch};
pub use vault::{DeviceKey, DeviceKeyError};

use crate::config::EventsConfig;
use crate::identity::{StateDir, files};
use crate::seam::{FreshnessState, HoldingsVersion};
use traces::RawFiles;

const SCHEMA: &str = include_str!("schema.sql");
/// Each step from one version to the next; a fresh database takes them all.
const STEPS: [&str; 3] = [SCHEMA, include_str!("schema_2.sql"), include_str!("schema_3.sql")];
const SCHEMA_VERSION: i64 = STEPS.len() as i64;

/// Why storage failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused.
    #[error("the database refused an operation: check the disk, and that no second cardead uses the same state_dir")]
    Sqlite(#[from] rusqlite::Error),
    /// A stored value is not what the schema promises.
    #[error("the database holds an unreadable {0}")]
    Corrupt(&'static str),
    /// The file was written by a later version.
    #[error("the database has schema version {found}, this program knows {SCHEMA_VERSION}: install a newer cardead")]
    TooNew {
        /// Version in the file.
        found: i64,
    },
    /// A file beside the database cannot be read.
    #[error("cannot read the database file {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The storage thread has ended.
    #[error("the storage has been closed")]
    Closed,
}

/// What a store is opened with, besides its file.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Wraps the subjects' keys.
    pub device_key: DeviceKey,
    /// Bounds of the outbox.
    pub events: EventsConfig,
    /// This boot of the machine, [`machine_boot`]; `None` if it cannot be told.
    pub machine_boot: Option<String>,
}

/// What the storage thread owns.
struct Db {
    connection: Connection,
    files: RawFiles,
    options: StoreOptions,
    news: Arc<News>,
}

/// What others watch.
#[derive(Debug)]
struct News {
    holdings: watch::Sender<HoldingsVersion>,
    freshness: watch::Sender<Option<FreshnessState>>,
    clock_floor: watch::Sender<Timestamp>,
    outbox: watch::Sender<u64>,
}

type Job = Box<dyn FnOnce(&mut Db) + Send>;

/// How long the disk takes for what is next, where it is simulated.
pub type Pace = Box<dyn FnMut() -> Duration + Send>;

/// A handle to the storage thread; cheap to clone. The thread ends with the last handle.
#[derive(Clone)]
pub struct Store {
    jobs: mpsc::UnboundedSender<Job>,
    news: Arc<News>,
    /// Whether there are threads for what takes long.
    threads: bool,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Opens or creates the database file.
    pub fn open(path: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let connection = Connection::open(path)?;
        Self::start(connection, Some(path), options)
    }

    /// A database in memory, with the real schema: for tests.
    pub fn in_memory(options: StoreOptions) -> Result<Self, StoreError> {
        Self::start(Connection::open_in_memory()?, None, options)
    }

    /// Over a connection of the caller's, on the runtime that this is called on: no thread, so that a clock that stands still
    /// while anything runs governs the disk too. For simulations.
    pub fn on_runtime(connection: Connection, options: StoreOptions, mut pace: Pace) -> Result<Self, StoreError> {
        let (mut db, news) = Self::prepare(connection, None, options)?;
        let (jobs, mut queue) = mpsc::unbounded_channel::<Job>();
        tokio::spawn(async move {
            while let Some(job) = queue.recv().await {
                let takes = pace();
                if !takes.is_zero() {
                    tokio::time::sleep(takes).await;
                }
                job(&mut db);
            }
        });
        Ok(Self { jobs, news, threads: false })
    }

    fn start(connection: Connection, path: Option<&Path>, options: StoreOptions) -> Result<Self, StoreError> {
        let (mut db, news) = Self::prepare(connection, path, options)?;
        let (jobs, mut queue) = mpsc::unbounded_channel::<Job>();
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                while let Some(job) = queue.blocking_recv() {
                    job(&mut db);
                }
            })
            .map_err(|_| StoreError::Closed)?;
        Ok(Self { jobs, news, threads: true })
    }

    /// What must be done before anything else may: the schema, and what a crash left unchecked.
    fn prepare(
        mut connection: Connection,
        path: Option<&Path>,
        options: StoreOptions,
    ) -> Result<(Db, Arc<News>), StoreError> {
        if path.is_some() {
            connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        }
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        migrate(&mut connection)?;
        let files = RawFiles::open(path)?;
        let freshness = freshness::load(&connection, options.machine_boot.as_deref())?;
        let news = Arc::new(News {
            holdings: watch::Sender::new(HoldingsVersion(1)),
            freshness: watch::Sender::new(freshness),
            clock_floor: watch::Sender::new(freshness::load_floor(&connection)?),
            outbox: watch::Sender::new(0),
        });
        let mut db = Db { connection, files, options, news: Arc::clone(&news) };
        erasure::check_traces(&mut db, &[])?;
        Ok((db, news))
    }

    /// Raised with each applied change.
    pub fn holdings_version(&self) -> watch::Receiver<HoldingsVersion> {
        self.news.holdings.subscribe()
    }

    /// The last freshness statement, `None` if there was never one.
    pub fn freshness(&self) -> watch::Receiver<Option<FreshnessState>> {
        self.news.freshness.subscribe()
    }

    /// Time proven to have passed, also across restarts. The wall clock counts only where it is later.
    pub fn clock_floor(&self) -> Timestamp {
        *self.news.clock_floor.borrow()
    }

    /// Changes whenever an event was added.
    pub fn outbox_grew(&self) -> watch::Receiver<u64> {
        self.news.outbox.subscribe()
    }

    /// Moves everything from the write-ahead log into the database and empties the log.
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        self.on_thread(|db| truncate_log(&db.connection)).await
    }

    async fn on_thread<T, E>(&self, work: impl FnOnce(&mut Db) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.enqueue(Box::new(move |db| {
            // Nobody may be waiting any more; the work is done all the same.
            let _ = reply.send(work(db));
        }))?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Work that takes a while, in which the storage still serves the gate.
    async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
        if self.threads { tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Closed) } else { Ok(work()) }
    }

    fn enqueue(&self, job: Job) -> Result<(), StoreError> {
        self.jobs.send(job).map_err(|_| StoreError::Closed)
    }
}

impl Db {
    /// Runs `work` in one immediate transaction: committed if it returns `Ok`, rolled back otherwise.
    fn write<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &StoreOptions) -> Result<T, E>,
    ) -> Result<T, E> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(StoreError::from)?;
        let value = work(&tx, &self.options)?;
        tx.commit().map_err(StoreError::from)?;
        Ok(value)
    }
}

/// Removes the database and its key, if no program uses it: for a controller that is given to another site.
pub(crate) fn remove(state: &StateDir) -> Result<(), StoreError> {
    let path = state.database();
    if path.exists() {
        let connection = Connection::open(&path)?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.execute_batch("BEGIN EXCLUSIVE; COMMIT;")?;
    }
    // The key first: what the disk still holds is noise from then on.
    for suffix in [None, Some(""), Some("-wal"), Some("-shm")] {
        let path = suffix.map_or_else(|| state.device_key(), |suffix| with_suffix(&path, suffix));
        files::remove(&path).map_err(|error| StoreError::File { path, source: error.source })?;
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn truncate_log(connection: &Connection) -> Result<(), StoreError> {
    // Any lesser mode leaves readable copies of deleted rows in the log.
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy == 0 { Ok(()) } else { Err(StoreError::Corrupt("write-ahead log (another reader holds it)")) }
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = usize::try_from(found).ok().and_then(|done| STEPS.get(done..));
    let Some(steps) = known else { return Err(StoreError::TooNew { found }) };
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
mod tests;
