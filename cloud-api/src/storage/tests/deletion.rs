use std::path::Path;

use cardea_protocol::id::{ErasureId, SiteId, SubjectToken};

use super::super::{Storage, StorageError};
use crate::testing::{START, SUBJECT, Scratch, memory_keys};

#[tokio::test]
async fn what_is_deleted_and_scrubbed_is_in_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = Scratch::in_folder(folder.path());
    let storage = &scratch.storage;
    let secrets: [&[u8]; 5] = [
        b"sealed-plate-nobody-may-read",
        b"lookup-of-a-plate-nobody-may-read",
        b"wrapped-key-nobody-may-read",
        b"sealed-hash-of-a-card-nobody-may-read",
        b"lookup-of-a-card-nobody-may-read",
    ];
    storage
        .write(move |tx| {
            super::site(tx, "house-1")?;
            tx.execute(
                "INSERT INTO plates (plate_id, site_id, sealed_plate, plate_lookup, created_at)
                 VALUES ('p', 'house-1', ?1, ?2, 0)",
                [secrets[0], secrets[1]],
            )?;
            tx.keys()?.keep(&SiteId::new("house-1").unwrap(), &SubjectToken::new(SUBJECT).unwrap(), secrets[2])?;
            tx.execute(
                "INSERT INTO cards (card_id, site_id, sealed_hash, hash_lookup, created_at)
                 VALUES ('c', 'house-1', ?1, ?2, 0)",
                [secrets[3], secrets[4]],
            )?;
            Ok::<_, StorageError>(())
        })
        .await
        .unwrap();
    let readable = || {
        let bytes = scratch.bytes(folder.path());
        secrets.map(|secret| bytes.windows(secret.len()).any(|window| window == secret))
    };
    assert_eq!(readable(), [true; 5], "the search itself must work");
    storage
        .write(|tx| {
            for table in ["plates", "cards"] {
                tx.execute(&format!("DELETE FROM {table}"), [])?;
            }
            let (site, subject) = (SiteId::new("house-1").unwrap(), SubjectToken::new(SUBJECT).unwrap());
            tx.keys()?.erase(&ErasureId::random(), &site, &subject, None, START)?;
            Ok::<_, StorageError>(())
        })
        .await
        .unwrap();
    storage.scrub().await.unwrap();
    assert_eq!(readable(), [false; 5]);
}

#[tokio::test]
async fn what_a_crash_left_in_the_log_of_sqlite_is_gone_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("cloud.db");
    let storage = Storage::open(&database, memory_keys()).unwrap();
    let address = "an address nobody may read any more";
    storage.write(move |tx| tx.execute("INSERT INTO sites VALUES ('house-1', ?1, 0, 0)", [address])).await.unwrap();
    storage.write(|tx| tx.execute("DELETE FROM sites", [])).await.unwrap();
    // The files as they lie when the power goes: deleted, not scrubbed.
    let crashed = folder.path().join("crashed.db");
    let log = |database: &Path| database.with_extension("db-wal");
    std::fs::copy(&database, &crashed).unwrap();
    std::fs::copy(log(&database), log(&crashed)).unwrap();
    let readable = || {
        [crashed.clone(), log(&crashed)]
            .iter()
            .filter_map(|file| std::fs::read(file).ok())
            .any(|bytes| bytes.windows(address.len()).any(|window| window == address.as_bytes()))
    };
    assert!(readable(), "the search itself must work");
    let _storage = Storage::open(&crashed, memory_keys()).unwrap();
    assert!(!readable());
}
