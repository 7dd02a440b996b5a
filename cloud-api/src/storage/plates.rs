//! Admitted plates, and the tombstones of those that were sold away.

use cardea_access::plate::Plate;
use cardea_protocol::Timestamp;
use cardea_protocol::id::{PlateId, Revision, SaleId, SiteId, SubjectToken};
use cardea_protocol::message::{PlateEntry, Validity};
use cardea_protocol::schedule::WeeklySchedule;

use super::changes::{ChangeKind, PLATE_COLUMNS, append_change, id, plate_entry};
use super::engine::{Transaction, params};
use super::holdings::plates;
use super::sites::{Scope, site_visible};
use super::{Storage, StorageError};
use crate::keys::Column;

/// A plate to admit.
#[derive(Clone, Debug)]
pub struct NewPlate {
    /// Its id, if it is not admitted yet.
    pub plate_id: PlateId,
    /// Where.
    pub site: SiteId,
    /// The plate.
    pub plate: Plate,
    /// Whose, if the customer says so.
    pub subject: Option<SubjectToken>,
    /// The hours in which it is admitted, if not all.
    pub schedule: Option<WeeklySchedule>,
    /// Whether it is a guest's, for one entry.
    pub single_entry: bool,
    /// When it is admitted.
    pub validity: Validity,
    /// The vault's fingerprint of the plate, which a sale's tombstone would carry.
    pub fingerprint: [u8; 32],
    /// The same of the subject.
    pub subject_fingerprint: Option<[u8; 32]>,
    /// The sale whose block of this plate is lifted on purpose. That of the subject stays: a new consent lifts it.
    pub lifts_sale: Option<SaleId>,
}

impl NewPlate {
    fn entry(&self) -> PlateEntry {
        PlateEntry {
            plate_id: self.plate_id.clone(),
            plate: self.plate.as_str().to_owned(),
            subject: self.subject.clone(),
            schedule: self.schedule.clone(),
            single_entry: self.single_entry,
            validity: self.validity,
        }
    }
}

/// Why a plate was not admitted or removed.
#[derive(Debug, thiserror::Error)]
pub enum PlateStoreError {
    /// No such site or plate within the caller's scope.
    #[error("there is no such site or plate")]
    NotFound,
    /// Admitted already, at other times or for somebody else.
    #[error("the plate is admitted already")]
    Exists,
    /// Sold away.
    #[error("blocked by sale {0}")]
    Blocked(SaleId),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The sale that blocks a fingerprint at a site.
pub(super) fn blocking_sale(
    tx: &Transaction<'_>,
    site: &SiteId,
    fingerprint: &[u8; 32],
) -> Result<Option<SaleId>, StorageError> {
    tx.query_opt(
        "SELECT sale_id FROM sale_blocks WHERE site_id = ?1 AND value_hmac = ?2",
        params![site.as_str(), fingerprint],
        |row| row.get::<String>(0),
    )?
    .map(|sale| id(sale, SaleId::new))
    .transpose()
}

/// Takes a sale's block away, if `lifts` names that sale; otherwise says which sale blocks.
pub(super) fn lift_block(
    tx: &Transaction<'_>,
    site: &SiteId,
    fingerprint: &[u8; 32],
    lifts: Option<&SaleId>,
) -> Result<Option<SaleId>, StorageError> {
    match blocking_sale(tx, site, fingerprint)? {
        Some(sale) if lifts == Some(&sale) => {
            tx.execute(
                "DELETE FROM sale_blocks WHERE site_id = ?1 AND value_hmac = ?2",
                params![site.as_str(), fingerprint],
            )?;
            Ok(None)
        }
        blocking => Ok(blocking),
    }
}

/// Admits a plate of a visible site, unless it is sold away. Its id, and whether it is new.
pub(super) fn admit(tx: &Transaction<'_>, plate: &NewPlate, at: Timestamp) -> Result<(PlateId, bool), PlateStoreError> {
    let site = plate.site.as_str();
    let existing = tx.query_opt(
        &format!("{PLATE_COLUMNS} WHERE site_id = ?1 AND plate_lookup = ?2"),
        params![site, tx.lookup(Column::Plate, site, plate.plate.as_str())?],
        |row| plate_entry(tx, &plate.site, row),
    )?;
    if let Some(existing) = existing {
        let wanted = PlateEntry { plate_id: existing.plate_id.clone(), ..plate.entry() };
        return if existing == wanted { Ok((existing.plate_id, false)) } else { Err(PlateStoreError::Exists) };
    }
    let of_subject = match &plate.subject_fingerprint {
        Some(fingerprint) => blocking_sale(tx, &plate.site, fingerprint)?,
        None => None,
    };
    if let Some(sale) = of_subject.filter(|sale| plate.lifts_sale.as_ref() != Some(sale)) {
        return Err(PlateStoreError::Blocked(sale));
    }
    if let Some(sale) = lift_block(tx, &plate.site, &plate.fingerprint, plate.lifts_sale.as_ref())? {
        return Err(PlateStoreError::Blocked(sale));
    }
    store(tx, &plate.site, &plate.entry(), at)?;
    append_change(tx, &plate.site, ChangeKind::PlateAdmitted, plate.plate_id.as_str(), at)?;
    Ok((plate.plate_id.clone(), true))
}

/// Writes the row of a plate, which the caller's change tells the controllers of.
pub(crate) fn store(
    tx: &Transaction<'_>,
    site: &SiteId,
    entry: &PlateEntry,
    at: Timestamp,
) -> Result<(), StorageError> {
    let plate_id = entry.plate_id.as_str();
    tx.execute(
        "INSERT INTO plates (plate_id, site_id, sealed_plate, plate_lookup, subject, schedule, single_entry,
             valid_from, valid_until, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            plate_id,
            site.as_str(),
            tx.seal(Column::Plate, site, plate_id, &entry.plate)?,
            tx.lookup(Column::Plate, site.as_str(), &entry.plate)?,
            entry.subject.as_ref().map(SubjectToken::as_str),
            entry.schedule.as_ref().map(WeeklySchedule::encode),
            i64::from(entry.single_entry),
            entry.validity.from.map(|t| t.0),
            entry.validity.until.map(|t| t.0),
            at.0
        ],
    )?;
    Ok(())
}

