//! Erasing a subject, so that nothing can be read afterwards, and saying so.
//!
//! In the transaction that applies the order: the subject's key row goes first, then the templates, and a row in
//! `erasures` records what is owed. After the commit the write-ahead log is truncated and the files are searched for the
//! erased bytes, plaintext and ciphertext; if SQLite has left a stale copy of a cell in a page it rebuilt, the whole
//! database is rewritten (`VACUUM`) and searched again. Only then can a receipt be signed, and only once the access task
//! has dropped its gallery; it is sent until the cloud has stored it.

use cardea_protocol::id::{ErasureId, Revision, SubjectToken};
use rusqlite::{OptionalExtension as _, Transaction, params};

use super::held::stored;
use super::traces::{MARK_LEN, Marks};
use super::vault::DeviceKey;
use super::{Db, Store, StoreError, truncate_log};
use crate::seam::HoldingsVersion;

/// An erasure that was carried out and is to be confirmed with a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingErasure {
    /// The order.
    pub erasure: ErasureId,
    /// The revision that carried it.
    pub revision: Revision,
    /// How many templates were held.
    pub templates_erased: u32,
    /// Whether the files were searched and no trace was found.
    pub verified: bool,
}

/// Deletes `subject` inside `tx` and records what is owed for `erasure`. Returns the erased bytes to look for.
pub(super) fn erase(
    tx: &Transaction<'_>,
    key: &DeviceKey,
    erasure: &ErasureId,
    subject: &SubjectToken,
    revision: Revision,
) -> Result<Marks, StoreError> {
    let mut marks = Marks::default();
    let mut nonces = Vec::new();
    let mut erased = 0u32;
    let wrapped: Option<Vec<u8>> = tx
        .query_row("SELECT wrapped_key FROM subject_keys WHERE subject = ?1", [subject.as_str()], |row| row.get(0))
        .optional()?;
    {
        let opener = wrapped.as_ref().and_then(|wrapped| key.unwrap(subject.as_str(), wrapped).ok());
        let mut rows = tx.prepare("SELECT template_id, ciphertext FROM templates WHERE subject = ?1")?;
        let mut rows = rows.query([subject.as_str()])?;
        while let Some(row) = rows.next()? {
            let (id, ciphertext): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
            if let Some(Ok(plaintext)) = opener.as_ref().map(|opener| opener.decrypt(&id, &ciphertext)) {
                marks.add(&plaintext);
            }
            marks.add(&ciphertext);
            nonces.extend(ciphertext.iter().take(MARK_LEN).map(|byte| !byte));
            erased += 1;
        }
    }
    if let Some(wrapped) = &wrapped {
        marks.add(wrapped);
    }
    tx.execute("DELETE FROM subject_keys WHERE subject = ?1", [subject.as_str()])?;
    tx.execute("DELETE FROM templates WHERE subject = ?1", [subject.as_str()])?;
    tx.execute(
        "INSERT OR IGNORE INTO erasures (erasure_id, revision, templates_erased, marks) VALUES (?1, ?2, ?3, ?4)",
        params![erasure.as_str(), revision.0 as i64, erased, nonces],
    )?;
    Ok(marks)
}

/// Makes deleted bytes unreadable and checks it, for every erasure not yet checked. `fresh` are bytes known from memory;
/// after a crash the nonces in the rows serve.
pub(super) fn check_traces(db: &mut Db, fresh: &[Marks]) -> Result<(), StoreError> {
    let mut owed = Marks::default();
    let mut any = false;
    {
        let mut rows = db.connection.prepare("SELECT marks FROM erasures WHERE verified IS NULL")?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            let inverted: Vec<u8> = row.get(0)?;
            owed.add(&inverted.iter().map(|byte| !byte).collect::<Vec<u8>>());
            any = true;
        }
    }
    if !any {
        return Ok(());
    }
    truncate_log(&db.connection)?;
    let mut traces = found(db, &owed, fresh)?;
    if traces {
        tracing::info!("erased bytes remain in free space of the database: rewriting it");
        db.connection.execute_batch("VACUUM")?;
        truncate_log(&db.connection)?;
        traces = found(db, &owed, fresh)?;
    }
    if traces {
        tracing::error!("erased bytes remain in the database files after rewriting them");
    }
    db.connection.execute("UPDATE erasures SET verified = ?1, marks = x'' WHERE verified IS NULL", [!traces])?;
    truncate_log(&db.connection)
}

fn found(db: &Db, owed: &Marks, fresh: &[Marks]) -> Result<bool, StoreError> {
    for marks in fresh.iter().chain([owed]).filter(|marks| !marks.is_empty()) {
        if db.files.contain(marks)? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Store {
    /// Erasures whose receipt is still to be signed, and the holdings the gallery must have reached for it.
    pub async fn unsigned_erasures(&self) -> Result<(HoldingsVersion, Vec<PendingErasure>), StoreError> {
        self.on_thread(|db| {
            let version = *db.news.holdings.borrow();
            let mut rows = db.connection.prepare(
                "SELECT erasure_id, revision, templates_erased, verified FROM erasures
                 WHERE receipt_jws IS NULL AND verified IS NOT NULL ORDER BY revision, erasure_id",
            )?;
            let pending = rows
                .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get(2)?, row.get(3)?)))?
                .map(|row| {
                    let (erasure, revision, templates_erased, verified) = row?;
                    let erasure = stored(ErasureId::new(erasure), "erasure id")?;
                    Ok(PendingErasure { erasure, revision: Revision(revision as u64), templates_erased, verified })
                })
                .collect::<Result<_, StoreError>>()?;
            Ok((version, pending))
        })
        .await
    }

    /// Keeps a signed receipt until the cloud has stored it.
    pub async fn keep_receipt(&self, erasure: &ErasureId, receipt_jws: String) -> Result<(), StoreError> {
        let erasure = erasure.clone();
        self.on_thread(move |db| {
            db.connection.execute(
                "UPDATE erasures SET receipt_jws = ?2 WHERE erasure_id = ?1",
                params![erasure.as_str(), receipt_jws],
            )?;
            Ok(())
        })
        .await
    }

    /// Signed receipts the cloud has not yet stored, oldest first.
    pub async fn receipts(&self) -> Result<Vec<String>, StoreError> {
        self.on_thread(|db| {
            let mut rows = db.connection.prepare(
                "SELECT receipt_jws FROM erasures WHERE receipt_jws IS NOT NULL ORDER BY revision, erasure_id",
            )?;
            let receipts = rows.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok::<_, StoreError>(receipts)
        })
        .await
    }

    /// The cloud has stored the receipt: nothing is owed any more.
    pub async fn receipt_stored(&self, erasure: &ErasureId) -> Result<(), StoreError> {
        let erasure = erasure.clone();
        self.on_thread(move |db| {
            db.connection.execute(
                "DELETE FROM erasures WHERE erasure_id = ?1 AND receipt_jws IS NOT NULL",
                [erasure.as_str()],
            )?;
            Ok(())
        })
        .await
    }
}
