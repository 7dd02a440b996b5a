//! A controller's gate before a simulated house, with the real store in a scratch folder.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod pictures;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use cardea_access::passback::{self, Holder, Since};
use cardea_access::time::{Monotonic, Timestamp};
use cardea_daemon::config::{Config, EventsConfig};
use cardea_daemon::seam::{CommandRequest, SyncLinks};
use cardea_daemon::store::{ChangesBatch, DeviceKey, Opener, Store, StoreOptions};
use cardea_daemon::supervisor::Gate;
use cardea_hardware::sim::physics::{BarrierConfig, DoorConfig, Edge, HouseConfig, Line};
use cardea_hardware::sim::{Sim, SimConfig, SimHandle};
use cardea_protocol::clock::{Clock, SharedClock, SystemClock};
use cardea_protocol::event::{AccessDecision, Event, EventKind};
use cardea_protocol::id::{
    AccessPointId, BootId, CommandId, ControllerId, PlateId, Revision, SubjectToken, TemplateId,
};
use cardea_protocol::message::{AccessPoint, Change, Command, CommandOutcome, PlateEntry, TemplateEntry};
use cardea_protocol::seal::{OpeningKey, SealingKey, seal};
use tempfile::TempDir;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// How long anything may take before a test gives up. Nothing waits for as long when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A simulated house and the gate that serves it.
pub(crate) struct Site {
    pub(crate) sim: SimHandle,
    pub(crate) store: Store,
    pub(crate) gate: Gate,
    pub(crate) links: SyncLinks,
    pub(crate) clock: SharedClock,
    pub(crate) config: Config,
    ahead_ms: Arc<AtomicI64>,
    opener: Opener,
    sealing_key: SealingKey,
    revision: u64,
    folder: TempDir,
}

/// How a test wants its site.
#[derive(Default)]
pub(crate) struct Wish {
    /// Added to `[recognition]`'s place: `None` for a site without models.
    pub(crate) recognition: Option<(PathBuf, PathBuf)>,
    /// Added to the configuration, for example a `[biometrics]` section.
    pub(crate) sections: String,
    /// Keys added to the barrier, and to the door.
    pub(crate) barrier: String,
    pub(crate) door: String,
    /// Credentials of the barrier besides plates and orders, each with a comma after it.
    pub(crate) barrier_also: &'static str,
    /// The door's `pad`; off unless given.
    pub(crate) pad: Option<&'static str>,
    /// Whether demonstration models may not open.
    pub(crate) demo_refused: bool,
    /// Whether the barrier's camera is seen over RTSP.
    pub(crate) rtsp: bool,
    /// A plate, as `plate-1`, that is registered and inside the area `yard` since before the start.
    pub(crate) inside: Option<&'static str>,
    /// Whether nothing has set the clock since the machine started.
    pub(crate) clock_not_set: bool,
    /// Whether a person at the door walks in once it is released.
    pub(crate) auto_push: bool,
    /// Where the house has a line reader.
    pub(crate) line_reader: Option<PathBuf>,
}

/// The machine's clock, of which the test says whether anything has set it, and how far ahead it is.
#[derive(Debug)]
struct SiteClock {
    set: bool,
    ahead_ms: Arc<AtomicI64>,
}

