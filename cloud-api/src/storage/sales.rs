//! Property sales: plates, cards and biometrics of the former owner, blocked together (requirement S12).

use std::collections::BTreeMap;

use cardea_access::grammar::{Grammar, Grammars};
use cardea_access::plate::Plate;
use cardea_protocol::Timestamp;
use cardea_protocol::card::CardHash;
use cardea_protocol::id::{CardId, CustomerId, ErasureId, PlateId, Revision, SaleId, SiteId, SubjectToken};

use super::changes::{
    CARD_COLUMNS, ChangeKind, PLATE_COLUMNS, append_change, card_entry, id, plate_entry, revision_of, revision_to_sql,
};
use super::engine::{Transaction, params};
use super::erasures::{ErasureReason, erase_subject};
use super::guest_passes::end_passes_of;
use super::sites::{Scope, site_visible};
use super::subject_keys::Block;
use super::subject_keys::reconcile::applied;
use super::webhooks::outbox::sale_begins;
use super::{Storage, StorageError};
use crate::keys::Column;

/// A sale to carry out.
#[derive(Clone, Debug)]
pub struct NewSale {
    /// Its id.
    pub sale_id: SaleId,
    /// Where.
    pub site: SiteId,
    /// Who asks.
    pub customer: CustomerId,
    /// The former owner's plates, each with the vault's fingerprint.
    pub plates: Vec<(Plate, [u8; 32])>,
    /// The former owner's cards by hash, each with the vault's fingerprint.
    pub cards: Vec<(CardHash, [u8; 32])>,
    /// The former residents, each with the vault's fingerprint.
    pub subjects: Vec<(SubjectToken, [u8; 32])>,
}

/// A sale that was carried out.
#[derive(Clone, Debug)]
pub struct Sale {
    /// Its id.
    pub sale_id: SaleId,
    /// Where.
    pub site: SiteId,
    /// The revision that carries it to the controllers.
    pub revision: Revision,
    /// How many plates it blocked or removed.
    pub plates: u32,
    /// How many cards it blocked or removed.
    pub cards: u32,
    /// How many subjects it blocked.
    pub subjects: u32,
    /// When.
    pub at: Timestamp,
    /// The erasures it ordered.
    pub erasures: Vec<ErasureId>,
    /// Active controllers of the site that have not yet acknowledged the revision.
    pub controllers_behind: u32,
}

impl Storage {
    /// Carries out a sale: removes the plates and cards named and those of the subjects, ends the consents, erases the subjects and
    /// leaves tombstones, as one transaction and one change. Plates that are not admitted are blocked all the same. `None` if the
    /// site is not within the scope. `fingerprints` are the vault's, for the plates and cards of the subjects, which are found
    /// here. The caller then calls [`Storage::scrub`].
    pub async fn sell_property(
        &self,
        scope: &Scope,
        sale: NewSale,
        fingerprints: (impl Fn(&Plate) -> [u8; 32] + Send + 'static, impl Fn(&CardHash) -> [u8; 32] + Send + 'static),
        at: Timestamp,
    ) -> Result<Option<Sale>, StorageError> {
        let scope = scope.clone();
        self.write(move |tx| {
            let (site, sale_id) = (sale.site.as_str(), sale.sale_id.as_str());
            if !site_visible(tx, &scope, &sale.site)? {
                return Ok(None);
            }
            tx.execute(
                "INSERT INTO sales (sale_id, site_id, customer_id, plates, cards, subjects, revision, at)
                 VALUES (?1, ?2, ?3, 0, 0, ?4, 0, ?5)",
                params![sale_id, site, sale.customer.as_str(), sale.subjects.len() as i64, at.0],
            )?;
            let mut plates = remove_plates(tx, &sale, &fingerprints.0, at)?;
            let cards = remove_cards(tx, &sale, &fingerprints.1, at)?;
            for (subject, fingerprint) in &sale.subjects {
                tx.execute(
                    "UPDATE consents SET ended_at = ?3, ended_by = 'property-sale'
                     WHERE site_id = ?1 AND subject = ?2 AND ended_at IS NULL",
                    params![site, subject.as_str(), at.0],
                )?;
                plates += end_passes_of(tx, &sale.sale_id, &sale.site, subject, at)?;
                erase_subject(
                    tx,
                    &sale.site,
                    subject,
                    ErasureReason::PropertySold,
                    Some((&sale.sale_id, &sale.customer)),
                    at,
                )?;
                forbid(tx, &sale, fingerprint, at)?;
            }
            let revision = append_change(tx, &sale.site, ChangeKind::PropertySold, sale_id, at)?;
            tx.execute(
                "UPDATE sales SET revision = ?2, plates = ?3, cards = ?4 WHERE sale_id = ?1",
                params![sale_id, revision_to_sql(revision), plates, cards],
            )?;
            sale_begins(tx, &sale.sale_id, &sale.site, revision_to_sql(revision), at)?;
            read_sale(tx, &scope, &sale.sale_id)
        })
        .await
    }

