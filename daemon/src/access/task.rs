//! The task that decides and acts: it owns the machines, the rules and the gallery, and is the only one to switch relays.
//!
//! It never waits for anything but the next thing to happen. An actuation is handed to its board at once and its result
//! comes back as one more thing that happened; one that is late or refused is over, and only a fresh decision starts
//! another.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use cardea_access::machine::{Command, GrantId};
use cardea_access::staleness::StalenessWatch;
use cardea_access::time::{Monotonic, Now};
use cardea_hardware::{Actuated, DeviceError};
use cardea_protocol::clock::SharedClock;
use cardea_protocol::event::{AccessDecision, EventKind};
use cardea_protocol::id::AccessPointId;
use cardea_protocol::message::AccessPoint;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::company;
use super::devices::Devices;
use super::grants::Grants;
use super::knowledge::{Calibration, Knowledge};
use super::machine::Happening;
use super::memo::Memo;
use super::point::{Actuation, Point};
use super::postures::Postures;
use super::pushed::Strangers;
use super::signals::{Signal, Signals};
use crate::capture::{Capture, Sighting};
use crate::guardian::{BEAT, Heartbeat};
use crate::local::StatusBoard;
use crate::seam::{CommandRequest, FreshnessState, HoldingsVersion, OrderRequest, Outbox};
use crate::store::{Held, Store};

/// A decision that is not carried out within this time, in milliseconds, is not carried out: the machine was asleep.
const LATE_MS: u64 = 1_000;

/// The task's state.
pub(crate) struct AccessTask {
    pub(super) points: Vec<Point>,
    pub(super) by_id: BTreeMap<AccessPointId, usize>,
    pub(super) knowledge: Knowledge,
    pub(super) memo: Memo,
    pub(super) grants: Grants,
    pub(super) clock: SharedClock,
    pub(super) outbox: Outbox,
    pub(super) status: StatusBoard,
    pub(super) devices: Devices,
    pub(super) store: Store,
    pub(super) equipment: watch::Sender<Vec<AccessPoint>>,
    pub(super) gallery_at: watch::Sender<HoldingsVersion>,
    pub(super) under_way: FuturesUnordered<UnderWay>,
    /// Plates told before the vehicle was on the loop, by access point.
    pub(super) early: BTreeMap<usize, Sighting>,
    pub(super) strangers: BTreeMap<usize, Strangers>,
    pub(super) heartbeat: Heartbeat,
    pub(super) postures: Postures,
    pub(super) staleness: StalenessWatch,
}

/// An actuation that has been handed to its board.
pub(super) type UnderWay = Pin<Box<dyn Future<Output = Done> + Send>>;

/// An actuation that has ended.
pub(super) struct Done {
    point: usize,
    /// The number of its command.
    number: u64,
    command: Command,
    grant: Option<GrantId>,
    result: Result<Actuated, NotDone>,
    took_ms: f32,
}

/// Why nothing was switched.
enum NotDone {
    /// At the last moment it was not to be any more.
    Withheld,
    /// The board did not.
    Device(DeviceError),
}

/// What comes to the task from outside.
pub(crate) struct Inlets {
    pub(crate) captures: mpsc::Receiver<Capture>,
    pub(crate) calibration: mpsc::Receiver<Calibration>,
    pub(crate) loaded: mpsc::Receiver<Held>,
    pub(crate) signals: Signals,
    pub(crate) commands: mpsc::Receiver<CommandRequest>,
    pub(crate) freshness: watch::Receiver<Option<FreshnessState>>,
    pub(crate) orders: mpsc::Receiver<OrderRequest>,
}

