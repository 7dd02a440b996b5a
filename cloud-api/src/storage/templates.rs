//! Biometric references at rest: encrypted under their subject's key, with the consent checked in the same transaction.

use cardea_protocol::Timestamp;
use cardea_protocol::id::{ConsentId, SiteId, SubjectToken, TemplateId};

use super::changes::{ChangeKind, StoredTemplate, append_change};
use super::consents::active_consent;
use super::engine::params;
use super::holdings::templates;
use super::sites::{Scope, site_visible};
use super::{Storage, StorageError};
use crate::keys::KeyError;

/// Why a template was not stored.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// No such site within the caller's scope.
    #[error("there is no such site")]
    NotFound,
    /// No active consent.
    #[error("there is no active consent of this subject at this site")]
    ConsentMissing,
    /// Too many references of one subject.
    #[error("the subject has the most templates that are kept of one subject")]
    TooMany,
    /// Encryption failed.
    #[error("the template could not be encrypted")]
    Key(#[from] KeyError),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// References kept of one subject at one site: enough for glasses, a beard and the years.
pub const MAX_TEMPLATES_PER_SUBJECT: u32 = 5;

/// A template that was made, not yet encrypted: how it is encrypted depends on whether the subject has a key.
pub struct NewTemplate<E> {
    /// Its id.
    pub template_id: TemplateId,
    /// Where.
    pub site: SiteId,
    /// Whose.
    pub subject: SubjectToken,
    /// The consent its photo was taken in under.
    pub consent: ConsentId,
    /// The embedder it came from.
    pub model: String,
    /// Of the plaintext, for digests.
    pub content_hash: [u8; 32],
    /// From the subject's wrapped key, if there is one, to that key wrapped and the ciphertext.
    pub encrypt: E,
}

impl Storage {
    /// The subject's active consent at the site, if there is one; `None` if the site is not within the scope.
    pub async fn active_consent(
        &self,
        scope: &Scope,
        site: &SiteId,
        subject: &SubjectToken,
    ) -> Result<Option<Option<ConsentId>>, StorageError> {
        let (scope, site, subject) = (scope.clone(), site.clone(), subject.clone());
        self.read(move |tx| {
            if !site_visible(tx, &scope, &site)? {
                return Ok(None);
            }
            active_consent(tx, &site, &subject).map(Some)
        })
        .await
    }

    /// The templates of a model at a site within the scope, as they rest.
    pub(crate) async fn templates_of_model(
        &self,
        scope: &Scope,
        site: &SiteId,
        model: &str,
    ) -> Result<Vec<StoredTemplate>, StorageError> {
        let (scope, site, model) = (scope.clone(), site.clone(), model.to_owned());
        self.read(move |tx| {
            if !site_visible(tx, &scope, &site)? {
                return Ok(Vec::new());
            }
            templates(tx, &site, &model)
        })
        .await
    }

    /// Stores a template, if the consent it came in under is still active: it may have been withdrawn while the photo was
    /// looked at, and one that was given since covers no photo sent before it.
    pub async fn add_template<E>(
        &self,
        scope: &Scope,
        template: NewTemplate<E>,
        at: Timestamp,
    ) -> Result<(), TemplateError>
    where
        E: Fn(Option<Vec<u8>>) -> Result<(Vec<u8>, Vec<u8>), KeyError> + Send + 'static,
    {
        self.settle_journal().await?;
        let scope = scope.clone();
        self.write(move |tx| {
            let NewTemplate { template_id, site, subject, consent, model, content_hash, encrypt } = &template;
            if !site_visible(tx, &scope, site)? {
                return Err(TemplateError::NotFound);
            }
            if active_consent(tx, site, subject)?.as_ref() != Some(consent) {
                return Err(TemplateError::ConsentMissing);
            }
            let whose = [site.as_str(), subject.as_str()];
            let held: u32 =
                tx.query_row("SELECT count(*) FROM templates WHERE site_id = ?1 AND subject = ?2", whose, |row| {
                    row.get(0)
                })?;
            if held >= MAX_TEMPLATES_PER_SUBJECT {
                return Err(TemplateError::TooMany);
            }
            let keys = tx.keys()?;
            let (wrapped, ciphertext) = encrypt(keys.wrapped(site, subject)?)?;
            // The key first: a crash leaves a key without a template, which the next start removes, and never the reverse.
            keys.keep(site, subject, &wrapped)?;
            tx.execute(
                "INSERT INTO templates (template_id, site_id, subject, model, ciphertext, content_hash, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![template_id.as_str(), site.as_str(), subject.as_str(), model, ciphertext, content_hash, at.0],
            )?;
            append_change(tx, site, ChangeKind::TemplateAdded, template_id.as_str(), at)?;
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::consents::NewConsent;
    use cardea_protocol::id::CustomerId;

    #[tokio::test]
    async fn a_photo_sent_under_one_consent_is_not_kept_under_the_next() {
        let storage = crate::testing::scratch_storage();
        let (scope, at) = (Scope::Operator, Timestamp(1));
        let site = SiteId::new("house-1").unwrap();
        let subject = SubjectToken::new("5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f").unwrap();
        storage.register_site(&site, "Test street 1".to_owned(), at).await.unwrap();
        let customer = CustomerId::new("customer-1").unwrap();
        storage.register_customer(&customer, "A".to_owned(), vec![site.clone()], at).await.unwrap();
        crate::testing::record_text(&storage, &customer).await;
        let give = || async {
            let consent_id = ConsentId::random();
            let consent = NewConsent {
                consent_id: consent_id.clone(),
                site: site.clone(),
                subject: subject.clone(),
                document_version: "2026-03".to_owned(),
                given_at: at,
                evidence_sha256: "ab".repeat(32),
                fingerprint: [0; 32],
                lifts_sale: None,
            };
            storage.record_consent(&scope, consent, at).await.unwrap();
            consent_id
        };
        let keep = |consent: &ConsentId| {
            let template = NewTemplate {
                template_id: TemplateId::random(),
                site: site.clone(),
                subject: subject.clone(),
                consent: consent.clone(),
                model: "embedder".to_owned(),
                content_hash: [0; 32],
                encrypt: |_| Ok((b"key".to_vec(), b"template".to_vec())),
            };
            storage.add_template(&scope, template, at)
        };
        let first = give().await;
        // The photo is being looked at; meanwhile the resident withdraws, and consents anew.
        storage.withdraw_consent(&scope, &site, &first, Timestamp(2)).await.unwrap();
        assert!(matches!(keep(&first).await, Err(TemplateError::ConsentMissing)));
        let second = give().await;
        assert!(matches!(keep(&first).await, Err(TemplateError::ConsentMissing)));
        keep(&second).await.unwrap();
    }
}
