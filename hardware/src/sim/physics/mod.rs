//! The simulated house as a pure state machine: coils and the world go in, inputs and a history come out.
//!
//! Time is an argument, counted from the simulation's start. Nothing ticks: whatever happened between two calls is worked
//! out, with exact times, when somebody looks. Like real ones, this barrier drive has no wits of its own: it lowers the boom
//! on whatever stands there, and says so.
//!
//! | coil | drives | | input | shows |
//! |---|---|---|---|---|
//! | 0 | barrier open (rising edge) | | 0 | `loop`: the induction loop under the boom: true = occupied |
//! | 1 | barrier close (rising edge) | | 1 | `open-limit`: boom fully open |
//! | 2 | barrier stop (rising edge) | | 2 | `closed-limit`: boom fully closed |
//! | | | | 3 | `photocell`: the beam beside the boom: true = interrupted |
//! | 4 | lock: on = released | | 4 | `contact`: door contact: true = closed |
//! | | | | 5 | `exit-button`: true = pressed |
//! | | | | 6 | `approach-loop`: the outer loop: true = occupied |
//! | | | | 7 | `departure-loop`: the inner loop: true = occupied |
//! | | | | 8 | `fire`: the fire panel: true = fire |
//! | | | | 9 | `key-open`: a key switch turned to *open* |
//! | | | | 10 | `key-lock`: a key switch turned to *locked* |
//!
//! The other channels, up to [`CHANNELS`], are relays and inputs without a meaning. Loops and photocell follow the cars on
//! the [`LaneConfig`]; fire and keys are what somebody sets. Any input can be set from outside: that is a switch that is stuck,
//! a loop that does not let go, or the car of a test that wants none of the lane.

mod barrier;
mod car;
mod channels;
mod door;
mod happening;
mod lane;
#[cfg(test)]
mod lane_tests;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use barrier::Barrier;
pub use barrier::{BarrierConfig, BarrierState, Motion};
pub use channels::*;
use door::Door;
pub use door::{DoorConfig, DoorState, Errand, PersonPlan};
use happening::Record;
pub use happening::{Happening, What};
pub use lane::{CarPlan, CarState, LaneConfig, Side};
use lane::{Deed, Lane};

/// The history keeps this many edges, and forgets the oldest.
const HISTORY_LIMIT: usize = 10_000;

/// The moving parts.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HouseConfig {
    /// The barrier.
    pub barrier: BarrierConfig,
    /// The door.
    pub door: DoorConfig,
    /// The lane under the boom.
    pub lane: LaneConfig,
}

/// Which kind of line an edge was on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// A coil, written by a controller.
    Relay,
    /// An input, as a controller reads it.
    Input,
}

/// A change of a relay or an input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// Counts up from 1.
    pub sequence: u64,
    /// Milliseconds since the simulation began.
    pub at_ms: f64,
    /// Relay or input.
    pub line: Line,
    /// The channel.
    pub channel: usize,
    /// What it drives or shows: `open`, `lock`, `loop`, … (empty for a channel without a meaning).
    pub name: String,
    /// The new level.
    pub on: bool,
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.line {
            Line::Relay => "relay",
            Line::Input => "input",
        };
        let name: &dyn fmt::Display = if self.name.is_empty() { &self.channel } else { &self.name };
        let level = if self.on { "on" } else { "off" };
        write!(f, "{:8.2} s      {kind} {name} {level}", self.at_ms / 1e3)
    }
}

/// What the house looks like from outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HouseState {
    /// Milliseconds since the simulation began.
    pub now_ms: f64,
    /// The coils.
    pub relays: [bool; CHANNELS],
    /// The inputs, as a controller reads them.
    pub inputs: [bool; CHANNELS],
    /// The barrier.
    pub barrier: BarrierState,
    /// The door.
    pub door: DoorState,
    /// The cars on the lane.
    pub cars: Vec<CarState>,
    /// How many cars have passed the boom.
    pub passages: u64,
}

/// Who stands before the cameras.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// The car whose plate is in view; of several, the foremost.
    pub car: Option<String>,
    /// Who stands at the door, outside.
    pub person: Option<String>,
}

/// The house.
#[derive(Debug)]
pub struct House {
    barrier: Barrier,
    door: Door,
    lane: Lane,
    coils: [bool; CHANNELS],
    /// Levels set from outside; for limit switches and the like, a switch that is stuck.
    forced: [Option<bool>; CHANNELS],
    /// The inputs as last recorded, to find edges.
    recorded: [bool; CHANNELS],
    history: Vec<Edge>,
    next_sequence: u64,
    happenings: Record,
    passages: u64,
    /// The boom's motion and strikes as last recorded, to find changes.
    boom_seen: (Motion, u64),
    now: Duration,
}

