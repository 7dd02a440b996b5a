//! A controller: the real store, gate and sync task, on a disk and a clock of the simulation, before a house in memory.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use cardea_access::time::Timestamp;
use cardea_daemon::capture::Told;
use cardea_daemon::config::{Config, EventsConfig};
use cardea_daemon::guardian::Heartbeat;
use cardea_daemon::identity::StateDir;
use cardea_daemon::local::RecentDecision;
use cardea_daemon::store::{DeviceKey, Store, StoreOptions};
use cardea_daemon::supervisor::{Eyes, Gate};
use cardea_daemon::sync::{self, SyncTask};
use cardea_models::Template;
use cardea_protocol::clock::SharedClock;
use cardea_protocol::id::BootId;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::clock::SimClock;
use super::desk;
use super::disk::{Disk, Power};
use super::ground::Claimed;
use super::house::{self, House};
use super::network::Net;

/// The embedder of every template.
pub(super) const EMBEDDER: &str = "face-embedder-1";
/// The longest that the disk takes.
const DISK_MS: u64 = 12;
/// A presentation is decided and carried out within this.
const DECIDED_WITHIN_MS: u64 = 150;

/// A controller's machine: what outlives its program.
pub(super) struct Machine {
    pub(super) disk: Arc<Disk>,
    pub(super) clock: Arc<SimClock>,
    pub(super) failed: Arc<Notify>,
    /// Counts the starts of the machine.
    pub(super) boot: u32,
    /// Counts the starts of the program.
    pub(super) lives: u32,
    pub(super) life: Option<Life>,
    state: StateDir,
    config: Config,
    track: u64,
    /// Openings that presentations account for, in all lives.
    pub(super) granted: u64,
    /// Openings in former lives.
    opened_before: u64,
    /// The last cursor that was seen on the disk.
    pub(super) cursor: i64,
}

/// One run of the program.
pub(super) struct Life {
    pub(super) power: Power,
    gate: Gate,
    house: House,
    sync: JoinHandle<()>,
    cancel: CancellationToken,
}

/// What is shown at a gate.
#[derive(Clone, Debug)]
pub(super) enum Shown {
    Face(Template),
    Plate(String),
    Card([u8; 4]),
}

impl Shown {
    /// As decisions call it.
    pub(super) fn credential(&self) -> &'static str {
        match self {
            Self::Face(_) => "face",
            Self::Plate(_) => "plate",
            Self::Card(_) => "card",
        }
    }
}

impl Machine {
    pub(super) fn new(claimed: &Claimed, clock: Arc<SimClock>) -> Result<Self> {
        Ok(Self {
            disk: Arc::new(Disk::new(claimed.id.as_str())?),
            clock,
            failed: Arc::default(),
            boot: 0,
            lives: 0,
            life: None,
            state: claimed.state.clone(),
            config: house::config(claimed.id.as_str())?,
            track: 0,
            granted: 0,
            opened_before: 0,
            cursor: 0,
        })
    }

    /// Starts the program.
    pub(super) async fn start(&mut self, net: &Net, rng: &mut StdRng) -> Result<()> {
        self.lives += 1;
        let power = Power::on(self.failed.clone());
        let started = self.start_on(&power, net, rng).await;
        if started.is_err() {
            power.cut();
        }
        started
    }

    async fn start_on(&mut self, power: &Power, net: &Net, rng: &mut StdRng) -> Result<()> {
        let mut disk_rng = StdRng::seed_from_u64(rng.random());
        let pace = Box::new(move || Duration::from_millis(disk_rng.random_range(0..=DISK_MS)));
        let options = StoreOptions {
            device_key: DeviceKey::from_bytes([9; 32]),
            events: EventsConfig::default(),
            machine_boot: Some(format!("boot-{}", self.boot)),
        };
        let store = Store::on_runtime(self.disk.open(power)?, options, pace)?;
        let house = House::new(power)?;
        let clock: SharedClock = self.clock.clone();
        let boot = BootId::from_random_bytes(rng.random());
        let eyes = Eyes::Told(Told { embedder: EMBEDDER.to_owned(), score_cosine: 0.5 });
        let heartbeat = Heartbeat::default();
        let (gate, links) =
            Gate::start_on(house.hardware.clone(), eyes, &self.config, &clock, &store, &boot, &heartbeat).await?;
        let cancel = CancellationToken::new();
        let (mut task, _status) = SyncTask::new(
            self.state.clone(),
            store.clone(),
            Arc::new(net.clone()),
            clock,
            StdRng::seed_from_u64(rng.random()),
            links,
            gate.embedder.clone(),
        );
        task.staleness = gate.staleness;
        let sync = tokio::spawn(sync::run(task, cancel.clone()));
        let power = power.clone();
        self.life = Some(Life { power, gate, house, sync, cancel });
        Ok(())
    }

    /// The certificates that it holds, by serial number, and when they end.
    pub(super) fn certificates(&self) -> Vec<(String, Timestamp)> {
        desk::held(self.state.path())
    }

    /// The program ends without a word.
    pub(super) fn crash(&mut self) {
        let Some(life) = self.life.take() else { return };
        self.opened_before += life.house.opened();
        life.power.cut();
        life.sync.abort();
        life.cancel.cancel();
        // Nothing that it still does can have an effect: it has no power.
        tokio::spawn(life.gate.shutdown());
    }

    /// Whether a task has ended, and the program with it.
    pub(super) async fn has_ended(&mut self) -> bool {
        let Some(life) = &mut self.life else { return false };
        tokio::select! {
            biased;
            _ = life.gate.ended() => true,
            () = std::future::ready(()) => life.sync.is_finished(),
        }
    }

    /// How often something was opened.
    pub(super) fn opened(&self) -> u64 {
        self.opened_before + self.life.as_ref().map_or(0, |life| life.house.opened())
    }

    /// Shows something, and answers what was decided.
    pub(super) async fn present(&mut self, shown: &Shown) -> Vec<RecentDecision> {
        let Some(life) = &self.life else { return Vec::new() };
        let before = life.gate.status.recent();
        self.track += 1;
        match shown {
            Shown::Face(probe) => {
                life.gate.faces.show(house::DOOR, self.track, probe.clone(), 3);
            }
            Shown::Plate(plate) => life.house.show_plate(plate),
            Shown::Card(uid) => life.house.show_card(*uid),
        }
        tokio::time::sleep(Duration::from_millis(DECIDED_WITHIN_MS)).await;
        let after = life.gate.status.recent();
        if let Shown::Face(_) = shown {
            life.gate.faces.gone(house::DOOR, self.track);
        }
        // Of a full board the oldest have gone.
        let least = after.len() - before.len();
        let same = |new: usize| after.iter().skip(new).zip(&before).all(|(a, b)| a == b);
        let new = (least..=after.len()).find(|new| same(*new)).unwrap_or(0);
        after.into_iter().take(new).collect()
    }
}
