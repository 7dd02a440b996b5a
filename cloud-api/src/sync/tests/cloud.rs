//! A cloud without its REST API: storage, CA, broker and sync in a scratch folder.

use std::path::Path;
use std::sync::Arc;

use cardea_protocol::Timestamp;
use cardea_protocol::clock::{SharedClock, SystemClock};
use cardea_protocol::digest::template_hash;
use cardea_protocol::event::EventKind;
use cardea_protocol::id::{ControllerId, CustomerId, ErasureId, PlateId, SaleId, SiteId, SubjectToken, TemplateId};
use cardea_protocol::jws::Verifier;
use cardea_protocol::message::PlateEntry;

use super::broker::{Mosquitto, On, free_port};
use crate::broker::external::{ExternalBroker, Settings};
use crate::enrolment::{Enroller, EnrolmentSettings};
use crate::keys::{SigningKey, SubjectKey, Vault};
use crate::pki::Authority;
use crate::storage::changes::{ChangeKind, append_change};
use crate::storage::engine::params;
use crate::storage::erasures::{ErasureReason, erase_subject};
use crate::storage::plates::store;
use crate::storage::sites::Scope;
use crate::storage::{Storage, StorageError};
use crate::sync::{BrokerChoice, Parts, Sync, SyncSettings};

pub(super) const EMBEDDER: &str = "face-embedder-1";
pub(super) const SUBJECT: &str = "5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f";

pub(super) struct Cloud {
    pub(super) storage: Storage,
    pub(super) vault: Arc<Vault>,
    pub(super) authority: Arc<Authority>,
    pub(super) sync: Sync,
    pub(super) enroller: Enroller,
    pub(super) site: SiteId,
    pub(super) verifier: Verifier,
    pub(super) mosquitto: Option<Mosquitto>,
    pub(super) folder: tempfile::TempDir,
    clock: SharedClock,
}

/// Another broker on a port that is free, whose files lie in `folder`.
pub(super) async fn external(
    folder: &Path,
    storage: &Storage,
    authority: &Arc<Authority>,
    clock: &SharedClock,
) -> ExternalBroker {
    let url = format!("mqtts://localhost:{}", free_port()).parse().unwrap();
    let settings = Settings { url, ca: None, revocation_list: Some(folder.join("crl.pem")) };
    settings.issue(folder, storage, authority, clock).await.unwrap();
    settings.broker(authority.certificate_der()).unwrap()
}

impl Cloud {
    pub(super) async fn start(on: On) -> Self {
        Self::with(on, SyncSettings { freshness_interval_ms: 60_000, command_wait_ms: 10_000 }).await
    }

    pub(super) async fn with(on: On, settings: SyncSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock: SharedClock = Arc::new(SystemClock);
        let storage = crate::testing::Scratch::in_folder(folder.path()).storage;
        let vault = Arc::new(Vault::from_bytes([7; 32]));
        let authority = Arc::new(Authority::open_or_create(folder.path(), clock.now()).unwrap());
        let signing = SigningKey::generate().unwrap();
        let site = SiteId::new("house-1").unwrap();
        storage
            .write(|tx| {
                tx.execute("INSERT INTO sites VALUES ('house-1', 'Test street 1', 0, 0)", [])?;
                tx.execute("INSERT INTO customers VALUES ('customer-1', 'Test', 0)", [])?;
                Ok::<_, StorageError>(())
            })
            .await
            .unwrap();
        let (broker, mosquitto) = match on {
            On::Embedded => {
                let names = vec!["localhost".to_owned()];
                let listen = ([127, 0, 0, 1], 0).into();
                (BrokerChoice::Embedded { listen, public_names: names, data_dir: folder.path().to_owned() }, None)
            }
            On::Mosquitto => {
                let external = external(folder.path(), &storage, &authority, &clock).await;
                let mosquitto = Mosquitto::start(folder.path(), external.port).await;
                (BrokerChoice::External(external), Some(mosquitto))
            }
        };
        let sync = Sync::start(Parts {
            storage: storage.clone(),
            vault: vault.clone(),
            authority: authority.clone(),
            signer: signing.signer().unwrap(),
            clock: clock.clone(),
            settings,
            broker,
        })
        .await
        .unwrap();
        sync.stands().await;
        let port = sync.broker_address().map(|address| address.port());
        let port = port.or(mosquitto.as_ref().map(|mosquitto| mosquitto.port)).unwrap();
        let enroller = Enroller::new(
            storage.clone(),
            authority.clone(),
            clock.clone(),
            EnrolmentSettings {
                certificate_days: 90,
                claim_tries: 5,
                renewal_grace_days: 90,
                broker_url: format!("mqtts://localhost:{port}"),
                cloud_key_pem: signing.public_pem().to_owned(),
                freshness_interval_ms: settings.freshness_interval_ms,
            },
        )
        .unwrap();
        let verifier = signing.verifier().unwrap();
        Self { storage, vault, authority, sync, enroller, site, verifier, mosquitto, folder, clock }
    }

    pub(super) fn broker_port(&self) -> u16 {
        let embedded = self.sync.broker_address().map(|address| address.port());
        embedded.or(self.mosquitto.as_ref().map(|mosquitto| mosquitto.port)).unwrap()
    }

    /// Whether the broker tells the cloud who comes and goes, and ends connections for it: the embedded one's hooks.
    pub(super) fn has_hooks(&self) -> bool {
        self.mosquitto.is_none()
    }

