use std::os::unix::fs::PermissionsExt as _;

use cardea_access::grammar::Grammars;
use cardea_access::plate::Plate;
use cardea_protocol::card::CardHash;
use cardea_protocol::clock::ManualClock;
use cardea_protocol::id::{CustomerId, PlateId, SaleId, SiteId};
use cardea_protocol::message::Validity;

use super::*;
use crate::fingerprint;
use crate::storage::plates::NewPlate;
use crate::storage::sales::NewSale;
use crate::storage::sites::Scope;
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

#[test]
fn a_dump_of_postgresql_brings_nothing_back() {
    let Some(database) = crate::testing::postgres::database() else { return };
    let folder = tempfile::tempdir().unwrap();
    let house = House::new(folder.path(), &format!("[storage]\nurl = {:?}\n", database.url()));
    a_backup_brings_nothing_back(&house, folder.path());
}
