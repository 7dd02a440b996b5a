//! A controller's store and sync against a whole cloud, over real TLS and MQTT; the test plays the access task.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use cardea_access::plate::Plate;
use cardea_cloud::config::Config;
use cardea_cloud::enrolment::claim_code::ClaimCode as CloudCode;
use cardea_cloud::pki::Authority;
use cardea_cloud::server::Server;
use cardea_cloud::storage::certificates::IssuedCertificate;
use cardea_cloud::storage::consent_texts::ConsentText;
use cardea_cloud::storage::consents::NewConsent;
use cardea_cloud::storage::plates::NewPlate;
use cardea_cloud::storage::sites::Scope;
use cardea_cloud::sync::OpenError;
use cardea_daemon::config::EventsConfig;
use cardea_daemon::identity::claim::{Claim, ClaimCode, claim};
use cardea_daemon::identity::{Identity, StateDir, files};
use cardea_daemon::seam::{AccessLinks, HoldingsVersion, links};
use cardea_daemon::store::{DeviceKey, Store, StoreOptions, machine_boot};
use cardea_daemon::sync::network::Internet;
use cardea_daemon::sync::{self, SyncStatus, SyncTask};
use cardea_protocol::Timestamp;
use cardea_protocol::clock::{Clock as _, ManualClock, SharedClock, SystemClock};
use cardea_protocol::event::EventKind;
use cardea_protocol::id::{
    AccessPointId, BootId, CommandId, ConsentId, ConsentTextId, ControllerId, CustomerId, PlateId, SiteId, SubjectToken,
};
use cardea_protocol::message::{AccessPoint, AccessPointKind, CommandOutcome, Validity};
use cardea_tests::site::link::Link;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use reqwest::Url;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

const PATIENCE: Duration = Duration::from_secs(30);
const DAY_MS: u32 = 24 * 3_600_000;

/// A cloud with one site, reached by controllers through a cable that can be pulled.
struct Cloud {
    server: Server,
    cable: Link,
    _folder: tempfile::TempDir,
}

fn site() -> SiteId {
    SiteId::new("birch-street-12").unwrap()
}

fn controller_id() -> ControllerId {
    ControllerId::new("birch-gate").unwrap()
}

fn door() -> AccessPointId {
    AccessPointId::new("birch-door").unwrap()
}

fn subject() -> SubjectToken {
    SubjectToken::new("5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f").unwrap()
}

impl Cloud {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cable = Link::start().await.unwrap();
        let text = format!(
            "data_dir = '{}'\n[server]\napi_listen = '127.0.0.1:0'\nenrol_listen = '127.0.0.1:0'\n\
             broker_listen = '127.0.0.1:0'\npublic_names = ['localhost', '127.0.0.1']\n\
             broker_url = 'mqtts://localhost:{}'\n[client_ca]\nfiles = []\n[sync]\nfreshness_interval_ms = 200\n",
            folder.path().display(),
            cable.local().port(),
        );
        let server = Server::start(Config::parse(&text).unwrap(), Arc::new(SystemClock)).await.unwrap();
        cable.lead_to(server.addresses().broker.unwrap());
        let (storage, now) = (&server.app().storage, SystemClock.now());
        storage.register_site(&site(), "12 Birch Street".to_owned(), now).await.unwrap();
        let customer = CustomerId::new("birch-homes").unwrap();
        storage.register_customer(&customer, "Birch Homes".to_owned(), vec![site()], now).await.unwrap();
        let text = ConsentText {
            text_id: ConsentTextId::random(),
            customer,
            version: "2026-03".to_owned(),
            language: "en".to_owned(),
            body: "I agree.".to_owned(),
            recorded_at: now,
        };
        storage.record_consent_text(text).await.unwrap();
        Self { server, cable, _folder: folder }
    }

    async fn claim(&self, state: &StateDir) -> Identity {
        let (storage, now) = (&self.server.app().storage, SystemClock.now());
        let code = CloudCode::generate().unwrap();
        let expires = now.plus_ms(60_000);
        storage
            .register_controller(&Scope::Operator, &controller_id(), &site(), code.hash().unwrap(), expires, now)
            .await
            .unwrap();
        let addresses = self.server.addresses();
        let request = Claim {
            enrolment_url: Url::parse(&addresses.enrol_url).unwrap(),
            api_url: Url::parse(&addresses.api_url).unwrap(),
            ca_pem: std::fs::read(&addresses.ca_file).unwrap(),
            controller: controller_id(),
            code: ClaimCode::new(&code.reveal()),
            replace: false,
        };
        claim(state, &request, now).await.unwrap()
    }

    async fn admit_plate(&self, text: &str) {
        let app = self.server.app();
        let plate = NewPlate {
            plate_id: PlateId::random(),
            site: site(),
            plate: Plate::parse(text, &app.grammars).unwrap(),
            subject: None,
            validity: Validity::ALWAYS,
            fingerprint: [1; 32],
            subject_fingerprint: None,
            schedule: None,
            single_entry: false,
            lifts_sale: None,
        };
        app.storage.admit_plate(&Scope::Operator, plate, app.now()).await.unwrap();
        app.sync.changed(&site());
    }

    /// Gives the controller a certificate that ended half its life ago, in the place of the one it has.
    async fn expire(&self, state: &StateDir) {
        let (storage, now) = (&self.server.app().storage, SystemClock.now());
        let authority = Authority::open_or_create(self.server.addresses().ca_file.parent().unwrap(), now).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
        let then = now.plus_ms(-60 * i64::from(DAY_MS));
        let (certificate, issued) = authority.issue_controller(request.der(), &controller_id(), 40, then).unwrap();
        storage.add_certificate(&controller_id(), issued.clone()).await.unwrap();
        let proved = IssuedCertificate { issued_at: now, ..issued };
        storage.supersede_certificates(&controller_id(), &proved, now).await.unwrap();
        let pem = format!(
            "{}-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            key.serialize_pem(),
            cardea_protocol::est::encode_body(&certificate)
        );
        files::write_secret(&state.credential(), pem.as_bytes()).unwrap();
    }

    /// Whether the cloud knows the controller to hold what it should.
    async fn in_sync(&self) -> bool {
        self.server.app().storage.controller(&Scope::Operator, &controller_id()).await.unwrap().unwrap().in_sync
    }
}

