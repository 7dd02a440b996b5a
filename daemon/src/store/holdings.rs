//! What the controller holds: plates, cards, templates, and how far it has followed the site's change log.
//!
//! A batch of changes, or a whole snapshot, is applied in one transaction or not at all. A template that does not open
//! with this controller's key is left out, because refusing its whole batch would also hold back the revocations in it;
//! the digest then differs from the cloud's, and the cloud sends a snapshot.

use std::collections::HashMap;
use std::sync::Arc;

use cardea_protocol::digest::Digest;
use cardea_protocol::id::{CardId, ControllerId, ErasureId, PlateId, Revision, SubjectToken, TemplateId};
use cardea_protocol::message::{CardEntry, Change, PlateEntry, TemplateEntry};
use cardea_protocol::schedule::WeeklySchedule;
use cardea_protocol::seal::OpeningKey;
use rusqlite::{OptionalExtension as _, Transaction, params};
use zeroize::Zeroizing;

use super::company::forget_gone;
use super::erasure::{check_traces, erase};
use super::held::{cursor, digest, read_all};
use super::traces::Marks;
use super::vault::{DeviceKey, Unreadable};
use super::{Db, Store, StoreError, StoreOptions, truncate_log};
use crate::seam::HoldingsVersion;

/// Opens templates that were sealed to this controller.
#[derive(Clone, Debug)]
pub struct Opener {
    /// Its private key.
    pub key: Arc<OpeningKey>,
    /// Its id, to which boxes are bound.
    pub controller: ControllerId,
}

/// The next part of the change log.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangesBatch {
    /// The revision it starts after; must be the cursor.
    pub from: Revision,
    /// The revision it leads to.
    pub to: Revision,
    /// One change per revision, in order.
    pub changes: Vec<Change>,
}

/// Everything at once; replaces what is held.
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotBatch {
    /// The revision it stands at.
    pub revision: Revision,
    /// All plates.
    pub plates: Vec<PlateEntry>,
    /// All cards.
    pub cards: Vec<CardEntry>,
    /// All templates.
    pub templates: Vec<TemplateEntry>,
}

/// After a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The cursor.
    pub revision: Revision,
    /// Over what is held.
    pub digest: Digest,
    /// What the access task has to catch up with.
    pub version: HoldingsVersion,
    /// The orders to erase that were carried out.
    pub erased: Vec<ErasureId>,
    /// Templates that did not open and are not held.
    pub left_out: usize,
}

/// Why a batch was not applied. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It does not continue what is held.
    #[error("changes after revision {from} do not continue revision {cursor}")]
    NotNext {
        /// The cursor.
        cursor: Revision,
        /// Where the batch starts.
        from: Revision,
    },
    /// The numbers contradict each other.
    #[error("{count} changes cannot lead from revision {from} to {to}")]
    Miscounted {
        /// Where the batch starts.
        from: Revision,
        /// Where it says it ends.
        to: Revision,
        /// How many changes it has.
        count: usize,
    },
    /// Older than what was applied before: a replay, or a cloud restored from a backup.
    #[error("a snapshot of revision {revision} is older than revision {floor}, which was applied here before")]
    Rollback {
        /// The highest revision ever applied.
        floor: Revision,
        /// The snapshot's.
        revision: Revision,
    },
    /// A template could not be encrypted for storage.
    #[error("a template could not be encrypted for storage")]
    Encrypt,
}

impl From<rusqlite::Error> for ApplyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<Unreadable> for ApplyError {
    fn from(_: Unreadable) -> Self {
        Self::Encrypt
    }
}

impl Store {
    /// Applies the next part of the change log, in one transaction, and erases what it orders to erase.
    pub async fn apply_changes(&self, opener: Opener, batch: ChangesBatch) -> Result<Applied, ApplyError> {
        if batch.to.0.checked_sub(batch.from.0) != Some(batch.changes.len() as u64) {
            let (from, to, count) = (batch.from, batch.to, batch.changes.len());
            return Err(ApplyError::Miscounted { from, to, count });
        }
        // Opening thousands of boxes takes a while.
        let (batch, opened) = self
            .aside(move || {
                let opened = open_all(&opener, batch.changes.iter().filter_map(added));
                (batch, opened)
            })
            .await?;
        self.on_thread(move |db| {
            let effects = db.write(|tx, options| apply_batch(tx, options, &batch, &opened))?;
            conclude(db, batch.to, effects)
        })
        .await
    }

