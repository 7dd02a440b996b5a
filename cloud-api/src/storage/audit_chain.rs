//! The audit as a chain: its head, its seals, its lines, and its beginning, which retention takes off.

use cardea_protocol::Timestamp;

use super::audit::append;
use super::engine::{Access, Engine, Row, Transaction, params};
use super::subject_keys::KeyStore;
use super::{Storage, StorageError};
use crate::audit::Entry;

/// Rows taken into the chain, or off its beginning, in one transaction.
const BATCH: i64 = 1_000;

/// What a seal is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealKind {
    /// Of the head: all up to an entry.
    Head,
    /// Of the beginning that is gone.
    Cut,
}

impl SealKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Cut => "cut",
        }
    }
}

/// The end of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The newest entry.
    pub entry: u64,
    /// Its hash.
    pub hash: String,
    /// How many entries no signature covers yet.
    pub unsigned: u64,
    /// When the first of these was made.
    pub unsigned_since: Timestamp,
}

/// The signatures, oldest first, each with the newest entry it covers.
#[derive(Clone, Debug, Default)]
pub struct Seals {
    /// Of where the chain begins, if that is not its first entry.
    pub cut: Option<(u64, String)>,
    /// Of its heads.
    pub heads: Vec<(u64, String)>,
}

fn number(value: i64) -> Result<u64, StorageError> {
    u64::try_from(value).map_err(|_| StorageError::Corrupt("number of an entry of the audit"))
}

/// Number and hash of the newest entry; 0 and nothing before the first.
pub(super) fn newest(tx: &Transaction<'_>) -> Result<(u64, String), StorageError> {
    let newest = tx.query_opt("SELECT entry, hash FROM audit ORDER BY entry DESC LIMIT 1", [], |row| {
        Ok((number(row.get(0)?)?, row.get(1)?))
    })?;
    Ok(newest.unwrap_or_default())
}

fn entry(row: &Row<'_>) -> Result<Entry, StorageError> {
    Ok(Entry {
        entry: number(row.get(0)?)?,
        at: Timestamp(row.get(1)?),
        begun_by: row.get::<Option<i64>>(2)?.map(number).transpose()?,
        customer: row.get(3)?,
        site: row.get(4)?,
        principal_id: row.get(5)?,
        action: row.get(6)?,
        target: row.get(7)?,
        outcome: row.get(8)?,
    })
}

/// Takes the rows of an audit from before it was a chain into it, as they were.
pub(super) fn take_in(engine: &dyn Engine, keys: &KeyStore) -> Result<(), StorageError> {
    loop {
        engine.begin(Access::Write)?;
        let taken = take_some_in(&Transaction::new(engine, keys)).and_then(|taken| engine.commit().map(|()| taken));
        match taken {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) => {
                engine.rollback();
                return Err(error);
            }
        }
    }
}

fn take_some_in(tx: &Transaction<'_>) -> Result<usize, StorageError> {
    let rows = tx.query(
        "SELECT audit_id, at, NULL, customer_id, site_id, principal_id, action, target, outcome
         FROM audit_unchained ORDER BY audit_id LIMIT ?1",
        [BATCH],
        entry,
    )?;
    for row in &rows {
        append(tx, row.clone())?;
        tx.execute("DELETE FROM audit_unchained WHERE audit_id = ?1", [row.entry as i64])?;
    }
    Ok(rows.len())
}

impl Storage {
    /// The end of the chain; nothing where there is no entry.
    pub async fn audit_head(&self) -> Result<Option<Head>, StorageError> {
        self.read(|tx| {
            let (entry, hash) = newest(tx)?;
            if entry == 0 {
                return Ok(None);
            }
            let signed: i64 = tx.query_row("SELECT coalesce(max(entry), 0) FROM audit_seals", [], |row| row.get(0))?;
            let since =
                tx.query_opt("SELECT at FROM audit WHERE entry > ?1 ORDER BY entry LIMIT 1", [signed], |row| {
                    Ok(Timestamp(row.get(0)?))
                })?;
            let unsigned = entry.saturating_sub(number(signed)?);
            Ok(Some(Head { entry, hash, unsigned, unsigned_since: since.unwrap_or(Timestamp(0)) }))
        })
        .await
    }

    /// Keeps a signature; one that another process has made of the same is as good.
    pub async fn add_audit_seal(
        &self,
        kind: SealKind,
        entry: u64,
        jws: String,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        self.write(move |tx| {
            tx.execute(
                "INSERT INTO audit_seals (kind, entry, jws, at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                params![kind.as_str(), entry as i64, jws, at.0],
            )?;
            Ok(())
        })
        .await
    }

    /// The signatures.
    pub async fn audit_seals(&self) -> Result<Seals, StorageError> {
        self.read(|tx| {
            let seals = |kind: SealKind| {
                tx.query("SELECT entry, jws FROM audit_seals WHERE kind = ?1 ORDER BY entry", [kind.as_str()], |row| {
                    Ok((number(row.get(0)?)?, row.get(1)?))
                })
            };
            Ok(Seals { cut: seals(SealKind::Cut)?.pop(), heads: seals(SealKind::Head)? })
        })
        .await
    }

    /// At most `limit` entries after `after`, each with the hash that is stored with it.
    pub async fn audit_chain(&self, after: u64, limit: u32) -> Result<Vec<(Entry, String)>, StorageError> {
        self.read(move |tx| {
            tx.query(
                "SELECT entry, at, begun_by, customer_id, site_id, principal_id, action, target, outcome, hash
                 FROM audit WHERE entry > ?1 ORDER BY entry LIMIT ?2",
                params![after as i64, i64::from(limit)],
                |row| Ok((entry(row)?, row.get(9)?)),
            )
        })
        .await
    }

    /// The newest of the entries at the beginning that were all made before `before`, with its hash: how far retention may
    /// cut. Never the newest of all.
    pub async fn audit_cut_at(&self, before: Timestamp) -> Result<Option<(u64, String)>, StorageError> {
        self.read(move |tx| {
            let (last, _) = newest(tx)?;
            // The clock may have been set back: what is older than an entry that stays, stays.
            tx.query_opt(
                "SELECT entry, hash FROM audit WHERE entry < ?2 AND entry <
                     coalesce((SELECT min(entry) FROM audit WHERE at >= ?1), ?2) ORDER BY entry DESC LIMIT 1",
                params![before.0, last as i64],
                |row| Ok((number(row.get(0)?)?, row.get(1)?)),
            )
        })
        .await
    }

    /// Takes some of what a signed cut covers off the beginning; answers how many entries.
    pub async fn take_off_audit(&self) -> Result<usize, StorageError> {
        self.write(|tx| {
            let cut = "(SELECT max(entry) FROM audit_seals WHERE kind = 'cut')";
            tx.execute(&format!("DELETE FROM audit_seals WHERE entry < {cut}"), [])?;
            let some = "(SELECT min(entry) + ?1 FROM audit)";
            tx.execute(&format!("DELETE FROM audit WHERE entry <= {cut} AND entry < {some}"), [BATCH])
        })
        .await
    }
}
