//! What is erased is gone, and the receipt says so.

use std::collections::HashSet;

use super::*;

#[tokio::test]
async fn erased_bytes_are_in_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cardea.db");
    let site = Site::new();
    let store = Store::open(&path, options()).unwrap();
    let added: Vec<Change> =
        (0..60).map(|id| Change::TemplateAdded(site.template(id, id % 6, &biometric(id)))).collect();
    changes(&store, &site, 0, added).await;
    let ciphertexts: Vec<Vec<u8>> = store
        .on_thread(|db| {
            let mut rows = db.connection.prepare("SELECT ciphertext FROM templates WHERE subject = ?1")?;
            let all = rows.query_map([token(2).as_str()], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok::<_, StoreError>(all)
        })
        .await
        .unwrap();
    assert_eq!(ciphertexts.len(), 10);
    let before = pieces_in(dir.path());
    assert!(ciphertexts.iter().all(|bytes| before.contains(&bytes[..16])), "the search itself must work");

    let erasure = ErasureId::new("e-1").unwrap();
    let order = Change::SubjectErased { erasure: erasure.clone(), subject: token(2) };
    let applied = changes(&store, &site, 60, vec![order]).await;
    assert_eq!(applied.erased, std::slice::from_ref(&erasure));

    let after = pieces_in(dir.path());
    for (bytes, id) in ciphertexts.iter().zip((0..60).filter(|id| id % 6 == 2)) {
        for piece in bytes.chunks_exact(16).chain(biometric(id).chunks_exact(16)) {
            assert!(!after.contains(piece), "a piece of an erased template is still in a file");
        }
    }
    let (version, pending) = store.unsigned_erasures().await.unwrap();
    assert_eq!(version, applied.version);
    let expected = PendingErasure { erasure, revision: Revision(61), templates_erased: 10, verified: true };
    assert_eq!(pending, [expected]);
    assert_eq!(store.standing().await.unwrap().templates, 50);
}

/// Every sixteen bytes in a row in the files of a folder.
fn pieces_in(dir: &Path) -> HashSet<Vec<u8>> {
    let mut pieces = HashSet::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let content = std::fs::read(entry.unwrap().path()).unwrap();
        pieces.extend(content.windows(16).map(<[u8]>::to_vec));
    }
    pieces
}

#[tokio::test]
async fn an_erasure_cut_short_by_a_crash_is_checked_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cardea.db");
    let site = Site::new();
    let store = Store::open(&path, options()).unwrap();
    changes(&store, &site, 0, vec![Change::TemplateAdded(site.template(1, 1, &biometric(1)))]).await;
    // The transaction alone, as if the power went right after its commit.
    store
        .on_thread(|db| {
            db.write(|tx, options| {
                let erasure = ErasureId::new("e-1").unwrap();
                erasure::erase(tx, &options.device_key, &erasure, &token(1), Revision(2)).map(|_| ())
            })
        })
        .await
        .unwrap();
    assert_eq!(store.unsigned_erasures().await.unwrap().1, []);
    for suffix in ["", "-wal"] {
        std::fs::copy(format!("{}{suffix}", path.display()), dir.path().join(format!("after.db{suffix}"))).unwrap();
    }
    let after = Store::open(&dir.path().join("after.db"), options()).unwrap();
    let (_, pending) = after.unsigned_erasures().await.unwrap();
    assert!(matches!(pending.as_slice(), [PendingErasure { verified: true, templates_erased: 1, .. }]));
}

#[tokio::test]
async fn a_receipt_is_kept_until_the_cloud_has_it() {
    let site = Site::new();
    let store = Store::in_memory(options()).unwrap();
    let erasure = ErasureId::new("e-1").unwrap();
    let order = Change::SubjectErased { erasure: erasure.clone(), subject: token(1) };
    changes(&store, &site, 0, vec![order]).await;
    store.receipt_stored(&erasure).await.unwrap();
    assert_eq!(store.unsigned_erasures().await.unwrap().1.len(), 1, "nothing was signed, so nothing is settled");
    store.keep_receipt(&erasure, "a.b.c".to_owned()).await.unwrap();
    assert_eq!(store.unsigned_erasures().await.unwrap().1, []);
    assert_eq!(store.receipts().await.unwrap(), ["a.b.c"]);
    store.receipt_stored(&erasure).await.unwrap();
    assert!(store.receipts().await.unwrap().is_empty());
}
