//! The change log of a site: appending to it, and reading it back as what a controller must apply.
//!
//! A row says only *that* something happened; the data stands in its own table. So a row whose data is gone by now
//! (a plate removed again, a template erased) reads as [`StoredChange::Superseded`], and nothing erased lingers here.
//!
//! The log is compacted by age ([`LOG_KEPT_MS`]): whoever stands before its beginning gets a snapshot, as one does who stands
//! before a gap in it.

use cardea_protocol::Timestamp;
use cardea_protocol::card::CardHash;
use cardea_protocol::id::{CardId, ErasureId, PlateId, Revision, SaleId, SiteId, SubjectToken, TemplateId};
use cardea_protocol::message::{CardEntry, PlateEntry, Validity};
use cardea_protocol::schedule::WeeklySchedule;

use super::engine::{Row, Transaction, params};
use super::{Storage, StorageError};
use crate::keys::Column;

/// What a row of the change log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// A plate is admitted; refers to a plate id.
    PlateAdmitted,
    /// A plate is admitted no more; refers to a plate id.
    PlateRemoved,
    /// A card is admitted; refers to a card id.
    CardAdmitted,
    /// A card is admitted no more; refers to a card id.
    CardRemoved,
    /// A template was enrolled; refers to a template id.
    TemplateAdded,
    /// A subject is to be erased; refers to an erasure id.
    SubjectErased,
    /// A flat was sold; refers to a sale id.
    PropertySold,
}

impl ChangeKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::PlateAdmitted => "plate-admitted",
            Self::PlateRemoved => "plate-removed",
            Self::CardAdmitted => "card-admitted",
            Self::CardRemoved => "card-removed",
            Self::TemplateAdded => "template-added",
            Self::SubjectErased => "subject-erased",
            Self::PropertySold => "property-sold",
        }
    }
}

/// A template as it rests in the database: under its subject's key, which is under the cloud's.
#[derive(Clone)]
pub struct StoredTemplate {
    /// Its id.
    pub template_id: TemplateId,
    /// Whose.
    pub subject: SubjectToken,
    /// The embedder it came from.
    pub model: String,
    /// Nonce and ciphertext.
    pub ciphertext: Vec<u8>,
    /// The subject's key, wrapped.
    pub wrapped_key: Vec<u8>,
}

impl std::fmt::Debug for StoredTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoredTemplate({}, …)", self.template_id)
    }
}

/// One step of the log, with its data.
#[derive(Clone, Debug)]
pub enum StoredChange {
    /// Admit a plate.
    PlateAdmitted(PlateEntry),
    /// Admit a plate no more.
    PlateRemoved(PlateId),
    /// Admit a card.
    CardAdmitted(CardEntry),
    /// Admit a card no more.
    CardRemoved(CardId),
    /// Hold a template.
    TemplateAdded(StoredTemplate),
    /// Erase a subject.
    SubjectErased(ErasureId, SubjectToken),
    /// Remove plates and cards and erase subjects, together.
    PropertySold {
        /// The sale.
        sale: SaleId,
        /// Plates that are admitted no more.
        plate_ids: Vec<PlateId>,
        /// Cards that are admitted no more.
        card_ids: Vec<CardId>,
        /// Subjects to erase, each with its order.
        subjects: Vec<(ErasureId, SubjectToken)>,
    },
    /// Its data is gone by now.
    Superseded,
}

/// Appends one row and makes it the site's newest revision. The caller's transaction changes the data itself.
pub(crate) fn append_change(
    tx: &Transaction<'_>,
    site: &SiteId,
    kind: ChangeKind,
    ref_id: &str,
    at: Timestamp,
) -> Result<Revision, StorageError> {
    let revision: i64 = tx.query_row(
        "UPDATE sites SET revision = revision + 1 WHERE site_id = ?1 RETURNING revision",
        [site.as_str()],
        |row| row.get(0),
    )?;
    tx.execute(
        "INSERT INTO changes (site_id, revision, kind, ref_id, at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![site.as_str(), revision, kind.as_str(), ref_id, at.0],
    )?;
    revision_of(revision)
}

pub(super) fn revision_of(value: i64) -> Result<Revision, StorageError> {
    u64::try_from(value).map(Revision).map_err(|_| StorageError::Corrupt("revision"))
}

pub(super) fn revision_to_sql(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX)
}

/// The newest revision of a site.
pub(super) fn site_revision(tx: &Transaction<'_>, site: &SiteId) -> Result<Revision, StorageError> {
    let revision: i64 =
        tx.query_row("SELECT revision FROM sites WHERE site_id = ?1", [site.as_str()], |row| row.get(0))?;
    revision_of(revision)
}

