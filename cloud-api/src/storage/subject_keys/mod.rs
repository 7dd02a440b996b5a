//! The key store: the subjects' keys and the erasure journal, in a SQLite file of their own beside any database.
//!
//! A backup of the data contains neither, so it can bring back no template that was erased since. Whatever changes both
//! changes the key store first, durably, and then the data: a crash in between leaves a journal entry that the data does
//! not know of, and the next start carries it out ([`reconcile`]). Both are used on the storage thread alone, and written
//! only within a write of the data, whose lock keeps other programs out.

mod journal;
pub(super) mod reconcile;

use std::cell::Cell;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cardea_protocol::Timestamp;
use cardea_protocol::id::{ErasureId, SiteId, SubjectToken};

pub(super) use journal::Block;

use super::engine::{Access, Engine, Sqlite, Transaction, params};
use super::{StorageError, migrate};
use crate::keys::{ColumnKeys, Vault};

/// Each step of the key store's schema.
const STEPS: [&str; 1] = [include_str!("../schema/keys/1.sql")];

/// Where the key store is, and what opening it needs.
#[derive(Clone, Debug)]
pub struct KeyStoreSettings {
    /// The file, made at the first start with mode 0600; `None`: in memory, for tests.
    pub file: Option<PathBuf>,
    /// Makes the fingerprints of the journal, and the keys of the data's columns.
    pub vault: Arc<Vault>,
    /// The time of opening: of what a reconciliation orders.
    pub at: Timestamp,
}

/// The open key store.
pub(crate) struct KeyStore {
    engine: Sqlite,
    vault: Arc<Vault>,
    columns: ColumnKeys,
    opened_at: Timestamp,
    version: Cell<u64>,
    /// Entries of the journal that the data did not know when it was opened or since.
    carried_out: Cell<u64>,
}

impl KeyStore {
    pub(super) fn open(settings: KeyStoreSettings) -> Result<Self, StorageError> {
        let engine = match &settings.file {
            Some(file) => {
                make_private(file)?;
                Sqlite::open(file)?
            }
            None => Sqlite::in_memory()?,
        };
        // Stores in memory hold nothing to confuse.
        let id = settings.file.as_ref().map_or_else(|| "in-memory".to_owned(), |_| ErasureId::random().to_string());
        Self::over(engine, &id, settings)
    }

    /// Over an engine that somebody made, which is called `id` if it has no name yet.
    pub(super) fn over(engine: Sqlite, id: &str, settings: KeyStoreSettings) -> Result<Self, StorageError> {
        migrate(&engine, &STEPS, |_| Ok(()))?;
        let store = Self {
            engine,
            columns: ColumnKeys::of(&settings.vault),
            vault: settings.vault,
            opened_at: settings.at,
            version: Cell::new(0),
            carried_out: Cell::new(0),
        };
        store.transaction(|tx| {
            tx.execute("INSERT INTO store (store_id) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM store)", [id])
        })?;
        Ok(store)
    }

    /// The keys of the data's columns.
    pub(super) fn columns(&self) -> &ColumnKeys {
        &self.columns
    }

    /// The mark of the vault they are derived from.
    pub(super) fn vault_mark(&self) -> [u8; 32] {
        self.vault.mark()
    }

    /// How many entries of the journal the data did not know.
    pub(super) fn carried_out(&self) -> u64 {
        self.carried_out.get()
    }

    /// Runs `work` as one change that is on the disk when this returns `Ok`.
    fn transaction<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        self.engine.begin(Access::Write)?;
        self.version.set(self.version.get() + 1);
        let done = work(&self.reading()).and_then(|done| self.engine.commit().map(|()| done));
        if done.is_err() {
            self.engine.rollback();
        }
        done
    }

    /// Another one after each change since this was opened.
    pub(super) fn version(&self) -> u64 {
        self.version.get()
    }

    fn reading(&self) -> Transaction<'_> {
        Transaction::plain(&self.engine)
    }

    fn id(&self) -> Result<String, StorageError> {
        let id = self.reading().query("SELECT store_id FROM store", [], |row| row.get(0))?;
        id.into_iter().next().ok_or(StorageError::Corrupt("key store"))
    }

    /// The subject's wrapped key; `None` once it is erased.
    pub(crate) fn wrapped(&self, site: &SiteId, subject: &SubjectToken) -> Result<Option<Vec<u8>>, StorageError> {
        let found = self.reading().query(
            "SELECT wrapped_key FROM subject_keys WHERE site_id = ?1 AND subject = ?2",
            params![site.as_str(), subject.as_str()],
            |row| row.get(0),
        )?;
        Ok(found.into_iter().next())
    }

    /// Keeps a subject's key, before the first template is stored under it. One that is there stays.
    pub(crate) fn keep(&self, site: &SiteId, subject: &SubjectToken, wrapped: &[u8]) -> Result<(), StorageError> {
        self.transaction(|tx| {
            tx.execute(
                "INSERT INTO subject_keys (site_id, subject, wrapped_key) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![site.as_str(), subject.as_str(), wrapped],
            )
        })?;
        Ok(())
    }

    /// The site and subject of every key.
    fn holders(&self) -> Result<Vec<(String, String)>, StorageError> {
        self.reading().query("SELECT site_id, subject FROM subject_keys", [], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Removes a key that no template is encrypted under.
    fn remove_orphan(&self, site: &str, subject: &str) -> Result<(), StorageError> {
        self.transaction(|tx| {
            tx.execute("DELETE FROM subject_keys WHERE site_id = ?1 AND subject = ?2", params![site, subject])
        })?;
        Ok(())
    }

    /// Makes deleted keys unreadable in the file.
    pub(super) fn scrub(&self) -> Result<(), StorageError> {
        self.engine.scrub()
    }
}

/// SQLite gives the files beside a database its mode, so the file is there first, and the service's alone.
fn make_private(file: &Path) -> Result<(), StorageError> {
    let unusable = |source: std::io::Error| StorageError::KeyStoreFile { path: file.into(), source: Arc::new(source) };
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let mode = std::fs::metadata(file).map_err(unusable)?.permissions().mode();
            let others = mode & 0o077;
            if others == 0 { Ok(()) } else { Err(StorageError::KeyStoreExposed { path: file.into() }) }
        }
        Err(error) => Err(unusable(error)),
    }
}
