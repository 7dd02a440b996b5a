//! Whoever sees every message as it is signed, sent and delivered, and remembers what must never be contradicted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cardea_protocol::clock::Clock as _;
use cardea_protocol::envelope::Envelope;
use cardea_protocol::id::{CommandId, ControllerId, Revision, TemplateId};
use cardea_protocol::message::{Change, CommandOutcome, Down, TemplateEntry, Up};

use super::clock::{SimClock, TrueTime};
use super::coverage::{Coverage, Fault};
use super::disk::Disk;
use super::house::STALE_S;
use super::reading;
use super::trace::Trace;

/// An order that was signed lives so long at the controller, and no longer.
pub(super) const COMMAND_MS: u64 = 10_000;
/// What was read before an erasure may be sent a moment after it.
const UNDER_WAY_MS: u64 = 2_000;
/// A controller whose clock is set believes the cloud to be ahead of it by this at most: by half of its shortest limit.
const BELIEVED_AHEAD_MS: i64 = STALE_S as i64 * 500;

/// A witness. Cheap to clone.
#[derive(Clone)]
pub(super) struct Witness {
    time: TrueTime,
    trace: Trace,
    coverage: Coverage,
    seen: Arc<Mutex<Seen>>,
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Witness")
    }
}

#[derive(Default)]
struct Seen {
    gates: BTreeMap<ControllerId, Gate>,
    cloud: Option<Arc<Disk>>,
    commands: BTreeMap<CommandId, Order>,
    /// Templates that are erased for ever, and since when.
    erased: BTreeMap<TemplateId, u64>,
    /// Counts the restorations of the cloud's database.
    epoch: u64,
    broken: Vec<String>,
}

struct Gate {
    disk: Arc<Disk>,
    /// When the cloud last signed that what it holds is current.
    stated_ms: Option<u64>,
    /// The newest revision that it has told to be applied.
    applied: Revision,
    boot: Option<String>,
    clock: Arc<SimClock>,
    /// By how much it may have been told a time that had not come.
    lead_ms: i64,
    /// Since when it counts no more.
    retired_ms: Option<u64>,
}

struct Order {
    signed_ms: u64,
    accepted: u32,
}

