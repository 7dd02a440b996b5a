//! The cloud's storage: SQLite or PostgreSQL, one file per area, whole operations as methods.
//!
//! Each public method is one transaction of the domain ("withdraw a consent", not "update a row"), written once for both
//! databases in the SQL that [`engine`] says both understand. One connection, on a thread of its own, behind a queue
//! ([`queue`]): writes are ordered, and no async task ever blocks on the disk. A simulation that owns the time has the same
//! queue carried out by a task instead ([`Storage::on_runtime`]).
//!
//! With SQLite, `secure_delete` zeroes freed pages and [`Storage::scrub`] truncates the write-ahead log: any lesser checkpoint
//! leaves readable copies of deleted rows in it. `docs/design/0018-two-databases.md` says what can be done with PostgreSQL.
//!
//! **To add a table:** a new file in `schema/`, in the words of the ones there, and its line in `STEPS`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc as handover};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use digests::Digests;
use engine::{Access, Engine, Postgres, Sqlite, Transaction};
use queue::{Message, Operation};
use subject_keys::{KeyStore, reconcile};

use crate::keys::{ColumnKeys, Vault};

pub mod accounts;
pub mod audit;
pub mod audit_chain;
pub mod audit_log;
pub mod cards;
pub mod certificate_revocations;
pub mod certificates;
pub(crate) mod changes;
pub mod codes;
mod columns;
pub mod commands;
mod concerns;
pub mod consent_texts;
pub mod consents;
pub mod controllers;
pub mod customers;
mod digests;
pub(crate) mod engine;
pub mod equipment;
pub mod erasures;
pub mod events;
pub mod guest_passes;
pub mod held;
mod holdings;
pub mod idempotent_answers;
mod inbox;
pub mod logins;
pub mod owed;
pub mod plates;
mod presence;
pub mod principals;
mod queue;
pub mod redirect_uris;
mod retention;
pub mod sales;
pub mod sites;
mod subject_keys;
pub mod templates;
pub mod token_keys;
pub mod tokens;
pub mod validity;
pub mod webhooks;

pub use engine::{AddressError, PostgresSettings};
pub use subject_keys::KeyStoreSettings;

/// Each step of the schema from one version to the next; a fresh database takes them all.
const STEPS: [&str; 15] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
    include_str!("schema/7.sql"),
    include_str!("schema/8.sql"),
    include_str!("schema/9.sql"),
    include_str!("schema/10.sql"),
    include_str!("schema/11.sql"),
    include_str!("schema/12.sql"),
    include_str!("schema/13.sql"),
    include_str!("schema/14.sql"),
    include_str!("schema/15.sql"),
];
const SCHEMA_VERSION: i64 = STEPS.len() as i64;

/// Why storage failed. What a *caller* did wrong has its own variants in each area's methods.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// SQLite refused.
    #[error("the database refused an operation")]
    Sqlite(#[source] Arc<rusqlite::Error>),
    /// PostgreSQL refused. Its message is not repeated: it may quote a row.
    #[error("the database refused an operation: SQLSTATE {code} {what}; the server's own log says more")]
    Postgres {
        /// SQLSTATE (PostgreSQL, appendix A).
        code: String,
        /// The constraint or table concerned.
        what: String,
    },
    /// No connection to the server could be made.
    #[error("PostgreSQL cannot be used: {hint}")]
    Connect {
        /// What to do.
        hint: &'static str,
        /// What the driver said: of the server, never of a row.
        source: Arc<postgres::Error>,
    },
    /// The connection broke before anything was to last.
    #[error(
        "the connection to PostgreSQL keeps breaking: nothing was changed; see that the server is well, and ask again"
    )]
    Lost,
    /// The connection broke while a change was being made to last.
    #[error(
        "the connection to PostgreSQL broke during a commit: the change may have been made or not; look, and ask again"
    )]
    Unsettled,
    /// Others changed the same rows, again and again.
    #[error("another program keeps changing the same rows: nothing was changed; end it, and ask again")]
    Conflict,
    /// Another program does not let go of the database.
    #[error("another program has held a lock on the database for too long: nothing was changed; end it, and ask again")]
    Busy,
    /// Another program's transaction still sees what was deleted.
    #[error(
        "deleted rows may still be read: another program's transaction on the database sees them; end it, and ask again"
    )]
    Lingering,
    /// A stored value is not what the schema promises.
    #[error("the database holds an unreadable {0}")]
    Corrupt(&'static str),
    /// The database was written by a later version.
    #[error(
        "the database has schema version {found}, this program knows {SCHEMA_VERSION}: install a newer cardea-cloud"
    )]
    TooNew {
        /// Version found.
        found: i64,
    },
    /// The key store belongs to another database, or this database is a new one.
    #[error(
        "the key store (subject-keys.db) is not this database's: nothing was changed; restore the one that belongs to it, \
         or the database that belongs to the store"
    )]
    OtherKeyStore,
    /// The key file belongs to another database.
    #[error(
        "the key file (keys/vault.key) is not the one this database's plates and cards are under: nothing was changed; \
         restore the one that belongs to it"
    )]
    OtherVault,
    /// The crypto library has no random numbers.
    #[error("the crypto library could not encrypt a value: nothing was changed; ask again")]
    Randomness,
    /// The file system refused the key store.
    #[error("the key store {path} cannot be made or looked at: check that the data directory is the service's own")]
    KeyStoreFile {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: Arc<std::io::Error>,
    },
    /// Others may read the key store.
    #[error("the key store {path} is open to other users: chmod 600 it")]
    KeyStoreExposed {
        /// Which file.
        path: PathBuf,
    },
    /// The storage thread has ended.
    #[error("the storage has been closed")]
    Closed,
}

