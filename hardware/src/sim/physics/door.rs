//! The door: a lock that is released by a coil, a door closer, and whoever stands in front of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The door's mechanics.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DoorConfig {
    /// Whether a person who is there opens the door as soon as it is released.
    pub auto_push: bool,
    /// How long that takes, in milliseconds.
    pub push_ms: u64,
    /// How long the door then stays open until the closer has shut it, in milliseconds. The person is gone after it.
    pub walk_ms: u64,
}

impl Default for DoorConfig {
    fn default() -> Self {
        Self { auto_push: true, push_ms: 300, walk_ms: 1500 }
    }
}

/// The door as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoorState {
    /// The door stands open.
    pub open: bool,
    /// The lock is released.
    pub released: bool,
    /// Somebody is in front of it.
    pub person: bool,
}

#[derive(Debug)]
pub(super) struct Door {
    config: DoorConfig,
    state: DoorState,
    /// When the person will have opened the door.
    opens_at: Option<Duration>,
    /// When the closer will have shut it.
    closes_at: Option<Duration>,
}

impl Door {
    pub(super) fn new(config: DoorConfig) -> Self {
        let state = DoorState { open: false, released: false, person: false };
        Self { config, state, opens_at: None, closes_at: None }
    }

    pub(super) fn release(&mut self, released: bool, now: Duration) {
        self.state.released = released;
        self.push(now);
    }

    pub(super) fn set_person(&mut self, present: bool, now: Duration) {
        self.state.person = present;
        self.push(now);
    }

    /// The door is moved from outside, whatever the lock says. It then stays as it is.
    pub(super) fn swing(&mut self, open: bool, now: Duration) {
        self.state.open = open;
        self.closes_at = None;
        self.push(now);
    }

    /// Starts, or gives up, opening the door by hand.
    fn push(&mut self, now: Duration) {
        let pushing = self.config.auto_push && self.state.person && self.state.released && !self.state.open;
        self.opens_at = match (pushing, self.opens_at) {
            (true, None) => Some(now + Duration::from_millis(self.config.push_ms)),
            (true, already) => already,
            (false, _) => None,
        };
    }

    pub(super) fn next_event(&self) -> Option<Duration> {
        self.opens_at.into_iter().chain(self.closes_at).min()
    }

    pub(super) fn advance(&mut self, now: Duration) {
        if self.opens_at.is_some_and(|at| at <= now) {
            self.opens_at = None;
            self.state.open = true;
            self.closes_at = Some(now + Duration::from_millis(self.config.walk_ms));
        }
        if self.closes_at.is_some_and(|at| at <= now) {
            self.closes_at = None;
            self.state.open = false;
            self.state.person = false;
        }
    }

    pub(super) fn state(&self) -> DoorState {
        self.state.clone()
    }
}