impl Clock for SiteClock {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus_ms(self.ahead_ms.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Monotonic {
        let ahead_ms = self.ahead_ms.load(Ordering::Relaxed).unsigned_abs();
        Monotonic(SystemClock.monotonic().0 + ahead_ms)
    }

    fn is_set(&self) -> bool {
        self.set
    }
}

impl Site {
    pub(crate) async fn start(wish: Wish) -> Self {
        let sim = house_with(wish.auto_push, wish.line_reader.clone()).await;
        let folder = tempfile::tempdir().unwrap();
        let config = Config::parse(&config(&sim, &wish), &folder.path().join("cardead.toml")).unwrap();
        let ahead_ms = Arc::new(AtomicI64::new(0));
        let clock: SharedClock = Arc::new(SiteClock { set: !wish.clock_not_set, ahead_ms: ahead_ms.clone() });
        let store = Store::open(&folder.path().join("cardead.db"), store_options()).unwrap();
        let (key, sealing_key) = OpeningKey::derive(&Zeroizing::new([3; 32]));
        let opener = Opener { key: Arc::new(key), controller: ControllerId::new("controller-1").unwrap() };
        let mut revision = 0;
        if let Some(plate) = wish.inside {
            revision = 1;
            let plate_id = PlateId::new("plate-1").unwrap();
            let entry = PlateEntry::new(plate_id, plate.into());
            let changes = vec![Change::PlateAdmitted(entry)];
            let batch = ChangesBatch { from: Revision(0), to: Revision(revision), changes };
            store.apply_changes(opener.clone(), batch).await.unwrap();
            let since = Since { wall: clock.now(), mono: None };
            store.keep_passage(passback::Change::Inside("yard".into(), Holder::Plate("plate-1".into()), since));
        }
        let (gate, links) = Gate::start(&config, &clock, &store, &BootId::random()).await.unwrap();
        let site = Self { sim, store, gate, links, clock, config, ahead_ms, opener, sealing_key, revision, folder };
        site.until("the boards answer", |site| site.equipment().iter().all(|point| point.reachable)).await;
        site
    }

    /// The controller's program ends and starts anew, with nothing but what is on its disk.
    pub(crate) async fn restart(self) -> Self {
        self.restart_with(store_options()).await
    }

    /// The same after its machine was without power, and its clock came up `ms` later.
    pub(crate) async fn power_cut(self, ms: i64) -> Self {
        self.ahead_ms.fetch_add(ms, Ordering::Relaxed);
        self.restart_with(StoreOptions { machine_boot: Some("after the cut".into()), ..store_options() }).await
    }

    async fn restart_with(mut self, options: StoreOptions) -> Self {
        self.gate.shutdown().await;
        drop((self.store, self.links));
        let path = self.folder.path().join("cardead.db");
        let opening = async {
            loop {
                // The storage's thread may still hold the file.
                match Store::open(&path, options.clone()) {
                    Ok(store) => return store,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        self.store = tokio::time::timeout(PATIENCE, opening).await.expect("the store did not open again");
        (self.gate, self.links) = Gate::start(&self.config, &self.clock, &self.store, &BootId::random()).await.unwrap();
        self.until("the boards answer", |site| site.equipment().iter().all(|point| point.reachable)).await;
        self
    }

    /// So much time passes at once; what was held stays current.
    pub(crate) async fn pass_time(&self, ms: i64) {
        self.ahead_ms.fetch_add(ms, Ordering::Relaxed);
        self.state_fresh().await;
    }

    /// Waits until `done`.
    pub(crate) async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !done(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "not in time: {what}; {}", self.describe());
    }

    fn describe(&self) -> String {
        format!("{:?} {:?}", self.sim.state(), self.equipment())
    }

    /// What the cloud would be told.
    pub(crate) fn equipment(&self) -> Vec<AccessPoint> {
        self.links.equipment.borrow().clone()
    }

    pub(crate) fn state_of(&self, id: &str) -> String {
        self.equipment().into_iter().find(|point| point.id.as_str() == id).unwrap().state
    }

    /// Everything in the outbox.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let next = self.store.events(after).await.unwrap();
            match next.last() {
                Some(last) => after = last.seq,
                None => return all,
            }
            all.extend(next);
        }
    }

    /// The decisions recorded so far, oldest first.
    pub(crate) async fn decisions(&self) -> Vec<AccessDecision> {
        let events = self.events().await.into_iter();
        events.filter_map(|event| if let EventKind::AccessDecision(d) = event.kind { Some(d) } else { None }).collect()
    }

