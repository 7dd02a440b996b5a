//! What lies under the vault is nowhere in the files: not after a day's work, and not in a database that once held it in clear.

use std::path::Path;

use base64::Engine as _;
use cardea_access::card::CardNumber;
use cardea_protocol::card::CardHash;
use cardea_protocol::event::{AccessDecision, Event, EventKind};
use cardea_protocol::id::{ControllerId, EventId, PlateId, Revision, SiteId};
use cardea_protocol::message::PlateEntry;
use serde_json::json;

use crate::keys::{ColumnKeys, Vault};
use crate::storage::engine::{Engine, Postgres, Sqlite, params};
use crate::storage::idempotent_answers::{AnswerKey, Known};
use crate::storage::plates::store;
use crate::storage::sites::Scope;
use crate::storage::{KeyStoreSettings, STEPS, Storage, StorageError, columns, migrate};
use crate::testing::postgres::database;
use crate::testing::{Api, BARRIER, CONTROLLER, SITE, START, SUBJECT, Scratch, as_admin, file_keys, files};

const CARD: &str = "w26:12:34567";

fn card_hash() -> String {
    CardHash::of(&CardNumber::parse(CARD).unwrap()).as_str().to_owned()
}

/// Which of these texts are in the bytes, as they are or in a usual spelling of bytes, in capitals or not.
fn found(bytes: &[u8], texts: &[&str]) -> Vec<String> {
    let bytes = bytes.to_ascii_lowercase();
    let contains = |needle: &[u8]| {
        let needle = needle.to_ascii_lowercase();
        bytes.windows(needle.len()).any(|window| window == needle)
    };
    let spelt = |text: &str| {
        let mut ways = vec![text.as_bytes().to_vec(), hex::encode(text).into_bytes()];
        ways.push(base64::engine::general_purpose::STANDARD_NO_PAD.encode(text).into_bytes());
        // A hash may stand there as bytes.
        ways.extend(hex::decode(text));
        ways
    };
    texts.iter().filter(|text| spelt(text).iter().any(|way| contains(way))).map(|&text| text.to_owned()).collect()
}

#[tokio::test]
async fn after_a_days_work_no_plate_and_no_card_is_in_the_files_or_in_a_dump() {
    let api = Api::new().await;
    let site = SiteId::new(SITE).unwrap();
    let path = |what: &str| format!("/v1/sites/{SITE}/{what}");
    let plate = json!({"plate": "а 123 вс 77", "subject": SUBJECT});
    let admitted = api.post_json_keyed(&path("plates"), &plate, "admit-A123BC77", as_admin()).await;
    assert_eq!(admitted.status, 201);
    let guest = json!({"plate": "E456KX99", "valid_until": "2026-11-30T00:00:00Z"});
    assert_eq!(api.post_json_keyed(&path("guest-passes"), &guest, "guest-E456KX99", as_admin()).await.status, 201);
    assert_eq!(api.post(&path("cards"), &json!({"number": CARD}), as_admin()).await.status, 201);
    assert_eq!(api.post(&path("plates"), &json!({"plate": "M789OP78"}), as_admin()).await.status, 201);
    let sale = json!({"plates": ["M789OP78"], "cards": ["w26:13:34567"], "subjects": []});
    assert_eq!(api.post_json_keyed(&path("property-sales"), &sale, "sale-M789OP78", as_admin()).await.status, 201);
    // Refused, and entered in the audit as that.
    assert_eq!(api.post(&path("plates"), &json!({"plate": "M789OP78"}), as_admin()).await.status, 409);
    api.activate(CONTROLLER).await;
    api.post_keyed(&format!("/v1/access-points/{BARRIER}/open"), "open-A123BC77", as_admin()).await;
    let keys = "SELECT (SELECT count(*) FROM commands) + (SELECT count(*) FROM idempotent_answers)";
    let kept = api.app.storage.read(move |tx| tx.query_row(keys, [], |row| row.get::<i64>(0))).await;
    assert_eq!(kept.unwrap(), 4, "a key of a caller's each");
    let controller = ControllerId::new(CONTROLLER).unwrap();
    let decision = json!({"credential": "plate", "granted": true, "reason": "plate-admitted",
        "plate_id": admitted.json["plate_id"]});
    let decision: AccessDecision = serde_json::from_value(decision).unwrap();
    let (id, kind) = (EventId::random(), EventKind::AccessDecision(decision));
    let event = Event { id, seq: 1, at: START, access_point: None, kind };
    api.app.storage.store_events(&site, &controller, vec![event], START).await.unwrap();
    let digest = api.app.storage.standing(&site, None).await.unwrap().digest;
    api.app.storage.record_applied(&controller, Revision(1), &digest, true, START).await.unwrap();

    let seen = api.app.storage.controller(&Scope::Operator, &controller).await.unwrap().unwrap();
    assert_eq!(seen.digest, Some(digest.to_string()));
    let held = api.app.storage.plates(&Scope::Operator, &site).await.unwrap().unwrap();
    assert_eq!(held.len(), 2);
    let (hash, digest) = (card_hash(), digest.to_string());
    let secrets = ["A123BC77", "а 123 вс 77", "E456KX99", "M789OP78", CARD, "w26:13:34567", &hash, &digest];
    for bytes in [api.database_bytes().await, api.dump()] {
        assert_eq!(found(&bytes, &secrets), [""; 0]);
        if !bytes.is_empty() {
            assert_eq!(found(&bytes, &[SUBJECT]), [SUBJECT], "the search itself must work");
        }
    }
}

