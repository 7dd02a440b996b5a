//! A hostile broker between controllers and their cloud: it holds both ends of every connection, keeps all that passes, withholds,
//! repeats, reorders, delivers to the wrong one and forges. Store and sync of the controllers and the whole cloud are real; the
//! test plays the access task.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cardea_access::plate::Plate;
use cardea_cloud::config::Config;
use cardea_cloud::enrolment::claim_code::ClaimCode as CloudCode;
use cardea_cloud::keys::{SigningKey, SubjectKey};
use cardea_cloud::server::Server;
use cardea_cloud::storage::consent_texts::ConsentText;
use cardea_cloud::storage::consents::NewConsent;
use cardea_cloud::storage::plates::NewPlate;
use cardea_cloud::storage::sites::Scope;
use cardea_cloud::storage::templates::NewTemplate;
use cardea_daemon::config::EventsConfig;
use cardea_daemon::identity::claim::{Claim, ClaimCode, claim};
use cardea_daemon::identity::renew::RenewError;
use cardea_daemon::identity::{Identity, StateDir};
use cardea_daemon::seam::{AccessLinks, links};
use cardea_daemon::store::{DeviceKey, Store, StoreOptions, machine_boot};
use cardea_daemon::sync::network::{Internet, Link, LinkError, Network};
use cardea_daemon::sync::{self, SyncStatus, SyncTask};
use cardea_protocol::clock::{Clock as _, ManualClock, SharedClock, SystemClock};
use cardea_protocol::digest::template_hash;
use cardea_protocol::envelope::Sender;
use cardea_protocol::event::EventKind;
use cardea_protocol::id::{
    AccessPointId, BootId, CommandId, ConsentId, ConsentTextId, ControllerId, CustomerId, PlateId, SessionId, SiteId,
    SubjectToken, TemplateId,
};
use cardea_protocol::jws::Use;
use cardea_protocol::message::{AccessPoint, AccessPointKind, CommandOutcome, Down, Up, Validity};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use reqwest::Url;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

const PATIENCE: Duration = Duration::from_secs(30);
const EMBEDDER: &str = "face-embedder-1";
/// `"message": {"command": …` in deterministic CBOR.
const COMMAND: &[u8] = b"\x67message\xa1\x67command";

/// What the broker has in hand of one controller's traffic.
#[derive(Debug, Default)]
struct Hands {
    /// All that ever came for it.
    down: Vec<Bytes>,
    /// All that it ever sent.
    up: Vec<Vec<u8>>,
    /// So many of the next messages do not reach it.
    withhold_down: usize,
    /// The same for those that it sends.
    withhold_up: usize,
    /// To be delivered to it beside what the cloud sends.
    inject_down: VecDeque<Bytes>,
    /// To be published in its name after what it sends next.
    inject_up: Vec<Vec<u8>>,
}

/// The broker, as one controller reaches it.
#[derive(Clone, Debug, Default)]
struct Broker {
    hands: Arc<Mutex<Hands>>,
    injected: Arc<Notify>,
}

impl Broker {
    fn with<R>(&self, does: impl FnOnce(&mut Hands) -> R) -> R {
        does(&mut self.hands.lock().unwrap())
    }

    fn deliver(&self, messages: impl IntoIterator<Item = Bytes>) {
        self.with(|hands| hands.inject_down.extend(messages));
        self.injected.notify_one();
    }

    async fn delivered(&self) {
        eventually("all is delivered", async || self.with(|hands| hands.inject_down.is_empty())).await;
    }

    fn order(&self) -> Option<Bytes> {
        let is_order = |message: &&Bytes| message.windows(COMMAND.len()).any(|window| window == COMMAND);
        self.with(|hands| hands.down.iter().find(is_order).cloned())
    }
}

#[async_trait]
impl Network for Broker {
    async fn connect(&self, identity: &Identity) -> Result<Box<dyn Link>, LinkError> {
        let inner = Internet.connect(identity).await?;
        Ok(Box::new(Evil { inner, broker: self.clone(), unacknowledged: false, genuine: false }))
    }

    async fn reenroll(&self, identity: &Identity, request: &[u8]) -> Result<Vec<Vec<u8>>, RenewError> {
        Internet.reenroll(identity, request).await
    }

    async fn reenroll_expired(&self, identity: &Identity, request: &[u8]) -> Result<Vec<Vec<u8>>, RenewError> {
        Internet.reenroll_expired(identity, request).await
    }
}

struct Evil {
    inner: Box<dyn Link>,
    broker: Broker,
    unacknowledged: bool,
    /// Whether the last message came from the cloud just now.
    genuine: bool,
}

