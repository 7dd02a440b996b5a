//! Consents (152-FZ article 9 and 11): recorded before any photo, kept as evidence after they ended.

use cardea_protocol::Timestamp;
use cardea_protocol::id::{ConsentId, ErasureId, SaleId, SiteId, SubjectToken};

use super::changes::{ChangeKind, append_change, subject_of};
use super::consent_texts::is_known;
use super::engine::{Transaction, params};
use super::erasures::{ErasureReason, erase_subject};
use super::plates::lift_block;
use super::sites::{Scope, site_visible};
use super::webhooks::outbox::announce;
use super::{Storage, StorageError};
use crate::webhooks::Kind;

/// A consent to record.
#[derive(Clone, Debug)]
pub struct NewConsent {
    /// Its id.
    pub consent_id: ConsentId,
    /// Where.
    pub site: SiteId,
    /// Whose.
    pub subject: SubjectToken,
    /// Version of the document that was signed.
    pub document_version: String,
    /// When it was signed.
    pub given_at: Timestamp,
    /// SHA-256 of the signed document, hexadecimal.
    pub evidence_sha256: String,
    /// The vault's fingerprint of the subject, which a sale's tombstone would carry.
    pub fingerprint: [u8; 32],
    /// The sale whose block is lifted on purpose.
    pub lifts_sale: Option<SaleId>,
}

/// Why a consent was not recorded or withdrawn.
#[derive(Debug, thiserror::Error)]
pub enum ConsentError {
    /// No such site or consent within the caller's scope.
    #[error("there is no such site or consent")]
    NotFound,
    /// No text of that version is recorded.
    #[error("the customer has no consent text of that version")]
    UnknownText,
    /// The subject has an active consent at the site.
    #[error("the subject has an active consent at this site")]
    Active,
    /// Sold away.
    #[error("blocked by sale {0}")]
    Blocked(SaleId),
    /// It has ended by a sale.
    #[error("the consent has ended by a property sale")]
    EndedBySale,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The subject's active consent at the site.
pub(super) fn active_consent(
    tx: &Transaction<'_>,
    site: &SiteId,
    subject: &SubjectToken,
) -> Result<Option<ConsentId>, StorageError> {
    tx.query_opt(
        "SELECT consent_id FROM consents WHERE site_id = ?1 AND subject = ?2 AND ended_at IS NULL",
        [site.as_str(), subject.as_str()],
        |row| row.get::<String>(0),
    )?
    .map(|consent| super::changes::id(consent, ConsentId::new))
    .transpose()
}

impl Storage {
    /// Records a consent.
    pub async fn record_consent(&self, scope: &Scope, consent: NewConsent, at: Timestamp) -> Result<(), ConsentError> {
        self.settle_journal().await?;
        let scope = scope.clone();
        self.write(move |tx| {
            if !site_visible(tx, &scope, &consent.site)? {
                return Err(ConsentError::NotFound);
            }
            if !is_known(tx, &consent.site, &consent.document_version)? {
                return Err(ConsentError::UnknownText);
            }
            if active_consent(tx, &consent.site, &consent.subject)?.is_some() {
                return Err(ConsentError::Active);
            }
            if let Some(sale) = lift_block(tx, &consent.site, &consent.fingerprint, consent.lifts_sale.as_ref())? {
                return Err(ConsentError::Blocked(sale));
            }
            tx.execute(
                "INSERT INTO consents (consent_id, site_id, subject, document_version, given_at, evidence_sha256, recorded_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    consent.consent_id.as_str(),
                    consent.site.as_str(),
                    consent.subject.as_str(),
                    consent.document_version,
                    consent.given_at.0,
                    consent.evidence_sha256,
                    at.0
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// Withdraws a consent: erases the subject here, in this transaction, and orders it everywhere else. A repeated
    /// withdrawal yields the first one's erasure. The caller then calls [`Storage::scrub`].
    pub async fn withdraw_consent(
        &self,
        scope: &Scope,
        site: &SiteId,
        consent: &ConsentId,
        at: Timestamp,
    ) -> Result<ErasureId, ConsentError> {
        type Row = (String, Option<i64>, Option<String>);
        let (scope, site, consent) = (scope.clone(), site.clone(), consent.clone());
        self.write(move |tx| {
            if !site_visible(tx, &scope, &site)? {
                return Err(ConsentError::NotFound);
            }
            let found: Option<Row> = tx.query_opt(
                "SELECT subject, ended_at, ended_by FROM consents WHERE consent_id = ?1 AND site_id = ?2",
                [consent.as_str(), site.as_str()],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )?;
            let Some((subject, ended_at, ended_by)) = found else { return Err(ConsentError::NotFound) };
            let subject = subject_of(&subject)?;
            if let Some(ended_at) = ended_at {
                if ended_by.as_deref() == Some("property-sale") {
                    return Err(ConsentError::EndedBySale);
                }
                return Ok(withdrawal_erasure(tx, &site, &subject, ended_at)?);
            }
            tx.execute(
                "UPDATE consents SET ended_at = ?2, ended_by = 'withdrawal' WHERE consent_id = ?1",
                params![consent.as_str(), at.0],
            )?;
            let erasure = erase_subject(tx, &site, &subject, ErasureReason::ConsentWithdrawn, None, at)?;
            append_change(tx, &site, ChangeKind::SubjectErased, erasure.as_str(), at)?;
            let ids = [("consent_id", consent.as_str()), ("erasure_id", erasure.as_str())];
            announce(tx, Kind::ConsentWithdrawn, &site, &ids, at)?;
            Ok(erasure)
        })
        .await
    }
}

/// The erasure that the withdrawal at `ended_at` ordered.
fn withdrawal_erasure(
    tx: &Transaction<'_>,
    site: &SiteId,
    subject: &SubjectToken,
    ended_at: i64,
) -> Result<ErasureId, StorageError> {
    let erasure: String = tx.query_row(
        "SELECT erasure_id FROM erasures WHERE site_id = ?1 AND subject = ?2 AND ordered_at = ?3
         AND reason = 'consent-withdrawn'",
        params![site.as_str(), subject.as_str(), ended_at],
        |row| row.get(0),
    )?;
    super::changes::id(erasure, ErasureId::new)
}
