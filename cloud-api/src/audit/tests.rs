//! An audit is a chain whoever writes at once, and whatever is done to it shows.

use cardea_protocol::clock::Clock as _;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::keys::SigningKey;
use crate::storage::audit::{Ending, NewAction};
use crate::storage::engine::Transaction;
use crate::testing::{Api, FACE_PHOTO, SITE, START, SUBJECT, as_admin, as_other, consent, scratch_storage};

fn action(target: &str) -> NewAction {
    let target = Some(target.to_owned());
    NewAction {
        customer: None,
        site: None,
        principal_id: Some("operator".to_owned()),
        action: "revoke_controller",
        target,
    }
}

/// Some calls, and a key that has signed them.
async fn sample() -> (Storage, SigningKey) {
    let (storage, key) = (scratch_storage(), SigningKey::generate().unwrap());
    for call in 0..4 {
        let begun = storage.audit_begin(action(&format!("gate-{call}")), START.plus_ms(call)).await.unwrap();
        let ending = Ending { outcome: "done", ..Ending::default() };
        storage.audit_end(begun, ending, START.plus_ms(call)).await.unwrap();
    }
    sign(&storage, &key.signer().unwrap(), START).await.unwrap();
    (storage, key)
}

async fn file(storage: &Storage, key: &SigningKey) -> Result<Vec<u8>, AuditError> {
    let mut file = Vec::new();
    let line = |line: &[u8]| file.extend_from_slice(&[line, b"\n"].concat());
    check(storage, &key.verifier().unwrap(), None, line).await.map(|_| file)
}