/// A database of version 11 that holds plates, a card and what a caller called its calls.
fn clear(engine: &dyn Engine) {
    migrate(engine, &STEPS[..11], |_| Ok(())).unwrap();
    engine
        .batch(&format!(
            "INSERT INTO sites VALUES ('house-1', 'Test street 1', 3, 0);
             INSERT INTO plates VALUES ('p-1', 'house-1', 'A123BC77', 5, NULL, 0, '{SUBJECT}', NULL, 0),
                 ('p-2', 'house-1', 'E456KX99', NULL, 6, 0, NULL, NULL, 1);
             INSERT INTO cards VALUES ('c-1', 'house-1', '{}', '{SUBJECT}', NULL, 7, 0);
             INSERT INTO controllers (controller_id, site_id, status, digest, created_at)
                 VALUES ('gate-1', 'house-1', 'active', 'digest-of-what-it-held', 0);
             INSERT INTO principals VALUES ('backend', NULL, 'operator', NULL, 'CN=backend', NULL, 0);
             INSERT INTO commands (command_id, site_id, access_point_id, principal_id, idempotency_key, state, requested_at)
                 VALUES ('o-1', 'house-1', 'gate', 'backend', 'open-A123BC77', 'confirmed', 0);
             CREATE TABLE gone (plate TEXT PRIMARY KEY); INSERT INTO gone VALUES ('M789OP78'); DROP TABLE gone;",
            card_hash()
        ))
        .unwrap();
    let answer =
        params!["backend", "admit-A123BC77", [1_u8; 32], START.0].iter().map(|v| v.to_cell()).collect::<Vec<_>>();
    let sql =
        "INSERT INTO idempotent_answers (principal_id, idempotency_key, fingerprint, begun_at) VALUES (?1, ?2, ?3, ?4)";
    engine.execute(sql, &answer).unwrap();
}

/// What was clear opens after the first start, and no file says it.
async fn sealed_and_gone(storage: &Storage, bytes: impl Fn() -> Vec<u8>) {
    let site = SiteId::new("house-1").unwrap();
    let plates = storage.plates(&Scope::Operator, &site).await.unwrap().unwrap();
    let told: Vec<_> = plates.iter().map(|entry| (entry.plate_id.as_str(), entry.plate.as_str())).collect();
    assert_eq!(told, [("p-1", "A123BC77"), ("p-2", "E456KX99")]);
    assert_eq!(plates[0].subject.as_ref().map(|subject| subject.as_str()), Some(SUBJECT));
    assert_eq!(plates[0].validity.from.map(|at| at.0), Some(5));
    assert!(plates[1].single_entry && plates[1].validity.until.is_some());
    let cards = storage.cards(&Scope::Operator, &site).await.unwrap().unwrap();
    assert_eq!((cards[0].card_id.as_str(), cards[0].hash.as_str().to_owned()), ("c-1", card_hash()));
    let twice = storage.write(move |tx| {
        store(tx, &site, &PlateEntry::new(PlateId::new("p-9").unwrap(), "A123BC77".to_owned()), START)
    });
    assert!(twice.await.is_err(), "one plate of a site is one row");
    let key = AnswerKey { principal_id: "backend".to_owned(), key: "admit-A123BC77".to_owned() };
    let known = storage.begin_answer(key, [1; 32], START, START.plus_ms(-1)).await.unwrap();
    assert_eq!(known, Known::InProgress);
    let hash = card_hash();
    let secrets = ["A123BC77", "E456KX99", "M789OP78", "digest-of-what-it-held", &hash];
    assert_eq!(found(&bytes(), &secrets), [""; 0]);
}