    /// Waits until a decision with this reason is recorded.
    pub(crate) async fn decision(&self, reason: &str) -> AccessDecision {
        self.decision_after(0, reason).await
    }

    /// Waits until a decision with this reason is recorded after the first `skip` decisions.
    pub(crate) async fn decision_after(&self, skip: usize, reason: &str) -> AccessDecision {
        let waiting = async {
            loop {
                let found = self.decisions().await.into_iter().skip(skip).find(|d| d.reason == reason);
                if let Some(found) = found {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(found) => found,
            Err(elapsed) => {
                panic!("no decision {reason}, {elapsed}: {:?} {}", self.decisions().await, self.describe())
            }
        }
    }

    /// Applies one change of the log and states that it is current; waits until the gate works by it.
    pub(crate) async fn apply(&mut self, change: Change) {
        let from = Revision(self.revision);
        self.revision += 1;
        let batch = ChangesBatch { from, to: Revision(self.revision), changes: vec![change] };
        let applied = self.store.apply_changes(self.opener.clone(), batch).await.unwrap();
        self.state_fresh().await;
        let reached = self.links.gallery_at.wait_for(|version| *version >= applied.version);
        tokio::time::timeout(PATIENCE, reached).await.expect("the gate did not catch up").unwrap();
    }

    /// The cloud says that what is held is current.
    pub(crate) async fn state_fresh(&self) {
        let (now, mono) = (self.clock.now(), self.clock.monotonic());
        assert!(self.store.keep_freshness(Revision(self.revision), now, mono).await.unwrap());
    }

    pub(crate) async fn admit_plate(&mut self, id: &str, plate: &str) {
        let plate_id = PlateId::new(id).unwrap();
        self.apply(Change::PlateAdmitted(PlateEntry::new(plate_id, plate.into()))).await;
    }

    pub(crate) async fn add_template(&mut self, id: &str, subject: &SubjectToken, plaintext: &[u8]) {
        let template_id = TemplateId::new(id).unwrap();
        let sealed = seal(&self.sealing_key, &self.opener.controller, &template_id, plaintext).unwrap();
        self.apply(Change::TemplateAdded(TemplateEntry { template_id, subject: subject.clone(), sealed })).await;
    }

    /// An order from the cloud, as sync hands it over.
    pub(crate) fn order(&self, access_point: &str) -> Command {
        Command {
            command_id: CommandId::random(),
            boot_id: self.links.boot_id.clone(),
            access_point: AccessPointId::new(access_point).unwrap(),
            expires_at: self.clock.now().plus_ms(10_000),
        }
    }

    /// Hands an order over and collects all its outcomes.
    pub(crate) async fn outcomes(&self, command: Command, first_seen: bool) -> Vec<CommandOutcome> {
        let (outcome, mut outcomes) = mpsc::channel(4);
        self.links.commands.send(CommandRequest { command, first_seen, outcome }).await.unwrap();
        let mut all = Vec::new();
        let collecting = async {
            while let Some(next) = outcomes.recv().await {
                all.push(next);
            }
        };
        tokio::time::timeout(PATIENCE, collecting).await.expect("no final outcome");
        all
    }

    /// The rising edges of a relay since the start.
    pub(crate) fn pulses(&self, name: &str) -> usize {
        let rising = |edge: &&Edge| edge.line == Line::Relay && edge.name == name && edge.on;
        self.sim.history(0).iter().filter(rising).count()
    }

    /// Ends the gate, and checks what must hold in every test.
    pub(crate) async fn finish(self) -> SimHandle {
        self.gate.shutdown().await;
        let state = self.sim.state();
        assert!(!state.barrier.struck, "the boom came down on a car");
        assert_eq!(state.relays, [false; 16], "an output was left on");
        self.sim
    }
}

fn store_options() -> StoreOptions {
    StoreOptions {
        device_key: DeviceKey::from_bytes([9; 32]),
        events: EventsConfig::default(),
        machine_boot: Some("boot".to_owned()),
    }
}

/// A simulated house whose parts move fast.
pub(crate) async fn house(auto_push: bool) -> SimHandle {
    house_with(auto_push, None).await
}

async fn house_with(auto_push: bool, line_reader: Option<PathBuf>) -> SimHandle {
    let house = HouseConfig {
        barrier: BarrierConfig { travel_ms: 300, ..BarrierConfig::default() },
        door: DoorConfig { auto_push, push_ms: 100, walk_ms: 300 },
        ..HouseConfig::default()
    };
    Sim::start(SimConfig { house, line_reader, ..SimConfig::default() }).await.unwrap()
}

/// The text of a configuration for the controller of that house.
pub(crate) fn config(sim: &SimHandle, wish: &Wish) -> String {
    let (plate, face, recognition) = match &wish.recognition {
        Some((pack, library)) => {
            let (pack, library) = (pack.display(), library.display());
            (
                r#""plate", "#,
                r#""face", "#,
                format!(
                    "[recognition]\npack = '{pack}'\nonnxruntime = '{library}'\nallow_demo_models = {}\n",
                    !wish.demo_refused
                ),
            )
        }
        None => ("", "", String::new()),
    };
    format!(
        r#"
state_dir = "state"
{sections}
{recognition}
[local]
socket = "local.sock"
orders = "orders.sock"

[[board]]
id = "io1"
driver = "modbus-tcp"
address = "{modbus}"
unit = 1
timing = {{ poll_ms = 10, request_timeout_ms = 300, deliver_within_ms = 700, reconnect_max_ms = 200 }}

{lines}
[[camera]]
id = "plate-cam"
driver = "{plate_driver}"
url = "{plate_cam}"

[[camera]]
id = "face-cam"
driver = "http-snapshot"
url = "{face_cam}"

[[access_point]]
kind = "barrier"
id = "barrier-1"
credentials = [{plate}{barrier_also}"remote"]
camera = "plate-cam"
open = "barrier-open"
close = "barrier-close"
loop = "barrier-loop"
open_limit = "open-limit"
closed_limit = "closed-limit"
pulse_ms = 100
travel_ms = 2000
clear_ms = 200
open_timeout_s = 3
{barrier}

[[access_point]]
kind = "door"
pad = "{pad}"
id = "door-1"
credentials = [{face}{card}"remote"]
camera = "face-cam"
lock = "door-lock"
contact = "door-contact"
exit_button = "exit-button"
release_ms = 1000
{door}
"#,
        sections = wish.sections.replace("ANPR_URL", &sim.anpr_url()),
        plate_driver = if wish.rtsp { "rtsp" } else { "http-snapshot" },
        card = if wish.door.contains("reader =") { "\"card\", " } else { "" },
        barrier = wish.barrier,
        barrier_also = wish.barrier_also,
        pad = wish.pad.unwrap_or("off"),
        door = wish.door,
        modbus = sim.modbus_addr(),
        lines = lines(),
        plate_cam = if wish.rtsp { sim.rtsp_url("plate-cam") } else { sim.snapshot_url("plate-cam") },
        face_cam = sim.snapshot_url("face-cam"),
    )
}

/// The channels of the simulated house.
fn lines() -> String {
    let line = |kind: &str, id: &str, channel: usize| {
        format!("[[{kind}]]\nid = \"{id}\"\nboard = \"io1\"\nchannel = {channel}\n")
    };
    [
        line("output", "barrier-open", 0),
        line("output", "barrier-close", 1),
        line("output", "door-lock", 4),
        line("input", "barrier-loop", 0),
        line("input", "open-limit", 1),
        line("input", "closed-limit", 2),
        line("input", "door-contact", 4),
        line("input", "exit-button", 5),
        line("input", "key-open", 9),
        line("input", "key-lock", 10),
    ]
    .concat()
}
