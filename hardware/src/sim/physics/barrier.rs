//! The boom: it moves at a constant speed while it is driven, and remembers whether it came down on a car.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The barrier's mechanics.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BarrierConfig {
    /// From closed to open, and back, in milliseconds.
    pub travel_ms: u64,
    /// For how long the boom may go on lowering after a car has come under it before that counts as a strike: what a
    /// controller is given to react. Reaching the bottom with a car there is a strike at once.
    pub reaction_ms: u64,
}

impl Default for BarrierConfig {
    fn default() -> Self {
        Self { travel_ms: 1500, reaction_ms: 400 }
    }
}

/// Which way the boom is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Motion {
    /// Not at all.
    Stopped,
    /// Up.
    Raising,
    /// Down.
    Lowering,
}

/// The barrier as seen from outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BarrierState {
    /// 0 = closed (down), 1 = open (up).
    pub position: f64,
    /// Which way it moves.
    pub motion: Motion,
    /// A car is on the loop under the boom.
    pub occupied: bool,
    /// The boom has come down on a car at least once. It stays true.
    pub struck: bool,
}

#[derive(Debug)]
pub(super) struct Barrier {
    travel: Duration,
    reaction: Duration,
    /// How far the boom is up, as the time it takes to lower it. Exact where a fraction would round.
    height: Duration,
    motion: Motion,
    occupied: bool,
    /// How long it has been lowering with a car under it.
    lowered_on_car: Duration,
    struck: bool,
    now: Duration,
}

impl Barrier {
    pub(super) fn new(config: BarrierConfig) -> Self {
        Self {
            travel: Duration::from_millis(config.travel_ms.max(1)),
            reaction: Duration::from_millis(config.reaction_ms),
            height: Duration::ZERO,
            motion: Motion::Stopped,
            occupied: false,
            lowered_on_car: Duration::ZERO,
            struck: false,
            now: Duration::ZERO,
        }
    }

    pub(super) fn drive(&mut self, motion: Motion) {
        self.motion = match motion {
            Motion::Raising if self.height == self.travel => Motion::Stopped,
            Motion::Lowering if self.height.is_zero() => Motion::Stopped,
            driven => driven,
        };
        if self.motion != Motion::Lowering {
            self.lowered_on_car = Duration::ZERO;
        }
    }

    pub(super) fn occupy(&mut self, occupied: bool) {
        self.occupied = occupied;
        self.lowered_on_car = Duration::ZERO;
    }

    /// When the boom arrives, if it is moving.
    pub(super) fn next_event(&self) -> Option<Duration> {
        match self.motion {
            Motion::Stopped => None,
            Motion::Raising => Some(self.now + (self.travel.saturating_sub(self.height))),
            Motion::Lowering => Some(self.now + self.height),
        }
    }

    pub(super) fn advance(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.now);
        self.now = self.now.max(now);
        match self.motion {
            Motion::Stopped => {}
            Motion::Raising => {
                self.height = (self.height + passed).min(self.travel);
                if self.height == self.travel {
                    self.motion = Motion::Stopped;
                }
            }
            Motion::Lowering => {
                self.height = self.height.saturating_sub(passed);
                if self.occupied {
                    self.lowered_on_car += passed;
                    self.struck |= self.lowered_on_car > self.reaction || self.height.is_zero();
                }
                if self.height.is_zero() {
                    self.motion = Motion::Stopped;
                }
            }
        }
    }

    pub(super) fn state(&self) -> BarrierState {
        BarrierState {
            position: self.height.as_secs_f64() / self.travel.as_secs_f64(),
            motion: self.motion,
            occupied: self.occupied,
            struck: self.struck,
        }
    }
}