#[tokio::test]
async fn a_database_that_held_plates_in_clear_holds_them_sealed_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("cloud.db");
    clear(&Sqlite::open(&database).unwrap());
    let hash = card_hash();
    let before = found(&files(folder.path()), &["A123BC77", "E456KX99", "digest-of-what-it-held", &hash]);
    assert_eq!(before.len(), 4, "the search itself must work");
    let storage = Storage::open(&database, file_keys(folder.path())).unwrap();
    sealed_and_gone(&storage, || files(folder.path())).await;
}

#[tokio::test]
async fn so_does_one_on_postgresql_and_in_what_the_server_has_sampled() {
    let Some(database) = database() else { return };
    let folder = tempfile::tempdir().unwrap();
    let settings = database.settings();
    let made = std::thread::spawn(move || {
        let old = Postgres::connect(settings).unwrap();
        clear(&old);
        old.batch("ANALYZE").unwrap();
    });
    made.join().unwrap();
    assert_eq!(found(&database.bytes(), &["A123BC77", "E456KX99"]).len(), 2, "the search itself must work");
    let storage = Storage::connect(database.settings(), file_keys(folder.path())).unwrap();
    sealed_and_gone(&storage, || [database.bytes(), database.dump()].concat()).await;
}

#[tokio::test]
async fn a_crash_between_sealing_and_writing_anew_is_made_good_at_the_next_start() {
    let Some(database) = database() else { return };
    let folder = tempfile::tempdir().unwrap();
    let settings = database.settings();
    let sealed = std::thread::spawn(move || {
        let old = Postgres::connect(settings).unwrap();
        clear(&old);
        old.batch("ANALYZE").unwrap();
        let keys = ColumnKeys::of(&Vault::from_bytes([7; 32]));
        migrate(&old, &STEPS, |version| columns::take_in(&old, &keys, version)).unwrap();
    });
    sealed.join().unwrap();
    assert_eq!(found(&database.bytes(), &["A123BC77"]).len(), 1, "dead rows and samples are still there");
    let storage = Storage::connect(database.settings(), file_keys(folder.path())).unwrap();
    sealed_and_gone(&storage, || database.bytes()).await;
}

fn keys_of(folder: &Path, vault: u8) -> KeyStoreSettings {
    KeyStoreSettings { vault: Vault::from_bytes([vault; 32]).into(), ..file_keys(folder) }
}

#[tokio::test]
async fn another_key_file_is_refused_at_start_and_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("cloud.db");
    let site = SiteId::new("house-1").unwrap();
    {
        let storage = Storage::open(&database, keys_of(folder.path(), 7)).unwrap();
        storage.register_site(&site, "Test street 1".to_owned(), START).await.unwrap();
        let (at, entry) = (site.clone(), PlateEntry::new(PlateId::new("p-1").unwrap(), "A123BC77".to_owned()));
        storage.write(move |tx| store(tx, &at, &entry, START)).await.unwrap();
    }
    let refused = Storage::open(&database, keys_of(folder.path(), 8)).map(drop);
    assert!(matches!(refused, Err(StorageError::OtherVault)), "{refused:?}");
    let storage = Storage::open(&database, keys_of(folder.path(), 7)).unwrap();
    assert_eq!(storage.plates(&Scope::Operator, &site).await.unwrap().unwrap()[0].plate, "A123BC77");
}

#[tokio::test]
async fn a_ciphertext_moved_to_another_row_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Scratch::in_folder(folder.path()).storage;
    let site = SiteId::new("house-1").unwrap();
    storage.register_site(&site, "Test street 1".to_owned(), START).await.unwrap();
    for (id, plate) in [("p-1", "A123BC77"), ("p-2", "E456KX99")] {
        let (at, entry) = (site.clone(), PlateEntry::new(PlateId::new(id).unwrap(), plate.to_owned()));
        storage.write(move |tx| store(tx, &at, &entry, START)).await.unwrap();
    }
    let moved = "UPDATE plates SET sealed_plate = (SELECT sealed_plate FROM plates WHERE plate_id = 'p-2')
        WHERE plate_id = 'p-1'";
    storage.write(move |tx| tx.execute(moved, [])).await.unwrap();
    let read = storage.plates(&Scope::Operator, &site).await;
    assert!(matches!(read, Err(StorageError::Corrupt(_))), "{read:?}");
}