impl StorageError {
    /// Whether the transaction it happened in is gone, and everything in it must be done again.
    fn ends_transaction(&self) -> bool {
        matches!(self, Self::Lost | Self::Conflict)
    }

    /// Whether the same request may succeed later, with nothing to be repaired in the data.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. }
                | Self::Lost
                | Self::Unsettled
                | Self::Conflict
                | Self::Busy
                | Self::Lingering
                | Self::Randomness
        )
    }
}

/// How long the disk takes for what is next, where it is simulated.
pub type Pace = Box<dyn FnMut() -> Duration + Send>;

/// The two databases of a simulated cloud.
pub struct Disks {
    /// The data.
    pub data: Connection,
    /// The key store's.
    pub keys: Connection,
}

/// A handle to the storage thread; cheap to clone.
#[derive(Clone)]
pub struct Storage {
    jobs: mpsc::UnboundedSender<Message>,
    digests: Arc<Digests>,
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Storage")
    }
}

impl Storage {
    /// Opens or creates a SQLite file, and the key store that belongs to it.
    pub fn open(path: &Path, keys: KeyStoreSettings) -> Result<Self, StorageError> {
        let path = path.to_owned();
        Self::start(move || Sqlite::open(&path), keys)
    }

    /// A SQLite database in memory, with the real schema: for tests.
    pub fn in_memory(keys: KeyStoreSettings) -> Result<Self, StorageError> {
        Self::start(Sqlite::in_memory, keys)
    }

    /// A PostgreSQL database, which must exist and may be empty, and the key store that belongs to it.
    pub fn connect(settings: PostgresSettings, keys: KeyStoreSettings) -> Result<Self, StorageError> {
        Self::start(move || Postgres::connect(settings), keys)
    }

    /// SQLite over connections of the caller's, on the runtime that this is called on: no thread, so that a clock that stands
    /// still while anything runs governs the disk too. For simulations.
    pub fn on_runtime(disks: Disks, keys: KeyStoreSettings, pace: Pace) -> Result<Self, StorageError> {
        let engine = Sqlite::new(disks.data)?;
        bring_up(&engine, &keys.vault)?;
        let keys = KeyStore::over(Sqlite::new(disks.keys)?, "simulated", keys)?;
        let (engine, keys) = settle(engine, keys)?;
        let (jobs, queue) = mpsc::unbounded_channel();
        tokio::spawn(queue::serve_paced(engine, keys, queue, pace));
        Ok(Self { jobs, digests: Arc::default() })
    }

    /// The engine is made on its thread, since PostgreSQL's client may not be used on one of tokio's.
    fn start<T: Engine>(
        open: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
        keys: KeyStoreSettings,
    ) -> Result<Self, StorageError> {
        let (jobs, mut queue) = mpsc::unbounded_channel();
        let (opened, outcome) = handover::channel();
        // The thread ends when the last handle is dropped.
        std::thread::Builder::new()
            .name("storage".to_owned())
            .spawn(move || {
                let ready = open().and_then(|engine| prepare(engine, keys));
                let (ready, outcome) = match ready {
                    Ok(ready) => (Some(ready), Ok(())),
                    Err(error) => (None, Err(error)),
                };
                if opened.send(outcome).is_ok()
                    && let Some((engine, keys)) = ready
                {
                    queue::serve(&engine, &keys, &mut queue);
                }
            })
            .map_err(|_| StorageError::Closed)?;
        outcome.recv().map_err(|_| StorageError::Closed)??;
        Ok(Self { jobs, digests: Arc::default() })
    }

