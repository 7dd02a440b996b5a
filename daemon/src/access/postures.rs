//! Lockdown and free access: inputs, hours and orders go to each access point's posture; its mode goes to the rules, and its
//! machine is told to hold open or to close.

use std::collections::BTreeSet;

use cardea_access::id::AccessPointId;
use cardea_access::posture::{Cause, Event, Fitted, Order, Posture};
use cardea_access::rules::Mode;
use cardea_access::schedule::Schedule;
use cardea_access::time::{Monotonic, Timestamp};
use cardea_hardware::{Hardware, Reading};
use cardea_protocol::clock::Clock;
use cardea_protocol::event::EventKind;
use tokio::sync::watch;

use super::machine::Happening;
use super::point::{Boards, UnknownDevice};
use super::task::AccessTask;
use crate::config::Config;
use crate::local::{Carried, LocalOrder, OrderRefusal, PostureOrder, PostureStatus};
use crate::seam::OrderRequest;

/// The postures of all access points, by index.
pub(crate) struct Postures {
    points: Vec<PointPosture>,
    switches: Vec<Switch>,
    clock: Trust,
}

/// Whether the wall clock can be relied on to open something by itself. A board without a battery starts with the time of its
/// last shutdown; by that, the hours of yesterday's noon would open a gate tonight.
#[derive(Default)]
struct Trust {
    proven: bool,
    look_at: Option<Monotonic>,
}

impl Trust {
    /// Once it is proven it stays so: what passes from then on is counted by the kernel. `stated`: the cloud has told the time
    /// since the machine started, and the clock does not contradict it.
    fn proven(&mut self, stated: bool, clock: &dyn Clock) -> bool {
        let now = clock.monotonic();
        if !self.proven && self.look_at.is_none_or(|at| now >= at) {
            self.look_at = Some(now.plus_ms(LOOK_AGAIN_MS));
            self.proven = clock.is_set();
        }
        self.proven |= stated;
        self.proven
    }
}

/// How far ahead of the cloud's word a clock may be that counts as right, in milliseconds.
const AHEAD_MS: i64 = 300_000;
/// How often a clock that is not proven is asked again, in milliseconds.
const LOOK_AGAIN_MS: u64 = 1_000;

struct PointPosture {
    posture: Posture,
    free_hours: Option<Schedule>,
    /// As it was last told.
    told: (Mode, Cause),
    /// The machine was told to hold open, and nothing has ended that since.
    holding: bool,
}

/// An input that locks down or holds open.
struct Switch {
    locks: bool,
    reading: watch::Receiver<Reading>,
    /// The access points, each with the number of this input among its own.
    targets: Vec<(usize, usize)>,
}

impl Postures {
    /// Those of `config`; `lockdowns` are the access points that an order of an earlier run has locked down.
    pub(crate) fn new(config: &Config, hardware: &Hardware, lockdowns: &[String]) -> Result<Self, UnknownDevice> {
        let mut fitted = vec![Fitted::default(); config.access_points.len()];
        let mut switches = Vec::new();
        let site = [(true, &config.posture.lockdown), (false, &config.posture.free_access)];
        for (locks, name) in site {
            let all: Vec<usize> = (0..fitted.len()).collect();
            add_switch(hardware, locks, name.as_ref(), &all, &mut fitted, &mut switches)?;
        }
        for (i, point) in config.access_points.iter().enumerate() {
            let rules = point.rules();
            fitted[i].after_first = rules.free_after_first;
            for (locks, name) in [(true, &rules.lockdown), (false, &rules.free_access)] {
                add_switch(hardware, locks, name.as_ref(), &[i], &mut fitted, &mut switches)?;
            }
        }
        let points = config.access_points.iter().zip(fitted).map(|(point, fitted)| PointPosture {
            posture: Posture::new(fitted, lockdowns.iter().any(|id| id == point.id().as_str())),
            free_hours: point.rules().free_hours.as_ref().map(|id| config.schedule(id)),
            told: (Mode::Normal, Cause::Rest),
            holding: false,
        });
        Ok(Self { points: points.collect(), switches, clock: Trust::default() })
    }

