//! One access point: its machine, and the outputs, inputs and boards that belong to it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cardea_access::barrier::Barrier;
use cardea_access::credential::VehiclePresence;
use cardea_access::door::Door;
use cardea_access::machine::Command;
use cardea_access::request::Direction;
use cardea_hardware::{Actuated, DeviceError, Hardware, Health, Output, Reading};
use cardea_protocol::id::AccessPointId;
use cardea_protocol::message::{AccessPoint, AccessPointKind};
use tokio::sync::watch;

use super::cards::CardReader;
use super::machine::{Machine, Role};
use super::relays::Movements;
use crate::config::AccessPointConfig;

/// An actuation under way.
pub(crate) type Actuation = Pin<Box<dyn Future<Output = Result<Actuated, DeviceError>> + Send>>;

/// Whether the boards of an access point can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Boards {
    /// First contact has not been made with all of them.
    Starting,
    /// All answer.
    Up,
    /// One does not.
    Lost,
}

/// A barrier or a door with its equipment.
pub(crate) struct Point {
    pub(crate) id: AccessPointId,
    kind: AccessPointKind,
    /// Which way it is passed.
    pub(crate) direction: Direction,
    credentials: Vec<String>,
    pub(crate) machine: Machine,
    /// By the key that names it: `open`, `close`, `stop`, `lock`.
    outputs: Vec<(&'static str, Arc<dyn Output>)>,
    pub(crate) inputs: Vec<(Role, watch::Receiver<Reading>)>,
    /// The loop on which a vehicle waits.
    waiting: Option<Role>,
    movements: Movements,
    /// Health of the boards that the outputs and then the inputs sit on; a board may be there more than once.
    pub(crate) board_health: Vec<watch::Receiver<Health>>,
    /// The boards of its outputs all answered when they were last looked at.
    outputs_up: bool,
    /// A command was not carried out, and none has been since.
    pub(crate) failing: bool,
    /// Commands given so far: what became of an older one than the last is nobody's business any more.
    pub(crate) commands: u64,
    pub(crate) camera_health: Option<watch::Receiver<Health>>,
    /// The card reader.
    pub(crate) reader: Option<CardReader>,
    /// As the machine was last told.
    pub(crate) boards: Boards,
    /// Presses of the exit button that were dealt with.
    pub(crate) exit_presses: u64,
}

/// A name in the configuration that no device has: the validation of the configuration was passed by.
#[derive(Debug, thiserror::Error)]
#[error("{user} names the device {device:?}, which is not configured")]
pub struct UnknownDevice {
    user: String,
    device: String,
}

impl UnknownDevice {
    /// An input of a posture.
    pub(super) fn of_posture(input: &str) -> Self {
        Self { user: "a posture".to_owned(), device: input.to_owned() }
    }
}

impl Point {
    /// Finds the equipment of `config` in `hardware`.
    pub(crate) fn new(config: &AccessPointConfig, hardware: &Hardware) -> Result<Self, UnknownDevice> {
        let unknown =
            |device: &str| UnknownDevice { user: format!("access point {}", config.id()), device: device.to_owned() };
        let mut outputs = Vec::new();
        let mut board_health = Vec::new();
        for (key, name) in config.outputs() {
            let output = hardware.outputs.get(name).ok_or_else(|| unknown(name))?;
            board_health.push(output.health());
            outputs.push((key, Arc::clone(output)));
        }
        let mut inputs = Vec::new();
        for (key, name) in config.inputs() {
            let input = hardware.inputs.get(name).ok_or_else(|| unknown(name))?;
            let role = Role::of_key(key).ok_or_else(|| unknown(name))?;
            board_health.push(input.health());
            inputs.push((role, input.watch()));
        }
        let camera = config.camera().map(|name| hardware.cameras.get(name).ok_or_else(|| unknown(name))).transpose()?;
        let reader = config.reader().map(|name| hardware.readers.get(name).ok_or_else(|| unknown(name))).transpose()?;
        let exit = inputs.iter().find(|(role, _)| *role == Role::ExitButton);
        let exit_presses = exit.map_or(0, |(_, reading)| reading.borrow().rises);
        let mut credentials: Vec<String> = config.credentials().iter().map(|c| c.name().to_owned()).collect();
        if exit.is_some() {
            credentials.push("exit-button".to_owned());
        }
        Ok(Self {
            id: config.id().clone(),
            kind: config.kind(),
            direction: config.rules().direction.direction(),
            credentials,
            machine: match config {
                AccessPointConfig::Barrier(barrier) => Machine::Barrier(Barrier::new(barrier.machine())),
                AccessPointConfig::Door(door) => Machine::Door(Door::new(door.machine())),
            },
            outputs,
            inputs,
            waiting: match config {
                AccessPointConfig::Barrier(barrier) => barrier.waiting_loop().and_then(|(key, _)| Role::of_key(key)),
                AccessPointConfig::Door(_) => None,
            },
            movements: Movements::default(),
            board_health,
            outputs_up: false,
            failing: false,
            commands: 0,
            camera_health: camera.map(|camera| camera.health()),
            reader: reader.map(|reader| CardReader::new(Arc::clone(reader))),
            boards: Boards::Starting,
            exit_presses,
        })
    }

