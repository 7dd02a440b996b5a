//! What a controller ought to hold: as a digest to compare with, as changes to catch up, and as a snapshot.
//!
//! A template of another embedder than the controller's own is of no use to it: it is neither sent nor counted.

use cardea_protocol::digest::{Digest, Holdings};
use cardea_protocol::id::{ControllerId, Revision, SiteId, TemplateId};
use cardea_protocol::message::{CardEntry, PlateEntry};

use super::changes::{
    CARD_COLUMNS, PLATE_COLUMNS, StoredChange, StoredTemplate, card_entry, changes_after, id, plate_entry,
    site_revision, stored_template, subject_of,
};
use super::engine::{Transaction, params};
use super::{Storage, StorageError};

/// The next part of the change log for one controller.
#[derive(Debug)]
pub struct Batch {
    /// In order, without gaps, after the cursor asked for.
    pub changes: Vec<StoredChange>,
    /// The revision they lead to.
    pub to: Revision,
    /// The cloud's own digest there, if that is the newest revision.
    pub digest: Option<Digest>,
}

/// Everything a controller ought to hold.
#[derive(Debug)]
pub struct Snapshot {
    /// The revision it stands at.
    pub revision: Revision,
    /// Admitted plates.
    pub plates: Vec<PlateEntry>,
    /// Admitted cards.
    pub cards: Vec<CardEntry>,
    /// Templates of the controller's embedder.
    pub templates: Vec<StoredTemplate>,
    /// The digest of all that.
    pub digest: Digest,
}

/// Where a site stands, for a controller with this embedder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The newest revision.
    pub revision: Revision,
    /// The digest there.
    pub digest: Digest,
}

fn plates(tx: &Transaction<'_>, site: &SiteId) -> Result<Vec<PlateEntry>, StorageError> {
    tx.query(&format!("{PLATE_COLUMNS} WHERE site_id = ?1 ORDER BY plate_id"), [site.as_str()], plate_entry)
}

fn cards(tx: &Transaction<'_>, site: &SiteId) -> Result<Vec<CardEntry>, StorageError> {
    tx.query(&format!("{CARD_COLUMNS} WHERE site_id = ?1 ORDER BY card_id"), [site.as_str()], card_entry)
}

fn digest(tx: &Transaction<'_>, site: &SiteId, embedder: Option<&str>) -> Result<Digest, StorageError> {
    let mut holdings = Holdings::new();
    for plate in plates(tx, site)? {
        holdings.plate(&plate);
    }
    for card in cards(tx, site)? {
        holdings.card(&card.card_id, &card.hash, card.subject.as_ref(), card.validity);
    }
    if let Some(embedder) = embedder {
        tx.query(
            "SELECT template_id, subject, content_hash FROM templates WHERE site_id = ?1 AND model = ?2",
            [site.as_str(), embedder],
            |row| {
                let hash: Vec<u8> = row.get(2)?;
                let hash = <[u8; 32]>::try_from(hash).map_err(|_| StorageError::Corrupt("template hash"))?;
                let (template, subject) = (id(row.get(0)?, TemplateId::new)?, subject_of(&row.get::<String>(1)?)?);
                // Without its key a template is erased, even if its row is still to go.
                if tx.keys()?.wrapped(site, &subject)?.is_some() {
                    holdings.template(&template, &subject, &hash);
                }
                Ok(())
            },
        )?;
    }
    Ok(holdings.digest())
}

/// Remembers, before a template leaves the cloud, to whom it goes: its erasure will ask there.
fn record_holder(
    tx: &Transaction<'_>,
    site: &SiteId,
    controller: &ControllerId,
    template: &StoredTemplate,
) -> Result<(), StorageError> {
    tx.execute(
        "INSERT INTO template_holders (site_id, subject, controller_id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        params![site.as_str(), template.subject.as_str(), controller.as_str()],
    )?;
    Ok(())
}

impl Storage {
    /// Where a site stands.
    pub async fn standing(&self, site: &SiteId, embedder: Option<&str>) -> Result<Standing, StorageError> {
        let (site, embedder) = (site.clone(), embedder.map(str::to_owned));
        self.read(move |tx| {
            Ok(Standing { revision: site_revision(tx, &site)?, digest: digest(tx, &site, embedder.as_deref())? })
        })
        .await
    }

    /// At most `limit` changes after `cursor`, for `controller`; its name is recorded with each template first.
    pub async fn changes_for(
        &self,
        controller: &ControllerId,
        site: &SiteId,
        embedder: Option<&str>,
        cursor: Revision,
        limit: usize,
    ) -> Result<Batch, StorageError> {
        let (controller, site, embedder) = (controller.clone(), site.clone(), embedder.map(str::to_owned));
        self.write(move |tx| {
            let mut to = cursor;
            let mut changes = Vec::new();
            for (revision, change) in changes_after(tx, &site, cursor, limit)? {
                to = revision;
                changes.push(match change {
                    StoredChange::TemplateAdded(template) if Some(&template.model) != embedder.as_ref() => {
                        StoredChange::Superseded
                    }
                    StoredChange::TemplateAdded(template) => {
                        record_holder(tx, &site, &controller, &template)?;
                        StoredChange::TemplateAdded(template)
                    }
                    other => other,
                });
            }
            let last = to == site_revision(tx, &site)?;
            let digest = if last { Some(digest(tx, &site, embedder.as_deref())?) } else { None };
            Ok(Batch { changes, to, digest })
        })
        .await
    }

    /// Everything `controller` ought to hold; its name is recorded with each template first.
    pub async fn snapshot_for(
        &self,
        controller: &ControllerId,
        site: &SiteId,
        embedder: Option<&str>,
    ) -> Result<Snapshot, StorageError> {
        let (controller, site, embedder) = (controller.clone(), site.clone(), embedder.map(str::to_owned));
        self.write(move |tx| {
            let templates = match &embedder {
                None => Vec::new(),
                Some(embedder) => tx.query(
                    "SELECT template_id, subject, model, ciphertext FROM templates
                     WHERE site_id = ?1 AND model = ?2 ORDER BY template_id",
                    [site.as_str(), embedder],
                    |row| stored_template(tx, &site, row),
                )?,
            };
            let templates: Vec<_> = templates.into_iter().flatten().collect();
            for template in &templates {
                record_holder(tx, &site, &controller, template)?;
            }
            Ok(Snapshot {
                revision: site_revision(tx, &site)?,
                plates: plates(tx, &site)?,
                cards: cards(tx, &site)?,
                templates,
                digest: digest(tx, &site, embedder.as_deref())?,
            })
        })
        .await
    }
}
