//! At each start, and before anything is registered that an unfinished erasure may concern: the data follows the key store.
//!
//! One write of the data does it all, so that it is done or not. Afterwards no erased subject has a template or an active
//! consent, nothing sold is admitted, no template lacks its key and no key its template.

use std::collections::{BTreeMap, BTreeSet};

use cardea_protocol::Timestamp;
use cardea_protocol::id::{CardId, CustomerId, PlateId, SaleId, SiteId, SubjectToken};
use cardea_protocol::message::{CardEntry, PlateEntry};

use super::KeyStore;
use super::journal::{Entry, Kind};
use crate::fingerprint;
use crate::storage::StorageError;
use crate::storage::changes::{ChangeKind, append_change, id, revision_to_sql, subject_of};
use crate::storage::columns;
use crate::storage::engine::{Transaction, params};
use crate::storage::erasures::{ErasureReason, erase_as, erase_subject};
use crate::storage::guest_passes::end_passes_of;
use crate::storage::holdings::{cards, plates};
use crate::storage::sales::{block, sold_card, sold_plate};
use crate::storage::webhooks::outbox::sale_begins;

/// Everything there is to do at a start.
pub(in crate::storage) fn at_start(tx: &Transaction<'_>) -> Result<(), StorageError> {
    let keys = tx.keys()?;
    belongs(tx, keys)?;
    columns::belongs(tx)?;
    move_keys(tx, keys)?;
    replay(tx)?;
    drop_keyless(tx, keys)?;
    drop_orphans(tx, keys)
}

/// Refuses a key store that is not this database's: its keys would be taken for missing, and everybody be erased.
fn belongs(tx: &Transaction<'_>, keys: &KeyStore) -> Result<(), StorageError> {
    let id = keys.id()?;
    let known: Option<String> = tx.query_opt("SELECT store_id FROM key_store", [], |row| row.get(0))?;
    match known {
        Some(known) if known == id => Ok(()),
        Some(_) => Err(StorageError::OtherKeyStore),
        None => {
            let empty: bool = tx.query_row("SELECT NOT EXISTS (SELECT 1 FROM sites)", [], |row| row.get(0))?;
            if empty && !keys.holders()?.is_empty() {
                return Err(StorageError::OtherKeyStore);
            }
            tx.execute("INSERT INTO key_store (store_id) VALUES (?1)", [id.as_str()])?;
            Ok(())
        }
    }
}

/// Moves the keys of a database from before there was a key store.
fn move_keys(tx: &Transaction<'_>, keys: &KeyStore) -> Result<(), StorageError> {
    let rows = tx.query("SELECT site_id, subject, wrapped_key FROM subject_keys", [], |row| {
        Ok((id(row.get(0)?, SiteId::new)?, subject_of(&row.get::<String>(1)?)?, row.get::<Vec<u8>>(2)?))
    })?;
    for (site, subject, wrapped) in &rows {
        keys.keep(site, subject, wrapped)?;
    }
    if !rows.is_empty() {
        tx.execute("DELETE FROM subject_keys", [])?;
    }
    Ok(())
}

/// Carries out the entries of the journal that the data does not hold the consequences of.
pub(in crate::storage) fn replay(tx: &Transaction<'_>) -> Result<(), StorageError> {
    let keys = tx.keys()?;
    let applied: BTreeSet<String> =
        tx.query("SELECT entry_id FROM journal_applied", [], |row| row.get(0))?.into_iter().collect();
    let mut pending = keys.entries()?;
    pending.retain(|entry| !applied.contains(&entry.entry_id));
    if pending.is_empty() {
        return Ok(());
    }
    let sites: BTreeSet<String> = tx.query("SELECT site_id FROM sites", [], |row| row.get(0))?.into_iter().collect();
    // One of a site that is not here waits for it.
    pending.retain(|entry| sites.contains(entry.site.as_str()));
    keys.carried_out.set(keys.carried_out.get() + pending.len() as u64);
    let mut sales: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    for entry in pending {
        match &entry.sale {
            Some((sale, _)) => sales.entry(sale.to_string()).or_default().push(entry),
            None => withdraw(tx, keys, &entry)?,
        }
    }
    sales.into_values().try_for_each(|entries| sell(tx, keys, &entries))
}