    /// The inputs, in the order of [`Self::switched`]'s numbers.
    pub(super) fn readings(&self) -> impl Iterator<Item = watch::Receiver<Reading>> {
        self.switches.iter().map(|switch| switch.reading.clone())
    }

    /// Tells one access point what happened.
    pub(super) fn handle(&mut self, i: usize, event: Event) {
        if let Some(point) = self.points.get_mut(i) {
            point.posture.handle(event);
        }
    }

    /// The input of this number has news.
    pub(super) fn switched(&mut self, n: usize) {
        let Some(switch) = self.switches.get(n) else { return };
        let level = switch.reading.borrow().value;
        for (i, number) in switch.targets.clone() {
            let event = if self.switches[n].locks {
                Event::LockdownInput(number, level)
            } else {
                Event::FreeAccessInput(number, level)
            };
            self.handle(i, event);
        }
    }

    /// The board of an access point is lost: nothing holds it open any more. Whether something did.
    pub(super) fn equipment_lost(&mut self, i: usize) -> bool {
        self.handle(i, Event::EquipmentLost);
        self.points.get_mut(i).is_some_and(|point| std::mem::take(&mut point.holding))
    }

    /// The posture of an access point.
    pub(super) fn mode(&self, i: usize) -> (Mode, Cause) {
        self.points.get(i).map_or((Mode::LockedDown, Cause::InputUnknown), |point| point.posture.mode())
    }

    /// `at` is the time to judge by; `stated`: the cloud has told it since the machine started.
    fn look_at_the_clock(&mut self, at: Timestamp, stated: bool, clock: &dyn Clock) {
        if self.points.iter().all(|point| point.free_hours.is_none()) {
            return;
        }
        let proven = self.clock.proven(stated, clock);
        for point in &mut self.points {
            if let Some(hours) = &point.free_hours {
                point.posture.handle(Event::Hours(proven && hours.allows(at)));
            }
        }
    }
}

fn add_switch(
    hardware: &Hardware,
    locks: bool,
    name: Option<&String>,
    points: &[usize],
    fitted: &mut [Fitted],
    switches: &mut Vec<Switch>,
) -> Result<(), UnknownDevice> {
    let Some(name) = name else { return Ok(()) };
    let input = hardware.inputs.get(name).ok_or_else(|| UnknownDevice::of_posture(name))?;
    let mut targets = Vec::new();
    for i in points {
        let count = if locks { &mut fitted[*i].lockdown_inputs } else { &mut fitted[*i].free_access_inputs };
        targets.push((*i, *count));
        *count += 1;
    }
    switches.push(Switch { locks, reading: input.watch(), targets });
    Ok(())
}

impl AccessTask {
    /// Brings rules and machines to what inputs, hours and orders ask for now.
    pub(super) async fn follow_postures(&mut self) {
        // The word of the cloud puts a clock right that is behind; one that is far ahead of it is wrong all the same.
        let told = self.knowledge.rules.told_time(self.clock.monotonic());
        let stated = told.is_some_and(|told| self.clock.now() <= told.plus_ms(AHEAD_MS));
        let now = self.now().wall;
        self.postures.look_at_the_clock(now, stated, &*self.clock);
        for i in 0..self.points.len() {
            let (mode, cause) = self.postures.mode(i);
            let id = AccessPointId::from(self.points[i].id.as_str());
            if let Some(rules) = self.knowledge.rules.access_points.get_mut(&id) {
                rules.mode = mode;
            }
            self.tell_posture(i, mode, cause);
            let (holding, ready) = (self.postures.points[i].holding, self.points[i].boards == Boards::Up);
            if mode == Mode::HeldOpen && !holding && ready && self.points[i].machine.accepts_openings() {
                self.postures.points[i].holding = true;
                // An opening of nobody: there is no record that waits for it, and no one to answer.
                let grant = self.grants.nobody();
                self.happen(i, Happening::Hold(grant), None).await;
                // At once, and again at the end: the program may not live to see that.
                self.passed_unseen(i);
            } else if mode != Mode::HeldOpen && holding {
                self.postures.points[i].holding = false;
                // Whoever locks down expects what was held open to be shut, also where the stop button has ended the hold.
                let end = if mode == Mode::LockedDown { Happening::Close } else { Happening::EndHold };
                self.happen(i, end, None).await;
                self.passed_unseen(i);
            }
        }
    }

