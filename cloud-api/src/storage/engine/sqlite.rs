//! SQLite: one file, one connection.

use std::path::Path;
use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, params_from_iter};

use super::{Access, Cell, Cells, Engine, Row, dialect};
use crate::storage::StorageError;

/// Statements kept ready; there are fewer.
const STATEMENTS: usize = 256;

/// A database file, or one in memory.
pub(in crate::storage) struct Sqlite {
    connection: Connection,
}

impl Sqlite {
    /// Opens or creates the file.
    pub(in crate::storage) fn open(path: &Path) -> Result<Self, StorageError> {
        Self::new(Connection::open(path)?)
    }

    /// A database in memory.
    pub(in crate::storage) fn in_memory() -> Result<Self, StorageError> {
        Self::new(Connection::open_in_memory()?)
    }

    /// Over a connection that somebody made.
    pub(in crate::storage) fn new(connection: Connection) -> Result<Self, StorageError> {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(Self { connection })
    }
}

impl From<rusqlite::Error> for StorageError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy) => Self::Busy,
            _ => Self::Sqlite(Arc::new(error)),
        }
    }
}

impl rusqlite::ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Cell::Null => ValueRef::Null,
            Cell::Integer(value) => ValueRef::Integer(value),
            Cell::Text(value) => ValueRef::Text(value.as_bytes()),
            Cell::Blob(value) => ValueRef::Blob(value),
        }))
    }
}

impl Cells for rusqlite::Row<'_> {
    fn cell(&self, column: usize) -> Result<Cell<'_>, StorageError> {
        Ok(match self.get_ref(column)? {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(value) => Cell::Integer(value),
            ValueRef::Real(_) => return Err(StorageError::Corrupt("number")),
            ValueRef::Text(value) => Cell::Text(std::str::from_utf8(value).map_err(|_| StorageError::Corrupt("text"))?),
            ValueRef::Blob(value) => Cell::Blob(value),
        })
    }
}

impl Engine for Sqlite {
    fn execute(&self, sql: &str, params: &[Cell<'_>]) -> Result<usize, StorageError> {
        Ok(self.connection.prepare_cached(sql)?.execute(params_from_iter(params))?)
    }

    fn query(
        &self,
        sql: &str,
        params: &[Cell<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(params))?;
        while let Some(row) = rows.next()? {
            each(&Row(row))?;
        }
        Ok(())
    }

    fn batch(&self, sql: &str) -> Result<(), StorageError> {
        Ok(self.connection.execute_batch(sql)?)
    }

    fn begin(&self, access: Access) -> Result<(), StorageError> {
        self.batch(match access {
            Access::Read => "BEGIN DEFERRED",
            Access::Write => "BEGIN IMMEDIATE",
        })
    }

    fn commit(&self) -> Result<(), StorageError> {
        self.batch("COMMIT")
    }

    fn rollback(&self) {
        if self.in_transaction() {
            // Fails only where SQLite has rolled back itself.
            let _ = self.batch("ROLLBACK");
        }
    }

    fn in_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }

    fn reconnect(&self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Checkpoints and truncates the write-ahead log.
    fn scrub(&self) -> Result<(), StorageError> {
        let busy: i64 = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy == 0 { Ok(()) } else { Err(StorageError::Lingering) }
    }

    fn rewrite(&self) -> Result<(), StorageError> {
        self.batch("VACUUM")
    }

    fn schema_version(&self) -> Result<i64, StorageError> {
        Ok(self.connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
    }

    fn take_step(&self, step: &str, version: i64) -> Result<(), StorageError> {
        self.batch(&dialect::part(step, "SQLite"))?;
        Ok(self.connection.pragma_update(None, "user_version", version)?)
    }
}