impl AccessTask {
    /// Runs until `cancel`; what is under way at the boards then ends there, and the supervisor makes the outputs safe.
    pub(crate) async fn run(mut self, mut inlets: Inlets, cancel: CancellationToken) {
        inlets.freshness.mark_changed();
        self.tell_inside();
        self.follow_postures().await;
        self.tell_staleness();
        self.publish();
        loop {
            self.heartbeat.beat();
            let wake = Some(self.until_next_deadline().map_or(BEAT, |wake| wake.min(BEAT)));
            tokio::select! {
                // Sensors before everything else: a car seen just now beats a decision made just before.
                biased;
                () = cancel.cancelled() => return,
                Some(signal) = inlets.signals.receiver.recv() => self.on_signal(signal).await,
                Some(done) = self.under_way.next() => self.on_done(done).await,
                () = sleep_for(wake) => self.on_tick().await,
                Ok(()) = inlets.freshness.changed() => {
                    self.knowledge.rules.freshness = inlets.freshness.borrow_and_update().map(FreshnessState::for_rules);
                }
                // Before the holdings, which are sent after it.
                Some(calibration) = inlets.calibration.recv() => self.knowledge.calibrate(calibration),
                Some(loaded) = inlets.loaded.recv() => self.on_loaded(loaded),
                // A lockdown before an order to open.
                Some(request) = inlets.orders.recv() => self.on_order(request).await,
                Some(request) = inlets.commands.recv() => self.on_command(request).await,
                Some(capture) = inlets.captures.recv() => match capture {
                    Capture::Seen(sighting) => self.on_sighting(sighting).await,
                    Capture::Lost(key) => self.memo.forget(key),
                    Capture::Unauthorised { point, count } => self.on_unauthorised(point, count),
                },
            }
            // After everything, also after a beat of the heart alone: hours begin and end by the clock.
            self.follow_postures().await;
            self.tell_staleness();
            self.publish();
        }
    }

    /// Both clocks. The wall clock never reads less than what the rules know to have passed.
    pub(super) fn now(&mut self) -> Now {
        self.knowledge.rules.clock_floor = self.store.clock_floor();
        let now = Now { wall: self.clock.now(), mono: self.clock.monotonic() };
        Now { wall: self.knowledge.rules.wall_time(now), ..now }
    }

    /// How long until a machine wants a tick; `None` if none does.
    fn until_next_deadline(&self) -> Option<Duration> {
        let next: Monotonic = self.points.iter().filter_map(|point| point.machine.next_deadline()).min()?;
        Some(Duration::from_millis(next.since_ms(self.clock.monotonic())))
    }

    async fn on_tick(&mut self) {
        let now = self.clock.monotonic();
        for i in 0..self.points.len() {
            if self.points[i].machine.next_deadline().is_some_and(|at| at <= now) {
                self.happen(i, Happening::Tick, None).await;
            }
        }
    }

    fn on_loaded(&mut self, loaded: Held) {
        self.knowledge.replace(&loaded);
        company::forget_gone(&mut self.knowledge.rules);
        self.tell_inside();
        self.status.held(self.knowledge.rules.plates.len(), self.knowledge.templates());
        let version = loaded.version;
        // The copies that came from the store are overwritten before anyone is told that the old ones are gone.
        drop(loaded);
        self.gallery_at.send_replace(version);
    }

    async fn on_signal(&mut self, signal: Signal) {
        match signal {
            Signal::Input(i, role) => self.on_input(i, role).await,
            Signal::Switch(n) => self.postures.switched(n),
            Signal::Card(i) => self.on_card(i).await,
            Signal::Equipment(i) => self.on_boards(i).await,
            Signal::Device(name) => {
                let changed = self.devices.look(&name);
                self.status.device(&name, self.devices.answers(&name));
                if let Some(kind) = changed {
                    self.outbox.push(None, kind);
                }
            }
        }
    }

    /// Tells a machine what happened and does what it says. `grant` is the opening that this is about, if any.
    /// Answers whether anything is being switched.
    pub(super) async fn happen(&mut self, i: usize, what: Happening, grant: Option<GrantId>) -> bool {
        let now = self.clock.monotonic();
        let commands = self.points[i].machine.handle(what, now);
        let mut switching = false;
        for command in commands {
            match command {
                Command::Report(report) => self.report(i, report),
                command => switching |= self.switch(i, command, grant, now).await,
            }
        }
        switching
    }

