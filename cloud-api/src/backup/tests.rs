use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt as _;

use cardea_access::grammar::Grammars;
use cardea_access::plate::Plate;
use cardea_protocol::card::CardHash;
use cardea_protocol::clock::ManualClock;
use cardea_protocol::id::{ConsentId, CustomerId, PlateId, SaleId, SiteId, SubjectToken, TemplateId};
use cardea_protocol::message::Validity;

use super::*;
use crate::fingerprint;
use crate::keys::SubjectKey;
use crate::storage::consents::NewConsent;
use crate::storage::plates::NewPlate;
use crate::storage::sales::NewSale;
use crate::storage::sites::Scope;
use crate::storage::templates::NewTemplate;
use crate::testing::START;

/// A configuration as `text` completes it, and what it keeps in `folder`.
fn config(folder: &Path, text: &str) -> Config {
    let text = format!(
        "data_dir = {:?}\n[server]\npublic_names = ['localhost']\n[client_ca]\nfiles = ['ca.pem']\n{text}",
        folder.join("data")
    );
    Config::parse(&text).unwrap()
}

struct House {
    config: Config,
    clock: SharedClock,
    runtime: tokio::runtime::Runtime,
}

impl House {
    fn new(folder: &Path, text: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let house = Self { config: config(folder, text), clock: ManualClock::at(START), runtime };
        let data = house.data();
        house.runtime.block_on(async {
            let customer = CustomerId::new("customer-1").unwrap();
            data.storage.register_site(&site(), "Test street 1".to_owned(), START).await.unwrap();
            data.storage.register_customer(&customer, "Test".to_owned(), vec![site()], START).await.unwrap();
            let plate = Plate::parse("A123BC77", &Grammars::default()).unwrap();
            let plate = NewPlate {
                plate_id: PlateId::random(),
                site: site(),
                fingerprint: fingerprint::plate(&data.vault, &plate),
                plate,
                subject: None,
                subject_fingerprint: None,
                schedule: None,
                single_entry: false,
                validity: Validity::ALWAYS,
                lifts_sale: None,
            };
            data.storage.admit_plate(&Scope::Operator, plate, START).await.unwrap();
        });
        house
    }

    fn data(&self) -> Data {
        Data::open(&self.config, &self.clock).unwrap()
    }

    /// Sells the only plate away, and ends the program.
    fn sell(&self) {
        let data = self.data();
        let plate = Plate::parse("A123BC77", &Grammars::default()).unwrap();
        let sale = NewSale {
            sale_id: SaleId::random(),
            site: site(),
            customer: CustomerId::new("customer-1").unwrap(),
            plates: vec![(plate.clone(), fingerprint::plate(&data.vault, &plate))],
            cards: vec![],
            subjects: vec![],
        };
        let none = (|_: &Plate| [0; 32], |_: &CardHash| [0; 32]);
        self.runtime.block_on(data.storage.sell_property(&Scope::Operator, sale, none, START)).unwrap().unwrap();
    }

    fn plates(&self) -> usize {
        self.runtime.block_on(self.data().storage.plates(&Scope::Operator, &site())).unwrap().unwrap().len()
    }

    fn restored(&self, file: &Path) -> Restored {
        restore(&self.config, file, &self.clock).unwrap()
    }
}

fn site() -> SiteId {
    SiteId::new("house-1").unwrap()
}

/// What both databases owe: a backup under a running cloud, which is refused in its place, and brings nothing back.
fn a_backup_brings_nothing_back(house: &House, folder: &Path) {
    let (file, again) = (folder.join("monday.backup"), folder.join("again.backup"));
    {
        let running = house.data();
        back_up(&house.config, &file).unwrap();
        assert!(matches!(restore(&house.config, &file, &house.clock), Err(BackupError::Running)));
        assert_eq!(
            house.runtime.block_on(running.storage.plates(&Scope::Operator, &site())).unwrap().unwrap().len(),
            1
        );
    }
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(back_up(&house.config, &file), Err(BackupError::Exists { .. })));
    assert_eq!(house.restored(&file).carried_out, 0, "nothing has happened since");
    assert_eq!(house.plates(), 1);
    house.sell();
    assert_eq!(house.plates(), 0);
    assert_eq!(house.restored(&file).carried_out, 1);
    assert_eq!(house.plates(), 0, "sold after the backup, sold after its restoring");
    back_up(&house.config, &again).unwrap();
    let audit = house.runtime.block_on(house.data().storage.recent_actions(1)).unwrap().remove(0);
    assert_eq!((audit.0.as_str(), audit.2.as_deref()), ("restore", Some("carried-out=1")));

    let broken = folder.join("broken.backup");
    std::fs::write(&broken, b"nothing of the kind").unwrap();
    assert!(matches!(restore(&house.config, &broken, &house.clock), Err(BackupError::Unsound { .. })));
    std::fs::write(&broken, &std::fs::read(&file).unwrap()[..4_000]).unwrap();
    assert!(restore(&house.config, &broken, &house.clock).is_err());
    assert_eq!(house.plates(), 0, "what was there is there");
    std::fs::remove_file(house.config.data_dir.join("subject-keys.db")).unwrap();
    assert!(matches!(restore(&house.config, &again, &house.clock), Err(BackupError::NoKeyStore { .. })));
}