    /// A sale within the scope, as it stands.
    pub async fn sale(&self, scope: &Scope, sale: &SaleId) -> Result<Option<Sale>, StorageError> {
        let (scope, sale) = (scope.clone(), sale.clone());
        self.read(move |tx| read_sale(tx, &scope, &sale)).await
    }
}

/// Takes the plates away that the sale names, and those of its subjects, and blocks them all; answers how many there are.
fn remove_plates(
    tx: &Transaction<'_>,
    sale: &NewSale,
    fingerprint: impl Fn(&Plate) -> [u8; 32],
    at: Timestamp,
) -> Result<u32, StorageError> {
    // Held is canonical text, of whatever grammars were configured when it was admitted.
    let every = Grammars::new(Grammar::ALL);
    let mut plates: BTreeMap<Plate, [u8; 32]> = sale.plates.iter().cloned().collect();
    for (subject, _) in &sale.subjects {
        tx.query(
            &format!("{PLATE_COLUMNS} WHERE site_id = ?1 AND subject = ?2"),
            [sale.site.as_str(), subject.as_str()],
            |row| {
                let text = plate_entry(tx, &sale.site, row)?.plate;
                let plate = Plate::parse(&text, &every).map_err(|_| StorageError::Corrupt("plate"))?;
                plates.entry(plate).or_insert_with_key(&fingerprint);
                Ok(())
            },
        )?;
    }
    for (plate, fingerprint) in &plates {
        remove_plate(tx, sale, plate)?;
        forbid(tx, sale, fingerprint, at)?;
    }
    Ok(u32::try_from(plates.len()).unwrap_or(u32::MAX))
}

/// Takes a plate away, if it is admitted.
fn remove_plate(tx: &Transaction<'_>, sale: &NewSale, plate: &Plate) -> Result<(), StorageError> {
    let plate_id: Option<String> = tx.query_opt(
        "DELETE FROM plates WHERE site_id = ?1 AND plate_lookup = ?2 RETURNING plate_id",
        params![sale.site.as_str(), tx.lookup(Column::Plate, sale.site.as_str(), plate.as_str())?],
        |row| row.get(0),
    )?;
    if let Some(plate_id) = plate_id {
        let plate_id = id(plate_id, PlateId::new)?;
        sold_plate(tx, &sale.sale_id, &plate_id)?;
    }
    Ok(())
}

