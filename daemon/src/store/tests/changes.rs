//! Batches, snapshots and crashes.

use std::collections::BTreeMap;

use cardea_access::card::CardNumber;
use cardea_protocol::card::CardHash;
use cardea_protocol::digest::{Digest, Holdings};
use cardea_protocol::id::{CardId, SaleId};
use cardea_protocol::message::{CardEntry, Validity};
use proptest::prelude::*;

use super::*;

/// One change, in words a model understands.
#[derive(Clone, Debug)]
enum Step {
    Plate(usize, String),
    PlateGone(usize),
    Card(usize, u16, Option<usize>),
    CardGone(usize),
    Template(usize, usize),
    Erase(usize),
    Sale(Vec<usize>, Vec<usize>, Vec<usize>),
    Nothing,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0usize..6, "[ABEK][0-9]{3}[ABEK]{2}").prop_map(|(n, text)| Step::Plate(n, text)),
        1 => (0usize..6).prop_map(Step::PlateGone),
        2 => (0usize..6, any::<u16>(), prop::option::of(0usize..4)).prop_map(|(n, number, of)| Step::Card(n, number, of)),
        1 => (0usize..6).prop_map(Step::CardGone),
        3 => (0usize..8, 0usize..4).prop_map(|(id, subject)| Step::Template(id, subject)),
        1 => (0usize..4).prop_map(Step::Erase),
        1 => (prop::collection::vec(0usize..6, 0..3), prop::collection::vec(0usize..6, 0..3), prop::collection::vec(0usize..4, 0..2))
            .prop_map(|(plates, cards, subjects)| Step::Sale(plates, cards, subjects)),
        1 => Just(Step::Nothing),
    ]
}

#[derive(Default)]
struct Model {
    plates: BTreeMap<usize, String>,
    cards: BTreeMap<usize, (u16, Option<usize>)>,
    templates: BTreeMap<usize, (usize, Vec<u8>)>,
}

impl Model {
    fn apply(&mut self, step: &Step) {
        match step {
            Step::Plate(n, text) => {
                self.plates.insert(*n, text.clone());
            }
            Step::PlateGone(n) => {
                self.plates.remove(n);
            }
            Step::Card(n, number, of) => {
                self.cards.insert(*n, (*number, *of));
            }
            Step::CardGone(n) => {
                self.cards.remove(n);
            }
            Step::Template(id, subject) => {
                self.templates.insert(*id, (*subject, biometric(*id)));
            }
            Step::Erase(subject) => self.templates.retain(|_, (of, _)| of != subject),
            Step::Sale(plates, cards, subjects) => {
                self.cards.retain(|n, _| !cards.contains(n));
                self.plates.retain(|n, _| !plates.contains(n));
                self.templates.retain(|_, (of, _)| !subjects.contains(of));
            }
            Step::Nothing => {}
        }
    }

    fn digest(&self) -> Digest {
        let mut holdings = Holdings::new();
        for (n, text) in &self.plates {
            let entry = plate(*n, text);
            holdings.plate(&entry);
        }
        for (n, (number, of)) in &self.cards {
            let entry = card(*n, *number, *of);
            holdings.card(&entry.card_id, &entry.hash, entry.subject.as_ref(), entry.validity);
        }
        for (id, (subject, plaintext)) in &self.templates {
            let id = TemplateId::new(format!("t-{id}")).unwrap();
            holdings.template(&id, &token(*subject), &template_hash(plaintext));
        }
        holdings.digest()
    }
}

