//! The network between controllers and cloud, and the broker in it: QoS 1 and nothing more, with everything that goes wrong.
//!
//! Each connection carries two directions. In one direction messages keep their order unless the fault is on that breaks it. What
//! is on its way when a connection ends is lost, except that the cloud may still hear a little of it: its side of the broker is
//! another connection.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cardea_cloud::sync::{Carrier, Inlet, Line};
use cardea_daemon::identity::Identity;
use cardea_daemon::identity::renew::RenewError;
use cardea_daemon::sync::network::{Link, LinkError, Network};
use cardea_protocol::id::ControllerId;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::clock::TrueTime;
use super::coverage::{Coverage, Fault};
use super::desk::Desk;
use super::trace::Trace;
use super::witness::Witness;

/// How long a partition takes to be noticed by either end: one and a half times the keep-alive.
const NOTICED_MS: u64 = 30_000;
/// How long a connection is tried for.
const CONNECT_MS: u64 = 5_000;

/// How the network behaves at the moment. Chances are in 1000.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather {
    pub(super) drop: u32,
    pub(super) duplicate: u32,
    pub(super) reorder: u32,
    /// The most that a message is delayed.
    pub(super) delay_ms: u64,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

/// A message under way.
#[derive(Clone, Debug)]
struct Cargo {
    payload: Bytes,
    /// Once cancelled, it is dropped.
    ended: Option<CancellationToken>,
    /// Up to which event it acknowledges, for the witness.
    acknowledges: Option<(u64, u64)>,
}

#[derive(Debug)]
struct Connection {
    controller: ControllerId,
    address: SocketAddr,
    down: mpsc::UnboundedSender<Bytes>,
    last_ms: [u64; 2],
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) rng: StdRng,
    weather: Weather,
    /// Where the cloud listens, while the broker carries for it.
    inlet: Option<Inlet>,
    stands: bool,
    connections: BTreeMap<u64, Connection>,
    next: u64,
    partitioned: BTreeSet<ControllerId>,
    /// Where certificates are looked up and renewed, while the cloud runs.
    desk: Option<Desk>,
    /// Whether renewals get through.
    desk_is_open: bool,
}

/// The network. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Net {
    state: Arc<Mutex<State>>,
    risen: Arc<Notify>,
    time: TrueTime,
    /// Whether the broker is in the cloud's program: it comes and goes with it, and tells who connects.
    pub(super) embedded: bool,
    pub(super) trace: Trace,
    witness: Witness,
    pub(super) coverage: Coverage,
}