async fn alter(storage: &Storage, sql: &'static str) -> Result<(), StorageError> {
    storage.write(move |tx: &Transaction<'_>| tx.execute(sql, []).map(drop)).await
}

/// What whoever owns the database can do first.
async fn disarm(storage: &Storage) {
    for trigger in ["audit_is_not_changed", "audit_is_kept", "audit_seals_are_not_changed", "audit_seals_are_kept"] {
        let sql = format!("DROP TRIGGER {trigger}");
        let dropped: Result<(), StorageError> = storage.write(move |tx| tx.execute(&sql, []).map(drop)).await;
        if dropped.is_err() {
            alter(storage, "ALTER TABLE audit DISABLE TRIGGER USER").await.unwrap();
            alter(storage, "ALTER TABLE audit_seals DISABLE TRIGGER USER").await.unwrap();
            return;
        }
    }
}

#[tokio::test]
async fn many_at_once_and_failed_ones_among_them_make_one_chain() {
    let (storage, key) = (scratch_storage(), SigningKey::generate().unwrap());
    let calls = (0..60).map(|call| {
        let storage = storage.clone();
        tokio::spawn(async move {
            if call % 3 == 0 {
                // Appends as well, and is undone alone.
                let undone: Result<(), StorageError> = storage
                    .write(move |tx| {
                        let sql = "INSERT INTO audit (entry, at, action, outcome, hash)
                            SELECT coalesce(max(entry), 0) + 1, 0, 'forged', 'done', 'none' FROM audit";
                        tx.execute(sql, [])?;
                        Err(StorageError::Corrupt("test"))
                    })
                    .await;
                assert!(undone.is_err());
            }
            let begun = storage.audit_begin(action("gate-1"), START).await.unwrap();
            storage.audit_end(begun, Ending { outcome: "done", ..Ending::default() }, START).await.unwrap();
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    sign(&storage, &key.signer().unwrap(), START).await.unwrap();
    let summary = check(&storage, &key.verifier().unwrap(), None, |_| {}).await.unwrap();
    assert_eq!((summary.first, summary.last, summary.signed), (1, 120, 120));
    assert_eq!(storage.recent_actions(100).await.unwrap().iter().filter(|call| call.3 == "done").count(), 60);
}

#[tokio::test]
async fn the_database_refuses_to_change_or_delete_an_entry_or_a_signature() {
    let (storage, key) = sample().await;
    let before = file(&storage, &key).await.unwrap();
    for sql in [
        "UPDATE audit SET outcome = 'done' WHERE entry = 1",
        "UPDATE audit SET at = 0",
        "DELETE FROM audit WHERE entry = 3",
        "DELETE FROM audit",
        "UPDATE audit_seals SET entry = 1",
        "DELETE FROM audit_seals",
    ] {
        assert!(alter(&storage, sql).await.is_err(), "{sql}");
    }
    assert_eq!(file(&storage, &key).await.unwrap(), before);
}

#[tokio::test]
async fn whoever_gets_round_that_is_found_out() {
    for (sql, fault) in [
        ("UPDATE audit SET principal_id = 'somebody' WHERE entry = 3", Fault::Changed(3)),
        ("UPDATE audit SET outcome = 'role-forbidden' WHERE entry = 8", Fault::Changed(8)),
        ("UPDATE audit SET at = at + 1 WHERE entry = 1", Fault::Changed(1)),
        ("UPDATE audit SET hash = 'x' WHERE entry = 2", Fault::Changed(2)),
        ("DELETE FROM audit WHERE entry = 1", Fault::Missing { expected: 1, found: 2 }),
        ("DELETE FROM audit WHERE entry = 5", Fault::Missing { expected: 5, found: 6 }),
        ("UPDATE audit SET entry = 20 WHERE entry = 5", Fault::Missing { expected: 5, found: 6 }),
        ("DELETE FROM audit WHERE entry > 6", Fault::Truncated { found: 6, signed: 8 }),
        ("DELETE FROM audit", Fault::Truncated { found: 0, signed: 8 }),
        ("UPDATE audit_seals SET kind = 'cut'", Fault::Signature(0)),
        ("UPDATE audit_seals SET entry = 7", Fault::Truncated { found: 7, signed: 8 }),
    ] {
        let (storage, key) = sample().await;
        disarm(&storage).await;
        alter(&storage, sql).await.unwrap();
        let found = check(&storage, &key.verifier().unwrap(), None, |_| {}).await;
        assert!(matches!(&found, Err(AuditError::Fault(is)) if *is == fault), "{sql}: {found:?}");
    }
}

#[tokio::test]
async fn a_chain_made_anew_does_not_fit_what_was_signed_or_noted() {
    let (storage, key) = sample().await;
    let verifier = key.verifier().unwrap();
    let summary = check(&storage, &verifier, None, |_| {}).await.unwrap();
    let noted: Noted = format!("{}:{}", summary.last, summary.head).parse().unwrap();
    assert!(check(&storage, &verifier, Some(&noted), |_| {}).await.is_ok());

    // The same calls but one, chained as they should be.
    let forged = scratch_storage();
    for call in 1..5 {
        let begun = forged.audit_begin(action(&format!("gate-{call}")), START).await.unwrap();
        forged.audit_end(begun, Ending { outcome: "done", ..Ending::default() }, START).await.unwrap();
    }
    let seal = storage.audit_seals().await.unwrap().heads.remove(0).1;
    forged.add_audit_seal(SealKind::Head, 8, seal, START).await.unwrap();
    let found = check(&forged, &verifier, None, |_| {}).await;
    assert!(matches!(found, Err(AuditError::Fault(Fault::Forged(8)))), "{found:?}");
    // With the signature gone, what was noted elsewhere still tells.
    disarm(&forged).await;
    alter(&forged, "DELETE FROM audit_seals").await.unwrap();
    let found = check(&forged, &verifier, Some(&noted), |_| {}).await;
    assert!(matches!(found, Err(AuditError::Fault(Fault::Noted(8)))), "{found:?}");
    alter(&forged, "DELETE FROM audit WHERE entry > 2").await.unwrap();
    let found = check(&forged, &verifier, Some(&noted), |_| {}).await;
    assert!(matches!(found, Err(AuditError::Fault(Fault::Truncated { found: 2, signed: 8 }))), "{found:?}");
}

#[tokio::test]
async fn the_head_is_signed_when_it_is_due_and_not_twice() {
    let (storage, key) = sample().await;
    let signer = key.signer().unwrap();
    let heads = async || storage.audit_seals().await.unwrap().heads.len();
    assert_eq!(heads().await, 1);
    sign(&storage, &signer, START).await.unwrap();
    assert_eq!(heads().await, 1, "nothing new");
    storage.audit_done(action("gate-9"), "done", START).await.unwrap();
    let after = |ms| move |unsigned, since: Timestamp| unsigned >= 2 || START.plus_ms(ms).since_ms(since) >= EVERY_MS;
    sign_if(&storage, &signer, START, after(EVERY_MS - 1)).await.unwrap();
    assert_eq!(heads().await, 1, "one entry, not an hour old");
    sign_if(&storage, &signer, START, after(EVERY_MS)).await.unwrap();
    assert_eq!(heads().await, 2, "an hour old");
}

#[tokio::test]
async fn retention_takes_the_beginning_and_the_rest_verifies() {
    let (storage, key) = sample().await;
    let (signer, verifier) = (key.signer().unwrap(), key.verifier().unwrap());
    assert_eq!(cut_before(&storage, &signer, START, START).await.unwrap(), 0);
    assert_eq!(cut_before(&storage, &signer, START.plus_ms(2), START).await.unwrap(), 4, "the calls before the third");
    storage.audit_done(action("gate-9"), "done", START.plus_ms(9)).await.unwrap();
    let summary = check(&storage, &verifier, None, |_| {}).await.unwrap();
    assert_eq!((summary.first, summary.last, summary.signed), (5, 9, 8));
    // What is left is kept as before, and nothing is taken from it unnoticed.
    assert!(alter(&storage, "DELETE FROM audit WHERE entry = 5").await.is_err());
    assert!(alter(&storage, "DELETE FROM audit_seals").await.is_err());
    // The newest entry stays, however old.
    assert_eq!(cut_before(&storage, &signer, START.plus_ms(99), START).await.unwrap(), 4);
    let summary = check(&storage, &verifier, None, |_| {}).await.unwrap();
    assert_eq!((summary.first, summary.last), (9, 9));
    sign(&storage, &signer, START).await.unwrap();
    let exported = file(&storage, &key).await.unwrap();
    assert_eq!(verify(&exported, &verifier, None).unwrap().first, 9);
    let end_of_first = exported.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let uncut = verify(&exported[end_of_first..], &verifier, None);
    assert_eq!(uncut, Err(Fault::Missing { expected: 1, found: 9 }), "without the note of the cut");
    disarm(&storage).await;
    alter(&storage, "DELETE FROM audit_seals WHERE kind = 'cut'").await.unwrap();
    let found = check(&storage, &verifier, None, |_| {}).await;
    assert!(matches!(found, Err(AuditError::Fault(Fault::Missing { expected: 1, found: 9 }))), "{found:?}");
}

#[tokio::test]
async fn a_signature_of_the_head_is_no_leave_to_cut() {
    let (storage, key) = sample().await;
    let head = storage.audit_seals().await.unwrap().heads.remove(0).1;
    storage.add_audit_seal(SealKind::Cut, 8, head, START).await.unwrap();
    let found = check(&storage, &key.verifier().unwrap(), None, |_| {}).await;
    assert!(matches!(found, Err(AuditError::Fault(Fault::Signature(0)))), "{found:?}");
}

#[tokio::test]
async fn an_exported_audit_shows_a_removed_a_doubled_and_a_moved_line_and_a_cut_end() {
    let (storage, key) = sample().await;
    let verifier = key.verifier().unwrap();
    let file = file(&storage, &key).await.unwrap();
    assert_eq!(verify(&file, &verifier, None).unwrap().last, 8);
    let lines: Vec<&[u8]> = file.split_inclusive(|&byte| byte == b'\n').collect();
    for n in 0..lines.len() {
        let mut without = lines.clone();
        without.remove(n);
        assert!(verify(&without.concat(), &verifier, None).is_err(), "without line {n}");
        assert!(verify(&lines[..n].concat(), &verifier, None).is_err(), "cut at {n}");
        if n > 0 {
            let mut moved = lines.clone();
            moved.swap(n - 1, n);
            assert!(verify(&moved.concat(), &verifier, None).is_err(), "{n} moved");
        }
        if n + 1 < lines.len() {
            let mut doubled = lines.clone();
            doubled.insert(n, lines[n]);
            assert!(verify(&doubled.concat(), &verifier, None).is_err(), "{n} twice");
        }
    }
    let another = SigningKey::generate().unwrap();
    assert_eq!(verify(&file, &another.verifier().unwrap(), None), Err(Fault::Signature(8)));
}

#[tokio::test]
async fn what_is_audited_names_no_plate_no_subject_and_no_biometrics() {
    let api = Api::new().await;
    let site = format!("/v1/sites/{SITE}");
    let photo = format!("{site}/subjects/{SUBJECT}/faces");
    for who in [as_admin(), as_other()] {
        api.post(&format!("{site}/plates"), &json!({"plate": "A123BC77"}), who).await;
        api.post(&format!("{site}/consents"), &consent(SUBJECT), who).await;
        api.post_photo(&photo, FACE_PHOTO, who).await;
        let sale = json!({"plates": ["A123BC77"], "subjects": [SUBJECT]});
        api.post(&format!("{site}/property-sales"), &sale, who).await;
        api.post(&format!("{site}/plates/A123BC77"), &json!({}), who).await;
    }
    let signer = api.app.signing.signer().unwrap();
    sign(&api.app.storage, &signer, api.clock.now()).await.unwrap();
    let file = file(&api.app.storage, &api.app.signing).await.unwrap();
    let text = String::from_utf8(file).unwrap();
    for done in ["admit_plate", "enrol_face", "sell_property"] {
        assert!(text.contains(done), "no {done} in {text}");
    }
    for secret in ["A123BC77", SUBJECT, "TEMPLATE", "one face"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

fn sealed_file() -> (Vec<u8>, Verifier) {
    let key = SigningKey::generate().unwrap();
    let mut check = Vec::new();
    let mut prev = String::new();
    for n in 1..=3 {
        let entry = Entry {
            entry: n,
            at: START,
            begun_by: None,
            customer: Some("birch-homes".to_owned()),
            site: None,
            principal_id: Some("a\"b\\c".to_owned()),
            action: "token".to_owned(),
            target: None,
            outcome: "done".to_owned(),
        };
        let line = entry.line(&prev).unwrap();
        prev = crate::chain::line_hash(&line);
        check.extend([line, b"\n".to_vec()].concat());
    }
    let seal = Seal { format: FORMAT.to_owned(), lines: 3, head: prev };
    let seal = verify::SealLine::Head(key.signer().unwrap().sign(Use::Export, &seal).unwrap());
    check.extend([serde_json::to_vec(&seal).unwrap(), b"\n".to_vec()].concat());
    (check, key.verifier().unwrap())
}

proptest! {
    #[test]
    fn any_changed_byte_shows(position in any::<prop::sample::Index>(), flip in 1u8..=255) {
        let (mut file, verifier) = sealed_file();
        prop_assert!(verify(&file, &verifier, None).is_ok());
        let position = position.index(file.len());
        file[position] ^= flip;
        prop_assert!(verify(&file, &verifier, None).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (_, verifier) = sealed_file();
        prop_assert!(verify(&bytes, &verifier, None).is_err());
    }
}
