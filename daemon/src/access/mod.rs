//! Access: evidence, orders and inputs go in; decisions, relays and events come out.
//!
//! ```text
//! capture ── sightings ─┐                                   ┌─ outputs of the boards (deadline, never queued)
//! sync ───── orders ────┤   task: knowledge -> decide ->    ├─ events -> outbox
//! boards ─── signals ───┤         machine -> commands       ├─ equipment -> sync
//! store ──── holdings ──┘                                   └─ gallery_at -> sync (erasure receipts)
//! ```
//!
//! What may pass and when a boom may come down is `cardea_access`'s, pure; this is the shell around it. The liveness of a
//! face is judged over the frames of its track, and what that counts is each access point's `pad`.
//!
//! What one decision means for the next is in [`company`], lockdown and free access in [`postures`].
//!
//! To add an input: a role in [`machine`], its key in the configuration, its event there. To add a credential: a variant of
//! [`crate::capture::Seen`], its evidence in [`orders`].

mod cards;
mod company;
mod devices;
mod grants;
mod holdings;
mod knowledge;
mod machine;
mod memo;
mod orders;
mod point;
mod postures;
mod pushed;
mod record;
mod relays;
mod signals;
mod task;

use std::collections::BTreeMap;
use std::sync::Arc;

use cardea_access::credential::Method;
use cardea_access::factors::TwoFactor;
use cardea_access::id::AccessPointId;
use cardea_access::passback::Ledger;
use cardea_access::rules::{AccessPoint, Area, Limits, RuleSet};
use cardea_access::schedule::Schedule;
use cardea_hardware::Hardware;
use cardea_protocol::clock::SharedClock;
use cardea_protocol::message::StalenessLimits;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::devices::Devices;
use self::grants::Grants;
use self::knowledge::Knowledge;
use self::memo::Memo;
use self::point::Point;
use self::postures::Postures;
use self::signals::Signals;
use self::task::{AccessTask, Inlets};
use crate::capture::Capture;
use crate::config::{AccessPointConfig, AreaConfig, Config, Credential, SecondFactorConfig};
use crate::guardian::Heartbeat;
use crate::local::StatusBoard;
use crate::seam::{self, AccessLinks, HoldingsVersion, OrderRequest};
use crate::store::{Held, Kept, Store};
use crate::supervisor::Tasks;

pub(crate) use knowledge::{Calibration, FaceCalibration};
pub use point::UnknownDevice;

/// What the access task works with.
pub(crate) struct Parts {
    pub(crate) hardware: Arc<Hardware>,
    pub(crate) store: Store,
    pub(crate) clock: SharedClock,
    pub(crate) status: StatusBoard,
    pub(crate) links: AccessLinks,
    pub(crate) captures: mpsc::Receiver<Capture>,
    pub(crate) heartbeat: Heartbeat,
    /// What an earlier run left.
    pub(crate) kept: Kept,
    pub(crate) orders: mpsc::Receiver<OrderRequest>,
}

/// The access task runs: buttons and orders work, but nobody is recognised yet.
pub(crate) struct Blind {
    store: Store,
    versions: watch::Receiver<HoldingsVersion>,
    calibration: mpsc::Sender<Calibration>,
    loaded: mpsc::Sender<Held>,
    /// How long what opens something here counts without a word from the cloud.
    pub(crate) staleness: StalenessLimits,
}

impl Blind {
    /// Gives it the models' thresholds, and then what the store holds.
    pub(crate) async fn see(self, calibration: Calibration, tasks: &mut Tasks, cancel: &CancellationToken) {
        // The access task is gone only if it has panicked, which the supervisor sees.
        let _ = self.calibration.send(calibration).await;
        tasks.spawn("holdings", holdings::follow(self.store, self.versions, self.loaded, cancel.clone()));
    }
}

