//! What a crash or a restored backup may not bring back. A backup here is a copy of the data's file, without the key store.

use std::collections::BTreeSet;
use std::path::PathBuf;

use cardea_access::grammar::Grammars;
use cardea_access::plate::Plate;
use cardea_protocol::Timestamp;
use cardea_protocol::id::{
    ConsentId, ControllerId, CustomerId, ErasureId, PlateId, Revision, SaleId, SiteId, SubjectToken, TemplateId,
};
use cardea_protocol::message::{Receipt, Validity};
use proptest::prelude::*;

use crate::fingerprint;
use crate::keys::{SubjectKey, Vault};
use crate::storage::consents::{ConsentError, NewConsent};
use crate::storage::engine::{Engine as _, Sqlite, Transaction};
use crate::storage::erasures::{ErasureReason, ReceiptError, erase_subject};
use crate::storage::plates::NewPlate;
use crate::storage::sales::NewSale;
use crate::storage::sites::Scope;
use crate::storage::templates::NewTemplate;
use crate::storage::{STEPS, Storage, StorageError, migrate};
use crate::testing::{START, file_keys, files, memory_keys};

const PLATES: [&str; 3] = ["A123BC77", "E456KX99", "M789OP78"];

fn site() -> SiteId {
    SiteId::new("house-1").unwrap()
}

fn subject(number: usize) -> SubjectToken {
    SubjectToken::new(&format!("5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5{number}")).unwrap()
}

