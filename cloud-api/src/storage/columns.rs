//! Columns under the vault, as the operations use them, and the rows of a database from before there were any.
//!
//! What is sealed, what is looked up and under which keys is said in [`crate::keys`]. The key file that a database's columns
//! are under leaves its mark in it, so that another one is refused at start instead of making every plate unreadable.

use cardea_protocol::id::SiteId;

use super::StorageError;
use super::engine::{Engine, Transaction, params};
use crate::keys::{Column, ColumnKeys, KeyError, Place};

/// The step of the schema after which clear rows are sealed.
const SEALED_FROM: i64 = 12;

fn refused(error: &KeyError) -> StorageError {
    match error {
        KeyError::Decrypt => StorageError::Corrupt("value under the vault"),
        _ => StorageError::Randomness,
    }
}

fn seal(keys: &ColumnKeys, place: Place<'_>, value: &str) -> Result<Vec<u8>, StorageError> {
    keys.seal(place, value).map_err(|error| refused(&error))
}

impl Transaction<'_> {
    /// Encrypts a value for its column and row.
    pub(super) fn seal(&self, column: Column, site: &SiteId, row: &str, value: &str) -> Result<Vec<u8>, StorageError> {
        seal(self.keys()?.columns(), Place { column, site: site.as_str(), row }, value)
    }

    /// Decrypts what [`Transaction::seal`] has encrypted for that column and row.
    pub(super) fn open(&self, column: Column, site: &SiteId, row: &str, sealed: &[u8]) -> Result<String, StorageError> {
        let place = Place { column, site: site.as_str(), row };
        let mut opened = self.keys()?.columns().open(place, sealed).map_err(|error| refused(&error))?;
        Ok(std::mem::take(&mut *opened))
    }

    /// What equal values of a column share within a site, or another scope.
    pub(super) fn lookup(&self, column: Column, scope: &str, value: &str) -> Result<[u8; 32], StorageError> {
        Ok(self.keys()?.columns().lookup(column, scope, value))
    }
}

/// Seals the rows of a database from before its columns were under the vault, within the step that takes it along.
pub(super) fn take_in(engine: &dyn Engine, keys: &ColumnKeys, version: i64) -> Result<(), StorageError> {
    if version != SEALED_FROM {
        return Ok(());
    }
    let tx = Transaction::plain(engine);
    let plates = Table {
        select: "SELECT plate_id, site_id, plate FROM plates_11",
        insert: "INSERT INTO plates (plate_id, site_id, sealed_plate, plate_lookup, subject, schedule, single_entry,
                 valid_from, valid_until, created_at)
             SELECT plate_id, site_id, ?2, ?3, subject, schedule, single_entry, valid_from, valid_until, created_at
             FROM plates_11 WHERE plate_id = ?1",
        column: Column::Plate,
    };
    let cards = Table {
        select: "SELECT card_id, site_id, hash FROM cards_11",
        insert: "INSERT INTO cards (card_id, site_id, sealed_hash, hash_lookup, subject, valid_from, valid_until, created_at)
             SELECT card_id, site_id, ?2, ?3, subject, valid_from, valid_until, created_at
             FROM cards_11 WHERE card_id = ?1",
        column: Column::Card,
    };
    seal_rows(&tx, keys, &plates)?;
    seal_rows(&tx, keys, &cards)?;
    for table in ["commands", "idempotent_answers"] {
        let sql =
            format!("SELECT DISTINCT principal_id, idempotency_key FROM {table} WHERE idempotency_key IS NOT NULL");
        let called: Vec<(String, String)> = tx.query(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        for (principal, key) in &called {
            let lookup = hex::encode(keys.lookup(Column::IdempotencyKey, principal, key));
            let sql =
                format!("UPDATE {table} SET idempotency_key = ?3 WHERE principal_id = ?1 AND idempotency_key = ?2");
            tx.execute(&sql, [principal, key, &lookup])?;
        }
    }
    Ok(())
}

/// A table whose rows are sealed into another.
struct Table {
    /// Id, site and value of each.
    select: &'static str,
    /// Takes id, ciphertext and lookup.
    insert: &'static str,
    column: Column,
}

fn seal_rows(tx: &Transaction<'_>, keys: &ColumnKeys, table: &Table) -> Result<(), StorageError> {
    let rows: Vec<(String, String, String)> =
        tx.query(table.select, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for (row, site, value) in &rows {
        let sealed = seal(keys, Place { column: table.column, site, row }, value)?;
        let lookup = keys.lookup(table.column, site, value);
        tx.execute(table.insert, params![row, sealed, lookup])?;
    }
    Ok(())
}

/// Writes a database anew whose columns were sealed since it was last opened, so that no file holds what they were. Until the
/// mark of the vault is in it ([`belongs`]) each start does it again.
pub(super) fn forget_clear_rows(engine: &dyn Engine) -> Result<(), StorageError> {
    let mut unmarked = false;
    let sql =
        "SELECT EXISTS (SELECT 1 FROM sites) AND NOT EXISTS (SELECT 1 FROM key_store WHERE vault_mark IS NOT NULL)";
    engine.query(sql, &[], &mut |row| {
        unmarked = row.get(0)?;
        Ok(())
    })?;
    if unmarked { engine.rewrite() } else { Ok(()) }
}

/// Refuses a key file that is not the one this database's columns are under.
pub(super) fn belongs(tx: &Transaction<'_>) -> Result<(), StorageError> {
    let mark = tx.keys()?.vault_mark();
    let known: Option<Option<Vec<u8>>> = tx.query_opt("SELECT vault_mark FROM key_store", [], |row| row.get(0))?;
    match known.flatten() {
        Some(known) if known == mark => Ok(()),
        Some(_) => Err(StorageError::OtherVault),
        None => tx.execute("UPDATE key_store SET vault_mark = ?1", [mark]).map(drop),
    }
}
