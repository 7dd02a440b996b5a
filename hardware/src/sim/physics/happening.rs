//! What happened, in the words of somebody who stands there and watches.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::millis;

/// The record keeps this many happenings, and forgets the oldest.
const LIMIT: usize = 10_000;

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The boom begins to rise.
    BoomRaising,
    /// The boom has arrived at the top.
    BoomUp,
    /// The boom begins to come down.
    BoomLowering,
    /// The boom has arrived at the bottom.
    BoomDown,
    /// The boom was stopped on its way.
    BoomStopped,
    /// A car appears on the lane.
    CarArrives,
    /// The plate camera sees a car.
    CarInView,
    /// A car stands before the boom and waits.
    CarWaits,
    /// A car drives past the stop line.
    CarDrivesIn,
    /// A car stops under the boom.
    CarStands,
    /// A car reverses to where it came from.
    CarBacksOut,
    /// A car has passed the boom with its whole length.
    CarPasses,
    /// A car is gone.
    CarLeaves,
    /// The boom came down on a car.
    Collision,
    /// A car drove into a boom that was not up.
    CarHitsBoom,
    /// Somebody comes to the door.
    PersonArrives,
    /// Somebody has walked through the door.
    PersonPasses,
    /// Somebody has waited long enough and goes away.
    PersonLeaves,
    /// The door is pushed open.
    DoorOpens,
    /// Somebody opens the door against its lock.
    DoorForced,
    /// Somebody keeps the door from closing.
    DoorHeld,
    /// The door has fallen shut.
    DoorCloses,
}

impl What {
    /// Whether nobody must ever see it.
    pub fn is_unsafe(self) -> bool {
        matches!(self, Self::Collision)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BoomRaising => "the boom rises",
            Self::BoomUp => "the boom is up",
            Self::BoomLowering => "the boom comes down",
            Self::BoomDown => "the boom is down",
            Self::BoomStopped => "the boom stops on its way",
            Self::CarArrives => "arrives",
            Self::CarInView => "comes into view",
            Self::CarWaits => "waits before the boom",
            Self::CarDrivesIn => "drives in under the boom",
            Self::CarStands => "stops under the boom",
            Self::CarBacksOut => "backs out",
            Self::CarPasses => "has passed the boom",
            Self::CarLeaves => "is gone",
            Self::Collision => "COLLISION: the boom came down on a car",
            Self::CarHitsBoom => "drove into a boom that was not up",
            Self::PersonArrives => "comes to the door",
            Self::PersonPasses => "has walked through the door",
            Self::PersonLeaves => "goes away",
            Self::DoorOpens => "the door opens",
            Self::DoorForced => "forces the door",
            Self::DoorHeld => "holds the door open",
            Self::DoorCloses => "the door is shut",
        })
    }
}

/// Something that happened, to whom, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Happening {
    /// Counts up from 1.
    pub sequence: u64,
    /// Milliseconds since the simulation began.
    pub at_ms: f64,
    /// What.
    pub what: What,
    /// The car or person; empty where it is nobody in particular.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub who: String,
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:8.2} s  ", self.at_ms / 1e3)?;
        match self.what {
            What::Collision if !self.who.is_empty() => write!(f, "{} ({})", self.what, self.who),
            _ if self.who.is_empty() => write!(f, "{}", self.what),
            _ => write!(f, "{} {}", self.who, self.what),
        }
    }
}

/// The record of what happened.
#[derive(Debug, Default)]
pub(super) struct Record {
    kept: Vec<Happening>,
    count: u64,
}

impl Record {
    pub(super) fn note(&mut self, at: Duration, what: What, who: &str) {
        if self.kept.len() >= LIMIT {
            self.kept.remove(0);
        }
        self.count += 1;
        self.kept.push(Happening { sequence: self.count, at_ms: millis(at), what, who: who.into() });
    }

    pub(super) fn after(&self, sequence: u64) -> impl Iterator<Item = &Happening> {
        self.kept.iter().filter(move |happening| happening.sequence > sequence)
    }
}