impl Net {
    pub(super) fn new(
        seed: u64,
        time: TrueTime,
        embedded: bool,
        trace: Trace,
        witness: Witness,
        coverage: Coverage,
    ) -> Self {
        let state = State {
            rng: StdRng::seed_from_u64(seed),
            weather: Weather::default(),
            inlet: None,
            stands: true,
            connections: BTreeMap::new(),
            next: 0,
            partitioned: BTreeSet::new(),
            desk: None,
            desk_is_open: true,
        };
        let state = Arc::new(Mutex::new(state));
        Self { state, risen: Arc::default(), time, embedded, trace, witness, coverage }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn weather(&self, weather: Weather) {
        self.state().weather = weather;
    }

    /// Cuts a controller off, or lets it through again.
    pub(super) fn partition(&self, controller: &ControllerId, cut: bool) {
        let mut state = self.state();
        if cut {
            state.partitioned.insert(controller.clone());
            let ids: Vec<u64> = state.of(controller);
            drop(state);
            for id in ids {
                let net = self.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(NOTICED_MS)).await;
                    net.close(id);
                });
            }
        } else {
            state.partitioned.remove(controller);
        }
    }

    /// The broker ends, with all that it remembers; it comes back when [`Net::rise`] is called.
    pub(super) fn fall(&self) {
        let (ids, inlet) = {
            let mut state = self.state();
            state.stands = false;
            (state.connections.keys().copied().collect::<Vec<_>>(), state.inlet.clone())
        };
        if let Some(inlet) = inlet {
            inlet.lost();
        }
        for id in ids {
            self.close(id);
        }
    }

    pub(super) fn rise(&self) {
        let inlet = {
            let mut state = self.state();
            state.stands = true;
            state.inlet.clone()
        };
        if let Some(inlet) = inlet {
            inlet.stands();
        }
        self.risen.notify_waiters();
    }

    /// Ends a connection at both ends.
    fn close(&self, id: u64) {
        let (gone, inlet) = {
            let mut state = self.state();
            (state.connections.remove(&id), state.inlet.clone())
        };
        let Some(gone) = gone else { return };
        self.trace.note(format_args!("net {} connection {id} ends", gone.controller));
        if let Some(inlet) = inlet.filter(|_| self.embedded) {
            inlet.went(gone.controller, gone.address);
        }
    }

    /// Sends a message on its way.
    fn carry(&self, id: u64, way: Way, cargo: &Cargo) {
        let mut state = self.state();
        let state = &mut *state;
        let weather = state.weather;
        let Some(connection) = state.connections.get_mut(&id) else { return };
        if state.partitioned.contains(&connection.controller) || !state.stands {
            return;
        }
        let mut hits = |chance: u32| chance > 0 && state.rng.random_range(0..1_000) < chance;
        if hits(weather.drop) {
            self.coverage.hit(Fault::Drop);
            self.trace.note(format_args!("net {} {way:?} lost", connection.controller));
            return;
        }
        let copies = if hits(weather.duplicate) { 2 } else { 1 };
        let reordered = hits(weather.reorder);
        if copies == 2 {
            self.coverage.hit(Fault::Duplicate);
        }
        for _ in 0..copies {
            let now = self.time.ms();
            let mut at = now + 1 + state.rng.random_range(0..=weather.delay_ms.max(1));
            let last = &mut connection.last_ms[way as usize];
            if reordered {
                if at <= *last {
                    self.coverage.hit(Fault::Reorder);
                }
            } else {
                at = at.max(*last + 1);
                *last = at;
            }
            if at > now + 2_000 {
                self.coverage.hit(Fault::Delay);
            }
            let (net, cargo) = (self.clone(), cargo.clone());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(at - now)).await;
                if cargo.ended.as_ref().is_none_or(|ended| !ended.is_cancelled()) {
                    net.deliver(id, way, cargo);
                }
            });
        }
    }

    fn deliver(&self, id: u64, way: Way, cargo: Cargo) {
        let state = self.state();
        let Some(connection) = state.connections.get(&id) else { return };
        let controller = connection.controller.clone();
        if state.partitioned.contains(&controller) {
            return;
        }
        match way {
            Way::Down => {
                let down = connection.down.clone();
                drop(state);
                if let Some(acknowledges) = cargo.acknowledges {
                    self.witness.acknowledged(&controller, acknowledges);
                }
                let _ = down.send(cargo.payload);
            }
            Way::Up => {
                let inlet = state.inlet.clone();
                drop(state);
                if let Some(inlet) = inlet {
                    inlet.message(controller, cargo.payload);
                }
            }
        }
    }

    fn open(&self, controller: &ControllerId) -> Option<SimLink> {
        let older = self.state().of(controller);
        for id in older {
            self.close(id);
        }
        let mut state = self.state();
        if !state.stands || state.partitioned.contains(controller) || (self.embedded && state.inlet.is_none()) {
            return None;
        }
        let id = state.next;
        state.next += 1;
        let address = SocketAddr::from(([10, 0, (id >> 8) as u8, id as u8], 1024));
        let (down, incoming) = mpsc::unbounded_channel();
        state.connections.insert(id, Connection { controller: controller.clone(), address, down, last_ms: [0; 2] });
        if let Some(inlet) = state.inlet.as_ref().filter(|_| self.embedded) {
            inlet.came(controller.clone(), address);
        }
        drop(state);
        self.trace.note(format_args!("net {controller} connection {id}"));
        Some(SimLink { id, controller: controller.clone(), net: self.clone(), incoming })
    }
}

impl State {
    fn reaches(&self, controller: &ControllerId) -> bool {
        self.stands && !self.partitioned.contains(controller)
    }

    fn of(&self, controller: &ControllerId) -> Vec<u64> {
        self.connections.iter().filter(|(_, c)| c.controller == *controller).map(|(id, _)| *id).collect()
    }
}