/// A controller without gate: store and sync are real.
struct Controller {
    store: Store,
    access: AccessLinks,
    status: watch::Receiver<SyncStatus>,
    state: StateDir,
    clock: Arc<ManualClock>,
    _running: DropGuard,
    _folder: tempfile::TempDir,
}

impl Controller {
    async fn start(cloud: &Cloud) -> Self {
        let folder = tempfile::tempdir().unwrap();
        cloud.claim(&StateDir::new(folder.path())).await;
        Self::start_claimed(folder, SystemClock.now())
    }

    /// In a folder that holds an identity, with a clock that says `wall`.
    fn start_claimed(folder: tempfile::TempDir, wall: Timestamp) -> Self {
        let state = StateDir::new(folder.path());
        let clock = ManualClock::at(wall);
        let options = StoreOptions {
            device_key: DeviceKey::load_or_create(&state.device_key()).unwrap(),
            events: EventsConfig::default(),
            machine_boot: machine_boot(),
        };
        let store = Store::open(&state.database(), options).unwrap();
        let shared: SharedClock = clock.clone();
        let equipment = vec![AccessPoint {
            id: door(),
            kind: AccessPointKind::Door,
            credentials: vec!["remote".to_owned()],
            reachable: true,
            state: "closed".to_owned(),
        }];
        let (access, sync_links) = links(&store, &shared, &BootId::random(), equipment);
        let rng = StdRng::seed_from_u64(7);
        let (task, status) =
            SyncTask::new(state.clone(), store.clone(), Arc::new(Internet), shared, rng, sync_links, None);
        let cancel = CancellationToken::new();
        tokio::spawn(sync::run(task, cancel.clone()));
        Self { store, access, status, state, clock, _running: cancel.drop_guard(), _folder: folder }
    }

    async fn until(&mut self, what: &str, wanted: impl FnMut(&SyncStatus) -> bool) {
        let came = timeout(PATIENCE, self.status.wait_for(wanted)).await.is_ok();
        assert!(came, "never {what}: {:?}", *self.status.borrow());
    }

    async fn online(&mut self) {
        self.until("online", |status| matches!(status, SyncStatus::Online { .. })).await;
    }

    async fn holds(&self, plates: usize) {
        let mut version = self.store.holdings_version();
        let wait = async {
            while self.store.standing().await.unwrap().plates != plates {
                version.changed().await.unwrap();
            }
        };
        assert!(timeout(PATIENCE, wait).await.is_ok(), "never {plates} plates");
    }
}

