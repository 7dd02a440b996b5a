//! The boom: it moves at a constant speed while it is driven, and remembers whether it came down on a car.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::lane::Boom;

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
    /// How often it has.
    pub strikes: u64,
}

#[derive(Debug)]
pub(super) struct Barrier {
    travel: Duration,
    reaction: Duration,
    /// How far the boom is up, as the time it takes to lower it. Exact where a fraction would round.
    height: Duration,
    /// From this height on it touches no car.
    clearance: Duration,
    motion: Motion,
    /// The loop was set from outside: somebody else's car.
    loop_set: bool,
    /// A car of the lane has a part under it.
    covers_car: bool,
    /// How long it has been lowering with a car under it.
    lowered_on_car: Duration,
    /// This lowering has been counted as a strike.
    counted: bool,
    strikes: u64,
    now: Duration,
}

impl Barrier {
    /// A closed one, which clears a car from this part of its way on.
    pub(super) fn new(config: BarrierConfig, clearance: f64) -> Self {
        let travel = Duration::from_millis(config.travel_ms.max(1));
        Self {
            travel,
            reaction: Duration::from_millis(config.reaction_ms),
            height: Duration::ZERO,
            clearance: travel.mul_f64(clearance.clamp(0.0, 1.0)),
            motion: Motion::Stopped,
            loop_set: false,
            covers_car: false,
            lowered_on_car: Duration::ZERO,
            counted: false,
            strikes: 0,
            now: Duration::ZERO,
        }
    }

    /// What a driver sees of it.
    pub(super) fn seen(&self) -> Boom {
        let lowering = self.motion == Motion::Lowering;
        Boom { up: self.height == self.travel && !lowering, clear: self.height >= self.clearance }
    }

    pub(super) fn motion(&self) -> Motion {
        self.motion
    }

    pub(super) fn strikes(&self) -> u64 {
        self.strikes
    }

    pub(super) fn drive(&mut self, motion: Motion) {
        self.motion = match motion {
            Motion::Raising if self.height == self.travel => Motion::Stopped,
            Motion::Lowering if self.height.is_zero() => Motion::Stopped,
            driven => driven,
        };
        if self.motion != Motion::Lowering {
            self.begin_count();
        }
    }

    /// The loop is set from outside.
    pub(super) fn set_loop(&mut self, occupied: bool) {
        if self.loop_set != occupied {
            self.loop_set = occupied;
            self.begin_count();
        }
    }

    /// A car of the lane comes under the boom, or is through.
    pub(super) fn cover(&mut self, car: bool) {
        if self.covers_car != car {
            self.covers_car = car;
            self.begin_count();
        }
    }

    fn begin_count(&mut self) {
        self.lowered_on_car = Duration::ZERO;
        self.counted = false;
    }

    fn occupied(&self) -> bool {
        self.loop_set || self.covers_car
    }

    /// When the boom arrives, comes to the height of a car, or has struck one, if it is moving.
    pub(super) fn next_event(&self) -> Option<Duration> {
        const A_MOMENT: Duration = Duration::from_nanos(1);
        match self.motion {
            Motion::Stopped => None,
            Motion::Raising if self.height < self.clearance => {
                Some(self.now + self.clearance.saturating_sub(self.height))
            }
            Motion::Raising => Some(self.now + self.travel.saturating_sub(self.height)),
            Motion::Lowering => {
                let low = self.height.checked_sub(self.clearance).map(|way| way + A_MOMENT);
                let strike = self.reaction.checked_sub(self.lowered_on_car).map(|left| left + A_MOMENT);
                let strike = strike.filter(|_| self.occupied() && !self.counted);
                [Some(self.height), low, strike].into_iter().flatten().min().map(|wait| self.now + wait)
            }
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
                if self.occupied() {
                    self.lowered_on_car += passed;
                    if !self.counted && (self.lowered_on_car > self.reaction || self.height.is_zero()) {
                        self.counted = true;
                        self.strikes += 1;
                    }
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
            occupied: self.occupied(),
            struck: self.strikes > 0,
            strikes: self.strikes,
        }
    }
}