    /// Whether its boards can be used right now.
    pub(crate) fn boards_now(&self) -> Boards {
        let mut all = Boards::Up;
        for health in &self.board_health {
            match &*health.borrow() {
                Health::Down { .. } => return Boards::Lost,
                Health::Starting => all = Boards::Starting,
                Health::Up => {}
            }
        }
        all
    }

    /// Whether the boards of its outputs have come back since the last call: the outputs are in their safe state then.
    pub(crate) fn outputs_restored(&mut self) -> bool {
        let up = self.board_health.iter().take(self.outputs.len()).all(|health| *health.borrow() == Health::Up);
        !std::mem::replace(&mut self.outputs_up, up) && up
    }

    /// Whether an opening could be carried out.
    pub(crate) fn usable(&self) -> bool {
        self.boards == Boards::Up && self.machine.accepts_openings()
    }

    /// The present level of the input with this role; `None` without one, or while it is not known.
    pub(crate) fn level(&self, role: Role) -> Option<bool> {
        self.inputs.iter().find(|(r, _)| *r == role).and_then(|(_, reading)| reading.borrow().value)
    }

    /// Presses of the exit button since the last call.
    pub(crate) fn take_exit_presses(&mut self) -> u64 {
        let seen = self.inputs.iter().find(|(role, _)| *role == Role::ExitButton).map(|(_, r)| r.borrow().rises);
        let new = seen.unwrap_or(self.exit_presses).saturating_sub(self.exit_presses);
        self.exit_presses += new;
        new
    }

    /// What the loop says about a vehicle that waits.
    pub(crate) fn vehicle(&self) -> VehiclePresence {
        let Some(waiting) = self.waiting else { return VehiclePresence::NoLoop };
        match self.level(waiting) {
            Some(true) => VehiclePresence::Present,
            Some(false) => VehiclePresence::Absent,
            None => VehiclePresence::Unknown,
        }
    }

    /// Whether a vehicle that waits to be let in stands on the input with this role.
    pub(crate) fn waits_at(&self, role: Role) -> bool {
        self.waiting == Some(role)
    }

    /// What carries out `command`; `None` if there is nothing to switch. The output's board refuses it when it cannot be
    /// delivered in time: nothing is queued.
    pub(crate) fn actuation(&self, command: Command) -> Option<Actuation> {
        let set = |key, on| {
            let output = self.output(key)?;
            let work = async move { output.set(on).await };
            Some(Box::pin(work) as Actuation)
        };
        match command {
            Command::PulseOpen { ms } => self.in_turn(&[], "open", ms, true),
            Command::Reverse { ms } => self.in_turn(&["close"], "open", ms, true),
            // The machine has judged by what it was told; this looks at the sensors and relays once more at the last moment.
            Command::PulseClose { .. } if self.something_under_the_boom() || self.may_be_on("open") => None,
            Command::PulseClose { ms } => self.in_turn(&[], "close", ms, true),
            Command::Stop => self.in_turn(&["open", "close"], "stop", STOP_PULSE_MS, false),
            Command::Release => set("lock", true),
            Command::Lock => set("lock", false),
            Command::Report(_) => None,
        }
    }

    /// What the cloud is told of it.
    pub(crate) fn equipment(&self) -> AccessPoint {
        let camera_down = self.camera_health.as_ref().is_some_and(|h| matches!(&*h.borrow(), Health::Down { .. }));
        AccessPoint {
            id: self.id.clone(),
            kind: self.kind,
            credentials: self.credentials.clone(),
            reachable: self.boards == Boards::Up && !camera_down,
            state: self.machine.state().code().to_owned(),
        }
    }

    /// Switches `off` off and then pulses `on`; what is not there is left out.
    fn in_turn(&self, off: &[&str], on: &str, ms: u64, only_if_off: bool) -> Option<Actuation> {
        let (movement, on_for) = (self.movements.next(), Duration::from_millis(ms));
        let mut off: Vec<_> = off.iter().filter_map(|key| self.output(key)).collect();
        let on = self.output(on);
        if off.is_empty() {
            let on = on?;
            return Some(Box::pin(async move { on.pulse(on_for).await }));
        }
        let first = off.remove(0);
        Some(Box::pin(movement.in_turn(first, off, on.map(|on| (on, on_for)), only_if_off)))
    }

    fn may_be_on(&self, key: &str) -> bool {
        self.output(key).is_some_and(|output| output.state() != Some(false))
    }

    fn output(&self, key: &str) -> Option<Arc<dyn Output>> {
        self.outputs.iter().find(|(k, _)| *k == key).map(|(_, output)| Arc::clone(output))
    }

    fn something_under_the_boom(&self) -> bool {
        let fitted = self.inputs.iter().filter(|(role, _)| matches!(role, Role::Loop | Role::Photocell));
        fitted.into_iter().any(|(_, reading)| reading.borrow().value != Some(false))
    }
}

/// Length of the pulse that stops a drive.
const STOP_PULSE_MS: u64 = 500;
