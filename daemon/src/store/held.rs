//! Reading what is held: for the rules, for the gallery, for the digest.

use std::collections::BTreeMap;

use cardea_access::time::Timestamp;
use cardea_protocol::card::CardHash;
use cardea_protocol::digest::{Digest, Holdings, template_hash};
use cardea_protocol::id::{CardId, IdError, PlateId, Revision, SubjectToken, TemplateId};
use cardea_protocol::message::{CardEntry, PlateEntry, Validity};
use cardea_protocol::schedule::WeeklySchedule;
use rusqlite::Connection;
use zeroize::Zeroizing;

use super::vault::Unreadable;
use super::{Db, Store, StoreError};
use crate::seam::HoldingsVersion;

/// Where the controller stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The last revision applied.
    pub cursor: Revision,
    /// Over what is held.
    pub digest: Digest,
    /// How many plates are held.
    pub plates: usize,
    /// How many templates are held and readable.
    pub templates: usize,
}

/// Everything the rules and the gallery are built from.
#[derive(Debug)]
pub struct Held {
    /// To be reported through `gallery_at` once built.
    pub version: HoldingsVersion,
    /// Admitted plates.
    pub plates: Vec<PlateEntry>,
    /// When those of a single entry end that were let in here.
    pub entered: BTreeMap<PlateId, Timestamp>,
    /// Admitted cards.
    pub cards: Vec<CardEntry>,
    /// Biometric references, decrypted.
    pub templates: Vec<HeldTemplate>,
}

/// A decrypted template. `Debug` prints `…`; memory is wiped on drop.
pub struct HeldTemplate {
    /// Its id.
    pub template_id: TemplateId,
    /// Whose.
    pub subject: SubjectToken,
    /// The bytes as the cloud made them.
    pub plaintext: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for HeldTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HeldTemplate({}, …)", self.template_id)
    }
}

impl Store {
    /// Where the controller stands, from what it can really read.
    pub async fn standing(&self) -> Result<Standing, StoreError> {
        self.on_thread(|db| {
            let held = read_all(db)?;
            let (plates, templates) = (held.plates.len(), held.templates.len());
            Ok(Standing { cursor: cursor(&db.connection)?, digest: digest(&held), plates, templates })
        })
        .await
    }

    /// Everything rules and gallery are built from.
    pub async fn held(&self) -> Result<Held, StoreError> {
        self.on_thread(|db| read_all(db)).await
    }
}

/// Checks a stored id.
pub(super) fn stored<T>(id: Result<T, IdError>, what: &'static str) -> Result<T, StoreError> {
    id.map_err(|_| StoreError::Corrupt(what))
}

pub(super) fn cursor(connection: &Connection) -> Result<Revision, StoreError> {
    let cursor: i64 = connection.query_row("SELECT cursor FROM standing", [], |row| row.get(0))?;
    Ok(Revision(cursor as u64))
}

pub(super) fn read_all(db: &Db) -> Result<Held, StoreError> {
    let version = *db.news.holdings.borrow();
    Ok(Held {
        version,
        plates: read_plates(db)?,
        entered: read_entered(db)?,
        cards: read_cards(db)?,
        templates: read_templates(db)?,
    })
}

fn read_plates(db: &Db) -> Result<Vec<PlateEntry>, StoreError> {
    let mut rows = db
        .connection
        .prepare("SELECT plate_id, plate, subject, schedule, single_entry, valid_from, valid_until FROM plates")?;
    let mut rows = rows.query([])?;
    let mut plates = Vec::new();
    while let Some(row) = rows.next()? {
        let (subject, schedule): (Option<String>, Option<String>) = (row.get(2)?, row.get(3)?);
        let schedule = schedule.map(|text| WeeklySchedule::decode(&text).ok_or(StoreError::Corrupt("schedule")));
        plates.push(PlateEntry {
            plate_id: stored(PlateId::new(row.get::<_, String>(0)?), "plate id")?,
            plate: row.get(1)?,
            subject: subject.map(|subject| stored(SubjectToken::new(&subject), "subject token")).transpose()?,
            schedule: schedule.transpose()?,
            single_entry: row.get(4)?,
            validity: Validity {
                from: row.get::<_, Option<i64>>(5)?.map(Timestamp),
                until: row.get::<_, Option<i64>>(6)?.map(Timestamp),
            },
        });
    }
    Ok(plates)
}

fn read_entered(db: &Db) -> Result<BTreeMap<PlateId, Timestamp>, StoreError> {
    let mut rows = db.connection.prepare("SELECT plate_id, ends_at FROM entered")?;
    let mut rows = rows.query([])?;
    let mut entered = BTreeMap::new();
    while let Some(row) = rows.next()? {
        entered.insert(stored(PlateId::new(row.get::<_, String>(0)?), "plate id")?, Timestamp(row.get(1)?));
    }
    Ok(entered)
}

fn read_cards(db: &Db) -> Result<Vec<CardEntry>, StoreError> {
    let mut rows = db.connection.prepare("SELECT card_id, hash, subject, valid_from, valid_until FROM cards")?;
    let mut rows = rows.query([])?;
    let mut cards = Vec::new();
    while let Some(row) = rows.next()? {
        let subject: Option<String> = row.get(2)?;
        cards.push(CardEntry {
            card_id: stored(CardId::new(row.get::<_, String>(0)?), "card id")?,
            hash: CardHash::new(row.get::<_, String>(1)?).map_err(|_| StoreError::Corrupt("hash of a card"))?,
            subject: subject.map(|subject| stored(SubjectToken::new(&subject), "subject token")).transpose()?,
            validity: Validity {
                from: row.get::<_, Option<i64>>(3)?.map(Timestamp),
                until: row.get::<_, Option<i64>>(4)?.map(Timestamp),
            },
        });
    }
    Ok(cards)
}

/// Every template that can be decrypted. One that cannot is as good as not held: the digest shows it.
fn read_templates(db: &Db) -> Result<Vec<HeldTemplate>, StoreError> {
    let mut rows = db.connection.prepare(
        "SELECT template_id, subject, ciphertext, wrapped_key FROM templates JOIN subject_keys USING (subject)",
    )?;
    let mut rows = rows.query([])?;
    let mut templates = Vec::new();
    let mut unreadable = 0usize;
    while let Some(row) = rows.next()? {
        let (id, subject): (String, String) = (row.get(0)?, row.get(1)?);
        let (ciphertext, wrapped): (Vec<u8>, Vec<u8>) = (row.get(2)?, row.get(3)?);
        let opened = db.options.device_key.unwrap(&subject, &wrapped).and_then(|key| key.decrypt(&id, &ciphertext));
        match opened {
            Ok(plaintext) => templates.push(HeldTemplate {
                template_id: stored(TemplateId::new(id), "template id")?,
                subject: stored(SubjectToken::new(&subject), "subject token")?,
                plaintext,
            }),
            Err(Unreadable) => unreadable += 1,
        }
    }
    if unreadable > 0 {
        tracing::error!(unreadable, "stored templates do not open with this device key and are left out");
    }
    Ok(templates)
}

pub(super) fn digest(held: &Held) -> Digest {
    let mut holdings = Holdings::new();
    for plate in &held.plates {
        holdings.plate(plate);
    }
    for card in &held.cards {
        holdings.card(&card.card_id, &card.hash, card.subject.as_ref(), card.validity);
    }
    for template in &held.templates {
        holdings.template(&template.template_id, &template.subject, &template_hash(&template.plaintext));
    }
    holdings.digest()
}