impl House {
    /// A house at rest: boom down, door closed and locked, nobody there.
    pub fn new(config: &HouseConfig) -> Self {
        let mut house = Self {
            barrier: Barrier::new(config.barrier.clone(), config.lane.clearance),
            door: Door::new(config.door.clone()),
            lane: Lane::new(config.lane.clone()),
            coils: [false; CHANNELS],
            forced: [None; CHANNELS],
            recorded: [false; CHANNELS],
            history: Vec::new(),
            next_sequence: 1,
            happenings: Record::default(),
            passages: 0,
            boom_seen: (Motion::Stopped, 0),
            now: Duration::ZERO,
        };
        house.recorded = house.levels();
        house
    }

    /// A controller writes a coil.
    pub fn write_coil(&mut self, channel: usize, on: bool, now: Duration) {
        self.advance(now);
        let Some(coil) = self.coils.get_mut(channel) else { return };
        if *coil == on {
            return;
        }
        *coil = on;
        self.record(Line::Relay, channel, on);
        let mut deeds = Vec::new();
        match (channel, on) {
            (COIL_OPEN, true) => self.barrier.drive(Motion::Raising),
            (COIL_CLOSE, true) => self.barrier.drive(Motion::Lowering),
            (COIL_STOP, true) => self.barrier.drive(Motion::Stopped),
            (COIL_LOCK, released) => self.door.release(released, self.now),
            _ => {}
        }
        self.settle(&mut deeds);
    }

    /// The world sets an input, or lets go of it. The door contact moves the door itself (also by force); a limit switch that
    /// is set is stuck until it is set to `None`; the loop set to true is a car of its own under the boom.
    pub fn set_input(&mut self, channel: usize, level: Option<bool>, now: Duration) {
        self.advance(now);
        let mut deeds = Vec::new();
        match channel {
            INPUT_LOOP => self.barrier.set_loop(level.unwrap_or(false)),
            INPUT_CONTACT => self.door.swing(!level.unwrap_or(true), self.now, &mut deeds),
            _ => {}
        }
        if channel != INPUT_CONTACT
            && let Some(forced) = self.forced.get_mut(channel)
        {
            *forced = level;
        }
        self.settle(&mut deeds);
    }

    /// Somebody comes to the door, or leaves. With `auto_push` they open it once it is released.
    pub fn set_person(&mut self, present: bool, now: Duration) {
        self.advance(now);
        self.door.set_person(present, self.now);
        self.settle(&mut Vec::new());
    }

    /// Somebody comes to the door with something in mind. Who comes while another is there queues.
    pub fn person_arrives(&mut self, plan: PersonPlan, now: Duration) {
        self.advance(now);
        let mut deeds = Vec::new();
        self.door.arrive(plan, self.now, &mut deeds);
        self.settle(&mut deeds);
    }

    /// A car appears on the lane.
    pub fn car_arrives(&mut self, plan: CarPlan, now: Duration) {
        self.advance(now);
        let mut deeds = Vec::new();
        self.lane.arrive(plan, self.now, &mut deeds);
        self.settle(&mut deeds);
    }

    /// The coils.
    pub fn coils(&self) -> [bool; CHANNELS] {
        self.coils
    }

    /// The inputs as a controller reads them.
    pub fn inputs(&mut self, now: Duration) -> [bool; CHANNELS] {
        self.advance(now);
        self.recorded
    }

    /// Everything there is to see.
    pub fn state(&mut self, now: Duration) -> HouseState {
        self.advance(now);
        HouseState {
            now_ms: millis(self.now),
            relays: self.coils,
            inputs: self.recorded,
            barrier: self.barrier_state(),
            door: self.door.state(),
            cars: self.lane.states(),
            passages: self.passages,
        }
    }

    /// Who stands before the cameras.
    pub fn view(&mut self, now: Duration) -> View {
        self.advance(now);
        let in_view = self.lane.states().into_iter().filter(|car| car.in_view);
        let foremost = in_view.max_by(|a, b| a.place_m[1].total_cmp(&b.place_m[1]));
        View { car: foremost.map(|car| car.name), person: self.door.in_view().map(str::to_owned) }
    }

    /// How many cars and people are here.
    pub fn population(&mut self, now: Duration) -> usize {
        self.advance(now);
        self.lane.states().len() + self.door.queue_length()
    }