    /// Hands `command`, decided at `decided`, to its board. Answers whether there is anything to switch.
    pub(super) async fn switch(
        &mut self,
        i: usize,
        command: Command,
        grant: Option<GrantId>,
        decided: Monotonic,
    ) -> bool {
        self.points[i].commands += 1;
        let number = self.points[i].commands;
        let Some(actuation) = self.points[i].actuation(command) else {
            self.withhold(i, command);
            return false;
        };
        // What ends something is done late rather than never.
        let ends = matches!(command, Command::Lock | Command::Stop);
        if !ends && self.clock.monotonic().since_ms(decided) > LATE_MS {
            tracing::warn!(access_point = %self.points[i].id, ?command, "not done: too late after its decision");
            self.fail_late(i, command, grant);
            return true;
        }
        let mut work: UnderWay = Box::pin(carry_out((i, number), command, grant, actuation));
        // Polled once here, so that commands reach a board in the order in which they were given.
        match poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
            Poll::Ready(done) => self.under_way.push(Box::pin(std::future::ready(done))),
            Poll::Pending => self.under_way.push(work),
        }
        true
    }

    fn fail_late(&mut self, i: usize, command: Command, grant: Option<GrantId>) {
        let result = Err(DeviceError::Timeout {
            device: format!("access point {:?}", self.points[i].id.as_str()),
            action: "begin its actuation".to_owned(),
            after_ms: LATE_MS,
            sent: false,
        });
        let result = result.map_err(NotDone::Device);
        self.over(Done { point: i, number: self.points[i].commands, command, grant, result, took_ms: 0.0 });
    }

    /// A boom that is not sent down, because a sensor or the other relay says so at the last moment, stands up.
    fn withhold(&mut self, i: usize, command: Command) {
        if matches!(command, Command::PulseClose { .. }) {
            let (number, result) = (self.points[i].commands, Err(NotDone::Withheld));
            self.over(Done { point: i, number, command, grant: None, result, took_ms: 0.0 });
        }
    }

    fn over(&mut self, done: Done) {
        self.under_way.push(Box::pin(std::future::ready(done)));
    }

    async fn on_done(&mut self, done: Done) {
        let Done { point, number, command, grant, result, took_ms } = done;
        let last = number == self.points[point].commands;
        match result {
            Ok(_) => {
                self.points[point].failing = false;
                let record = grant.and_then(|grant| self.grants.accepted(grant, Some(took_ms)));
                self.hand_over(record);
            }
            Err(NotDone::Withheld) if last => {
                self.happen(point, Happening::ActuationFailed { command, may_have_acted: false }, None).await;
            }
            Err(NotDone::Withheld) => {}
            Err(NotDone::Device(error)) => {
                tracing::warn!(access_point = %self.points[point].id, ?command, %error, "a relay was not switched");
                let may_have_acted = error.may_have_acted();
                let record = grant.and_then(|grant| self.grants.relay_failed(grant, may_have_acted));
                self.hand_over(record);
                if last {
                    self.happen(point, Happening::ActuationFailed { command, may_have_acted }, None).await;
                }
                // What is tried again each second is told once.
                if !std::mem::replace(&mut self.points[point].failing, true) || grant.is_some() {
                    self.alarm(point, "actuation-failed".to_owned());
                }
            }
        }
    }

    /// Records a decision whose relay time is known, or will never be.
    pub(super) fn hand_over(&self, record: Option<(usize, AccessDecision)>) {
        if let Some((i, event)) = record {
            self.record(i, event);
        }
    }

    /// Records a decision.
    pub(super) fn record(&self, i: usize, event: AccessDecision) {
        let id = &self.points[i].id;
        tracing::info!(
            access_point = %id, credential = %event.credential, granted = event.granted, reason = %event.reason,
            "access decision"
        );
        self.status.decided(self.clock.now(), id, &event);
        self.outbox.push(Some(id.clone()), EventKind::AccessDecision(event));
    }

    fn tell_staleness(&mut self) {
        let now = self.now();
        let rules = &self.knowledge.rules;
        self.status.staleness(rules.word_age_ms(now), rules.staleness(now));
        for alarm in self.staleness.look(rules, now) {
            tracing::warn!(%alarm, "the word of the cloud");
            self.outbox.push(None, EventKind::Alarm { alarm });
        }
    }

    /// Tells sync and the status socket about the access points, if anything about them changed.
    fn publish(&self) {
        self.status.postures(self.posture_status());
        let equipment: Vec<_> = self.points.iter().map(Point::equipment).collect();
        let changed = self.equipment.send_if_modified(|known| {
            let changed = *known != equipment;
            if changed {
                known.clone_from(&equipment);
            }
            changed
        });
        if changed {
            self.status.access_points(equipment);
        }
    }
}

async fn carry_out(
    (point, number): (usize, u64),
    command: Command,
    grant: Option<GrantId>,
    actuation: Actuation,
) -> Done {
    let begun = Instant::now();
    let result = actuation.await;
    let acknowledged = result.as_ref().map_or_else(|_| Instant::now(), |actuated| actuated.at);
    let took_ms = acknowledged.saturating_duration_since(begun).as_secs_f32() * 1_000.0;
    Done { point, number, command, grant, result: result.map_err(NotDone::Device), took_ms }
}

async fn sleep_for(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}