fn plate(number: usize) -> Plate {
    Plate::parse(PLATES[number], &Grammars::default()).unwrap()
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// A cloud's data and what was done to it.
struct House {
    folder: tempfile::TempDir,
    storage: Storage,
    file: PathBuf,
    clock: i64,
    /// Backups, outside the folder that is searched.
    backups: Vec<Vec<u8>>,
    /// Ciphertexts that were erased.
    erased: Vec<Vec<u8>>,
    /// Subjects that were erased and have not consented since.
    gone: BTreeSet<usize>,
    sold: BTreeSet<usize>,
}

impl House {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cloud-0.db");
        let storage = Storage::open(&file, file_keys(folder.path())).unwrap();
        storage.register_site(&site(), "Test street 1".to_owned(), START).await.unwrap();
        let customer = CustomerId::new("customer-1").unwrap();
        storage.register_customer(&customer, "Test".to_owned(), vec![site()], START).await.unwrap();
        crate::testing::record_text(&storage, &customer).await;
        let clock = START.0;
        let (backups, erased, gone, sold) = Default::default();
        Self { folder, storage, file, clock, backups, erased, gone, sold }
    }

    fn now(&mut self) -> Timestamp {
        self.clock += 1;
        Timestamp(self.clock)
    }

    fn vault() -> Vault {
        Vault::from_bytes([7; 32])
    }

    async fn reads<T: Send + 'static>(
        &self,
        read: impl Fn(&Transaction<'_>) -> Result<T, StorageError> + Send + 'static,
    ) -> T {
        self.storage.read(read).await.unwrap()
    }

    async fn ciphertexts(&self, whose: usize) -> Vec<Vec<u8>> {
        let whose = subject(whose);
        let sql = "SELECT ciphertext FROM templates WHERE subject = ?1";
        self.reads(move |tx| tx.query(sql, [whose.as_str()], |row| row.get(0))).await
    }

    async fn consent(&self, whose: usize) -> Option<ConsentId> {
        self.storage.active_consent(&Scope::Operator, &site(), &subject(whose)).await.unwrap().unwrap()
    }

    async fn enrol(&mut self, whose: usize) {
        let at = self.now();
        let consent = NewConsent {
            consent_id: ConsentId::random(),
            site: site(),
            subject: subject(whose),
            document_version: "2026-03".to_owned(),
            given_at: at,
            evidence_sha256: "ab".repeat(32),
            fingerprint: fingerprint::subject(&Self::vault(), &subject(whose)),
            lifts_sale: None,
        };
        match self.storage.record_consent(&Scope::Operator, consent, at).await {
            Ok(()) | Err(ConsentError::Active) => {}
            Err(ConsentError::Blocked(_)) => return,
            Err(other) => panic!("{other}"),
        }
        self.gone.remove(&whose);
        let template_id = TemplateId::random();
        let id = template_id.clone();
        let template = NewTemplate {
            template_id,
            site: site(),
            subject: subject(whose),
            consent: self.consent(whose).await.unwrap(),
            model: "embedder".to_owned(),
            content_hash: [0; 32],
            encrypt: move |held: Option<Vec<u8>>| {
                let (vault, site, whose) = (Self::vault(), site(), subject(whose));
                let key = held.map_or_else(SubjectKey::generate, |held| vault.unwrap(&site, &whose, &held))?;
                Ok((vault.wrap(&site, &whose, &key)?, key.encrypt(&id, b"a vector of a face")?))
            },
        };
        // The sixth is refused, and that is all the same here.
        let _ = self.storage.add_template(&Scope::Operator, template, at).await;
    }

    async fn withdraw(&mut self, whose: usize) {
        let at = self.now();
        let Some(consent) = self.consent(whose).await else { return };
        self.erased.extend(self.ciphertexts(whose).await);
        self.storage.withdraw_consent(&Scope::Operator, &site(), &consent, at).await.unwrap();
        self.storage.scrub().await.unwrap();
        self.gone.insert(whose);
    }

    async fn admit(&mut self, number: usize) {
        let at = self.now();
        let plate = NewPlate {
            plate_id: PlateId::random(),
            site: site(),
            plate: plate(number),
            subject: Some(subject(number)).filter(|_| number.is_multiple_of(2)),
            subject_fingerprint: number
                .is_multiple_of(2)
                .then(|| fingerprint::subject(&Self::vault(), &subject(number))),
            schedule: None,
            single_entry: false,
            validity: Validity::default(),
            fingerprint: fingerprint::plate(&Self::vault(), &plate(number)),
            lifts_sale: None,
        };
        // A sold one is refused.
        let _ = self.storage.admit_plate(&Scope::Operator, plate, at).await;
    }

    async fn sell(&mut self, number: usize) {
        let at = self.now();
        self.erased.extend(self.ciphertexts(number).await);
        let (vault, plate, whose) = (Self::vault(), plate(number), subject(number));
        let of_plate = |plate: &_| fingerprint::plate(&Self::vault(), plate);
        let sale = NewSale {
            sale_id: SaleId::random(),
            site: site(),
            customer: CustomerId::new("customer-1").unwrap(),
            plates: vec![(plate.clone(), fingerprint::plate(&vault, &plate))],
            cards: Vec::new(),
            subjects: vec![(whose.clone(), fingerprint::subject(&vault, &whose))],
        };
        let prints = (of_plate, move |hash: &_| fingerprint::card(&vault, hash));
        self.storage.sell_property(&Scope::Operator, sale, prints, at).await.unwrap().unwrap();
        self.storage.scrub().await.unwrap();
        self.gone.insert(number);
        self.sold.insert(number);
    }

    async fn back_up(&mut self) {
        self.storage.scrub().await.unwrap();
        self.backups.push(std::fs::read(&self.file).unwrap());
    }

    /// Puts a backup in the place of the data; the key store stays.
    async fn restore(&mut self, which: usize) {
        let Some(backup) = self.backups.get(which % self.backups.len().max(1)) else { return };
        self.storage.scrub().await.unwrap();
        let former = self.file.clone();
        self.clock += 1;
        self.file = self.folder.path().join(format!("cloud-{}.db", self.clock));
        std::fs::write(&self.file, backup).unwrap();
        self.storage = Storage::open(&self.file, file_keys(self.folder.path())).unwrap();
        std::fs::remove_file(former).unwrap();
    }

    fn restart(&mut self) {
        self.storage = Storage::open(&self.file, file_keys(self.folder.path())).unwrap();
    }

    async fn check(&self) {
        for &whose in &self.gone {
            assert!(self.ciphertexts(whose).await.is_empty(), "an erased subject has a template");
            assert_eq!(self.consent(whose).await, None, "an erased subject's consent counts");
            let key = self.reads(move |tx| tx.keys()?.wrapped(&site(), &subject(whose))).await;
            assert!(key.is_none(), "an erased subject has a key");
        }
        let admitted = self.storage.plates(&Scope::Operator, &site()).await.unwrap().unwrap();
        for &number in &self.sold {
            assert!(admitted.iter().all(|entry| entry.plate != PLATES[number]), "a sold plate is admitted");
        }
        self.storage.scrub().await.unwrap();
        let bytes = files(self.folder.path());
        for ciphertext in &self.erased {
            assert!(!contains(&bytes, &ciphertext[..24]), "an erased template is in a file");
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Enrol(usize),
    Withdraw(usize),
    Admit(usize),
    Sell(usize),
    BackUp,
    Restore(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..3_usize).prop_map(Step::Enrol),
        2 => (0..3_usize).prop_map(Step::Withdraw),
        2 => (0..3_usize).prop_map(Step::Admit),
        1 => (0..3_usize).prop_map(Step::Sell),
        2 => Just(Step::BackUp),
        2 => (0..8_usize).prop_map(Step::Restore),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_backup_brings_back_an_erased_subject_or_a_sold_plate(steps in proptest::collection::vec(step(), 1..24)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut house = House::new().await;
            for step in steps {
                match step {
                    Step::Enrol(whose) => house.enrol(whose).await,
                    Step::Withdraw(whose) => house.withdraw(whose).await,
                    Step::Admit(number) => house.admit(number).await,
                    Step::Sell(number) => house.sell(number).await,
                    Step::BackUp => house.back_up().await,
                    Step::Restore(which) => {
                        house.restore(which).await;
                        house.check().await;
                    }
                }
            }
            house.restore(0).await;
            house.check().await;
        });
    }
}

