//! What the controller holds: plates, templates, and how far it has followed the site's change log.
//!
//! A batch of changes, or a whole snapshot, is applied in one transaction or not at all. A template that does not open
//! with this controller's key is left out, because refusing its whole batch would also hold back the revocations in it;
//! the digest then differs from the cloud's, and the cloud sends a snapshot.

use std::sync::Arc;

use cardea_access::time::Timestamp;
use cardea_protocol::digest::{Digest, Holdings, template_hash};
use cardea_protocol::id::{ControllerId, ErasureId, IdError, PlateId, Revision, SubjectToken, TemplateId};
use cardea_protocol::message::{Change, PlateEntry, TemplateEntry, Validity};
use cardea_protocol::seal::OpeningKey;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use zeroize::Zeroizing;

use super::erasure::{check_traces, erase};
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

/// Where the controller stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The last revision applied.
    pub cursor: Revision,
    /// Over what is held.
    pub digest: Digest,
    /// How many plates are held.
    pub plates: usize,
    /// How many templates are held and readable.
    pub templates: usize,
}

/// Everything the rules and the gallery are built from.
#[derive(Debug)]
pub struct Held {
    /// To be reported through `gallery_at` once built.
    pub version: HoldingsVersion,
    /// Admitted plates.
    pub plates: Vec<PlateEntry>,
    /// Biometric references, decrypted.
    pub templates: Vec<HeldTemplate>,
}

/// A decrypted template. `Debug` prints `…`; memory is wiped on drop.
pub struct HeldTemplate {
    /// Its id.
    pub template_id: TemplateId,
    /// Whose.
    pub subject: SubjectToken,
    /// The bytes as the cloud made them.
    pub plaintext: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for HeldTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HeldTemplate({}, …)", self.template_id)
    }
}

impl Store {
    /// Applies the next part of the change log, in one transaction, and erases what it orders to erase.
    pub async fn apply_changes(&self, opener: Opener, batch: ChangesBatch) -> Result<Applied, ApplyError> {
        self.on_thread(move |db| {
            if batch.to.0.checked_sub(batch.from.0) != Some(batch.changes.len() as u64) {
                let (from, to, count) = (batch.from, batch.to, batch.changes.len());
                return Err(ApplyError::Miscounted { from, to, count });
            }
            let opened = open_all(&opener, batch.changes.iter().filter_map(added));
            let effects = db.write(|tx, options| apply_batch(tx, options, &batch, &opened))?;
            conclude(db, batch.to, effects)
        })
        .await
    }

    /// Replaces everything held by a snapshot, in one transaction.
    pub async fn apply_snapshot(&self, opener: Opener, snapshot: SnapshotBatch) -> Result<Applied, ApplyError> {
        self.on_thread(move |db| {
            let opened = open_all(&opener, &snapshot.templates);
            let effects = db.write(|tx, options| replace_all(tx, options, &snapshot, &opened))?;
            conclude(db, snapshot.revision, effects)
        })
        .await
    }

    /// Where the controller stands, from what it can really read.
    pub async fn standing(&self) -> Result<Standing, StoreError> {
        self.on_thread(|db| {
            let held = read_all(db)?;
            let (plates, templates) = (held.plates.len(), held.templates.len());
            Ok(Standing { cursor: cursor(&db.connection)?, digest: digest(&held), plates, templates })
        })
        .await
    }

    /// Everything rules and gallery are built from.
    pub async fn held(&self) -> Result<Held, StoreError> {
        self.on_thread(|db| read_all(db)).await
    }
}

/// Checks a stored id.
pub(super) fn stored<T>(id: Result<T, IdError>, what: &'static str) -> Result<T, StoreError> {
    id.map_err(|_| StoreError::Corrupt(what))
}

#[derive(Default)]
struct Effects {
    erased: Vec<ErasureId>,
    marks: Vec<Marks>,
    left_out: usize,
    scrub: bool,
}