    /// What happened after the happening with this sequence number (0 for all that is kept), oldest first.
    pub fn happenings(&mut self, after: u64, now: Duration) -> Vec<Happening> {
        self.advance(now);
        self.happenings.after(after).cloned().collect()
    }

    /// When something happens next if nobody does anything, as of the last look.
    pub fn next_event(&self) -> Option<Duration> {
        let parts = [self.barrier.next_event(), self.door.next_event(), self.lane.next_event()];
        parts.into_iter().flatten().min().map(|at| at.max(self.now))
    }

    /// The edges after the one with this sequence number, oldest first.
    pub fn history(&mut self, after: u64, now: Duration) -> Vec<Edge> {
        self.advance(now);
        self.history.iter().filter(|edge| edge.sequence > after).cloned().collect()
    }

    /// Lets time pass, event by event. Time never goes back.
    fn advance(&mut self, now: Duration) {
        while let Some(at) = self.next_event().filter(|at| *at <= now) {
            self.pass(at);
        }
        if now > self.now {
            self.pass(now);
        }
    }

    fn pass(&mut self, at: Duration) {
        let mut deeds = Vec::new();
        self.barrier.advance(at);
        self.door.advance(at, &mut deeds);
        self.now = at;
        self.settle(&mut deeds);
    }

    /// Drivers see the boom, the boom meets the cars, and what is new is recorded.
    fn settle(&mut self, deeds: &mut Vec<Deed>) {
        self.lane.advance(self.now, self.barrier.seen(), deeds);
        let sensed = self.lane.sensed();
        for (at, what, who) in deeds.drain(..) {
            self.passages += u64::from(what == What::CarPasses);
            self.happenings.note(at, what, &who);
        }
        self.record_boom(sensed.under.as_deref());
        self.barrier.cover(sensed.under.is_some());
        self.record_inputs();
    }

    /// What the boom did, with the car that was under it.
    fn record_boom(&mut self, under: Option<&str>) {
        let (motion, strikes) = self.boom_seen;
        self.boom_seen = (self.barrier.motion(), self.barrier.strikes());
        if self.boom_seen.1 > strikes {
            self.happenings.note(self.now, What::Collision, under.unwrap_or_default());
        }
        if self.boom_seen.0 != motion {
            let height = self.barrier.state().position;
            let what = match self.boom_seen.0 {
                Motion::Raising => What::BoomRaising,
                Motion::Lowering => What::BoomLowering,
                Motion::Stopped if height >= 1.0 => What::BoomUp,
                Motion::Stopped if height <= 0.0 => What::BoomDown,
                Motion::Stopped => What::BoomStopped,
            };
            self.happenings.note(self.now, what, "");
        }
    }

    fn barrier_state(&self) -> BarrierState {
        let state = self.barrier.state();
        BarrierState { occupied: state.occupied || self.lane.sensed().safety, ..state }
    }

    fn levels(&self) -> [bool; CHANNELS] {
        let mut levels = [false; CHANNELS];
        let (barrier, door, sensed) = (self.barrier_state(), self.door.state(), self.lane.sensed());
        levels[INPUT_LOOP] = barrier.occupied;
        levels[INPUT_OPEN_LIMIT] = barrier.position >= 1.0;
        levels[INPUT_CLOSED_LIMIT] = barrier.position <= 0.0;
        levels[INPUT_PHOTOCELL] = sensed.photocell;
        levels[INPUT_CONTACT] = !door.open;
        levels[INPUT_EXIT_BUTTON] = self.door.button();
        levels[INPUT_APPROACH] = sensed.approach;
        levels[INPUT_DEPARTURE] = sensed.departure;
        for (level, forced) in levels.iter_mut().zip(self.forced) {
            *level = forced.unwrap_or(*level);
        }
        levels
    }

    fn record_inputs(&mut self) {
        let levels = self.levels();
        for (channel, level) in levels.into_iter().enumerate() {
            if self.recorded[channel] != level {
                self.recorded[channel] = level;
                self.record(Line::Input, channel, level);
            }
        }
    }

    fn record(&mut self, line: Line, channel: usize, on: bool) {
        if self.history.len() >= HISTORY_LIMIT {
            self.history.remove(0);
        }
        let name = name_of(line, channel).into();
        self.history.push(Edge { sequence: self.next_sequence, at_ms: millis(self.now), line, channel, name, on });
        self.next_sequence += 1;
    }
}

/// Milliseconds, as states and histories count them.
pub(in crate::sim) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