#[tokio::test]
async fn an_erasure_cut_short_after_the_key_is_finished_at_the_next_start() {
    let mut house = House::new().await;
    house.enrol(0).await;
    house.enrol(1).await;
    let at = house.now();
    house.erased.extend(house.ciphertexts(0).await);
    let cut = house.storage.write(move |tx| {
        erase_subject(tx, &site(), &subject(0), ErasureReason::ConsentWithdrawn, None, at)?;
        Err::<(), _>(StorageError::Closed)
    });
    assert!(cut.await.is_err());
    assert_eq!(house.ciphertexts(0).await.len(), 1, "the data did not follow");
    let before = house.storage.revision(&site()).await.unwrap();
    house.restart();
    house.gone.insert(0);
    house.check().await;
    assert_eq!(house.ciphertexts(1).await.len(), 1, "only that subject");
    assert_eq!(house.storage.revision(&site()).await.unwrap().0, before.0 + 1, "the controllers are told");
    let erasures = "SELECT ordered_at FROM erasures";
    assert_eq!(house.reads(move |tx| tx.query(erasures, [], |row| row.get::<i64>(0))).await, [at.0]);
}

#[tokio::test]
async fn a_restored_database_knows_its_erasures_by_their_own_ids() {
    let mut house = House::new().await;
    let (gate, at) = (ControllerId::new("gate-1").unwrap(), house.now());
    let (scope, until) = (Scope::Operator, at.plus_ms(60_000));
    house.storage.register_controller(&scope, &gate, &site(), "hash".to_owned(), until, at).await.unwrap();
    house.enrol(0).await;
    house.back_up().await;
    house.enrol(1).await;
    let ids = "SELECT erasure_id FROM erasures ORDER BY ordered_at";
    house.withdraw(0).await;
    house.withdraw(1).await;
    let ordered = house.reads(move |tx| tx.query(ids, [], |row| row.get::<String>(0))).await;
    house.restore(0).await;
    assert_eq!(house.reads(move |tx| tx.query(ids, [], |row| row.get::<String>(0))).await, ordered[..1]);
    // Of the other the backup does not know the subject. Its receipt is taken, so that nobody keeps it for ever.
    let receipt = |erasure: ErasureId| Receipt {
        erasure,
        controller: gate.clone(),
        revision: Revision(1),
        templates_erased: 1,
        verified: true,
        at,
    };
    let forgotten = receipt(ErasureId::new(ordered[1].clone()).unwrap());
    assert!(house.storage.store_receipt(&forgotten, "jws", at).await.unwrap());
    let audit = house.storage.recent_actions(1).await.unwrap().remove(0);
    assert_eq!((audit.0.as_str(), audit.2.as_ref()), ("receipt_of_forgotten_erasure", Some(&ordered[1])));
    let invented = house.storage.store_receipt(&receipt(ErasureId::random()), "jws", at).await;
    assert!(matches!(invented, Err(ReceiptError::UnknownErasure)));
}

