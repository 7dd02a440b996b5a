//! The simulated house as a pure state machine: coils and the world go in, inputs and a history come out.
//!
//! Time is an argument, counted from the simulation's start. Nothing ticks: whatever happened between two calls is worked
//! out, with exact times, when somebody looks. Like real ones, this barrier drive has no wits of its own: it lowers the boom
//! on whatever stands there, and says so.
//!
//! | coil | drives | | input | shows |
//! |---|---|---|---|---|
//! | 0 | barrier open (rising edge) | | 0 | induction loop under the boom: true = occupied |
//! | 1 | barrier close (rising edge) | | 1 | boom fully open |
//! | 2 | barrier stop (rising edge) | | 2 | boom fully closed |
//! | 4 | lock: on = released | | 4 | door contact: true = closed |
//! | | | | 5 | exit button: true = pressed |
//!
//! The other channels, up to [`CHANNELS`], are relays and inputs without a meaning.

mod barrier;
mod door;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use barrier::Barrier;
pub use barrier::{BarrierConfig, BarrierState, Motion};
use door::Door;
pub use door::{DoorConfig, DoorState};

/// The number of coils, and of inputs.
pub const CHANNELS: usize = 16;

/// Coil: raises the boom.
pub const COIL_OPEN: usize = 0;
/// Coil: lowers the boom.
pub const COIL_CLOSE: usize = 1;
/// Coil: stops the boom where it is.
pub const COIL_STOP: usize = 2;
/// Coil: releases the door's lock while on.
pub const COIL_LOCK: usize = 4;
/// Input: the induction loop under the boom.
pub const INPUT_LOOP: usize = 0;
/// Input: the boom is fully open.
pub const INPUT_OPEN_LIMIT: usize = 1;
/// Input: the boom is fully closed.
pub const INPUT_CLOSED_LIMIT: usize = 2;
/// Input: the door is closed.
pub const INPUT_CONTACT: usize = 4;
/// Input: the exit button is pressed.
pub const INPUT_EXIT_BUTTON: usize = 5;

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
}

/// The house.
#[derive(Debug)]
pub struct House {
    barrier: Barrier,
    door: Door,
    coils: [bool; CHANNELS],
    /// Levels set from outside; for limit switches and the like, a switch that is stuck.
    forced: [Option<bool>; CHANNELS],
    /// The inputs as last recorded, to find edges.
    recorded: [bool; CHANNELS],
    history: Vec<Edge>,
    next_sequence: u64,
    now: Duration,
}

impl House {
    /// A house at rest: boom down, door closed and locked, nobody there.
    pub fn new(config: &HouseConfig) -> Self {
        let mut house = Self {
            barrier: Barrier::new(config.barrier.clone()),
            door: Door::new(config.door.clone()),
            coils: [false; CHANNELS],
            forced: [None; CHANNELS],
            recorded: [false; CHANNELS],
            history: Vec::new(),
            next_sequence: 1,
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
        match (channel, on) {
            (COIL_OPEN, true) => self.barrier.drive(Motion::Raising),
            (COIL_CLOSE, true) => self.barrier.drive(Motion::Lowering),
            (COIL_STOP, true) => self.barrier.drive(Motion::Stopped),
            (COIL_LOCK, released) => self.door.release(released, self.now),
            _ => {}
        }
        self.record_inputs();
    }

    /// The world sets an input. The door contact moves the door itself (also by force); a limit switch that is set is stuck
    /// until it is set to `None`.
    pub fn set_input(&mut self, channel: usize, level: Option<bool>, now: Duration) {
        self.advance(now);
        match channel {
            INPUT_LOOP => self.barrier.occupy(level.unwrap_or(false)),
            INPUT_CONTACT => self.door.swing(!level.unwrap_or(true), self.now),
            _ => {}
        }
        if channel != INPUT_CONTACT
            && let Some(forced) = self.forced.get_mut(channel)
        {
            *forced = level;
        }
        self.record_inputs();
    }

    /// Somebody comes to the door, or leaves. With `auto_push` they open it once it is released.
    pub fn set_person(&mut self, present: bool, now: Duration) {
        self.advance(now);
        self.door.set_person(present, self.now);
        self.record_inputs();
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
            barrier: self.barrier.state(),
            door: self.door.state(),
        }
    }

    /// The edges after the one with this sequence number, oldest first.
    pub fn history(&mut self, after: u64, now: Duration) -> Vec<Edge> {
        self.advance(now);
        self.history.iter().filter(|edge| edge.sequence > after).cloned().collect()
    }

    /// Lets time pass, event by event. Time never goes back.
    fn advance(&mut self, now: Duration) {
        while let Some(next) = [self.barrier.next_event(), self.door.next_event()].into_iter().flatten().min() {
            let at = next.max(self.now);
            if at > now {
                break;
            }
            self.pass(at);
        }
        if now > self.now {
            self.pass(now);
        }
    }

    fn pass(&mut self, at: Duration) {
        self.barrier.advance(at);
        self.door.advance(at);
        self.now = at;
        self.record_inputs();
    }

    fn levels(&self) -> [bool; CHANNELS] {
        let mut levels = [false; CHANNELS];
        let (barrier, door) = (self.barrier.state(), self.door.state());
        levels[INPUT_LOOP] = barrier.occupied;
        levels[INPUT_OPEN_LIMIT] = barrier.position >= 1.0;
        levels[INPUT_CLOSED_LIMIT] = barrier.position <= 0.0;
        levels[INPUT_CONTACT] = !door.open;
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

fn name_of(line: Line, channel: usize) -> &'static str {
    match (line, channel) {
        (Line::Relay, COIL_OPEN) => "open",
        (Line::Relay, COIL_CLOSE) => "close",
        (Line::Relay, COIL_STOP) => "stop",
        (Line::Relay, COIL_LOCK) => "lock",
        (Line::Input, INPUT_LOOP) => "loop",
        (Line::Input, INPUT_OPEN_LIMIT) => "open-limit",
        (Line::Input, INPUT_CLOSED_LIMIT) => "closed-limit",
        (Line::Input, INPUT_CONTACT) => "contact",
        (Line::Input, INPUT_EXIT_BUTTON) => "exit-button",
        _ => "",
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
