//! Starts the tasks in order, watches them, and leaves the outputs safe however the program ends.
//!
//! ```text
//! status socket bound (one cardead per machine) -> hardware (outputs safe) -> store -> access (buttons work)
//!     -> models -> capture -> sync -> status socket answers
//! ```
//!
//! A task that ends, in order or by a panic, ends the program: the outputs are made safe, the database is closed, and
//! systemd starts it anew. So does a task that decides no more. A program that is killed outright, or hangs as a whole, cannot do
//! that; then its guardian does ([`crate::guardian`]), and the next start once more, before anything else.

mod gate;
mod tasks;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cardea_hardware::{DeviceError, Hardware, HardwareConfig};
use cardea_protocol::clock::SharedClock;
use cardea_protocol::event::EventKind;
use cardea_protocol::id::BootId;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::guardian::{GuardPlan, Guardian, GuardianError, Heartbeat, LockError, OutputsLock};
use crate::identity::StateDir;
use crate::identity::files::FileError;
use crate::local::{self, Listening, LocalError, Sources};
use crate::seam::Outbox;
use crate::store::{DeviceKey, DeviceKeyError, Store, StoreError, StoreOptions, machine_boot};
use crate::sync::network::Internet;
use crate::sync::{self, SyncTask};

pub use gate::{Eyes, Gate, GateError};
pub use tasks::{Ended, Tasks};

/// How long tasks may take to end in order.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a guard of an earlier run may take to make the outputs safe.
const LOCK_PATIENCE: Duration = Duration::from_secs(15);

/// Why the program could not start, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The status socket cannot be had.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The hardware's configuration cannot be used.
    #[error(transparent)]
    Hardware(#[from] DeviceError),
    /// The gate cannot be started.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// Somebody else drives the outputs.
    #[error(transparent)]
    Outputs(#[from] LockError),
    /// There is nobody to make the outputs safe if this program is killed.
    #[error(transparent)]
    Guardian(#[from] GuardianError),
    /// The state folder cannot be used.
    #[error(transparent)]
    State(#[from] FileError),
    /// The key of the database.
    #[error(transparent)]
    DeviceKey(#[from] DeviceKeyError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task ended that should not have.
    #[error("the task {:?} ended: {}; the outputs were put into their safe states", .0.task, .0.fault.as_deref().unwrap_or("without a word"))]
    Task(Ended),
}

/// Runs the controller until `cancel`, or until a task ends. However it ends, the outputs are in their safe states then.
/// `rng` is to be seeded from the operating system.
pub async fn run(config: Config, clock: SharedClock, rng: StdRng, cancel: CancellationToken) -> Result<(), RunError> {
    run_guarded(config, clock, rng, cancel, None).await
}

/// The same with a guardian process, which is `program`, this one.
pub async fn run_guarded(
    config: Config,
    clock: SharedClock,
    rng: StdRng,
    cancel: CancellationToken,
    program: Option<PathBuf>,
) -> Result<(), RunError> {
    // First of all: a second program must not touch what the first one drives.
    let listening = Listening::bind(&config.local.socket).await?;
    let orders = match &config.local.orders {
        Some(path) => Some(Listening::bind(path).await?),
        None => None,
    };
    StateDir::new(&config.state_dir).create()?;
    let lock = OutputsLock::path(&config.state_dir);
    let _lock = OutputsLock::take(&lock, LOCK_PATIENCE).await?;
    let heartbeat = Heartbeat::default();
    let guarded =
        HardwareConfig { boards: config.boards.clone(), outputs: config.outputs.clone(), ..HardwareConfig::default() };
    let plan = program.map(|program| GuardPlan { program, hardware: guarded, lock });
    let guardian = plan.map(|plan| Guardian::start(plan, heartbeat.clone())).transpose()?;
    let running = drive(&config, &clock, rng, (listening, orders), &heartbeat, &cancel).await;
    if let Some(guardian) = guardian {
        guardian.goodbye().await;
    }
    running
}

async fn drive(
    config: &Config,
    clock: &SharedClock,
    rng: StdRng,
    sockets: (Listening, Option<Listening>),
    heartbeat: &Heartbeat,
    cancel: &CancellationToken,
) -> Result<(), RunError> {
    let hardware = Arc::new(Hardware::open(&config.hardware())?);
    let running = serve(config, clock, rng, sockets, (Arc::clone(&hardware), heartbeat), cancel).await;
    // Also after a failed start, and again after an orderly end: it costs nothing.
    hardware.shutdown().await;
    running
}

async fn serve(
    config: &Config,
    clock: &SharedClock,
    rng: StdRng,
    (listening, orders): (Listening, Option<Listening>),
    (hardware, heartbeat): (Arc<Hardware>, &Heartbeat),
    cancel: &CancellationToken,
) -> Result<(), RunError> {
    let state = StateDir::new(&config.state_dir);
    let store = open_store(config, &state)?;
    let boot_id = BootId::random();
    let (mut gate, links) = Gate::start_on(hardware, Eyes::Models, config, clock, &store, &boot_id, heartbeat).await?;
    let ended = gate.cancellation();
    let (network, embedder) = (Arc::new(Internet), gate.embedder.clone());
    let (mut sync, sync_status) = SyncTask::new(state, store.clone(), network, Arc::clone(clock), rng, links, embedder);
    sync.staleness = gate.staleness;
    gate.tasks.spawn_infallible("sync", sync::run(sync, ended.clone()));
    let sources =
        Sources { board: gate.status.clone(), store: store.clone(), clock: Arc::clone(clock), boot_id, sync_status };
    if let Some(orders) = orders {
        gate.tasks.spawn_infallible("orders", local::take_orders(orders, gate.orders.clone(), ended.clone()));
    }
    gate.tasks.spawn_infallible("status socket", listening.serve(sources, ended));
    Outbox::new(store.clone(), Arc::clone(clock)).push(None, EventKind::Controller { state: "started".to_owned() });
    tracing::info!(access_points = config.access_points.len(), "at the gate");
    let end = tokio::select! {
        () = cancel.cancelled() => Ok(()),
        ended = gate.ended() => Err(RunError::Task(ended)),
    };
    heartbeat.close();
    gate.shutdown().await;
    store.checkpoint().await?;
    end
}

/// The database of the state folder; both are made where they are missing.
fn open_store(config: &Config, state: &StateDir) -> Result<Store, RunError> {
    state.create()?;
    let options = StoreOptions {
        device_key: DeviceKey::load_or_create(&state.device_key())?,
        events: config.events,
        machine_boot: machine_boot(),
    };
    Ok(Store::open(&state.database(), options)?)
}