    fn tell_posture(&mut self, i: usize, mode: Mode, cause: Cause) {
        let before = std::mem::replace(&mut self.postures.points[i].told, (mode, cause));
        // That an input has not spoken yet is so at every start, and passes.
        let pair = (before.1, cause);
        let starting = matches!(pair, (Cause::Rest, Cause::InputUnknown) | (Cause::InputUnknown, Cause::Rest));
        if before != (mode, cause) && !starting {
            tracing::info!(access_point = %self.points[i].id, posture = mode.name(), cause = cause.name(), "posture");
            let (posture, cause) = (mode.name().to_owned(), cause.name().to_owned());
            self.tell(i, EventKind::Posture { posture, cause });
        }
    }

    /// Someone at the controller orders a posture, or that nobody counts as inside.
    pub(super) async fn on_order(&mut self, request: OrderRequest) {
        let OrderRequest { order, reply } = request;
        if reply.is_closed() {
            // Whoever ordered was told that nothing was done.
            return;
        }
        let carried = match order {
            LocalOrder::Posture { access_point, posture } => match self.named(access_point.as_ref()) {
                // Held open later, when the equipment is back, it would open by itself.
                Some(points)
                    if posture == PostureOrder::FreeAccess && !points.iter().all(|i| self.points[*i].usable()) =>
                {
                    Err(OrderRefusal::Equipment)
                }
                Some(points)
                    if posture == PostureOrder::FreeAccess
                        && points.iter().any(|i| self.postures.mode(*i).0 == Mode::LockedDown) =>
                {
                    Err(OrderRefusal::LockedDown)
                }
                Some(points) => Ok(self.order_posture(&points, posture).await),
                None => Err(OrderRefusal::NoSuchAccessPoint),
            },
            LocalOrder::ForgetInside { area } => match area.map(cardea_access::id::AreaId::from) {
                Some(area) if !self.areas().contains(&area) => Err(OrderRefusal::NoSuchArea),
                area => {
                    let (forgotten, stored) = self.forget_inside(area.as_ref());
                    Ok(Carried { postures: self.posture_status(), forgotten, stored: Some(stored) })
                }
            },
        };
        // Whoever ordered may have gone meanwhile.
        let _ = reply.send(carried);
    }

    async fn order_posture(&mut self, points: &[usize], posture: PostureOrder) -> Carried {
        let order = match posture {
            PostureOrder::Normal => Order::Normal,
            PostureOrder::Lockdown => Order::Lockdown,
            PostureOrder::FreeAccess => Order::FreeAccess,
        };
        for i in points {
            self.postures.handle(*i, Event::Ordered(order));
        }
        self.follow_postures().await;
        let kept = points.iter().map(|i| (self.points[*i].id.clone(), order == Order::Lockdown)).collect();
        let stored = self.store.keep_lockdowns(kept, self.clock.now());
        Carried { postures: self.posture_status(), forgotten: 0, stored: Some(stored) }
    }

    fn named(&self, access_point: Option<&cardea_protocol::id::AccessPointId>) -> Option<Vec<usize>> {
        match access_point {
            Some(id) => self.by_id.get(id).map(|i| vec![*i]),
            None => Some((0..self.points.len()).collect()),
        }
    }

    fn areas(&self) -> BTreeSet<cardea_access::id::AreaId> {
        let points = self.knowledge.rules.access_points.values();
        points.filter_map(|point| point.area.as_ref().map(|area| area.id.clone())).collect()
    }

    /// What the status tells of postures.
    pub(super) fn posture_status(
        &self,
    ) -> std::collections::BTreeMap<cardea_protocol::id::AccessPointId, PostureStatus> {
        let awaited = self.awaited();
        let of = |(i, point): (usize, &super::point::Point)| {
            let (mode, cause) = self.postures.mode(i);
            let awaited = awaited.get(&AccessPointId::from(point.id.as_str())).map(|method| (*method).to_owned());
            let status = PostureStatus {
                posture: mode.name().to_owned(),
                cause: cause.name().to_owned(),
                second_factor_awaited: awaited,
            };
            (point.id.clone(), status)
        };
        self.points.iter().enumerate().map(of).collect()
    }
}