/// At most `limit` steps after `cursor`, in order and without gaps: none where the log does not reach back so far, or has
/// been [raised](Storage::raise_revision) over it.
pub(super) fn changes_after(
    tx: &Transaction<'_>,
    site: &SiteId,
    cursor: Revision,
    limit: usize,
) -> Result<Vec<(Revision, StoredChange)>, StorageError> {
    let rows = tx.query(
        "SELECT revision, kind, ref_id FROM changes WHERE site_id = ?1 AND revision > ?2 ORDER BY revision LIMIT ?3",
        params![site.as_str(), revision_to_sql(cursor), limit as i64],
        |row| Ok((row.get::<i64>(0)?, row.get::<String>(1)?, row.get::<String>(2)?)),
    )?;
    (cursor.0 + 1..)
        .zip(rows)
        .map(|(next, row)| Ok((next, revision_of(row.0)?, row)))
        .take_while(|row| !matches!(row, Ok((next, revision, _)) if *next != revision.0))
        .map(|row| row.and_then(|(_, revision, (_, kind, ref_id))| Ok((revision, load(tx, site, &kind, ref_id)?))))
        .collect()
}

fn load(tx: &Transaction<'_>, site: &SiteId, kind: &str, ref_id: String) -> Result<StoredChange, StorageError> {
    let change = match kind {
        "plate-admitted" => tx
            .query_opt(
                &format!("{PLATE_COLUMNS} WHERE plate_id = ?1 AND site_id = ?2"),
                [&ref_id, site.as_str()],
                |row| plate_entry(tx, site, row),
            )?
            .map(StoredChange::PlateAdmitted),
        "plate-removed" => Some(StoredChange::PlateRemoved(id(ref_id, PlateId::new)?)),
        "card-admitted" => tx
            .query_opt(
                &format!("{CARD_COLUMNS} WHERE card_id = ?1 AND site_id = ?2"),
                [&ref_id, site.as_str()],
                |row| card_entry(tx, site, row),
            )?
            .map(StoredChange::CardAdmitted),
        "card-removed" => Some(StoredChange::CardRemoved(id(ref_id, CardId::new)?)),
        "template-added" => tx
            .query_opt(
                "SELECT template_id, subject, model, ciphertext FROM templates WHERE template_id = ?1 AND site_id = ?2",
                [&ref_id, site.as_str()],
                |row| stored_template(tx, site, row),
            )?
            .flatten()
            .map(StoredChange::TemplateAdded),
        "subject-erased" => tx
            .query_opt(
                "SELECT erasure_id, subject FROM erasures WHERE erasure_id = ?1 AND site_id = ?2",
                [&ref_id, site.as_str()],
                erasure,
            )?
            .map(|(erasure, subject)| StoredChange::SubjectErased(erasure, subject)),
        "property-sold" => Some(load_sale(tx, id(ref_id, SaleId::new)?)?),
        _ => return Err(StorageError::Corrupt("kind of change")),
    };
    Ok(change.unwrap_or(StoredChange::Superseded))
}

fn load_sale(tx: &Transaction<'_>, sale: SaleId) -> Result<StoredChange, StorageError> {
    let plate_ids =
        tx.query("SELECT plate_id FROM sale_plates WHERE sale_id = ?1 ORDER BY plate_id", [sale.as_str()], |row| {
            id(row.get(0)?, PlateId::new)
        })?;
    let card_ids =
        tx.query("SELECT card_id FROM sale_cards WHERE sale_id = ?1 ORDER BY card_id", [sale.as_str()], |row| {
            id(row.get(0)?, CardId::new)
        })?;
    let subjects = tx.query(
        "SELECT erasure_id, subject FROM erasures WHERE sale_id = ?1 ORDER BY erasure_id",
        [sale.as_str()],
        erasure,
    )?;
    Ok(StoredChange::PropertySold { sale, plate_ids, card_ids, subjects })
}

/// Parses a stored id.
pub(super) fn id<T, E>(text: String, parse: impl FnOnce(String) -> Result<T, E>) -> Result<T, StorageError> {
    parse(text).map_err(|_| StorageError::Corrupt("identifier"))
}

pub(super) fn subject_of(text: &str) -> Result<SubjectToken, StorageError> {
    SubjectToken::new(text).map_err(|_| StorageError::Corrupt("subject token"))
}

