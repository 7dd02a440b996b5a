//! Admitted cards, by the hash of their number.

use cardea_protocol::Timestamp;
use cardea_protocol::card::CardHash;
use cardea_protocol::id::{CardId, Revision, SaleId, SiteId, SubjectToken};
use cardea_protocol::message::{CardEntry, Validity};

use super::changes::{CARD_COLUMNS, ChangeKind, append_change, card_entry};
use super::engine::params;
use super::holdings::cards;
use super::plates::{blocking_sale, lift_block};
use super::sites::{Scope, site_visible};
use super::{Storage, StorageError};
use crate::keys::Column;

/// A card to admit.
#[derive(Clone, Debug)]
pub struct NewCard {
    /// Its id, if it is not admitted yet.
    pub card_id: CardId,
    /// Where.
    pub site: SiteId,
    /// Of its number.
    pub hash: CardHash,
    /// Whose, if the customer says so.
    pub subject: Option<SubjectToken>,
    /// When it is admitted.
    pub validity: Validity,
    /// The vault's fingerprint of the card, which a sale's tombstone would carry.
    pub fingerprint: [u8; 32],
    /// The same of the subject.
    pub subject_fingerprint: Option<[u8; 32]>,
    /// The sale whose block of this card is lifted on purpose. That of the subject stays: a new consent lifts it.
    pub lifts_sale: Option<SaleId>,
}

/// Why a card was not admitted or removed.
#[derive(Debug, thiserror::Error)]
pub enum CardStoreError {
    /// No such site or card within the caller's scope.
    #[error("there is no such site or card")]
    NotFound,
    /// Admitted already, with another validity or for somebody else.
    #[error("the card is admitted already")]
    Exists,
    /// Sold away.
    #[error("blocked by sale {0}")]
    Blocked(SaleId),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Storage {
    /// Admits a card. The same card for the same subject with the same validity again changes nothing and yields the first
    /// one's id, so a retry is harmless. Returns the id and whether it is new.
    pub async fn admit_card(
        &self,
        scope: &Scope,
        card: NewCard,
        at: Timestamp,
    ) -> Result<(CardId, bool), CardStoreError> {
        let scope = scope.clone();
        self.write(move |tx| {
            if !site_visible(tx, &scope, &card.site)? {
                return Err(CardStoreError::NotFound);
            }
            let site = card.site.as_str();
            let lookup = tx.lookup(Column::Card, site, card.hash.as_str())?;
            let existing = tx.query_opt(
                &format!("{CARD_COLUMNS} WHERE site_id = ?1 AND hash_lookup = ?2"),
                params![site, lookup],
                |row| card_entry(tx, &card.site, row),
            )?;
            if let Some(existing) = existing {
                let same = existing.validity == card.validity && existing.subject == card.subject;
                return if same { Ok((existing.card_id, false)) } else { Err(CardStoreError::Exists) };
            }
            let of_subject = match &card.subject_fingerprint {
                Some(fingerprint) => blocking_sale(tx, &card.site, fingerprint)?,
                None => None,
            };
            if let Some(sale) = of_subject.filter(|sale| card.lifts_sale.as_ref() != Some(sale)) {
                return Err(CardStoreError::Blocked(sale));
            }
            if let Some(sale) = lift_block(tx, &card.site, &card.fingerprint, card.lifts_sale.as_ref())? {
                return Err(CardStoreError::Blocked(sale));
            }
            tx.execute(
                "INSERT INTO cards
                     (card_id, site_id, sealed_hash, hash_lookup, subject, valid_from, valid_until, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    card.card_id.as_str(),
                    site,
                    tx.seal(Column::Card, &card.site, card.card_id.as_str(), card.hash.as_str())?,
                    lookup,
                    card.subject.as_ref().map(SubjectToken::as_str),
                    card.validity.from.map(|t| t.0),
                    card.validity.until.map(|t| t.0),
                    at.0
                ],
            )?;
            append_change(tx, &card.site, ChangeKind::CardAdmitted, card.card_id.as_str(), at)?;
            Ok((card.card_id.clone(), true))
        })
        .await
    }

    /// Admits a card no more.
    pub async fn remove_card(
        &self,
        scope: &Scope,
        site: &SiteId,
        card: &CardId,
        at: Timestamp,
    ) -> Result<Revision, CardStoreError> {
        let (scope, site, card) = (scope.clone(), site.clone(), card.clone());
        self.write(move |tx| {
            if !site_visible(tx, &scope, &site)? {
                return Err(CardStoreError::NotFound);
            }
            let removed =
                tx.execute("DELETE FROM cards WHERE card_id = ?1 AND site_id = ?2", [card.as_str(), site.as_str()])?;
            if removed == 0 {
                return Err(CardStoreError::NotFound);
            }
            Ok(append_change(tx, &site, ChangeKind::CardRemoved, card.as_str(), at)?)
        })
        .await
    }

    /// The cards admitted at a site; `None` if it is not within the scope.
    pub async fn cards(&self, scope: &Scope, site: &SiteId) -> Result<Option<Vec<CardEntry>>, StorageError> {
        let (scope, site) = (scope.clone(), site.clone());
        self.read(move |tx| {
            if !site_visible(tx, &scope, &site)? {
                return Ok(None);
            }
            cards(tx, &site).map(Some)
        })
        .await
    }
}