    /// Replaces everything held by a snapshot, in one transaction.
    pub async fn apply_snapshot(&self, opener: Opener, snapshot: SnapshotBatch) -> Result<Applied, ApplyError> {
        let (snapshot, opened) = self
            .aside(move || {
                let opened = open_all(&opener, &snapshot.templates);
                (snapshot, opened)
            })
            .await?;
        self.on_thread(move |db| {
            let effects = db.write(|tx, options| replace_all(tx, options, &snapshot, &opened))?;
            conclude(db, snapshot.revision, effects)
        })
        .await
    }
}

#[derive(Default)]
struct Effects {
    erased: Vec<ErasureId>,
    marks: Vec<Marks>,
    left_out: usize,
    scrub: bool,
}

/// The plaintext of each template that opens, by id.
type Opened = HashMap<TemplateId, Zeroizing<Vec<u8>>>;

fn added(change: &Change) -> Option<&TemplateEntry> {
    match change {
        Change::TemplateAdded(entry) => Some(entry),
        _ => None,
    }
}

fn open_all<'a>(opener: &Opener, entries: impl IntoIterator<Item = &'a TemplateEntry>) -> Opened {
    entries
        .into_iter()
        .filter_map(|entry| {
            let plaintext = opener.key.open(&opener.controller, &entry.template_id, &entry.sealed).ok()?;
            Some((entry.template_id.clone(), plaintext))
        })
        .collect()
}

fn apply_batch(
    tx: &Transaction<'_>,
    options: &StoreOptions,
    batch: &ChangesBatch,
    opened: &Opened,
) -> Result<Effects, ApplyError> {
    let cursor = cursor(tx)?;
    if cursor != batch.from {
        return Err(ApplyError::NotNext { cursor, from: batch.from });
    }
    let key = &options.device_key;
    let mut effects = Effects::default();
    for (change, revision) in batch.changes.iter().zip(batch.from.0 + 1..) {
        match change {
            Change::PlateAdmitted(entry) => put_plate(tx, entry)?,
            Change::PlateRemoved { plate_id } => remove_plate(tx, plate_id)?,
            Change::CardAdmitted(entry) => put_card(tx, entry)?,
            Change::CardRemoved { card_id } => remove_card(tx, card_id)?,
            Change::TemplateAdded(entry) => effects.add_template(tx, key, entry, opened)?,
            Change::SubjectErased { erasure, subject } => {
                effects.erase(tx, key, erasure, subject, Revision(revision))?;
            }
            Change::PropertySold { plate_ids, card_ids, subjects, .. } => {
                for plate_id in plate_ids {
                    remove_plate(tx, plate_id)?;
                }
                for card_id in card_ids {
                    remove_card(tx, card_id)?;
                }
                for (erasure, subject) in subjects {
                    effects.erase(tx, key, erasure, subject, Revision(revision))?;
                }
            }
            Change::Superseded => {}
        }
    }
    forget_gone(tx)?;
    move_cursor(tx, batch.to)?;
    Ok(effects)
}

fn replace_all(
    tx: &Transaction<'_>,
    options: &StoreOptions,
    snapshot: &SnapshotBatch,
    opened: &Opened,
) -> Result<Effects, ApplyError> {
    let floor: i64 = tx.query_row("SELECT revision_floor FROM standing", [], |row| row.get(0))?;
    let floor = Revision(floor as u64);
    if snapshot.revision < floor {
        return Err(ApplyError::Rollback { floor, revision: snapshot.revision });
    }
    tx.execute_batch("DELETE FROM plates; DELETE FROM cards; DELETE FROM subject_keys; DELETE FROM templates;")?;
    let mut effects = Effects { scrub: true, ..Effects::default() };
    for plate in &snapshot.plates {
        put_plate(tx, plate)?;
    }
    for card in &snapshot.cards {
        put_card(tx, card)?;
    }
    for template in &snapshot.templates {
        effects.add_template(tx, &options.device_key, template, opened)?;
    }
    forget_gone(tx)?;
    move_cursor(tx, snapshot.revision)?;
    Ok(effects)
}