#[async_trait]
impl Network for Net {
    async fn connect(&self, identity: &Identity) -> Result<Box<dyn Link>, LinkError> {
        let takes = self.state().rng.random_range(1..50);
        tokio::time::sleep(Duration::from_millis(takes)).await;
        let reached = self.state().reaches(identity.controller());
        if reached {
            self.lets_in(identity).await?;
        }
        match self.open(identity.controller()) {
            Some(link) => Ok(Box::new(link)),
            None => {
                tokio::time::sleep(Duration::from_millis(CONNECT_MS)).await;
                Err(LinkError::Ended)
            }
        }
    }

    async fn reenroll(&self, identity: &Identity, request: &[u8]) -> Result<Vec<Vec<u8>>, RenewError> {
        self.renew(identity, request, 0).await
    }

    async fn reenroll_expired(&self, identity: &Identity, request: &[u8]) -> Result<Vec<Vec<u8>>, RenewError> {
        self.renew_late(identity, request).await
    }
}

/// A controller's end of a connection.
struct SimLink {
    id: u64,
    controller: ControllerId,
    net: Net,
    incoming: mpsc::UnboundedReceiver<Bytes>,
}

#[async_trait]
impl Link for SimLink {
    async fn next(&mut self) -> Result<Bytes, LinkError> {
        self.incoming.recv().await.ok_or(LinkError::Ended)
    }

    async fn acknowledge(&mut self) -> Result<(), LinkError> {
        Ok(())
    }

    async fn publish(&mut self, payload: Vec<u8>) -> Result<(), LinkError> {
        self.net.witness.published(&self.controller, &payload);
        let cargo = Cargo { payload: payload.into(), ended: None, acknowledges: None };
        self.net.carry(self.id, Way::Up, &cargo);
        Ok(())
    }

    async fn leave(self: Box<Self>) {
        self.net.close(self.id);
    }
}

impl Drop for SimLink {
    fn drop(&mut self) {
        self.net.close(self.id);
    }
}

#[async_trait]
impl Carrier for Net {
    async fn run(&self, Line { mut outgoing, inlet }: Line, cancel: CancellationToken) {
        let stands = {
            let mut state = self.state();
            state.inlet = Some(inlet.clone());
            state.stands
        };
        if stands {
            inlet.stands();
        }
        loop {
            let message = tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                message = outgoing.recv() => message,
            };
            let Some(message) = message else { break };
            if message.ended.is_cancelled() {
                continue;
            }
            let acknowledges = self.witness.sent(&message.to, &message.payload);
            let newest = self.state().of(&message.to).last().copied();
            if let Some(id) = newest {
                let cargo = Cargo { payload: message.payload.into(), ended: Some(message.ended), acknowledges };
                self.carry(id, Way::Down, &cargo);
            }
        }
    }

    async fn end(&self, controller: &ControllerId) {
        let ids = self.state().of(controller);
        for id in ids {
            self.close(id);
        }
    }

    async fn end_controllers(&self) {
        let ids: Vec<u64> = self.state().connections.keys().copied().collect();
        for id in ids {
            self.close(id);
        }
    }
}

impl Net {
    /// The cloud's program runs.
    pub(super) fn cloud_is(&self, desk: Desk) {
        self.state().desk = Some(desk);
    }

    pub(super) fn desk(&self) -> Option<Desk> {
        self.state().desk.clone()
    }

    /// Lets renewals through, or not: what is asked there goes another way than the messages.
    pub(super) fn open_desk(&self, open: bool) {
        self.state().desk_is_open = open;
    }

    pub(super) fn reaches_desk(&self, identity: &Identity) -> bool {
        let state = self.state();
        state.desk.is_some() && state.desk_is_open && !state.partitioned.contains(identity.controller())
    }

    /// The cloud's program has ended: nothing is put anywhere any more.
    pub(super) fn cloud_gone(&self) {
        let mut state = self.state();
        (state.inlet, state.desk) = (None, None);
        drop(state);
        if self.embedded {
            let ids: Vec<u64> = self.state().connections.keys().copied().collect();
            for id in ids {
                self.close(id);
            }
        }
    }
}