#[tokio::test]
async fn after_an_erasure_cut_short_a_new_consent_starts_clean() {
    let mut house = House::new().await;
    house.enrol(0).await;
    let cut = house.storage.write(|tx| {
        tx.keys()?.erase(&ErasureId::random(), &site(), &subject(0), None, START)?;
        Err::<(), _>(StorageError::Closed)
    });
    assert!(cut.await.is_err());
    house.enrol(0).await;
    assert_eq!(house.ciphertexts(0).await.len(), 1, "the old one went, a new one came");
    house.restart();
    assert_eq!(house.ciphertexts(0).await.len(), 1, "and stays");
}

#[tokio::test]
async fn a_key_whose_template_was_never_stored_is_gone_after_the_next_start() {
    let mut house = House::new().await;
    house.storage.write(|tx| tx.keys()?.keep(&site(), &subject(0), b"wrapped-key-without-a-template")).await.unwrap();
    house.restart();
    assert!(house.reads(|tx| tx.keys()?.wrapped(&site(), &subject(0))).await.is_none());
    assert!(!contains(&files(house.folder.path()), b"wrapped-key-without-a-template"));
}

#[tokio::test]
async fn keys_of_an_older_database_are_moved_out_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cloud.db");
    let old = Sqlite::open(&file).unwrap();
    migrate(&old, &STEPS[..4], |_| Ok(())).unwrap();
    let whose = subject(0);
    old.batch(&format!(
        "INSERT INTO sites VALUES ('house-1', 'Test street 1', 0, 0);
         INSERT INTO subject_keys VALUES ('house-1', '{0}', CAST('wrapped-key-to-be-moved' AS BLOB));
         INSERT INTO templates VALUES ('t-1', 'house-1', '{0}', 'embedder', x'00', x'00', 0);",
        whose.as_str()
    ))
    .unwrap();
    drop(old);
    let storage = Storage::open(&file, file_keys(folder.path())).unwrap();
    let key = storage.read(move |tx| tx.keys()?.wrapped(&site(), &whose)).await.unwrap();
    assert_eq!(key.as_deref(), Some(&b"wrapped-key-to-be-moved"[..]));
    let templates = "SELECT count(*) FROM templates";
    assert_eq!(storage.read(|tx| tx.query_row(templates, [], |row| row.get::<i64>(0))).await.unwrap(), 1);
    let data = [std::fs::read(&file).unwrap(), std::fs::read(folder.path().join("cloud.db-wal")).unwrap()].concat();
    assert!(!contains(&data, b"wrapped-key-to-be-moved"));
}

#[tokio::test]
async fn the_key_store_of_another_database_is_refused_and_nothing_is_erased() {
    let mut house = House::new().await;
    house.enrol(0).await;
    let stranger = tempfile::tempdir().unwrap();
    let refused = Storage::open(&house.file, file_keys(stranger.path()));
    assert!(matches!(refused, Err(StorageError::OtherKeyStore)));
    let fresh = Storage::open(&stranger.path().join("cloud.db"), file_keys(house.folder.path()));
    assert!(matches!(fresh, Err(StorageError::OtherKeyStore)));
    assert!(Storage::in_memory(memory_keys()).is_ok());
    house.restart();
    assert_eq!(house.ciphertexts(0).await.len(), 1);
}