/// Takes the cards away that the sale names, and those of its subjects, and blocks them all; answers how many there are.
fn remove_cards(
    tx: &Transaction<'_>,
    sale: &NewSale,
    fingerprint: impl Fn(&CardHash) -> [u8; 32],
    at: Timestamp,
) -> Result<u32, StorageError> {
    let mut cards: BTreeMap<CardHash, [u8; 32]> = sale.cards.iter().cloned().collect();
    for (subject, _) in &sale.subjects {
        tx.query(
            &format!("{CARD_COLUMNS} WHERE site_id = ?1 AND subject = ?2"),
            [sale.site.as_str(), subject.as_str()],
            |row| {
                cards.entry(card_entry(tx, &sale.site, row)?.hash).or_insert_with_key(&fingerprint);
                Ok(())
            },
        )?;
    }
    for (hash, fingerprint) in &cards {
        let card_id: Option<String> = tx.query_opt(
            "DELETE FROM cards WHERE site_id = ?1 AND hash_lookup = ?2 RETURNING card_id",
            params![sale.site.as_str(), tx.lookup(Column::Card, sale.site.as_str(), hash.as_str())?],
            |row| row.get(0),
        )?;
        if let Some(card_id) = card_id {
            let card_id = id(card_id, CardId::new)?;
            sold_card(tx, &sale.sale_id, &card_id)?;
        }
        forbid(tx, sale, fingerprint, at)?;
    }
    Ok(u32::try_from(cards.len()).unwrap_or(u32::MAX))
}

/// Notes that a sale took this plate away.
pub(super) fn sold_plate(tx: &Transaction<'_>, sale: &SaleId, plate: &PlateId) -> Result<(), StorageError> {
    let sql = "INSERT INTO sale_plates (sale_id, plate_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    tx.execute(sql, [sale.as_str(), plate.as_str()]).map(drop)
}

/// Notes that a sale took this card away.
pub(super) fn sold_card(tx: &Transaction<'_>, sale: &SaleId, card: &CardId) -> Result<(), StorageError> {
    let sql = "INSERT INTO sale_cards (sale_id, card_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    tx.execute(sql, [sale.as_str(), card.as_str()]).map(drop)
}

/// Blocks what a sale names: in the journal first, which outlives every backup.
fn forbid(tx: &Transaction<'_>, sale: &NewSale, fingerprint: &[u8; 32], at: Timestamp) -> Result<(), StorageError> {
    let (site, customer) = (&sale.site, &sale.customer);
    let entries = tx.keys()?.block(&Block { site, fingerprint, sale: &sale.sale_id, customer }, at)?;
    block(tx, site, fingerprint, &sale.sale_id)?;
    applied(tx, &entries)
}

/// Leaves a tombstone.
pub(super) fn block(
    tx: &Transaction<'_>,
    site: &SiteId,
    fingerprint: &[u8; 32],
    sale: &SaleId,
) -> Result<(), StorageError> {
    tx.execute(
        "INSERT INTO sale_blocks (site_id, value_hmac, sale_id) VALUES (?1, ?2, ?3)
         ON CONFLICT (site_id, value_hmac) DO UPDATE SET sale_id = excluded.sale_id",
        params![site.as_str(), fingerprint, sale.as_str()],
    )?;
    Ok(())
}

fn read_sale(tx: &Transaction<'_>, scope: &Scope, sale: &SaleId) -> Result<Option<Sale>, StorageError> {
    let head: Option<(String, u32, u32, u32, i64, i64)> = tx.query_opt(
        "SELECT site_id, plates, cards, subjects, revision, at FROM sales WHERE sale_id = ?1",
        [sale.as_str()],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)),
    )?;
    let Some((site, plates, cards, subjects, revision, at)) = head else { return Ok(None) };
    let site = id(site, SiteId::new)?;
    if !site_visible(tx, scope, &site)? {
        return Ok(None);
    }
    let erasures =
        tx.query("SELECT erasure_id FROM erasures WHERE sale_id = ?1 ORDER BY erasure_id", [sale.as_str()], |row| {
            id(row.get(0)?, ErasureId::new)
        })?;
    let controllers_behind = tx.query_row(
        "SELECT count(*) FROM controllers WHERE site_id = ?1 AND status = 'active' AND cursor < ?2",
        params![site.as_str(), revision],
        |row| row.get(0),
    )?;
    Ok(Some(Sale {
        sale_id: sale.clone(),
        site,
        revision: revision_of(revision)?,
        plates,
        cards,
        subjects,
        at: Timestamp(at),
        erasures,
        controllers_behind,
    }))
}