/// Notes that the data has followed these entries.
pub(in crate::storage) fn applied(tx: &Transaction<'_>, entries: &[String]) -> Result<(), StorageError> {
    for entry in entries {
        tx.execute("INSERT INTO journal_applied (entry_id) VALUES (?1) ON CONFLICT DO NOTHING", [entry.as_str()])?;
    }
    Ok(())
}

/// The subjects of a site that have left anything in the data.
fn subjects(tx: &Transaction<'_>, site: &SiteId) -> Result<Vec<SubjectToken>, StorageError> {
    tx.query(
        "SELECT subject FROM consents WHERE site_id = ?1 UNION SELECT subject FROM templates WHERE site_id = ?1
         UNION SELECT subject FROM template_holders WHERE site_id = ?1
         UNION SELECT subject FROM cards WHERE site_id = ?1 AND subject IS NOT NULL
         UNION SELECT subject FROM plates WHERE site_id = ?1 AND subject IS NOT NULL
         UNION SELECT subject FROM guest_passes WHERE site_id = ?1 AND subject IS NOT NULL",
        [site.as_str()],
        |row| subject_of(&row.get::<String>(0)?),
    )
}

fn end_consents(
    tx: &Transaction<'_>,
    site: &SiteId,
    subject: &SubjectToken,
    by: &str,
    at: Timestamp,
) -> Result<(), StorageError> {
    tx.execute(
        "UPDATE consents SET ended_at = ?3, ended_by = ?4 WHERE site_id = ?1 AND subject = ?2 AND ended_at IS NULL",
        params![site.as_str(), subject.as_str(), at.0, by],
    )?;
    Ok(())
}

/// A withdrawal that the data does not know of.
fn withdraw(tx: &Transaction<'_>, keys: &KeyStore, entry: &Entry) -> Result<(), StorageError> {
    for subject in subjects(tx, &entry.site)? {
        if keys.fingerprint(&entry.site, &subject).as_slice() == entry.value_hmac {
            end_consents(tx, &entry.site, &subject, "withdrawal", entry.at)?;
            let erasure = entry.erasure()?;
            erase_as(tx, &erasure, &entry.site, &subject, (ErasureReason::ConsentWithdrawn, None), entry.at)?;
            append_change(tx, &entry.site, ChangeKind::SubjectErased, erasure.as_str(), entry.at)?;
        }
    }
    applied(tx, std::slice::from_ref(&entry.entry_id))
}

/// A sale that the data does not know of, or not all of.
fn sell(tx: &Transaction<'_>, keys: &KeyStore, entries: &[Entry]) -> Result<(), StorageError> {
    let Some(Entry { site, at, sale: Some((sale, customer)), .. }) = entries.first() else { return Ok(()) };
    if !begin_sale(tx, sale, site, customer, *at)? {
        return Ok(());
    }
    let is_blocked = |value: &[u8; 32]| {
        entries.iter().any(|entry| entry.kind == Kind::Blocked && entry.value_hmac == value.as_slice())
    };
    let blocked = entries.iter().filter(|entry| entry.kind == Kind::Blocked);
    for entry in blocked {
        let value = <[u8; 32]>::try_from(entry.value_hmac.as_slice());
        block(tx, site, &value.map_err(|_| StorageError::Corrupt("journal entry"))?, sale)?;
    }
    for PlateEntry { plate_id, plate, .. } in plates(tx, site)? {
        if is_blocked(&fingerprint::stored_plate(&keys.vault, &plate)) {
            tx.execute("DELETE FROM plates WHERE plate_id = ?1", [plate_id.as_str()])?;
            sold_plate(tx, sale, &plate_id)?;
        }
    }
    for CardEntry { card_id, hash, .. } in cards(tx, site)? {
        if is_blocked(&fingerprint::card(&keys.vault, &hash)) {
            tx.execute("DELETE FROM cards WHERE card_id = ?1", [card_id.as_str()])?;
            sold_card(tx, sale, &card_id)?;
        }
    }
    for subject in subjects(tx, site)? {
        let value = keys.fingerprint(site, &subject);
        let of_subject = |entry: &&Entry| entry.kind == Kind::Erased && entry.value_hmac == value.as_slice();
        if let Some(entry) = entries.iter().find(of_subject) {
            end_consents(tx, site, &subject, "property-sale", *at)?;
            remove_what_opens(tx, sale, site, &subject)?;
            end_passes_of(tx, sale, site, &subject, *at)?;
            let why = (ErasureReason::PropertySold, Some((sale, customer)));
            erase_as(tx, &entry.erasure()?, site, &subject, why, *at)?;
        }
    }
    let revision = append_change(tx, site, ChangeKind::PropertySold, sale.as_str(), *at)?;
    tx.execute("UPDATE sales SET revision = ?2 WHERE sale_id = ?1", params![sale.as_str(), revision_to_sql(revision)])?;
    sale_begins(tx, sale, site, revision_to_sql(revision), *at)?;
    applied(tx, &entries.iter().map(|entry| entry.entry_id.clone()).collect::<Vec<_>>())
}