/// Asks again until it is so, or fails.
async fn eventually<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let wait = async {
        while !ask().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(PATIENCE, wait).await.is_ok(), "never: {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_follows_its_site_also_across_a_cut() {
    let cloud = Cloud::start().await;
    let mut controller = Controller::start(&cloud).await;
    controller.online().await;
    cloud.admit_plate("A111AA77").await;
    controller.holds(1).await;
    eventually("in sync", || cloud.in_sync()).await;
    let before = controller.store.freshness().borrow().unwrap().statement_at;

    cloud.cable.cut();
    controller.until("offline", |status| matches!(status, SyncStatus::Offline { .. })).await;
    cloud.admit_plate("B222BB77").await;
    cloud.cable.restore();
    controller.online().await;
    controller.holds(2).await;
    eventually("in sync", || cloud.in_sync()).await;
    let mut freshness = controller.store.freshness();
    let newer = freshness.wait_for(|state| state.is_some_and(|state| state.statement_at > before));
    assert!(timeout(PATIENCE, newer).await.is_ok());
    eventually("all events stored", async || controller.store.events_waiting().await.unwrap() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_applied_counts_only_once_the_gate_decides_by_it() {
    let cloud = Cloud::start().await;
    let mut controller = Controller::start(&cloud).await;
    controller.online().await;
    let version = |controller: &Controller| *controller.store.holdings_version().borrow();
    controller.access.gallery_at.send_replace(version(&controller));
    eventually("in sync", || cloud.in_sync()).await;

    cloud.admit_plate("A111AA77").await;
    controller.holds(1).await;
    let freshness = *controller.store.freshness().borrow();
    let premature = timeout(Duration::from_millis(700), eventually("in sync", || cloud.in_sync())).await;
    assert!(premature.is_err(), "the gate still decides as before");
    assert_eq!(*controller.store.freshness().borrow(), freshness, "and nothing said by the cloud makes it fresh");
    controller.access.gallery_at.send_replace(version(&controller));
    eventually("in sync", || cloud.in_sync()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_waits_for_the_gallery_and_completes_the_erasure() {
    let cloud = Cloud::start().await;
    let mut controller = Controller::start(&cloud).await;
    controller.online().await;
    let app = cloud.server.app();
    let consent = NewConsent {
        consent_id: ConsentId::random(),
        site: site(),
        subject: subject(),
        document_version: "2026-03".to_owned(),
        given_at: app.now(),
        evidence_sha256: "ab".repeat(32),
        fingerprint: [2; 32],
        lifts_sale: None,
    };
    let consent_id = consent.consent_id.clone();
    app.storage.record_consent(&Scope::Operator, consent, app.now()).await.unwrap();
    let erasure = app.storage.withdraw_consent(&Scope::Operator, &site(), &consent_id, app.now()).await.unwrap();
    app.sync.changed(&site());
    let unsigned = async || controller.store.unsigned_erasures().await.unwrap();
    eventually("the order is carried out", async || unsigned().await.1.len() == 1).await;
    let complete =
        async || app.storage.erasure(&Scope::Operator, &erasure).await.unwrap().unwrap().completed_at.is_some();
    assert!(!complete().await, "the old gallery is still in memory");
    controller.access.gallery_at.send_replace(HoldingsVersion(unsigned().await.0.0 - 1));
    assert!(!complete().await && unsigned().await.1.len() == 1, "not the version that erased");
    controller.access.gallery_at.send_replace(unsigned().await.0);
    eventually("the erasure is complete", complete).await;
    eventually("nothing is owed", async || controller.store.receipts().await.unwrap().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_confirmed_or_honestly_not() {
    let cloud = Cloud::start().await;
    let mut controller = Controller::start(&cloud).await;
    controller.online().await;
    eventually("in sync", || cloud.in_sync()).await;
    let sync = cloud.server.app().sync.clone();
    let open = || {
        let sync = sync.clone();
        tokio::spawn(async move { sync.open(CommandId::random(), &door(), &site()).await })
    };

    let asked = open();
    let request = timeout(PATIENCE, controller.access.commands.recv()).await.unwrap().unwrap();
    assert!(request.first_seen && request.command.access_point == door());
    assert_eq!(request.command.boot_id, controller.access.boot_id);
    request.outcome.send(CommandOutcome::Accepted).await.unwrap();
    request.outcome.send(CommandOutcome::Confirmed).await.unwrap();
    assert_eq!(asked.await.unwrap().unwrap(), CommandOutcome::Confirmed);

    let given_up = open();
    drop(timeout(PATIENCE, controller.access.commands.recv()).await.unwrap().unwrap());
    let refused = |reason: &str| CommandOutcome::Refused { reason: reason.to_owned() };
    assert_eq!(given_up.await.unwrap().unwrap(), refused("not-done"));

    // One order lies in the channel; the next is refused at once, not queued.
    let first = open();
    eventually("the first order waits", async || !controller.access.commands.is_empty()).await;
    assert_eq!(open().await.unwrap().unwrap(), refused("busy"));
    let request = controller.access.commands.recv().await.unwrap();
    request.outcome.send(CommandOutcome::Accepted).await.unwrap();
    drop(request);
    assert_eq!(first.await.unwrap().unwrap(), CommandOutcome::NotConfirmed);

    cloud.cable.cut();
    controller.until("offline", |status| matches!(status, SyncStatus::Offline { .. })).await;
    eventually("unreachable", async || matches!(open().await.unwrap(), Err(OpenError::Unreachable))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_renewed_in_time_and_kept_once_it_has_worked() {
    let cloud = Cloud::start().await;
    let mut controller = Controller::start(&cloud).await;
    controller.online().await;
    let old = Identity::load(&controller.state, false).unwrap().unwrap();
    // A renewal that is cut short is tried again only after a while by the clock, which stands still from here on: so the time
    // passes while there is nobody to renew at.
    cloud.cable.cut();
    controller.until("offline", |status| matches!(status, SyncStatus::Offline { .. })).await;
    // Two thirds of 90 days later. The clock that TLS looks at stays where it is.
    for _ in 0..61 {
        controller.clock.advance_ms(DAY_MS);
    }
    cloud.cable.restore();
    let chain = || Identity::load(&controller.state, false).unwrap().unwrap().credential.chain().to_vec();
    eventually("another certificate is in use", async || chain() != old.credential.chain()).await;
    // By the controller's clock the certificate that the cloud dates by its own is due again at once: put it right.
    controller.clock.set_wall(SystemClock.now());
    controller.online().await;
    cloud.admit_plate("A111AA77").await;
    controller.holds(1).await;
    eventually("in sync with the new key", || cloud.in_sync()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_longer_than_a_certificates_life_ends_by_itself() {
    // A clock that is right, one that stood still while the machine was off, and one that is years ahead.
    for days_off in [0, -40, 2_000] {
        let cloud = Cloud::start().await;
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::new(folder.path());
        cloud.claim(&state).await;
        cloud.expire(&state).await;
        let expired = Identity::load(&state, false).unwrap().unwrap();
        assert!(expired.has_expired(SystemClock.now()));
        let wall = SystemClock.now().plus_ms(days_off * i64::from(DAY_MS));
        let mut controller = Controller::start_claimed(folder, wall);
        controller.online().await;
        let renewed = Identity::load(&state, false).unwrap().unwrap();
        assert_ne!(renewed.credential.chain(), expired.credential.chain());
        assert!(!renewed.has_expired(SystemClock.now()));
        cloud.admit_plate("A111AA77").await;
        controller.holds(1).await;
        eventually("in sync with the new key", || cloud.in_sync()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_that_is_not_renewed_says_whom_to_ask() {
    let cloud = Cloud::start().await;
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::new(folder.path());
    cloud.claim(&state).await;
    cloud.expire(&state).await;
    let (storage, now) = (&cloud.server.app().storage, SystemClock.now());
    storage.revoke_controller(&Scope::Operator, &controller_id(), now).await.unwrap();
    let mut controller = Controller::start_claimed(folder, now);
    let told = |status: &SyncStatus| matches!(status, SyncStatus::Offline { why } if why.contains("not renewed") && why.contains("Ask the operator"));
    controller.until("told", told).await;
    assert!(!state.candidate().exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_pair_that_does_not_work_costs_nothing() {
    let cloud = Cloud::start().await;
    let mut controller = Controller::start(&cloud).await;
    controller.online().await;
    let old = Identity::load(&controller.state, false).unwrap().unwrap();
    // A pair of another cloud's making.
    let elsewhere = Cloud::start().await;
    let foreign = tempfile::tempdir().unwrap();
    let foreign_state = StateDir::new(foreign.path());
    elsewhere.claim(&foreign_state).await;
    std::fs::copy(foreign_state.credential(), controller.state.candidate()).unwrap();
    cloud.cable.cut();
    controller.until("offline", |status| matches!(status, SyncStatus::Offline { .. })).await;
    cloud.cable.restore();
    controller.online().await;
    let now = Identity::load(&controller.state, false).unwrap().unwrap();
    assert_eq!(now.credential.chain(), old.credential.chain());
    cloud.admit_plate("A111AA77").await;
    controller.holds(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_while_away_arrives_and_is_forgotten_here() {
    let cloud = Cloud::start().await;
    cloud.cable.cut();
    let mut controller = Controller::start(&cloud).await;
    for n in 0..250 {
        let kind = EventKind::Alarm { alarm: format!("alarm-{n}") };
        controller.access.outbox.push(Some(door()), kind);
    }
    controller.until("offline", |status| matches!(status, SyncStatus::Offline { .. })).await;
    assert!(controller.store.events_waiting().await.unwrap() >= 250);
    cloud.cable.restore();
    controller.online().await;
    eventually("all stored", async || controller.store.events_waiting().await.unwrap() == 0).await;
}
