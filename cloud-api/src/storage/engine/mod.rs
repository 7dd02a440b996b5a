//! What the operations need of a database, and the two that give it.
//!
//! Operations are written once, in the SQL both understand: parameters are `?1`, `?2`, …; `ON CONFLICT DO UPDATE` names its
//! columns; `IS DISTINCT FROM` compares with NULL; `RETURNING` tells what was made; JSON is taken apart in Rust. Truth values
//! are stored as 0 and 1, and read as `bool` from a column or from a condition.

mod dialect;
mod postgres;
mod sqlite;
mod value;

use std::cell::RefCell;

pub(super) use postgres::Postgres;
pub use postgres::{AddressError, PostgresSettings};
pub(super) use sqlite::Sqlite;
pub(crate) use value::{Cell, FromCell, Params, ToCell};

use super::StorageError;
use super::subject_keys::KeyStore;

/// Values of several types for one statement.
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        &[$(&$value as &dyn $crate::storage::engine::ToCell),*] as &[&dyn $crate::storage::engine::ToCell]
    };
}
pub(crate) use params;

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Sees one state of the database throughout, changes nothing.
    Read,
    /// Alone among the writers, whichever process they are in.
    Write,
}

/// A database, on its own thread. The methods take `&self` so that a row can be looked at while another is asked for.
pub(super) trait Engine {
    /// Carries a statement out; answers how many rows it changed.
    fn execute(&self, sql: &str, params: &[Cell<'_>]) -> Result<usize, StorageError>;
    /// Carries a statement out and shows each of its rows.
    fn query(
        &self,
        sql: &str,
        params: &[Cell<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> Result<(), StorageError>,
    ) -> Result<(), StorageError>;
    /// Carries out several statements without parameters.
    fn batch(&self, sql: &str) -> Result<(), StorageError>;
    /// Begins a transaction.
    fn begin(&self, access: Access) -> Result<(), StorageError>;
    /// Makes it last: when this returns, it is on the disk.
    fn commit(&self) -> Result<(), StorageError>;
    /// Leaves everything as it was. Whether there was anything to undo does not matter.
    fn rollback(&self);
    /// Whether the transaction still stands: an engine may give one up on its own, when the disk is full.
    fn in_transaction(&self) -> bool;
    /// Is there again after [`StorageError::Lost`].
    fn reconnect(&self) -> Result<(), StorageError>;
    /// Makes deleted bytes unreadable, as far as this database can.
    fn scrub(&self) -> Result<(), StorageError>;
    /// Writes the whole database anew, so that no file of it holds what was there before. Not within a transaction.
    fn rewrite(&self) -> Result<(), StorageError>;
    /// The version of the schema; 0 for an empty database. Within a transaction.
    fn schema_version(&self) -> Result<i64, StorageError>;
    /// Takes a step of the schema, as it stands in `schema/`, to version `version`. Within a transaction.
    fn take_step(&self, step: &str, version: i64) -> Result<(), StorageError>;
}

/// Values of a row, by column.
pub(super) trait Cells {
    /// The value in column `column`, counted from 0.
    fn cell(&self, column: usize) -> Result<Cell<'_>, StorageError>;
}

/// A row that was found.
pub(crate) struct Row<'a>(pub(super) &'a dyn Cells);

impl Row<'_> {
    /// The value in column `column`, counted from 0; [`StorageError::Corrupt`] if it is of another type.
    pub(crate) fn get<T: FromCell>(&self, column: usize) -> Result<T, StorageError> {
        T::from_cell(self.0.cell(column)?)
    }
}

/// A transaction, as the operations see it. They neither commit nor roll back: that is for the queue.
pub(crate) struct Transaction<'a> {
    engine: &'a dyn Engine,
    keys: Option<&'a KeyStore>,
    fault: RefCell<Option<StorageError>>,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(engine: &'a dyn Engine, keys: &'a KeyStore) -> Self {
        Self { engine, keys: Some(keys), fault: RefCell::new(None) }
    }

    /// One of the key store itself.
    pub(super) fn plain(engine: &'a dyn Engine) -> Self {
        Self { engine, keys: None, fault: RefCell::new(None) }
    }

    /// The subjects' keys. What is changed there lasts at once, whatever becomes of this transaction.
    pub(crate) fn keys(&self) -> Result<&'a KeyStore, StorageError> {
        self.keys.ok_or(StorageError::Corrupt("key store"))
    }

    /// What the engine refused since this was last asked, even if the operation made light of it.
    pub(super) fn take_fault(&self) -> Option<StorageError> {
        self.fault.take()
    }

    fn noticed<T>(&self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        if let Err(error) = &result
            && !matches!(error, StorageError::Corrupt(_))
        {
            *self.fault.borrow_mut() = Some(error.clone());
        }
        result
    }

    /// Carries a statement out; answers how many rows it changed.
    pub(crate) fn execute(&self, sql: &str, params: impl Params) -> Result<usize, StorageError> {
        self.noticed(self.engine.execute(sql, &params.cells()))
    }

    /// Every row, read by `read`.
    pub(crate) fn query<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T, StorageError>,
    ) -> Result<Vec<T>, StorageError> {
        let mut rows = Vec::new();
        let mut each = |row: &Row<'_>| {
            rows.push(read(row)?);
            Ok(())
        };
        self.noticed(self.engine.query(sql, &params.cells(), &mut each))?;
        Ok(rows)
    }

    /// The row, if there is one.
    pub(crate) fn query_opt<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> Result<T, StorageError>,
    ) -> Result<Option<T>, StorageError> {
        Ok(self.query(sql, params, read)?.into_iter().next())
    }

    /// The row, which must be there.
    pub(crate) fn query_row<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        self.query_opt(sql, params, read)?.ok_or(StorageError::Corrupt("table: a row that must be there is not"))
    }
}