/// Cards and plates that the backup gives to a subject have gone with the sale.
fn remove_what_opens(
    tx: &Transaction<'_>,
    sale: &SaleId,
    site: &SiteId,
    subject: &SubjectToken,
) -> Result<(), StorageError> {
    let cards = tx.query(
        "DELETE FROM cards WHERE site_id = ?1 AND subject = ?2 RETURNING card_id",
        [site.as_str(), subject.as_str()],
        |row| id(row.get(0)?, CardId::new),
    )?;
    cards.iter().try_for_each(|card| sold_card(tx, sale, card))?;
    let plates = tx.query(
        "DELETE FROM plates WHERE site_id = ?1 AND subject = ?2 RETURNING plate_id",
        [site.as_str(), subject.as_str()],
        |row| id(row.get(0)?, PlateId::new),
    )?;
    plates.iter().try_for_each(|plate| sold_plate(tx, sale, plate))
}

/// The sale's own row; whether there can be one: its customer may not be here yet.
fn begin_sale(
    tx: &Transaction<'_>,
    sale: &SaleId,
    site: &SiteId,
    customer: &CustomerId,
    at: Timestamp,
) -> Result<bool, StorageError> {
    // A customer that the backup does not know leaves the sale to whoever is served at the site now.
    let customer: Option<String> = tx.query_opt(
        "SELECT customer_id FROM customers WHERE customer_id = ?1
         UNION ALL SELECT customer_id FROM customer_sites WHERE site_id = ?2",
        [customer.as_str(), site.as_str()],
        |row| row.get(0),
    )?;
    let Some(customer) = customer else { return Ok(false) };
    tx.execute(
        "INSERT INTO sales (sale_id, site_id, customer_id, plates, cards, subjects, revision, at)
         VALUES (?1, ?2, ?3, 0, 0, 0, 0, ?4) ON CONFLICT DO NOTHING",
        params![sale.as_str(), site.as_str(), customer, at.0],
    )?;
    Ok(true)
}

/// Templates without a key are noise: erased here and asked for everywhere. The consent stands; it was not withdrawn.
fn drop_keyless(tx: &Transaction<'_>, keys: &KeyStore) -> Result<(), StorageError> {
    let held = tx.query("SELECT DISTINCT site_id, subject FROM templates", [], |row| {
        Ok((id(row.get(0)?, SiteId::new)?, subject_of(&row.get::<String>(1)?)?))
    })?;
    for (site, subject) in held {
        if keys.wrapped(&site, &subject)?.is_none() {
            let at = keys.opened_at;
            let erasure = erase_subject(tx, &site, &subject, ErasureReason::ConsentWithdrawn, None, at)?;
            append_change(tx, &site, ChangeKind::SubjectErased, erasure.as_str(), at)?;
        }
    }
    Ok(())
}

/// A key whose template was never stored, or is not in this state of the data, decrypts nothing.
fn drop_orphans(tx: &Transaction<'_>, keys: &KeyStore) -> Result<(), StorageError> {
    let held: BTreeSet<(String, String)> = tx
        .query("SELECT DISTINCT site_id, subject FROM templates", [], |row| Ok((row.get(0)?, row.get(1)?)))?
        .into_iter()
        .collect();
    for (site, subject) in keys.holders()?.into_iter().filter(|holder| !held.contains(holder)) {
        keys.remove_orphan(&site, &subject)?;
    }
    Ok(())
}