fn change(site: &Site, step: &Step, number: usize) -> Change {
    let erasure = |k: usize| ErasureId::new(format!("e-{number}-{k}")).unwrap();
    match step {
        Step::Plate(n, text) => Change::PlateAdmitted(plate(*n, text)),
        Step::PlateGone(n) => Change::PlateRemoved { plate_id: plate_id(*n) },
        Step::Card(n, number, of) => Change::CardAdmitted(card(*n, *number, *of)),
        Step::CardGone(n) => Change::CardRemoved { card_id: card_id(*n) },
        Step::Template(id, subject) => Change::TemplateAdded(site.template(*id, *subject, &biometric(*id))),
        Step::Erase(subject) => Change::SubjectErased { erasure: erasure(0), subject: token(*subject) },
        Step::Sale(plates, cards, subjects) => Change::PropertySold {
            card_ids: cards.iter().map(|n| card_id(*n)).collect(),
            sale: SaleId::new(format!("s-{number}")).unwrap(),
            plate_ids: plates.iter().map(|n| plate_id(*n)).collect(),
            subjects: subjects.iter().enumerate().map(|(k, n)| (erasure(k), token(*n))).collect(),
        },
        Step::Nothing => Change::Superseded,
    }
}

fn card_id(n: usize) -> CardId {
    CardId::new(format!("c-{n}")).unwrap()
}

fn card(n: usize, number: u16, of: Option<usize>) -> CardEntry {
    let number = CardNumber::parse(&format!("w26:1:{number}")).unwrap();
    CardEntry { card_id: card_id(n), hash: CardHash::of(&number), subject: of.map(token), validity: Validity::ALWAYS }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pages_lead_where_one_batch_leads_and_where_the_model_stands(
        steps in prop::collection::vec(step(), 1..40),
        page in 1usize..7,
    ) {
        block_on(async {
            let site = Site::new();
            let mut model = Model::default();
            let all: Vec<Change> = steps.iter().enumerate().map(|(i, s)| { model.apply(s); change(&site, s, i) }).collect();
            let at_once = Store::in_memory(options()).unwrap();
            let one = changes(&at_once, &site, 0, all.clone()).await;
            let in_pages = Store::in_memory(options()).unwrap();
            let mut from = 0;
            let mut last = None;
            for part in all.chunks(page) {
                last = Some(changes(&in_pages, &site, from, part.to_vec()).await);
                from += part.len() as u64;
            }
            prop_assert_eq!(&one.digest, &model.digest());
            prop_assert_eq!(&last.unwrap().digest, &model.digest());
            prop_assert_eq!(in_pages.standing().await.unwrap(), at_once.standing().await.unwrap());
            let (_, pending) = in_pages.unsigned_erasures().await.unwrap();
            prop_assert_eq!(pending.clone(), at_once.unsigned_erasures().await.unwrap().1);
            prop_assert!(pending.iter().all(|erasure| erasure.verified));
            Ok(())
        })?;
    }

    /// A crash is a torn write-ahead log: whatever of it survived, the cursor and the holdings belong together.
    #[test]
    fn after_a_torn_log_nothing_is_half_applied(
        steps in prop::collection::vec(step().prop_filter("keeps the log", |s| !matches!(s, Step::Erase(_) | Step::Sale(..))), 4..24),
        page in 1usize..5,
        cut in 0.0f64..1.0,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let site = Site::new();
        let path = dir.path().join("a.db");
        let mut stood = BTreeMap::from([(0, Model::default().digest())]);
        let store = Store::open(&path, options()).unwrap();
        block_on(async {
            let all: Vec<Change> = steps.iter().enumerate().map(|(i, s)| change(&site, s, i)).collect();
            let mut from = 0;
            for part in all.chunks(page) {
                let applied = changes(&store, &site, from, part.to_vec()).await;
                from = applied.revision.0;
                stood.insert(from, applied.digest);
            }
        });
        let log = std::fs::read(dir.path().join("a.db-wal")).unwrap();
        let torn = dir.path().join("b.db");
        std::fs::copy(&path, &torn).unwrap();
        std::fs::write(dir.path().join("b.db-wal"), &log[..(log.len() as f64 * cut) as usize]).unwrap();
        // The schema itself may be in the torn part; then there is nothing to open, which is a fresh store.
        let after = Store::open(&torn, options()).unwrap();
        let standing = block_on(after.standing()).unwrap();
        prop_assert_eq!(Some(&standing.digest), stood.get(&standing.cursor.0));
    }
}

