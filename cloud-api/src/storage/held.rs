//! What is held: consents one by one, and everything of one resident (152-FZ art. 14, the right of access).

use cardea_protocol::Timestamp;
use cardea_protocol::id::{CardId, ConsentId, ControllerId, ErasureId, SiteId, SubjectToken, TemplateId};
use cardea_protocol::message::{PlateEntry, Validity};

use super::changes::{PLATE_COLUMNS, id, plate_entry, subject_of};
use super::engine::{Row, Transaction, params};
use super::guest_passes::{GuestPass, passes_of};
use super::sites::{Scope, site_visible};
use super::{Storage, StorageError};

/// A recorded consent.
#[derive(Clone, Debug)]
pub struct Consent {
    /// Its id.
    pub consent_id: ConsentId,
    /// Whose.
    pub subject: SubjectToken,
    /// Version of the text that was signed.
    pub document_version: String,
    /// When it was signed.
    pub given_at: Timestamp,
    /// SHA-256 of the signed document, hexadecimal.
    pub evidence_sha256: String,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// When it ended, and by what: `withdrawal` or `property-sale`.
    pub ended: Option<(Timestamp, String)>,
}

/// A template, but for itself.
#[derive(Clone, Debug)]
pub struct HeldTemplate {
    /// Its id.
    pub template_id: TemplateId,
    /// The embedder it came from.
    pub model: String,
    /// Since when.
    pub created_at: Timestamp,
}

/// Everything that is held of one resident at one site.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// Consents, those that have ended too, oldest first.
    pub consents: Vec<Consent>,
    /// Templates.
    pub templates: Vec<HeldTemplate>,
    /// Admitted plates.
    pub plates: Vec<PlateEntry>,
    /// Passes for guests, those too that are over.
    pub passes: Vec<GuestPass>,
    /// Admitted cards, by their ids.
    pub cards: Vec<(CardId, Validity)>,
    /// Controllers that were sent a template.
    pub controllers: Vec<ControllerId>,
    /// Erasures, oldest first, and when each was complete.
    pub erasures: Vec<(ErasureId, Timestamp, Option<Timestamp>)>,
}

impl Held {
    /// Whether nothing is held.
    pub const fn is_empty(&self) -> bool {
        self.consents.is_empty()
            && self.templates.is_empty()
            && self.plates.is_empty()
            && self.passes.is_empty()
            && self.cards.is_empty()
            && self.controllers.is_empty()
            && self.erasures.is_empty()
    }
}

const CONSENTS: &str =
    "SELECT consent_id, subject, document_version, given_at, evidence_sha256, recorded_at, ended_at, ended_by
    FROM consents WHERE site_id = ?1";

fn consent_of(row: &Row<'_>) -> Result<Consent, StorageError> {
    let (ended_at, ended_by): (Option<i64>, Option<String>) = (row.get(6)?, row.get(7)?);
    Ok(Consent {
        consent_id: id(row.get(0)?, ConsentId::new)?,
        subject: subject_of(&row.get::<String>(1)?)?,
        document_version: row.get(2)?,
        given_at: Timestamp(row.get(3)?),
        evidence_sha256: row.get(4)?,
        recorded_at: Timestamp(row.get(5)?),
        ended: ended_at.map(Timestamp).zip(ended_by),
    })
}

fn held_of(tx: &Transaction<'_>, site: &SiteId, subject: &SubjectToken) -> Result<Held, StorageError> {
    let whose = [site.as_str(), subject.as_str()];
    let moment = |at: Option<i64>| at.map(Timestamp);
    Ok(Held {
        consents: tx.query(
            &format!("{CONSENTS} AND subject = ?2 ORDER BY recorded_at, consent_id"),
            whose,
            consent_of,
        )?,
        templates: tx.query(
            "SELECT template_id, model, created_at FROM templates WHERE site_id = ?1 AND subject = ?2
             ORDER BY created_at, template_id",
            whose,
            |row| {
                Ok(HeldTemplate {
                    template_id: id(row.get(0)?, TemplateId::new)?,
                    model: row.get(1)?,
                    created_at: Timestamp(row.get(2)?),
                })
            },
        )?,
        plates: tx.query(
            &format!("{PLATE_COLUMNS} WHERE site_id = ?1 AND subject = ?2 ORDER BY plate_id"),
            whose,
            |row| plate_entry(tx, site, row),
        )?,
        passes: passes_of(tx, site, subject)?,
        cards: tx.query(
            "SELECT card_id, valid_from, valid_until FROM cards WHERE site_id = ?1 AND subject = ?2 ORDER BY card_id",
            whose,
            |row| {
                let validity = Validity { from: moment(row.get(1)?), until: moment(row.get(2)?) };
                Ok((id(row.get(0)?, CardId::new)?, validity))
            },
        )?,
        controllers: tx.query(
            "SELECT controller_id FROM template_holders WHERE site_id = ?1 AND subject = ?2 ORDER BY controller_id",
            whose,
            |row| id(row.get(0)?, ControllerId::new),
        )?,
        erasures: tx.query(
            "SELECT erasure_id, ordered_at, completed_at FROM erasures WHERE site_id = ?1 AND subject = ?2
             ORDER BY ordered_at, erasure_id",
            whose,
            |row| Ok((id(row.get(0)?, ErasureId::new)?, Timestamp(row.get(1)?), moment(row.get(2)?))),
        )?,
    })
}

impl Storage {
    /// The consents recorded at a site; `None` if it is not within the scope.
    pub async fn consents(&self, scope: &Scope, site: &SiteId) -> Result<Option<Vec<Consent>>, StorageError> {
        let (scope, site) = (scope.clone(), site.clone());
        self.read(move |tx| {
            if !site_visible(tx, &scope, &site)? {
                return Ok(None);
            }
            tx.query(&format!("{CONSENTS} ORDER BY consent_id"), [site.as_str()], consent_of).map(Some)
        })
        .await
    }

    /// One of them; `None` if there is none of that id, or the site is not within the scope.
    pub async fn consent(
        &self,
        scope: &Scope,
        site: &SiteId,
        consent: &ConsentId,
    ) -> Result<Option<Consent>, StorageError> {
        let (scope, site, consent) = (scope.clone(), site.clone(), consent.clone());
        self.read(move |tx| {
            if !site_visible(tx, &scope, &site)? {
                return Ok(None);
            }
            tx.query_opt(
                &format!("{CONSENTS} AND consent_id = ?2"),
                params![site.as_str(), consent.as_str()],
                consent_of,
            )
        })
        .await
    }

    /// What is held of a resident; `None` if the site is not within the scope.
    pub async fn held(
        &self,
        scope: &Scope,
        site: &SiteId,
        subject: &SubjectToken,
    ) -> Result<Option<Held>, StorageError> {
        let (scope, site, subject) = (scope.clone(), site.clone(), subject.clone());
        self.read(move |tx| {
            if !site_visible(tx, &scope, &site)? {
                return Ok(None);
            }
            held_of(tx, &site, &subject).map(Some)
        })
        .await
    }
}