impl Effects {
    fn add_template(
        &mut self,
        tx: &Transaction<'_>,
        key: &DeviceKey,
        entry: &TemplateEntry,
        opened: &Opened,
    ) -> Result<(), ApplyError> {
        let Some(plaintext) = opened.get(&entry.template_id) else {
            self.left_out += 1;
            return Ok(());
        };
        let subject = entry.subject.as_str();
        let wrapped: Option<Vec<u8>> = tx
            .query_row("SELECT wrapped_key FROM subject_keys WHERE subject = ?1", [subject], |row| row.get(0))
            .optional()?;
        let subject_key = match wrapped.and_then(|wrapped| key.unwrap(subject, &wrapped).ok()) {
            Some(subject_key) => subject_key,
            None => {
                // None yet, or one of a lost device key, whose templates nobody can read.
                let (subject_key, wrapped) = key.new_subject_key(subject)?;
                tx.execute("DELETE FROM subject_keys WHERE subject = ?1", [subject])?;
                tx.execute(
                    "INSERT INTO subject_keys (subject, wrapped_key) VALUES (?1, ?2)",
                    params![subject, wrapped],
                )?;
                subject_key
            }
        };
        let ciphertext = subject_key.encrypt(entry.template_id.as_str(), plaintext)?;
        tx.execute(
            "INSERT OR REPLACE INTO templates (template_id, subject, ciphertext) VALUES (?1, ?2, ?3)",
            params![entry.template_id.as_str(), subject, ciphertext],
        )?;
        Ok(())
    }

    fn erase(
        &mut self,
        tx: &Transaction<'_>,
        key: &DeviceKey,
        erasure: &ErasureId,
        subject: &SubjectToken,
        revision: Revision,
    ) -> Result<(), ApplyError> {
        self.marks.push(erase(tx, key, erasure, subject, revision)?);
        self.erased.push(erasure.clone());
        Ok(())
    }
}

/// After the commit: says so at once, so that the gate refuses; then makes deleted bytes unreadable, and takes stock.
fn conclude(db: &mut Db, revision: Revision, effects: Effects) -> Result<Applied, ApplyError> {
    db.news.holdings.send_modify(|version| version.0 += 1);
    if effects.erased.is_empty() {
        if effects.scrub {
            truncate_log(&db.connection)?;
        }
    } else {
        check_traces(db, &effects.marks)?;
    }
    let held = read_all(db)?;
    Ok(Applied {
        revision,
        digest: digest(&held),
        version: held.version,
        erased: effects.erased,
        left_out: effects.left_out,
    })
}

fn move_cursor(tx: &Transaction<'_>, to: Revision) -> Result<(), StoreError> {
    tx.execute("UPDATE standing SET cursor = ?1, revision_floor = max(revision_floor, ?1)", [to.0 as i64])?;
    Ok(())
}

fn put_plate(tx: &Transaction<'_>, entry: &PlateEntry) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO plates (plate_id, plate, subject, schedule, single_entry, valid_from, valid_until)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        entry.plate_id.as_str(),
        entry.plate,
        entry.subject.as_ref().map(SubjectToken::as_str),
        entry.schedule.as_ref().map(WeeklySchedule::encode),
        entry.single_entry,
        entry.validity.from.map(|t| t.0),
        entry.validity.until.map(|t| t.0)
    ])?;
    Ok(())
}

fn remove_plate(tx: &Transaction<'_>, plate_id: &PlateId) -> Result<(), StoreError> {
    tx.execute("DELETE FROM plates WHERE plate_id = ?1", [plate_id.as_str()])?;
    Ok(())
}

fn put_card(tx: &Transaction<'_>, entry: &CardEntry) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO cards (card_id, hash, subject, valid_from, valid_until) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        entry.card_id.as_str(),
        entry.hash.as_str(),
        entry.subject.as_ref().map(SubjectToken::as_str),
        entry.validity.from.map(|t| t.0),
        entry.validity.until.map(|t| t.0)
    ])?;
    Ok(())
}

fn remove_card(tx: &Transaction<'_>, card_id: &CardId) -> Result<(), StoreError> {
    tx.execute("DELETE FROM cards WHERE card_id = ?1", [card_id.as_str()])?;
    Ok(())
}