/// The plaintext of each template that opens, by id.
type Opened = std::collections::HashMap<TemplateId, Zeroizing<Vec<u8>>>;

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
            Change::TemplateAdded(entry) => effects.add_template(tx, key, entry, opened)?,
            Change::SubjectErased { erasure, subject } => {
                effects.erase(tx, key, erasure, subject, Revision(revision))?;
            }
            Change::PropertySold { plate_ids, subjects, .. } => {
                for plate_id in plate_ids {
                    remove_plate(tx, plate_id)?;
                }
                for (erasure, subject) in subjects {
                    effects.erase(tx, key, erasure, subject, Revision(revision))?;
                }
            }
            Change::Superseded => {}
        }
    }
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
    tx.execute_batch("DELETE FROM plates; DELETE FROM subject_keys; DELETE FROM templates;")?;
    let mut effects = Effects { scrub: true, ..Effects::default() };
    for plate in &snapshot.plates {
        put_plate(tx, plate)?;
    }
    for template in &snapshot.templates {
        effects.add_template(tx, &options.device_key, template, opened)?;
    }
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

fn cursor(connection: &Connection) -> Result<Revision, StoreError> {
    let cursor: i64 = connection.query_row("SELECT cursor FROM standing", [], |row| row.get(0))?;
    Ok(Revision(cursor as u64))
}

fn move_cursor(tx: &Transaction<'_>, to: Revision) -> Result<(), StoreError> {
    tx.execute("UPDATE standing SET cursor = ?1, revision_floor = max(revision_floor, ?1)", [to.0 as i64])?;
    Ok(())
}

fn put_plate(tx: &Transaction<'_>, entry: &PlateEntry) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT OR REPLACE INTO plates (plate_id, plate, valid_from, valid_until) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![
        entry.plate_id.as_str(),
        entry.plate,
        entry.validity.from.map(|t| t.0),
        entry.validity.until.map(|t| t.0)
    ])?;
    Ok(())
}

fn remove_plate(tx: &Transaction<'_>, plate_id: &PlateId) -> Result<(), StoreError> {
    tx.execute("DELETE FROM plates WHERE plate_id = ?1", [plate_id.as_str()])?;
    Ok(())
}

fn read_all(db: &Db) -> Result<Held, StoreError> {
    let version = *db.news.holdings.borrow();
    let mut rows = db.connection.prepare("SELECT plate_id, plate, valid_from, valid_until FROM plates")?;
    let plates = rows
        .query_map([], |row| {
            let validity = Validity {
                from: row.get::<_, Option<i64>>(2)?.map(Timestamp),
                until: row.get::<_, Option<i64>>(3)?.map(Timestamp),
            };
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, validity))
        })?
        .map(|row| {
            let (plate_id, plate, validity) = row?;
            Ok(PlateEntry { plate_id: stored(PlateId::new(plate_id), "plate id")?, plate, validity })
        })
        .collect::<Result<_, StoreError>>()?;
    Ok(Held { version, plates, templates: read_templates(db)? })
}

/// Every template that can be decrypted. One that cannot is as good as not held: the digest shows it.
fn read_templates(db: &Db) -> Result<Vec<HeldTemplate>, StoreError> {
    let mut rows = db.connection.prepare(
        "SELECT template_id, subject, ciphertext, wrapped_key FROM templates JOIN subject_keys USING (subject)",
    )?;
    let mut rows = rows.query([])?;
    let mut templates = Vec::new();
    let mut unreadable = 0usize;
    while let Some(row) = rows.next()? {
        let (id, subject): (String, String) = (row.get(0)?, row.get(1)?);
        let (ciphertext, wrapped): (Vec<u8>, Vec<u8>) = (row.get(2)?, row.get(3)?);
        let opened = db.options.device_key.unwrap(&subject, &wrapped).and_then(|key| key.decrypt(&id, &ciphertext));
        match opened {
            Ok(plaintext) => templates.push(HeldTemplate {
                template_id: stored(TemplateId::new(id), "template id")?,
                subject: stored(SubjectToken::new(&subject), "subject token")?,
                plaintext,
            }),
            Err(Unreadable) => unreadable += 1,
        }
    }
    if unreadable > 0 {
        tracing::error!(unreadable, "stored templates do not open with this device key and are left out");
    }
    Ok(templates)
}

fn digest(held: &Held) -> Digest {
    let mut holdings = Holdings::new();
    for plate in &held.plates {
        holdings.plate(&plate.plate_id, &plate.plate, plate.validity);
    }
    for template in &held.templates {
        holdings.template(&template.template_id, &template.subject, &template_hash(&template.plaintext));
    }
    holdings.digest()
}