fn erasure(row: &Row<'_>) -> Result<(ErasureId, SubjectToken), StorageError> {
    Ok((id(row.get(0)?, ErasureId::new)?, subject_of(&row.get::<String>(1)?)?))
}

/// What [`plate_entry`] reads.
pub(super) const PLATE_COLUMNS: &str =
    "SELECT plate_id, sealed_plate, subject, schedule, single_entry, valid_from, valid_until FROM plates";

/// Reads [`PLATE_COLUMNS`] of a site.
pub(super) fn plate_entry(tx: &Transaction<'_>, site: &SiteId, row: &Row<'_>) -> Result<PlateEntry, StorageError> {
    let plate_id: PlateId = id(row.get(0)?, PlateId::new)?;
    let (subject, schedule): (Option<String>, Option<String>) = (row.get(2)?, row.get(3)?);
    let schedule = schedule.map(|text| WeeklySchedule::decode(&text).ok_or(StorageError::Corrupt("schedule")));
    Ok(PlateEntry {
        plate: tx.open(Column::Plate, site, plate_id.as_str(), &row.get::<Vec<u8>>(1)?)?,
        plate_id,
        subject: subject.as_deref().map(subject_of).transpose()?,
        schedule: schedule.transpose()?,
        single_entry: row.get::<i64>(4)? != 0,
        validity: validity(row, 5)?,
    })
}

/// What [`card_entry`] reads.
pub(super) const CARD_COLUMNS: &str = "SELECT card_id, sealed_hash, subject, valid_from, valid_until FROM cards";

/// Reads [`CARD_COLUMNS`] of a site.
pub(super) fn card_entry(tx: &Transaction<'_>, site: &SiteId, row: &Row<'_>) -> Result<CardEntry, StorageError> {
    let card_id: CardId = id(row.get(0)?, CardId::new)?;
    let subject: Option<String> = row.get(2)?;
    let hash = tx.open(Column::Card, site, card_id.as_str(), &row.get::<Vec<u8>>(1)?)?;
    Ok(CardEntry {
        card_id,
        hash: CardHash::new(hash).map_err(|_| StorageError::Corrupt("hash of a card"))?,
        subject: subject.as_deref().map(subject_of).transpose()?,
        validity: validity(row, 3)?,
    })
}

/// Reads the beginning and the end from column `first` on.
fn validity(row: &Row<'_>, first: usize) -> Result<Validity, StorageError> {
    Ok(Validity {
        from: row.get::<Option<i64>>(first)?.map(Timestamp),
        until: row.get::<Option<i64>>(first + 1)?.map(Timestamp),
    })
}

/// Reads `template_id, subject, model, ciphertext`; `None` once the subject's key is gone.
pub(super) fn stored_template(
    tx: &Transaction<'_>,
    site: &SiteId,
    row: &Row<'_>,
) -> Result<Option<StoredTemplate>, StorageError> {
    let subject = subject_of(&row.get::<String>(1)?)?;
    let Some(wrapped_key) = tx.keys()?.wrapped(site, &subject)? else { return Ok(None) };
    Ok(Some(StoredTemplate {
        template_id: id(row.get(0)?, TemplateId::new)?,
        subject,
        model: row.get(2)?,
        ciphertext: row.get(3)?,
        wrapped_key,
    }))
}

/// How long a step stays in the log: a controller that was away for longer would have more to follow than to be given anew.
pub(crate) const LOG_KEPT_MS: i64 = 30 * 86_400_000;
/// Changes that a restored database may have lost. More than this is not believed of a controller.
const MAX_LOST: u64 = 1_000_000;

impl Storage {
    /// Raises a site's revision above `followed`, to which a controller has followed a log that is gone: a revision never goes
    /// back. Whoever stands below gets a snapshot. `false` if that would be beyond belief; then nothing is changed.
    pub async fn raise_revision(&self, site: &SiteId, followed: Revision) -> Result<bool, StorageError> {
        let site = site.clone();
        self.write(move |tx| {
            let revision = site_revision(tx, &site)?;
            if followed.0.saturating_sub(revision.0) > MAX_LOST {
                return Ok(false);
            }
            let above = followed.0.max(revision.0) + 1;
            tx.execute(
                "UPDATE sites SET revision = ?2 WHERE site_id = ?1",
                params![site.as_str(), revision_to_sql(Revision(above))],
            )?;
            Ok(true)
        })
        .await
    }

    /// The newest revision of a site.
    pub async fn revision(&self, site: &SiteId) -> Result<Revision, StorageError> {
        let site = site.clone();
        self.read(move |tx| site_revision(tx, &site)).await
    }
}