    /// Cuts the cloud's own connection to the broker; returns once there is another. Mosquitto is killed and started again for
    /// that, which cuts everybody's.
    pub(super) async fn lose_broker(&mut self) {
        match &mut self.mosquitto {
            None => self.sync.broker.as_ref().unwrap().end_cloud().await,
            Some(mosquitto) => {
                mosquitto.kill();
                self.sync.ready.clone().wait_for(|stands| !*stands).await.unwrap();
                mosquitto.start_again().await;
                self.sync.stands().await;
            }
        }
    }

    /// Revokes a controller as the API does.
    pub(super) async fn revoke(&self, controller: &ControllerId) {
        self.storage.revoke_controller(&Scope::Operator, controller, self.now()).await.unwrap();
        self.sync.end_sessions(controller).await;
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Admits a plate, without telling anybody.
    pub(super) async fn store_plate(&self, plate: &str) -> PlateId {
        let (id, site, plate, at) = (PlateId::random(), self.site.clone(), plate.to_owned(), self.now());
        let plate_id = id.clone();
        self.storage
            .write(move |tx| {
                store(tx, &site, &PlateEntry::new(id.clone(), plate.clone()), at)?;
                append_change(tx, &site, ChangeKind::PlateAdmitted, id.as_str(), at)
            })
            .await
            .unwrap();
        plate_id
    }

    pub(super) async fn admit(&self, plate: &str) -> PlateId {
        let id = self.store_plate(plate).await;
        self.sync.changed(&self.site);
        id
    }

    pub(super) async fn remove_plate(&self, plate: &PlateId) {
        let (id, site, at) = (plate.clone(), self.site.clone(), self.now());
        self.storage
            .write(move |tx| {
                tx.execute("DELETE FROM plates WHERE plate_id = ?1", [id.as_str()])?;
                append_change(tx, &site, ChangeKind::PlateRemoved, id.as_str(), at)
            })
            .await
            .unwrap();
        self.sync.changed(&self.site);
    }

    pub(super) fn subject() -> SubjectToken {
        SubjectToken::new(SUBJECT).unwrap()
    }

    pub(super) async fn enrol(&self, model: &str, vector: &[u8]) -> TemplateId {
        let (id, site, subject, at) = (TemplateId::random(), self.site.clone(), Self::subject(), self.now());
        let template = id.clone();
        let (vault, model, vector) = (self.vault.clone(), model.to_owned(), vector.to_vec());
        self.storage
            .write(move |tx| {
                let held = tx.keys()?.wrapped(&site, &subject)?;
                let key = match held {
                    Some(wrapped) => vault.unwrap(&site, &subject, &wrapped).unwrap(),
                    None => {
                        let key = SubjectKey::generate().unwrap();
                        let wrapped = vault.wrap(&site, &subject, &key).unwrap();
                        tx.keys()?.keep(&site, &subject, &wrapped)?;
                        key
                    }
                };
                let ciphertext = key.encrypt(&id, &vector).unwrap();
                tx.execute(
                    "INSERT INTO templates VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![
                        id.as_str(),
                        site.as_str(),
                        subject.as_str(),
                        model,
                        ciphertext,
                        template_hash(&vector),
                        at.0
                    ],
                )?;
                append_change(tx, &site, ChangeKind::TemplateAdded, id.as_str(), at)
            })
            .await
            .unwrap();
        self.sync.changed(&self.site);
        template
    }

    pub(super) async fn withdraw(&self) -> ErasureId {
        self.withdraw_at(self.now()).await
    }

    pub(super) async fn withdraw_at(&self, at: Timestamp) -> ErasureId {
        let site = self.site.clone();
        let erasure = self
            .storage
            .write(move |tx| {
                let erasure = erase_subject(tx, &site, &Self::subject(), ErasureReason::ConsentWithdrawn, None, at)?;
                append_change(tx, &site, ChangeKind::SubjectErased, erasure.as_str(), at)?;
                Ok::<_, StorageError>(erasure)
            })
            .await
            .unwrap();
        self.storage.scrub().await.unwrap();
        self.sync.changed(&self.site);
        erasure
    }

    /// Sells: removes the plate and erases the subject, as one change.
    pub(super) async fn sell(&self, plate: &PlateId) -> SaleId {
        let (site, plate, at, sale) = (self.site.clone(), plate.clone(), self.now(), SaleId::random());
        let customer = CustomerId::new("customer-1").unwrap();
        let sold = sale.clone();
        self.storage
            .write(move |tx| {
                tx.execute("DELETE FROM plates WHERE plate_id = ?1", [plate.as_str()])?;
                tx.execute(
                    "INSERT INTO sales VALUES (?1, ?2, 'customer-1', 1, 1, 0, ?3, 0)",
                    params![sale.as_str(), site.as_str(), at.0],
                )?;
                tx.execute("INSERT INTO sale_plates VALUES (?1, ?2)", [sale.as_str(), plate.as_str()])?;
                erase_subject(tx, &site, &Self::subject(), ErasureReason::PropertySold, Some((&sale, &customer)), at)?;
                append_change(tx, &site, ChangeKind::PropertySold, sale.as_str(), at)
            })
            .await
            .unwrap();
        self.sync.changed(&self.site);
        sold
    }

    /// Names of the alarms the cloud holds, sorted.
    pub(super) async fn alarms(&self) -> Vec<String> {
        let kinds = self.storage.read(|tx| tx.query("SELECT kind FROM events", [], |row| row.get::<String>(0))).await;
        let alarm = |kind: &String| match serde_json::from_str(kind).unwrap() {
            EventKind::Alarm { alarm } => Some(alarm),
            _ => None,
        };
        let mut alarms: Vec<String> = kinds.unwrap().iter().filter_map(alarm).collect();
        alarms.sort();
        alarms
    }
}
