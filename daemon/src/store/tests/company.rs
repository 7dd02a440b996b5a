//! Who is inside, what is locked down, and the step to the schema that keeps them.

use cardea_access::id::AreaId;
use cardea_access::passback::{Change as Passed, Holder, Since};
use cardea_protocol::id::AccessPointId;

use super::*;

fn since(ms: i64) -> Since {
    Since { wall: Timestamp(ms), mono: Some(Monotonic(50)) }
}

fn subject(n: usize) -> Holder {
    Holder::Subject(token(n).as_str().into())
}

fn plate_holder(n: usize) -> Holder {
    Holder::Plate(plate_id(n).as_str().into())
}

fn enters(holder: Holder) -> Passed {
    Passed::Inside("garage".into(), holder, since(1_000))
}

async fn inside(store: &Store) -> Vec<Holder> {
    store.kept().await.unwrap().inside.into_iter().map(|(_, holder, _)| holder).collect()
}

#[tokio::test]
async fn whoever_is_erased_or_removed_is_nowhere() {
    let site = Site::new();
    let store = Store::in_memory(options()).unwrap();
    let template = site.template(1, 1, &biometric(1));
    changes(&store, &site, 0, vec![Change::TemplateAdded(template), Change::PlateAdmitted(plate(1, "A123BC77"))]).await;
    for holder in [subject(1), plate_holder(1), subject(2), plate_holder(2)] {
        store.keep_passage(enters(holder));
    }
    assert_eq!(inside(&store).await, [plate_holder(1), subject(1)], "only who is held");
    let erasure = ErasureId::new("e-1").unwrap();
    changes(&store, &site, 2, vec![Change::SubjectErased { erasure, subject: token(1) }]).await;
    assert_eq!(inside(&store).await, [plate_holder(1)]);
    let nothing = SnapshotBatch { revision: Revision(4), plates: vec![], cards: vec![], templates: vec![] };
    store.apply_snapshot(site.opener.clone(), nothing).await.unwrap();
    assert!(inside(&store).await.is_empty());
    // One that was on its way when the person was erased.
    store.keep_passage(enters(subject(1)));
    assert!(inside(&store).await.is_empty());
}

#[tokio::test]
async fn places_and_lockdowns_outlive_the_program_and_instants_not_the_boot() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cardea.db");
    let (site, store) = (Site::new(), Store::open(&path, options()).unwrap());
    changes(&store, &site, 0, vec![Change::PlateAdmitted(plate(1, "A123BC77"))]).await;
    store.keep_passage(enters(plate_holder(1)));
    let point = |id: &str| AccessPointId::new(id).unwrap();
    let both = vec![(point("door"), true), (point("gate"), true)];
    assert!(store.keep_lockdowns(both, Timestamp(1)).await.unwrap());
    assert!(store.keep_lockdowns(vec![(point("door"), false)], Timestamp(2)).await.unwrap());
    close(store).await;
    let store = Store::open(&path, options()).unwrap();
    let kept = store.kept().await.unwrap();
    assert_eq!(kept.inside, [(AreaId::from("garage"), plate_holder(1), since(1_000))]);
    assert_eq!(kept.lockdowns, ["gate"]);
    close(store).await;
    let store = Store::open(&path, StoreOptions { machine_boot: Some("boot-b".to_owned()), ..options() }).unwrap();
    assert_eq!(store.kept().await.unwrap().inside[0].2.mono, None);
    assert!(store.forget_inside(Some(&"yard".into())).await.unwrap());
    assert_eq!(inside(&store).await.len(), 1);
    assert!(store.forget_inside(None).await.unwrap());
    assert!(inside(&store).await.is_empty());
}

async fn entered(store: &Store) -> Vec<(PlateId, Timestamp)> {
    store.held().await.unwrap().entered.into_iter().collect()
}

#[tokio::test]
async fn a_guests_entry_outlives_the_program_goes_with_its_plate_and_is_not_in_the_digest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cardea.db");
    let (site, store) = (Site::new(), Store::open(&path, options()).unwrap());
    let guests = [plate(4, "A123BC77"), plate(8, "B123BC77")];
    let held = changes(&store, &site, 0, guests.clone().map(Change::PlateAdmitted).to_vec()).await;
    for n in [4, 8, 12] {
        assert!(store.keep_entered(plate_id(n), Timestamp(500)).await.unwrap());
    }
    assert!(store.keep_entered(plate_id(4), Timestamp(900)).await.unwrap());
    let both = [4, 8].map(|n| (plate_id(n), Timestamp(500)));
    assert_eq!(entered(&store).await, both, "the first entry of who is held");
    assert_eq!(store.standing().await.unwrap().digest, held.digest);
    close(store).await;
    let store = Store::open(&path, options()).unwrap();
    assert_eq!(entered(&store).await, both);
    assert_eq!(store.standing().await.unwrap().digest, held.digest);
    // The cloud sends it anew: with the earlier end, and with everything else.
    let validity = Validity { from: None, until: Some(Timestamp(500)) };
    let ended = PlateEntry { validity, ..guests[0].clone() };
    changes(&store, &site, 2, vec![Change::PlateAdmitted(ended.clone())]).await;
    let all = SnapshotBatch {
        revision: Revision(4),
        plates: vec![ended, guests[1].clone()],
        cards: vec![],
        templates: vec![],
    };
    store.apply_snapshot(site.opener.clone(), all).await.unwrap();
    assert_eq!(entered(&store).await, both);
    changes(&store, &site, 4, vec![Change::PlateRemoved { plate_id: plate_id(4) }]).await;
    assert_eq!(entered(&store).await, both[1..]);
    let nothing = SnapshotBatch { revision: Revision(6), plates: vec![], cards: vec![], templates: vec![] };
    store.apply_snapshot(site.opener.clone(), nothing).await.unwrap();
    assert_eq!(entered(&store).await, []);
}

fn schema(connection: &Connection) -> Vec<(String, Option<String>)> {
    let mut rows = connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
    rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn an_upgraded_database_is_like_a_fresh_one() {
    let mut fresh = Connection::open_in_memory().unwrap();
    migrate(&mut fresh).unwrap();
    let mut old = Connection::open_in_memory().unwrap();
    old.execute_batch(SCHEMA).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    migrate(&mut old).unwrap();
    assert_eq!(schema(&old), schema(&fresh));
    old.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    assert!(matches!(migrate(&mut old), Err(StoreError::TooNew { .. })));
}
