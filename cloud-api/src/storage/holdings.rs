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
    /// Whether the log has a gap after them: what comes next is not in it, and a snapshot is due.
    pub has_gap: bool,
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

/// The plates admitted at a site.
pub(super) fn plates(tx: &Transaction<'_>, site: &SiteId) -> Result<Vec<PlateEntry>, StorageError> {
    let sql = format!("{PLATE_COLUMNS} WHERE site_id = ?1 ORDER BY plate_id");
    tx.query(&sql, [site.as_str()], |row| plate_entry(tx, site, row))
}

/// The cards admitted at a site.
pub(super) fn cards(tx: &Transaction<'_>, site: &SiteId) -> Result<Vec<CardEntry>, StorageError> {
    let sql = format!("{CARD_COLUMNS} WHERE site_id = ?1 ORDER BY card_id");
    tx.query(&sql, [site.as_str()], |row| card_entry(tx, site, row))
}

/// The templates of a model at a site whose subjects have a key.
pub(super) fn templates(tx: &Transaction<'_>, site: &SiteId, model: &str) -> Result<Vec<StoredTemplate>, StorageError> {
    let found = tx.query(
        "SELECT template_id, subject, model, ciphertext FROM templates
         WHERE site_id = ?1 AND model = ?2 ORDER BY template_id",
        [site.as_str(), model],
        |row| stored_template(tx, site, row),
    )?;
    Ok(found.into_iter().flatten().collect())
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

/// Whether anything may be sent to a controller at all.
fn is_active(tx: &Transaction<'_>, controller: &ControllerId) -> Result<bool, StorageError> {
    tx.query_row(
        "SELECT EXISTS (SELECT 1 FROM controllers WHERE controller_id = ?1 AND status = 'active')",
        [controller.as_str()],
        |row| row.get(0),
    )
}

/// At most `limit` changes after `cursor`, for a controller with this embedder; without the digest. None for one that was
/// revoked a moment ago, whose session does not know it yet.
fn batch(
    tx: &Transaction<'_>,
    controller: &ControllerId,
    site: &SiteId,
    embedder: Option<&str>,
    cursor: Revision,
    limit: usize,
) -> Result<Batch, StorageError> {
    let mut batch = Batch { changes: Vec::new(), has_gap: false, to: cursor, digest: None };
    if !is_active(tx, controller)? {
        return Ok(batch);
    }
    for (revision, change) in changes_after(tx, site, cursor, limit)? {
        batch.to = revision;
        batch.changes.push(match change {
            StoredChange::TemplateAdded(template) if Some(template.model.as_str()) != embedder => {
                StoredChange::Superseded
            }
            other => other,
        });
    }
    batch.has_gap = batch.changes.len() < limit && batch.to < site_revision(tx, site)?;
    Ok(batch)
}

impl Batch {
    fn templates(&self) -> impl Iterator<Item = &StoredTemplate> {
        self.changes.iter().filter_map(|change| match change {
            StoredChange::TemplateAdded(template) => Some(template),
            _ => None,
        })
    }
}

impl Storage {
    /// Where a site stands.
    pub async fn standing(&self, site: &SiteId, embedder: Option<&str>) -> Result<Standing, StorageError> {
        let (site, embedder, digests) = (site.clone(), embedder.map(str::to_owned), self.digests.clone());
        self.read(move |tx| {
            let embedder = embedder.as_deref();
            let (revision, digest) = digests.of(tx, &site, embedder, || digest(tx, &site, embedder))?;
            Ok(Standing { revision, digest })
        })
        .await
    }

    /// At most `limit` changes after `cursor`, for `controller`; its name is recorded with each template first.
    ///
    /// What carries no template, as every revocation, is only read: a hundred controllers that are told of one at once wait
    /// for no disk.
    pub async fn changes_for(
        &self,
        controller: &ControllerId,
        site: &SiteId,
        embedder: Option<&str>,
        cursor: Revision,
        limit: usize,
    ) -> Result<Batch, StorageError> {
        let asked = (controller.clone(), site.clone(), embedder.map(str::to_owned));
        let (to, of, model) = asked.clone();
        let mut found = self.read(move |tx| batch(tx, &to, &of, model.as_deref(), cursor, limit)).await?;
        if found.templates().next().is_some() {
            let (controller, site, embedder) = asked;
            // Read again: what was erased meanwhile must not be recorded as held.
            found = self
                .write(move |tx| {
                    let batch = batch(tx, &controller, &site, embedder.as_deref(), cursor, limit)?;
                    batch.templates().try_for_each(|template| record_holder(tx, &site, &controller, template))?;
                    Ok::<_, StorageError>(batch)
                })
                .await?;
        }
        if !found.changes.is_empty() {
            let standing = self.standing(site, embedder).await?;
            found.digest = (standing.revision == found.to).then_some(standing.digest);
        }
        Ok(found)
    }

    /// Everything `controller` ought to hold; its name is recorded with each template first. `None` if it is not active.
    pub async fn snapshot_for(
        &self,
        controller: &ControllerId,
        site: &SiteId,
        embedder: Option<&str>,
    ) -> Result<Option<Snapshot>, StorageError> {
        let (controller, site, embedder) = (controller.clone(), site.clone(), embedder.map(str::to_owned));
        self.write(move |tx| {
            if !is_active(tx, &controller)? {
                return Ok(None);
            }
            let templates = match &embedder {
                None => Vec::new(),
                Some(embedder) => templates(tx, &site, embedder)?,
            };
            for template in &templates {
                record_holder(tx, &site, &controller, template)?;
            }
            Ok(Some(Snapshot {
                revision: site_revision(tx, &site)?,
                plates: plates(tx, &site)?,
                cards: cards(tx, &site)?,
                templates,
                digest: digest(tx, &site, embedder.as_deref())?,
            }))
        })
        .await
    }
}

#[cfg(test)]
mod tests;