#[tokio::test]
async fn a_failure_in_the_middle_leaves_everything_as_it_was() {
    let site = Site::new();
    let store = Store::in_memory(options()).unwrap();
    let before = changes(&store, &site, 0, vec![Change::PlateAdmitted(plate(1, "A111AA"))]).await;
    store
        .on_thread(|db| {
            db.connection.execute_batch(
                "CREATE TEMP TRIGGER fail BEFORE INSERT ON templates BEGIN SELECT RAISE(ABORT, 'disk'); END;",
            )?;
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
    let batch = ChangesBatch {
        from: Revision(1),
        to: Revision(3),
        changes: vec![
            Change::PlateRemoved { plate_id: plate_id(1) },
            Change::TemplateAdded(site.template(1, 1, &biometric(1))),
        ],
    };
    assert!(store.apply_changes(site.opener.clone(), batch).await.is_err());
    let standing = store.standing().await.unwrap();
    assert_eq!((standing.cursor, standing.digest), (Revision(1), before.digest));
}

#[tokio::test]
async fn batches_must_continue_and_count_and_snapshots_must_not_go_back() {
    let site = Site::new();
    let store = Store::in_memory(options()).unwrap();
    changes(&store, &site, 0, vec![Change::Superseded; 5]).await;
    let apply = |from, to, count| {
        let batch = ChangesBatch { from: Revision(from), to: Revision(to), changes: vec![Change::Superseded; count] };
        store.apply_changes(site.opener.clone(), batch)
    };
    assert!(matches!(apply(4, 5, 1).await, Err(ApplyError::NotNext { .. })));
    assert!(matches!(apply(6, 7, 1).await, Err(ApplyError::NotNext { .. })));
    assert!(matches!(apply(5, 7, 1).await, Err(ApplyError::Miscounted { .. })));
    assert!(matches!(apply(5, 4, 0).await, Err(ApplyError::Miscounted { .. })));
    let snapshot = |revision| SnapshotBatch {
        revision: Revision(revision),
        plates: vec![plate(7, "B777BB")],
        cards: vec![],
        templates: vec![site.template(1, 1, &biometric(1))],
    };
    let old = store.apply_snapshot(site.opener.clone(), snapshot(4)).await;
    assert!(matches!(old, Err(ApplyError::Rollback { floor: Revision(5), .. })));
    let applied = store.apply_snapshot(site.opener.clone(), snapshot(9)).await.unwrap();
    let standing = store.standing().await.unwrap();
    assert_eq!((standing.cursor, standing.plates, standing.templates), (Revision(9), 1, 1));
    assert_eq!(standing.digest, applied.digest);
}

#[tokio::test]
async fn a_template_for_another_controller_is_left_out_and_holds_nothing_back() {
    let site = Site::new();
    let store = Store::in_memory(options()).unwrap();
    changes(&store, &site, 0, vec![Change::TemplateAdded(site.template(1, 1, &biometric(1)))]).await;
    let mut foreign = site.template(2, 2, &biometric(2));
    foreign.sealed.ct[0] ^= 1;
    let order = Change::SubjectErased { erasure: ErasureId::new("e-1").unwrap(), subject: token(1) };
    let applied = changes(&store, &site, 1, vec![Change::TemplateAdded(foreign), order]).await;
    assert_eq!((applied.left_out, applied.erased.len()), (1, 1));
    assert_eq!(store.standing().await.unwrap().templates, 0);
}

#[tokio::test]
async fn with_another_device_key_templates_count_as_not_held() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cardea.db");
    let site = Site::new();
    let store = Store::open(&path, options()).unwrap();
    changes(&store, &site, 0, vec![Change::TemplateAdded(site.template(1, 1, &biometric(1)))]).await;
    close(store).await;
    let other = StoreOptions { device_key: DeviceKey::from_bytes([1; 32]), ..options() };
    let store = Store::open(&path, other).unwrap();
    assert_eq!(store.standing().await.unwrap().templates, 0);
    let snapshot = SnapshotBatch {
        revision: Revision(1),
        plates: vec![],
        cards: vec![],
        templates: vec![site.template(1, 1, &biometric(1))],
    };
    store.apply_snapshot(site.opener.clone(), snapshot).await.unwrap();
    assert_eq!(store.standing().await.unwrap().templates, 1);
}