impl Witness {
    pub(super) fn new(time: TrueTime, trace: Trace, coverage: Coverage) -> Self {
        Self { time, trace, coverage, seen: Arc::default() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A controller belongs to the world.
    pub(super) fn meet(&self, controller: &ControllerId, disk: Arc<Disk>, clock: Arc<SimClock>) {
        let (stated_ms, applied, boot, lead_ms, retired_ms) = (None, Revision(0), None, 0, None);
        let gate = Gate { disk, stated_ms, applied, boot, clock, lead_ms, retired_ms };
        self.seen().gates.insert(controller.clone(), gate);
    }

    /// The cloud's data lie on this disk from now on. What controllers have said of another counts no more.
    pub(super) fn cloud_on(&self, disk: Arc<Disk>) {
        let mut seen = self.seen();
        seen.cloud = Some(disk);
        seen.epoch += 1;
        for gate in seen.gates.values_mut() {
            gate.applied = Revision(0);
        }
    }

    /// Something that must never happen has happened.
    pub(super) fn breaks(&self, what: String) {
        self.trace.note(format_args!("BROKEN {what}"));
        self.seen().broken.push(what);
    }

    pub(super) fn broken(&self) -> Vec<String> {
        self.seen().broken.clone()
    }

    /// The newest revision that a controller has told to be applied.
    pub(super) fn applied(&self, controller: &ControllerId) -> Revision {
        self.seen().gates.get(controller).map_or(Revision(0), |gate| gate.applied)
    }

    /// When the cloud last signed for it that what it holds is current.
    pub(super) fn stated_ms(&self, controller: &ControllerId) -> Option<u64> {
        self.seen().gates.get(controller).and_then(|gate| gate.stated_ms)
    }

    /// By how much a controller may have been told a time that had not come.
    pub(super) fn lead_ms(&self, controller: &ControllerId) -> i64 {
        self.seen().gates.get(controller).map_or(0, |gate| gate.lead_ms)
    }

    /// Whether a controller counts no more, by the cloud's disk: once it does, it gets nothing.
    pub(super) fn retired(&self, controller: &ControllerId, retired: bool) -> bool {
        let now = self.time.ms();
        let mut seen = self.seen();
        let Some(gate) = seen.gates.get_mut(controller) else { return false };
        let news = retired && gate.retired_ms.is_none();
        gate.retired_ms = retired.then(|| gate.retired_ms.unwrap_or(now));
        news
    }

    /// A template is erased.
    pub(super) fn erased(&self, template: &TemplateId) {
        let now = self.time.ms();
        self.seen().erased.entry(template.clone()).or_insert(now);
    }

    pub(super) fn is_erased(&self, template: &str) -> bool {
        self.seen().erased.keys().any(|erased| erased.as_str() == template)
    }

    /// Orders that were sent to somebody.
    pub(super) fn commands(&self) -> usize {
        self.seen().commands.len()
    }

    /// A controller publishes.
    pub(super) fn published(&self, controller: &ControllerId, payload: &[u8]) {
        let mut seen = self.seen();
        let Some(gate) = seen.gates.get_mut(controller) else { return };
        let Some(Envelope { message, .. }) = reading::envelope::<Up>(payload) else {
            drop(seen);
            return self.breaks(format!("{controller} publishes what cannot be read"));
        };
        match message {
            Up::Hello(hello) => {
                self.trace.note(format_args!("{controller} hello at {}", hello.cursor));
                gate.boot = Some(hello.boot_id.to_string());
            }
            Up::Applied { revision, .. } => {
                self.trace.note(format_args!("{controller} applied {revision}"));
                gate.applied = gate.applied.max(revision);
            }
            Up::Events { events } => self.trace.note(format_args!("{controller} {} events", events.len())),
            Up::Receipt { .. } => self.trace.note(format_args!("{controller} receipt")),
            Up::Equipment { .. } => self.trace.note(format_args!("{controller} equipment")),
            Up::CommandResult { command_id, outcome } => {
                self.trace.note(format_args!("{controller} {outcome:?}"));
                if outcome == CommandOutcome::Accepted {
                    drop(seen);
                    self.accepted(controller, &command_id);
                }
            }
        }
    }

    /// Invariant 2: an order is carried out once, in its time, or never.
    fn accepted(&self, controller: &ControllerId, command: &CommandId) {
        let now = self.time.ms();
        self.coverage.hit(Fault::Opened);
        let mut seen = self.seen();
        let Some(order) = seen.commands.get_mut(command) else {
            drop(seen);
            return self.breaks(format!("{controller} carries out an order that was never given"));
        };
        order.accepted += 1;
        let (times, age_ms) = (order.accepted, now - order.signed_ms);
        drop(seen);
        if times > 1 {
            self.breaks(format!("{controller} carries out an order for the {times}. time"));
        }
        // A clock may be wrong; then the session and the boot bound the order's life.
        if age_ms > COMMAND_MS + 5_000 {
            self.breaks(format!("{controller} carries out an order that is {age_ms} ms old"));
        }
    }

    /// The cloud gives a message to the broker. Answers up to which event it acknowledges, and in which epoch.
    pub(super) fn sent(&self, controller: &ControllerId, payload: &[u8]) -> Option<(u64, u64)> {
        let Some(Envelope { message, .. }) = reading::envelope::<Down>(payload) else {
            self.breaks("the cloud sends what cannot be read".to_owned());
            return None;
        };
        let now = self.time.ms();
        let mut seen = self.seen();
        let retired = seen.gates.get(controller).and_then(|gate| gate.retired_ms);
        // To say no is no gift.
        if retired.is_some_and(|at| at + UNDER_WAY_MS < now) && !matches!(message, Down::Refused { .. }) {
            drop(seen);
            self.breaks(format!("(8) the cloud speaks to {controller}, which it has revoked"));
            return None;
        }
        match message {
            Down::Freshness { revision, at, .. } => {
                self.trace.note(format_args!("cloud states {revision} to {controller}"));
                if let Some(gate) = seen.gates.get_mut(controller) {
                    gate.stated_ms = Some(now);
                    let ahead_ms = at.since_ms(self.time.date());
                    let believed_ms = if gate.clock.is_set() {
                        ahead_ms.min(gate.clock.skewed_by().max(0) + BELIEVED_AHEAD_MS)
                    } else {
                        ahead_ms
                    };
                    gate.lead_ms = gate.lead_ms.max(believed_ms);
                }
            }
            Down::Command(command) => {
                self.trace.note(format_args!("cloud orders {controller}"));
                seen.commands.entry(command.command_id).or_insert(Order { signed_ms: now, accepted: 0 });
            }
            Down::EventsStored { through } => {
                self.trace.note(format_args!("cloud has stored {controller}'s events to {through}"));
                return Some((through, seen.epoch));
            }
            Down::Changes { from, to, changes, .. } => {
                self.trace.note(format_args!("cloud changes {from} to {to} for {controller}"));
                let templates = changes.iter().filter_map(|change| match change {
                    Change::TemplateAdded(template) => Some(template),
                    _ => None,
                });
                let late = erased_long_ago(&seen, templates, now);
                drop(seen);
                self.not_sent_again(late);
            }
            Down::Snapshot { revision, page, templates, .. } => {
                self.trace.note(format_args!("cloud snapshot {revision} page {page} for {controller}"));
                self.coverage.hit(Fault::Snapshot);
                let late = erased_long_ago(&seen, templates.iter(), now);
                drop(seen);
                self.not_sent_again(late);
            }
            _ => self.trace.note(format_args!("cloud speaks to {controller}")),
        }
        None
    }

    /// Invariant 6: what was erased is never sent again.
    fn not_sent_again(&self, late: Option<TemplateId>) {
        if late.is_some() {
            self.breaks("the cloud sends a template that was erased".to_owned());
        }
    }

    /// Invariant 3: what a controller is told to forget, the cloud has.
    pub(super) fn acknowledged(&self, controller: &ControllerId, (through, epoch): (u64, u64)) {
        let (gate, cloud) = {
            let seen = self.seen();
            if seen.epoch != epoch {
                return;
            }
            (seen.gates.get(controller).map(|gate| gate.disk.clone()), seen.cloud.clone())
        };
        let (Some(gate), Some(cloud)) = (gate, cloud) else { return };
        self.coverage.hit(Fault::EventsAcknowledged);
        let waiting = gate.read(|connection| {
            let mut rows = connection.prepare_cached("SELECT event_id FROM outbox WHERE seq <= ?1")?;
            let ids = rows.query_map([through as i64], |row| row.get::<_, String>(0))?;
            Ok(ids.collect::<Result<Vec<_>, _>>()?)
        });
        for id in waiting.unwrap_or_default() {
            let kept = cloud.read(|connection| {
                let mut found = connection.prepare_cached("SELECT 1 FROM events WHERE event_id = ?1")?;
                Ok(found.exists([&id])?)
            });
            if !kept.unwrap_or(false) {
                self.breaks(format!("{controller} is told to forget an event that the cloud does not have"));
            }
        }
    }
}

/// The first of the templates that was erased before what is under way now was read.
fn erased_long_ago<'a>(
    seen: &Seen,
    mut templates: impl Iterator<Item = &'a TemplateEntry>,
    now: u64,
) -> Option<TemplateId> {
    let long_ago =
        |entry: &&TemplateEntry| seen.erased.get(&entry.template_id).is_some_and(|at| at + UNDER_WAY_MS < now);
    templates.find(long_ago).map(|entry| entry.template_id.clone())
}