/// Starts deciding, by buttons and orders only until [`Blind::see`]: someone inside must not wait for models to load.
pub(crate) fn start(
    config: &Config,
    parts: Parts,
    tasks: &mut Tasks,
    cancel: &CancellationToken,
) -> Result<Blind, UnknownDevice> {
    let Parts { hardware, store, clock, status, links, captures, heartbeat, kept, orders } = parts;
    let points = config.access_points.iter().map(|p| Point::new(p, &hardware)).collect::<Result<Vec<_>, _>>()?;
    let postures = Postures::new(config, &hardware, &kept.lockdowns)?;
    let signals = Signals::start(&points, &postures, &hardware);
    let mut knowledge = Knowledge::new(rules(config, &links));
    let staleness = limits(&knowledge.rules.staleness_limits_s());
    let now = seam::now_above(&clock, store.clock_floor());
    knowledge.rules.ledger = Ledger::restore(kept.inside, now);
    let by_id = points.iter().enumerate().map(|(i, point)| (point.id.clone(), i)).collect();
    let (loaded_sender, loaded) = mpsc::channel(1);
    let (calibration_sender, calibration) = mpsc::channel(1);
    let task = AccessTask {
        by_id,
        knowledge,
        memo: Memo::default(),
        grants: Grants::default(),
        clock,
        outbox: links.outbox,
        status,
        devices: Devices::new(&hardware),
        store: store.clone(),
        equipment: links.equipment,
        gallery_at: links.gallery_at,
        under_way: FuturesUnordered::new(),
        early: BTreeMap::new(),
        strangers: BTreeMap::new(),
        points,
        heartbeat,
        postures,
        staleness: cardea_access::staleness::StalenessWatch::default(),
    };
    let inlets =
        Inlets { captures, calibration, loaded, signals, commands: links.commands, freshness: links.freshness, orders };
    tasks.spawn_infallible("access", task.run(inlets, cancel.clone()));
    Ok(Blind { store, versions: links.holdings, calibration: calibration_sender, loaded: loaded_sender, staleness })
}

/// The limits as the cloud is told of them.
fn limits(limits_s: &BTreeMap<Method, u64>) -> StalenessLimits {
    let of = |method| limits_s.get(&method).map(|s| u32::try_from(*s).unwrap_or(u32::MAX));
    StalenessLimits { plate_s: of(Method::Plate), face_s: of(Method::Face), card_s: of(Method::Card) }
}

/// The rules before anything is known of plates and faces.
fn rules(config: &Config, links: &AccessLinks) -> RuleSet {
    let mut rules = RuleSet::new(links.boot_id.as_str().into());
    for point in &config.access_points {
        let mut methods: std::collections::BTreeSet<Method> = point.credentials().iter().map(|c| method(*c)).collect();
        methods.insert(Method::ExitButton);
        let entry = AccessPoint {
            methods,
            pad: point.pad().policy(),
            hours: hours(config, point),
            two_factor: point.rules().second_factor.map(two_factor),
            area: point.rules().area.as_ref().and_then(|id| config.area(id)).map(area),
            ..AccessPoint::default()
        };
        rules.access_points.insert(AccessPointId::from(point.id().as_str()), entry);
    }
    rules.limits = Limits {
        face_max_staleness_s: config.biometrics.max_staleness_s,
        face_min_frames: config.biometrics.min_frames,
        face_min_margin: config.biometrics.min_margin,
        demo_face_models: config.recognition.as_ref().is_some_and(|r| r.allow_demo_models),
        plate_max_staleness_s: config.plates.max_staleness_s,
        card_max_staleness_s: config.cards.max_staleness_s,
        plate_min_frames: config.plates.min_frames,
        ..Limits::default()
    };
    rules
}

/// When each credential counts here.
fn hours(config: &Config, point: &AccessPointConfig) -> BTreeMap<Method, Schedule> {
    let bound = |credential: &Credential| {
        let id = point.rules().schedule_of(*credential)?;
        Some((method(*credential), config.schedule(id)))
    };
    point.credentials().iter().filter_map(bound).collect()
}

fn two_factor(asked: SecondFactorConfig) -> TwoFactor {
    TwoFactor {
        first: method(asked.first),
        second: method(asked.second),
        any_order: asked.any_order,
        within_ms: asked.within_s.saturating_mul(1_000),
    }
}

fn area(area: &AreaConfig) -> Area {
    Area { id: area.id.as_str().into(), passback: area.passback() }
}

fn method(credential: Credential) -> Method {
    match credential {
        Credential::Plate => Method::Plate,
        Credential::Face => Method::Face,
        Credential::Card => Method::Card,
        Credential::Remote => Method::RemoteOpen,
    }
}