#[async_trait]
impl Link for Evil {
    async fn next(&mut self) -> Result<Bytes, LinkError> {
        loop {
            if self.unacknowledged {
                self.inner.acknowledge().await?;
                self.unacknowledged = false;
            }
            if let Some(message) = self.broker.with(|hands| hands.inject_down.pop_front()) {
                self.genuine = false;
                return Ok(message);
            }
            let message = tokio::select! {
                () = self.broker.injected.notified() => continue,
                message = self.inner.next() => message?,
            };
            let passes = self.broker.with(|hands| {
                hands.down.push(message.clone());
                let passes = hands.withhold_down == 0;
                hands.withhold_down = hands.withhold_down.saturating_sub(1);
                passes
            });
            self.genuine = passes;
            self.unacknowledged = !passes;
            if passes {
                return Ok(message);
            }
        }
    }

    async fn acknowledge(&mut self) -> Result<(), LinkError> {
        if self.genuine { self.inner.acknowledge().await } else { Ok(()) }
    }

    async fn publish(&mut self, payload: Vec<u8>) -> Result<(), LinkError> {
        let (passes, injected) = self.broker.with(|hands| {
            hands.up.push(payload.clone());
            let passes = hands.withhold_up == 0;
            hands.withhold_up = hands.withhold_up.saturating_sub(1);
            (passes, std::mem::take(&mut hands.inject_up))
        });
        if passes {
            self.inner.publish(payload).await?;
        }
        for message in injected {
            self.inner.publish(message).await?;
        }
        Ok(())
    }

    async fn leave(self: Box<Self>) {
        self.inner.leave().await;
    }
}

struct Cloud {
    server: Server,
    _folder: tempfile::TempDir,
}

fn site() -> SiteId {
    SiteId::new("birch-street-12").unwrap()
}

fn subject() -> SubjectToken {
    SubjectToken::new("5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f").unwrap()
}

impl Cloud {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The address of the broker is known only once it listens: a cable leads there.
        let cable = cardea_tests::site::link::Link::start().await.unwrap();
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
        Self { server, _folder: folder }
    }

    async fn claim(&self, id: &ControllerId, state: &StateDir) {
        let (storage, now) = (&self.server.app().storage, SystemClock.now());
        let code = CloudCode::generate().unwrap();
        let (hash, expires) = (code.hash().unwrap(), now.plus_ms(60_000));
        storage.register_controller(&Scope::Operator, id, &site(), hash, expires, now).await.unwrap();
        let addresses = self.server.addresses();
        let request = Claim {
            enrolment_url: Url::parse(&addresses.enrol_url).unwrap(),
            api_url: Url::parse(&addresses.api_url).unwrap(),
            ca_pem: std::fs::read(&addresses.ca_file).unwrap(),
            controller: id.clone(),
            code: ClaimCode::new(&code.reveal()),
            replace: false,
        };
        claim(state, &request, now).await.unwrap();
    }

    async fn admit_plate(&self, text: &str, fingerprint: u8) -> PlateId {
        let app = self.server.app();
        let plate_id = PlateId::random();
        let plate = NewPlate {
            plate_id: plate_id.clone(),
            site: site(),
            plate: Plate::parse(text, &app.grammars).unwrap(),
            subject: None,
            validity: Validity::ALWAYS,
            fingerprint: [fingerprint; 32],
            subject_fingerprint: None,
            schedule: None,
            single_entry: false,
            lifts_sale: None,
        };
        app.storage.admit_plate(&Scope::Operator, plate, app.now()).await.unwrap();
        app.sync.changed(&site());
        plate_id
    }

    async fn remove_plate(&self, plate: &PlateId) {
        let app = self.server.app();
        app.storage.remove_plate(&Scope::Operator, &site(), plate, app.now()).await.unwrap();
        app.sync.changed(&site());
    }

    async fn enrol(&self) -> ConsentId {
        let app = self.server.app();
        let consent_id = ConsentId::random();
        let consent = NewConsent {
            consent_id: consent_id.clone(),
            site: site(),
            subject: subject(),
            document_version: "2026-03".to_owned(),
            given_at: app.now(),
            evidence_sha256: "ab".repeat(32),
            fingerprint: [2; 32],
            lifts_sale: None,
        };
        app.storage.record_consent(&Scope::Operator, consent, app.now()).await.unwrap();
        let (template_id, vault, vector) = (TemplateId::random(), app.vault.clone(), [7; 64]);
        let id = template_id.clone();
        let template = NewTemplate {
            template_id,
            site: site(),
            subject: subject(),
            consent: consent_id.clone(),
            model: EMBEDDER.to_owned(),
            content_hash: template_hash(&vector),
            encrypt: move |_held: Option<Vec<u8>>| {
                let key = SubjectKey::generate()?;
                Ok((vault.wrap(&site(), &subject(), &key)?, key.encrypt(&id, &vector)?))
            },
        };
        app.storage.add_template(&Scope::Operator, template, app.now()).await.unwrap();
        app.sync.changed(&site());
        consent_id
    }

    /// How often each alarm about messages of this controller is in the cloud's database.
    async fn alarms(&self, controller: &ControllerId) -> BTreeMap<String, usize> {
        let events = self.server.app().storage.events(&Scope::Operator, &site(), None, 1_000).await.unwrap().unwrap();
        let mut alarms = BTreeMap::new();
        for event in events.into_iter().filter(|event| event.controller == *controller) {
            if let EventKind::Alarm { alarm } = event.kind {
                *alarms.entry(alarm).or_default() += 1;
            }
        }
        alarms
    }

    async fn alarmed(&self, controller: &ControllerId, alarm: &str, times: usize) {
        let wait = async {
            while self.alarms(controller).await.get(alarm) != Some(&times) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let came = timeout(PATIENCE, wait).await.is_ok();
        assert!(came, "not {alarm} {times} times: {:?}", self.alarms(controller).await);
    }
}

