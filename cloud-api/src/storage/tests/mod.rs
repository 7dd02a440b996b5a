//! What holds for the storage as a whole, whichever database it is; what an area's operations do stands beside them.

mod backups;
mod columns;
mod deletion;
mod group;
mod migration;
mod postgres;

use super::engine::Transaction;
use super::{Storage, StorageError};

/// Adds a site.
fn site(tx: &Transaction<'_>, id: &str) -> Result<(), StorageError> {
    tx.execute("INSERT INTO sites (site_id, address, created_at) VALUES (?1, 'Test street 1', 0)", [id])?;
    Ok(())
}

/// The sites there are.
async fn sites(storage: &Storage) -> Vec<String> {
    storage.read(|tx| tx.query("SELECT site_id FROM sites ORDER BY site_id", [], |row| row.get(0))).await.unwrap()
}
