use cardea_protocol::Timestamp;
use cardea_protocol::id::{ErasureId, PlateId, SubjectToken};
use proptest::prelude::*;

use super::*;
use crate::storage::changes::{ChangeKind, append_change};
use crate::storage::plates::store;
use crate::storage::sites::Scope;
use crate::testing::{SUBJECT, scratch_storage};

const AT: Timestamp = Timestamp(1_795_420_800_000);

#[derive(Clone, Copy, Debug)]
enum Step {
    Admit(u8),
    /// Is undone: the next change has the same revision.
    AdmitInVain(u8),
    Remove(u8),
    Enrol(u8),
    /// The data has not followed yet.
    EraseKey,
    KeepKey,
    Look,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u8..4).prop_map(Step::Admit),
        (0u8..4).prop_map(Step::AdmitInVain),
        (0u8..4).prop_map(Step::Remove),
        (0u8..4).prop_map(Step::Enrol),
        Just(Step::EraseKey),
        Just(Step::KeepKey),
        Just(Step::Look),
    ]
}

fn take(tx: &Transaction<'_>, step: Step) -> Result<(), StorageError> {
    let site = SiteId::new("house-1").unwrap();
    let subject = SubjectToken::new(SUBJECT).unwrap();
    let logged = |kind, number: u8| append_change(tx, &site, kind, &format!("entry-{number}"), AT).map(drop);
    match step {
        Step::Admit(number) | Step::AdmitInVain(number) => {
            let entry = PlateEntry::new(PlateId::new(format!("entry-{number}")).unwrap(), format!("A12{number}BC77"));
            if plates(tx, &site)?.iter().all(|held| held.plate_id != entry.plate_id) {
                store(tx, &site, &entry, AT)?;
            }
            logged(ChangeKind::PlateAdmitted, number)?;
            if matches!(step, Step::AdmitInVain(_)) { Err(StorageError::Corrupt("plan")) } else { Ok(()) }
        }
        Step::Remove(number) => {
            tx.execute("DELETE FROM plates WHERE plate_id = ?1", [format!("entry-{number}").as_str()])?;
            logged(ChangeKind::PlateRemoved, number)
        }
        Step::Enrol(number) => {
            tx.execute(
                "INSERT INTO templates (template_id, site_id, subject, model, ciphertext, content_hash, created_at)
                 VALUES (?1, 'house-1', ?2, 'embedder', ?3, ?3, 0) ON CONFLICT DO NOTHING",
                params![format!("entry-{number}").as_str(), subject.as_str(), [number; 32].as_slice()],
            )?;
            logged(ChangeKind::TemplateAdded, number)
        }
        Step::EraseKey => tx.keys()?.erase(&ErasureId::random(), &site, &subject, None, AT).map(drop),
        Step::KeepKey => tx.keys()?.keep(&site, &subject, b"wrapped"),
        Step::Look => Ok(()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn the_digest_that_is_told_is_that_of_what_is_held(steps in prop::collection::vec(step(), 1..24)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let storage = scratch_storage();
            let site = SiteId::new("house-1").unwrap();
            storage.register_site(&site, "1 Test Street".to_owned(), AT).await.unwrap();
            for step in steps {
                let done = storage.write(move |tx| take(tx, step)).await;
                prop_assert_eq!(done.is_err(), matches!(step, Step::AdmitInVain(_)));
                for embedder in [None, Some("embedder")] {
                    let of = site.clone();
                    let held = storage.read(move |tx| digest(tx, &of, embedder)).await.unwrap();
                    prop_assert_eq!(storage.standing(&site, embedder).await.unwrap().digest, held, "{:?}", step);
                }
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn nothing_is_read_for_a_controller_that_is_not_active() {
    use crate::storage::controllers::tests::{certificate, registered};

    let (storage, controller) = registered().await;
    storage.finish_claim(&controller, "hash".to_owned(), certificate("a1", 1)).await.unwrap();
    let site = SiteId::new("house-1").unwrap();
    let subject = SubjectToken::new(SUBJECT).unwrap();
    let prepared = storage.write(move |tx| {
        tx.keys()?.keep(&SiteId::new("house-1").unwrap(), &subject, &[1; 48])?;
        take(tx, Step::Enrol(1))
    });
    prepared.await.unwrap();
    let read = async || {
        let changes = storage.changes_for(&controller, &site, Some("embedder"), Revision(0), 10).await.unwrap().changes;
        (changes.len(), storage.snapshot_for(&controller, &site, Some("embedder")).await.unwrap().is_some())
    };
    assert_eq!(read().await, (1, true));
    storage.revoke_controller(&Scope::Operator, &controller, AT).await.unwrap();
    assert_eq!(read().await, (0, false));
}