struct Controller {
    id: ControllerId,
    door: AccessPointId,
    store: Store,
    access: AccessLinks,
    status: watch::Receiver<SyncStatus>,
    clock: Arc<ManualClock>,
    broker: Broker,
    _running: DropGuard,
    _folder: tempfile::TempDir,
}

impl Controller {
    async fn start(cloud: &Cloud, name: &str, seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::new(folder.path());
        let id = ControllerId::new(name).unwrap();
        let door = AccessPointId::new(format!("{name}-door")).unwrap();
        cloud.claim(&id, &state).await;
        let clock = ManualClock::at(SystemClock.now());
        let options = StoreOptions {
            device_key: DeviceKey::load_or_create(&state.device_key()).unwrap(),
            events: EventsConfig::default(),
            machine_boot: machine_boot(),
        };
        let store = Store::open(&state.database(), options).unwrap();
        let shared: SharedClock = clock.clone();
        let equipment = vec![AccessPoint {
            id: door.clone(),
            kind: AccessPointKind::Door,
            credentials: vec!["remote".to_owned()],
            reachable: true,
            state: "closed".to_owned(),
        }];
        let (access, sync_links) = links(&store, &shared, &BootId::random(), equipment);
        let (rng, broker) = (StdRng::seed_from_u64(seed), Broker::default());
        let network = Arc::new(broker.clone());
        let (task, status) =
            SyncTask::new(state, store.clone(), network, shared, rng, sync_links, Some(EMBEDDER.to_owned()));
        let cancel = CancellationToken::new();
        tokio::spawn(sync::run(task, cancel.clone()));
        let running = cancel.drop_guard();
        let mut controller =
            Self { id, door, store, access, status, clock, broker, _running: running, _folder: folder };
        controller.online().await;
        controller
    }

    async fn online(&mut self) {
        let online = self.status.wait_for(|status| matches!(status, SyncStatus::Online { .. }));
        assert!(timeout(PATIENCE, online).await.is_ok(), "never online");
    }

    async fn holds(&self, plates: usize, templates: usize) {
        let what = format!("{} holds {plates} plates and {templates} templates", self.id);
        eventually(&what, async || {
            let standing = self.store.standing().await.unwrap();
            (standing.plates, standing.templates) == (plates, templates)
        })
        .await;
    }

