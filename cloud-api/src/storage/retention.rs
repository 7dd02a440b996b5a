//! Deleting by age, a little at a time: each call is a short transaction, and other writers have their turn between two.

use cardea_protocol::Timestamp;
use cardea_protocol::id::SiteId;

use super::changes::{ChangeKind, append_change, id};
use super::engine::{Transaction, params};
use super::{Storage, StorageError};
use crate::retention::{ACTION, Kind};

/// Rows deleted in one transaction.
const BATCH: i64 = 500;

impl Storage {
    /// Deletes some of what has been over since before `before`; answers how many, 0 at the end.
    pub async fn delete_some(&self, kind: Kind, before: Timestamp, now: Timestamp) -> Result<usize, StorageError> {
        self.write(move |tx| match kind {
            Kind::Plates => expire(tx, "plates", "plate_id", ChangeKind::PlateRemoved, before, now),
            Kind::Cards => expire(tx, "cards", "card_id", ChangeKind::CardRemoved, before, now),
            Kind::GuestPasses => plain(tx, "guest_passes", "pass_id", "valid_until < ?1", before),
            Kind::Erasures => {
                with_children(tx, "erasures", "erasure_id", "completed_at", "erasure_controllers", before)
            }
            Kind::Logins => with_children(tx, "refresh_families", "family_id", "expires_at", "refresh_tokens", before),
            Kind::Events => plain(tx, "events", "event_id", "received_at < ?1", before),
            Kind::Commands => plain(tx, "commands", "command_id", "requested_at < ?1", before),
            Kind::Changes => plain(tx, "changes", "site_id, revision", "at < ?1", before),
            Kind::Answers => plain(tx, "idempotent_answers", "principal_id, idempotency_key", "begun_at < ?1", before),
            Kind::Consents => plain(tx, "consents", "consent_id", "ended_at < ?1", before),
            Kind::Codes => {
                plain(tx, "authorization_codes", "code_hash", "expires_at < ?1 AND family_id IS NULL", before)
            }
            Kind::RevokedTokens => plain(tx, "revoked_tokens", "jti", "expires_at < ?1", before),
        })
        .await
    }

    /// When retention was last applied to its end.
    pub async fn last_retention(&self) -> Result<Option<Timestamp>, StorageError> {
        self.read(|tx| {
            let sql = "SELECT at FROM audit WHERE action = ?1 AND outcome = 'done' ORDER BY entry DESC LIMIT 1";
            tx.query_opt(sql, [ACTION], |row| Ok(Timestamp(row.get(0)?)))
        })
        .await
    }
}

fn plain(tx: &Transaction<'_>, table: &str, key: &str, over: &str, before: Timestamp) -> Result<usize, StorageError> {
    let sql = format!("DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {over} LIMIT ?2)");
    tx.execute(&sql, params![before.0, BATCH])
}

/// Rows with others that hang on them.
fn with_children(
    tx: &Transaction<'_>,
    table: &str,
    key: &str,
    over: &str,
    children: &str,
    before: Timestamp,
) -> Result<usize, StorageError> {
    let sql = format!("SELECT {key} FROM {table} WHERE {over} < ?1 LIMIT ?2");
    let keys: Vec<String> = tx.query(&sql, params![before.0, BATCH], |row| row.get(0))?;
    for value in &keys {
        tx.execute(&format!("DELETE FROM {children} WHERE {key} = ?1"), [value])?;
        tx.execute(&format!("DELETE FROM {table} WHERE {key} = ?1"), [value])?;
    }
    Ok(keys.len())
}

/// Admissions whose period is over: removed as the customer would, so that controllers drop them too.
fn expire(
    tx: &Transaction<'_>,
    table: &str,
    key: &str,
    change: ChangeKind,
    before: Timestamp,
    now: Timestamp,
) -> Result<usize, StorageError> {
    let sql = format!("SELECT {key}, site_id FROM {table} WHERE valid_until < ?1 LIMIT ?2");
    let rows: Vec<(String, SiteId)> =
        tx.query(&sql, params![before.0, BATCH], |row| Ok((row.get(0)?, id(row.get(1)?, SiteId::new)?)))?;
    for (value, site) in &rows {
        tx.execute(&format!("DELETE FROM {table} WHERE {key} = ?1"), [value])?;
        append_change(tx, site, change, value, now)?;
    }
    Ok(rows.len())
}