#[test]
fn a_file_of_sqlite_brings_nothing_back() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::new(folder.path(), "");
    a_backup_brings_nothing_back(&house, folder.path());
    let left: Vec<_> = std::fs::read_dir(folder.path().join("data")).unwrap().collect();
    assert!(left.iter().flatten().all(|file| !file.file_name().to_string_lossy().contains("restoring")), "{left:?}");
}

/// SQLite leaves copies of rows in pages that it has split. A backup that was taken without care for that is restored as one
/// with it.
#[test]
fn what_was_erased_since_is_in_no_byte_of_what_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::new(folder.path(), "");
    let data = house.data();
    let mut ciphertexts = Vec::new();
    house.runtime.block_on(async {
        crate::testing::record_text(&data.storage, &CustomerId::new("customer-1").unwrap()).await;
        for number in 0..=40_u8 {
            ciphertexts.push(enrol(&data.storage, number).await);
        }
    });
    // The first stays.
    let gone: HashSet<&[u8]> = ciphertexts[1..].iter().flat_map(|ciphertext| ciphertext.chunks_exact(16)).collect();
    let remnants = |bytes: &[u8]| bytes.windows(16).filter(|window| gone.contains(window)).count();
    let (careful, careless) = (folder.path().join("careful.backup"), folder.path().join("careless.backup"));
    back_up(&house.config, &careful).unwrap();
    let database = folder.path().join("data/cloud.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection.execute("VACUUM INTO ?1", [careless.to_str().unwrap()]).unwrap();
    let rows = |file: &Path| std::fs::read(file).unwrap();
    assert!((1..=gone.len()).contains(&remnants(&rows(&careful))), "each row once");
    assert!(remnants(&rows(&careless)) > gone.len(), "nothing is left between the rows: it proves nothing");
    house.runtime.block_on(async {
        for number in 1..=40_u8 {
            let subject = subject(number);
            let consent = data.storage.active_consent(&Scope::Operator, &site(), &subject).await.unwrap().unwrap();
            data.storage.withdraw_consent(&Scope::Operator, &site(), &consent.unwrap(), START).await.unwrap();
        }
        data.storage.scrub().await.unwrap();
    });
    drop((connection, data));
    assert_eq!(remnants(&rows(&database)), 0);
    for backup in [careful, careless] {
        assert!(house.restored(&backup).carried_out >= 40);
        assert_eq!(remnants(&rows(&database)), 0, "{}", backup.display());
    }
}

fn subject(number: u8) -> SubjectToken {
    SubjectToken::new(&format!("5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e{number:02x}")).unwrap()
}

/// Enrols somebody with a template as long as a real one; answers its ciphertext.
async fn enrol(storage: &Storage, number: u8) -> Vec<u8> {
    let vault = Vault::from_bytes([7; 32]);
    let (consent_id, template_id, subject) = (ConsentId::random(), TemplateId::random(), subject(number));
    let consent = NewConsent {
        consent_id: consent_id.clone(),
        site: site(),
        subject: subject.clone(),
        document_version: "2026-03".to_owned(),
        given_at: START,
        evidence_sha256: "ab".repeat(32),
        fingerprint: fingerprint::subject(&vault, &subject),
        lifts_sale: None,
    };
    storage.record_consent(&Scope::Operator, consent, START).await.unwrap();
    let key = SubjectKey::generate().unwrap();
    let ciphertext = key.encrypt(&template_id, &[number; 1_050]).unwrap();
    let encrypted = (vault.wrap(&site(), &subject, &key).unwrap(), ciphertext.clone());
    let template = NewTemplate {
        template_id,
        site: site(),
        subject,
        consent: consent_id,
        model: "embedder".to_owned(),
        content_hash: [0; 32],
        encrypt: move |_: Option<Vec<u8>>| Ok(encrypted.clone()),
    };
    storage.add_template(&Scope::Operator, template, START).await.unwrap();
    ciphertext
}

#[test]
fn a_dump_of_postgresql_brings_nothing_back() {
    let Some(database) = crate::testing::postgres::database() else { return };
    let folder = tempfile::tempdir().unwrap();
    let house = House::new(folder.path(), &format!("[storage]\nurl = {:?}\n", database.url()));
    a_backup_brings_nothing_back(&house, folder.path());
}
