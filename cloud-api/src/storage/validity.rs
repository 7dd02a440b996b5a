//! One admitted plate or card, and another period for it.

use cardea_protocol::Timestamp;
use cardea_protocol::id::SiteId;
use cardea_protocol::message::Validity;

use super::changes::{ChangeKind, append_change};
use super::engine::{Transaction, params};
use super::sites::{Scope, site_visible};
use super::{Storage, StorageError};

/// What is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// A plate.
    Plate,
    /// A card.
    Card,
}

/// Why a period was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ValidityError {
    /// No such site, plate or card within the caller's scope.
    #[error("there is no such site, plate or card")]
    NotFound,
    /// It is a guest's: its pass says when.
    #[error("the plate is a guest's")]
    OfAPass,
    /// Somebody else has changed it meanwhile.
    #[error("the period is not what it was taken for")]
    Changed,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

fn period(tx: &Transaction<'_>, what: Admitted, site: &SiteId, id: &str) -> Result<Option<Validity>, StorageError> {
    let sql = match what {
        Admitted::Plate => "SELECT valid_from, valid_until FROM plates WHERE site_id = ?1 AND plate_id = ?2",
        Admitted::Card => "SELECT valid_from, valid_until FROM cards WHERE site_id = ?1 AND card_id = ?2",
    };
    let found =
        tx.query_opt(sql, [site.as_str(), id], |row| Ok((row.get::<Option<i64>>(0)?, row.get::<Option<i64>>(1)?)))?;
    Ok(found.map(|(from, until)| Validity { from: from.map(Timestamp), until: until.map(Timestamp) }))
}

/// Whether a pass says when the plate is admitted.
fn is_a_guests(tx: &Transaction<'_>, plate: &str) -> Result<bool, StorageError> {
    let sql = "SELECT count(*) FROM guest_passes WHERE plate_id = ?1";
    Ok(tx.query_row(sql, [plate], |row| row.get::<i64>(0))? > 0)
}

impl Storage {
    /// Changes when a plate or card is admitted; `change` sees the period as it is, and refuses or says the new one. The
    /// controllers are told as of a new admission, under the same id. Yields the new period, and whether it is another.
    pub async fn change_validity<E>(
        &self,
        scope: &Scope,
        site: &SiteId,
        (what, id): (Admitted, String),
        change: impl Fn(Validity) -> Result<Validity, E> + Send + 'static,
        at: Timestamp,
    ) -> Result<(Validity, bool), E>
    where
        E: From<ValidityError> + From<StorageError> + Send + 'static,
    {
        let (scope, site) = (scope.clone(), site.clone());
        self.write(move |tx| {
            let visible = site_visible(tx, &scope, &site)?;
            let found = if visible { period(tx, what, &site, &id)? } else { None };
            let before = found.ok_or(ValidityError::NotFound)?;
            if what == Admitted::Plate && is_a_guests(tx, &id)? {
                return Err(ValidityError::OfAPass.into());
            }
            let after = change(before)?;
            if after == before {
                return Ok((after, false));
            }
            let (sql, kind) = match what {
                Admitted::Plate => (
                    "UPDATE plates SET valid_from = ?3, valid_until = ?4 WHERE site_id = ?1 AND plate_id = ?2",
                    ChangeKind::PlateAdmitted,
                ),
                Admitted::Card => (
                    "UPDATE cards SET valid_from = ?3, valid_until = ?4 WHERE site_id = ?1 AND card_id = ?2",
                    ChangeKind::CardAdmitted,
                ),
            };
            let (from, until) = (after.from.map(|t| t.0), after.until.map(|t| t.0));
            tx.execute(sql, params![site.as_str(), id, from, until])?;
            append_change(tx, &site, kind, &id, at)?;
            Ok((after, true))
        })
        .await
    }
}