    /// An order by the operator that is carried out, once.
    async fn opens(&mut self, cloud: &Cloud) {
        let (sync, door) = (cloud.server.app().sync.clone(), self.door.clone());
        let asked = tokio::spawn(async move { sync.open(CommandId::random(), &door, &site()).await });
        let request = timeout(PATIENCE, self.access.commands.recv()).await.unwrap().unwrap();
        request.outcome.send(CommandOutcome::Confirmed).await.unwrap();
        assert_eq!(asked.await.unwrap().unwrap(), CommandOutcome::Confirmed);
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
async fn a_hostile_broker_achieves_nothing_and_each_attempt_shows() {
    let cloud = Cloud::start().await;
    let (mut near, mut far) =
        (Controller::start(&cloud, "gate-a", 1).await, Controller::start(&cloud, "gate-b", 2).await);
    let plate = cloud.admit_plate("A111AA77", 1).await;
    let consent = cloud.enrol().await;
    near.holds(1, 1).await;
    far.holds(1, 1).await;
    near.opens(&cloud).await;
    far.opens(&cloud).await;
    let app = cloud.server.app();
    app.storage.withdraw_consent(&Scope::Operator, &site(), &consent, app.now()).await.unwrap();
    cloud.remove_plate(&plate).await;
    near.holds(0, 0).await;
    far.holds(0, 0).await;
    assert!(cloud.alarms(&near.id).await.is_empty(), "nothing has happened yet");

    // To the controller: all that ever came, backwards and again; another's order; an order by another key; a gap.
    let mut again = near.broker.with(|hands| hands.down.clone());
    again.reverse();
    near.broker.deliver(again.clone());
    cloud.alarmed(&near.id, "message-replayed", 1).await;
    near.broker.deliver([far.broker.order().unwrap()]);
    cloud.alarmed(&near.id, "message-misdirected", 1).await;
    let other = SigningKey::generate().unwrap().signer().unwrap();
    let id = near.id.clone();
    let forged = |usage| Sender::new(other.clone(), usage, id.clone(), SessionId::random());
    let lie = forged(Use::Down).seal(app.now(), Down::EventsStored { through: u64::MAX }).unwrap();
    near.broker.deliver([Bytes::from(lie)]);
    cloud.alarmed(&near.id, "message-forged", 1).await;
    near.broker.with(|hands| hands.withhold_down = 1);
    cloud.alarmed(&near.id, "message-missing", 1).await;
    // The sessions are others now: the same again, many times over.
    near.online().await;
    for _ in 0..20 {
        near.broker.deliver(again.clone());
    }
    near.broker.delivered().await;

    // To the cloud, in the controller's name: another's; its own of before; by another key; not all.
    let of_another = far.broker.with(|hands| hands.up.clone());
    near.broker.with(|hands| hands.inject_up = of_another);
    let _ = cloud.admit_plate("B222BB77", 3).await;
    // No key of this controller verifies what another has signed.
    cloud.alarmed(&near.id, "message-forged", 2).await;
    near.broker.with(|hands| hands.inject_up = hands.up.clone());
    let _ = cloud.admit_plate("C333CC77", 4).await;
    cloud.alarmed(&near.id, "message-replayed", 2).await;
    let lie = forged(Use::Up).seal(app.now(), Up::Equipment { equipment: vec![] }).unwrap();
    near.broker.with(|hands| hands.inject_up = vec![lie]);
    let _ = cloud.admit_plate("E444EE77", 5).await;
    near.broker.with(|hands| hands.withhold_up = 1);
    let _ = cloud.admit_plate("H555HH77", 6).await;
    near.holds(4, 0).await;
    let _ = cloud.admit_plate("K666KK77", 7).await;
    cloud.alarmed(&near.id, "message-missing", 2).await;

    near.holds(5, 0).await;
    far.holds(5, 0).await;
    assert!(near.access.commands.is_empty() && far.access.commands.is_empty(), "an order came again");
    let alarms = cloud.alarms(&near.id).await;
    let expected = [("message-forged", 2), ("message-misdirected", 1), ("message-missing", 2), ("message-replayed", 2)];
    let expected = expected.map(|(name, times)| (name.to_owned(), times));
    assert_eq!(alarms, BTreeMap::from(expected), "once by each side, an hour long");
    assert!(cloud.alarms(&far.id).await.is_empty(), "and nobody else is blamed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_that_is_withheld_ends_in_staleness_and_is_fetched_once_let_through() {
    let cloud = Cloud::start().await;
    let gate = Controller::start(&cloud, "gate-a", 1).await;
    let plate = cloud.admit_plate("A111AA77", 1).await;
    gate.holds(1, 0).await;
    eventually("fresh", async || gate.store.freshness().borrow().is_some()).await;
    gate.broker.with(|hands| hands.withhold_down = usize::MAX);
    let before = gate.broker.with(|hands| hands.down.len());
    cloud.remove_plate(&plate).await;
    // The order, and statements after it.
    eventually("withheld", async || gate.broker.with(|hands| hands.down.len()) > before + 3).await;
    let freshness = gate.store.freshness().borrow().unwrap();
    gate.clock.advance_ms(3_600_000);
    let (age, still) = (gate.clock.monotonic().since_ms(freshness.received.unwrap()), *gate.store.freshness().borrow());
    assert!(age >= 3_600_000 && still == Some(freshness), "nothing makes it fresh: {age} ms");
    gate.holds(1, 0).await;

    gate.broker.with(|hands| hands.withhold_down = 0);
    gate.holds(0, 0).await;
    cloud.alarmed(&gate.id, "message-missing", 1).await;
    eventually("fresh", async || *gate.store.freshness().borrow() != Some(freshness)).await;
}
