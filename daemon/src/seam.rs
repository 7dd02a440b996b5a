//! What passes between the controller's tasks: the store, the sync with the cloud, and the access task at the gate.
//!
//! ```text
//!            HoldingsVersion, FreshnessState (watch)          CommandRequest (mpsc 1, never queued)
//!   store ───────────────────────────────────────▶ access ◀──────────────────────────────── sync
//!     ▲  Outbox::push (events)                        │  gallery_at, equipment (watch)       ▲
//!     └───────────────────────────────────────────────┘──────────────────────────────────────┘
//! ```
//!
//! Actuation never waits in a channel: the command channel holds one request and the sender only ever tries. State goes
//! through watch channels, where the newest value is the only one.

use std::sync::Arc;

use cardea_access::time::{Monotonic, Now, Timestamp};
use cardea_protocol::clock::SharedClock;
use cardea_protocol::event::{Event, EventKind};
use cardea_protocol::id::{AccessPointId, BootId, EventId, Revision};
use cardea_protocol::message::{AccessPoint, Command, CommandOutcome};
use tokio::sync::{mpsc, oneshot, watch};

use crate::local::{Carried, LocalOrder, OrderRefusal};
use crate::store::Store;

/// Counts the applied changes of this run: what the access task compares to know that rules and gallery are behind.
/// It starts at 1 with what the store held when it was opened; 0 stands for "nothing built yet".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldingsVersion(pub u64);

/// An order from the cloud to open, as the access task gets it. Signature, addressee, session and number have been checked,
/// and its id is durably recorded. Boot id, expiry and repetition are for `cardea_access::decide`, where everything is
/// decided.
#[derive(Debug)]
pub struct CommandRequest {
    /// The order.
    pub command: Command,
    /// The ledger's answer: whether the id was new when it was recorded. For `RemoteOpen::first_seen`.
    pub first_seen: bool,
    /// Where the outcomes go: `Refused`, or `Accepted` and then `Confirmed` or `NotConfirmed`. Dropping it unanswered
    /// after `Accepted` counts as `NotConfirmed`, before as `Refused`.
    pub outcome: mpsc::Sender<CommandOutcome>,
}

/// An order at the controller, as the access task gets it. Like one from the cloud it never waits in a queue.
#[derive(Debug)]
pub struct OrderRequest {
    /// What is ordered.
    pub order: LocalOrder,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<Carried, OrderRefusal>>,
}

/// The cloud's last statement that revision `revision` was current, and what time it proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreshnessState {
    /// The revision stated, which this controller has applied.
    pub revision: Revision,
    /// When it was stated, by the cloud's clock.
    pub statement_at: Timestamp,
    /// When it came, on this boot's monotonic clock; `None` if the machine has been started since.
    pub received: Option<Monotonic>,
}

impl FreshnessState {
    /// The same for the rules.
    pub fn for_rules(self) -> cardea_access::rules::Freshness {
        cardea_access::rules::Freshness { statement_at: self.statement_at, received: self.received }
    }
}

/// Both clocks, the wall clock raised to `floor`: a clock set back, also across a restart, revives nothing.
pub fn now_above(clock: &SharedClock, floor: Timestamp) -> Now {
    Now { wall: clock.now().max(floor), mono: clock.monotonic() }
}

/// Where events go: durable, bounded, sent when there is a connection. Cheap to clone; pushing never waits.
#[derive(Clone, Debug)]
pub struct Outbox {
    store: Store,
    clock: SharedClock,
}

impl Outbox {
    /// An outbox over `store`.
    pub fn new(store: Store, clock: SharedClock) -> Self {
        Self { store, clock }
    }

    /// Records that `kind` has just happened, at `access_point` if it concerns one.
    pub fn push(&self, access_point: Option<AccessPointId>, mut kind: EventKind) {
        kind.cut_to_limits();
        // The sequence number is the store's to give.
        self.store.push_event(Event { id: EventId::random(), seq: 0, at: self.clock.now(), access_point, kind });
    }
}

/// The access task's ends.
#[derive(Debug)]
pub struct AccessLinks {
    /// Orders to open.
    pub commands: mpsc::Receiver<CommandRequest>,
    /// What sync tells the cloud about the barriers and doors: send a new value whenever it changes.
    pub equipment: watch::Sender<Vec<AccessPoint>>,
    /// To be raised to version `v` once rules and gallery are rebuilt from holdings `v` and the old ones' memory is
    /// overwritten: no receipt of an erasure is signed before.
    pub gallery_at: watch::Sender<HoldingsVersion>,
    /// What the store holds; each new version asks for rebuilding.
    pub holdings: watch::Receiver<HoldingsVersion>,
    /// The last freshness statement; `None` if there was never one.
    pub freshness: watch::Receiver<Option<FreshnessState>>,
    /// For events.
    pub outbox: Outbox,
    /// This start of the program.
    pub boot_id: BootId,
}

/// The sync task's ends.
#[derive(Debug)]
pub struct SyncLinks {
    /// Orders to open. Only `try_send`: an access task that is busy is a refusal, never a queue.
    pub commands: mpsc::Sender<CommandRequest>,
    /// The barriers and doors.
    pub equipment: watch::Receiver<Vec<AccessPoint>>,
    /// Up to which holdings the access task has rebuilt.
    pub gallery_at: watch::Receiver<HoldingsVersion>,
    /// This start of the program.
    pub boot_id: BootId,
}

/// Makes both ends. `equipment` is what is known before the access task has looked.
pub fn links(
    store: &Store,
    clock: &SharedClock,
    boot_id: &BootId,
    equipment: Vec<AccessPoint>,
) -> (AccessLinks, SyncLinks) {
    let (command_sender, command_receiver) = mpsc::channel(1);
    let (equipment_sender, equipment_receiver) = watch::channel(equipment);
    let (gallery_sender, gallery_receiver) = watch::channel(HoldingsVersion::default());
    let access = AccessLinks {
        commands: command_receiver,
        equipment: equipment_sender,
        gallery_at: gallery_sender,
        holdings: store.holdings_version(),
        freshness: store.freshness(),
        outbox: Outbox::new(store.clone(), Arc::clone(clock)),
        boot_id: boot_id.clone(),
    };
    let sync = SyncLinks {
        commands: command_sender,
        equipment: equipment_receiver,
        gallery_at: gallery_receiver,
        boot_id: boot_id.clone(),
    };
    (access, sync)
}