    /// Runs `work` as one change that lasts if it returns `Ok` and leaves everything as it was otherwise. It may run more
    /// than once, and must do nothing but what the transaction does.
    pub(crate) async fn write<T, E>(
        &self,
        work: impl Fn(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        self.run(Access::Write, work).await
    }

    /// Runs `work` on one state of the database, for reading. It may run more than once.
    pub(crate) async fn read<T, E>(
        &self,
        work: impl Fn(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        self.run(Access::Read, work).await
    }

    /// Carries out what the erasure journal holds and the data does not: an erasure whose second half failed.
    pub(crate) async fn settle_journal(&self) -> Result<(), StorageError> {
        self.write(reconcile::replay).await
    }

    /// How many erasures and blocks of sales the data did not know when it was opened, and has followed since.
    pub(crate) async fn carried_out_at_start(&self) -> Result<u64, StorageError> {
        self.read(|tx| Ok(tx.keys()?.carried_out())).await
    }

    /// Makes deleted bytes unreadable, as far as the database can; of the key store's, altogether.
    pub async fn scrub(&self) -> Result<(), StorageError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Message::Scrub(reply)).map_err(|_| StorageError::Closed)?;
        answer.await.map_err(|_| StorageError::Closed)?
    }

    async fn run<T, E>(
        &self,
        access: Access,
        work: impl Fn(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Message::Run(access, Box::new(Operation::new(work, reply)));
        self.jobs.send(job).map_err(|_| StorageError::Closed)?;
        answer.await.map_err(|_| StorageError::Closed)?
    }
}

/// Brings the data up to date, and then [`settle`]s.
fn prepare<T: Engine>(engine: T, keys: KeyStoreSettings) -> Result<(T, KeyStore), StorageError> {
    bring_up(&engine, &keys.vault)?;
    settle(engine, KeyStore::open(keys)?)
}

/// Takes the schema to its newest version; rows from before there were columns under the vault are sealed with it, and what
/// they were is forgotten.
fn bring_up(engine: &dyn Engine, vault: &Vault) -> Result<(), StorageError> {
    let columns = ColumnKeys::of(vault);
    migrate(engine, &STEPS, |version| columns::take_in(engine, &columns, version))?;
    columns::forget_clear_rows(engine)
}

/// Takes an audit from before it was a chain into it, lets the data follow the key store, and makes unreadable what a crash
/// between an erasure and its scrub has left behind.
fn settle<T: Engine>(engine: T, keys: KeyStore) -> Result<(T, KeyStore), StorageError> {
    audit_chain::take_in(&engine, &keys)?;
    engine.begin(Access::Write)?;
    let reconciled = reconcile::at_start(&Transaction::new(&engine, &keys)).and_then(|()| engine.commit());
    if reconciled.is_err() {
        engine.rollback();
    }
    reconciled?;
    match engine.scrub().and_then(|()| keys.scrub()) {
        // A backup under way is no reason not to start; the next erasure tries again, and so does the end.
        Err(error @ (StorageError::Lingering | StorageError::Busy)) => {
            tracing::warn!(%error, "deleted rows could not be scrubbed at start");
        }
        other => other?,
    }
    Ok((engine, keys))
}

/// Takes a database to the newest of `steps`: all of it or nothing. `after` does what SQL cannot, after the step to a version.
fn migrate(
    engine: &dyn Engine,
    steps: &[&str],
    after: impl Fn(i64) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    engine.begin(Access::Write)?;
    let migrated = (|| {
        let found = engine.schema_version()?;
        let done = usize::try_from(found).ok().filter(|done| *done <= steps.len());
        let Some(done) = done else { return Err(StorageError::TooNew { found }) };
        for (version, step) in (1..).zip(steps).skip(done) {
            engine.take_step(step, version)?;
            after(version)?;
        }
        engine.commit()
    })();
    if migrated.is_err() {
        engine.rollback();
    }
    migrated
}

#[cfg(test)]
mod tests;