/// Admits a plate of a visible site no more, and tells the controllers; `None` if it is not admitted.
pub(super) fn remove(
    tx: &Transaction<'_>,
    site: &SiteId,
    plate: &PlateId,
    at: Timestamp,
) -> Result<Option<Revision>, StorageError> {
    let sql = "DELETE FROM plates WHERE plate_id = ?1 AND site_id = ?2";
    if tx.execute(sql, [plate.as_str(), site.as_str()])? == 0 {
        return Ok(None);
    }
    append_change(tx, site, ChangeKind::PlateRemoved, plate.as_str(), at).map(Some)
}

impl Storage {
    /// Admits a plate. The same plate for the same subject at the same times again changes nothing and yields the first one's
    /// id, so a retry is harmless. Returns the id and whether it is new.
    pub async fn admit_plate(
        &self,
        scope: &Scope,
        plate: NewPlate,
        at: Timestamp,
    ) -> Result<(PlateId, bool), PlateStoreError> {
        let scope = scope.clone();
        self.write(move |tx| {
            if !site_visible(tx, &scope, &plate.site)? {
                return Err(PlateStoreError::NotFound);
            }
            admit(tx, &plate, at)
        })
        .await
    }

    /// Admits a plate no more.
    pub async fn remove_plate(
        &self,
        scope: &Scope,
        site: &SiteId,
        plate: &PlateId,
        at: Timestamp,
    ) -> Result<Revision, PlateStoreError> {
        let (scope, site, plate) = (scope.clone(), site.clone(), plate.clone());
        self.write(move |tx| {
            if !site_visible(tx, &scope, &site)? {
                return Err(PlateStoreError::NotFound);
            }
            remove(tx, &site, &plate, at)?.ok_or(PlateStoreError::NotFound)
        })
        .await
    }

    /// The plates admitted at a site; `None` if it is not within the scope.
    pub async fn plates(&self, scope: &Scope, site: &SiteId) -> Result<Option<Vec<PlateEntry>>, StorageError> {
        let (scope, site) = (scope.clone(), site.clone());
        self.read(move |tx| {
            if !site_visible(tx, &scope, &site)? {
                return Ok(None);
            }
            plates(tx, &site).map(Some)
        })
        .await
    }
}
