//! The door: a lock that is released by a coil, a door closer, and whoever stands in front of it.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    happening::What,
    lane::{Deed, Side},
};

/// For so long a finger stays on the exit button.
const PRESS: Duration = Duration::from_millis(500);

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

/// What somebody at the door means to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Errand {
    /// Walks through once it is released.
    #[default]
    WalksThrough,
    /// The same, and keeps it open for so long more.
    HoldsOpen(Duration),
    /// Opens it whatever the lock says.
    Forces,
}

/// Somebody who comes to the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonPlan {
    /// What they are called in the record.
    pub name: String,
    /// Where they come from. From inside, they press the exit button.
    pub from: Side,
    /// What they mean to do.
    pub errand: Errand,
    /// How long they wait for the door. `None`: for ever.
    pub waits: Option<Duration>,
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
    open: bool,
    released: bool,
    /// Somebody is there without a plan: `auto_push` says what they do.
    somebody: bool,
    /// Who is there with one; the first is at the door since [`Self::since`].
    queue: VecDeque<PersonPlan>,
    since: Duration,
    /// Who is walking through.
    walking: Option<String>,
    pressed_until: Option<Duration>,
    /// When the person will have opened the door.
    opens_at: Option<Duration>,
    /// When the closer will have shut it.
    closes_at: Option<Duration>,
}

impl Door {
    pub(super) fn new(config: DoorConfig) -> Self {
        Self {
            config,
            open: false,
            released: false,
            somebody: false,
            queue: VecDeque::new(),
            since: Duration::ZERO,
            walking: None,
            pressed_until: None,
            opens_at: None,
            closes_at: None,
        }
    }

    pub(super) fn release(&mut self, released: bool, now: Duration) {
        self.released = released;
        self.push(now);
    }

    pub(super) fn set_person(&mut self, present: bool, now: Duration) {
        self.somebody = present;
        self.push(now);
    }

    pub(super) fn arrive(&mut self, plan: PersonPlan, now: Duration, deeds: &mut Vec<Deed>) {
        deeds.push((now, What::PersonArrives, plan.name.clone()));
        self.queue.push_back(plan);
        if self.queue.len() == 1 {
            self.step_up(now);
        }
    }

    /// The door is moved from outside, whatever the lock says. It then stays as it is.
    pub(super) fn swing(&mut self, open: bool, now: Duration, deeds: &mut Vec<Deed>) {
        if self.open != open {
            let what = match (open, self.released) {
                (true, true) => What::DoorOpens,
                (true, false) => What::DoorForced,
                (false, _) => What::DoorCloses,
            };
            let who = if what == What::DoorForced { "somebody" } else { "" };
            deeds.push((now, what, who.into()));
        }
        self.open = open;
        self.closes_at = None;
        self.walking = None;
        self.push(now);
    }

    /// The first of the queue is at the door.
    fn step_up(&mut self, now: Duration) {
        self.since = now;
        if self.queue.front().is_some_and(|person| person.from == Side::Inside && person.errand != Errand::Forces) {
            self.pressed_until = Some(now + PRESS);
        }
        self.push(now);
    }

    /// Starts, or gives up, opening the door by hand.
    fn push(&mut self, now: Duration) {
        let forcing = self.queue.front().is_some_and(|person| person.errand == Errand::Forces);
        let walking = (self.config.auto_push && self.somebody) || !self.queue.is_empty();
        let pushing = !self.open && (forcing || (walking && self.released));
        self.opens_at = match (pushing, self.opens_at) {
            (true, None) => Some(now + Duration::from_millis(self.config.push_ms)),
            (true, already) => already,
            (false, _) => None,
        };
    }

    fn gives_up_at(&self) -> Option<Duration> {
        let waiting = self.opens_at.is_none() && !self.open;
        self.queue.front().filter(|_| waiting)?.waits.map(|waits| self.since + waits)
    }

    pub(super) fn next_event(&self) -> Option<Duration> {
        [self.opens_at, self.closes_at, self.pressed_until, self.gives_up_at()].into_iter().flatten().min()
    }

    pub(super) fn advance(&mut self, now: Duration, deeds: &mut Vec<Deed>) {
        if self.pressed_until.is_some_and(|until| until <= now) {
            self.pressed_until = None;
        }
        if self.opens_at.is_some_and(|at| at <= now) {
            self.pushed_open(now, deeds);
        }
        if self.closes_at.is_some_and(|at| at <= now) {
            self.closes_at = None;
            self.open = false;
            self.somebody = false;
            if let Some(who) = self.walking.take() {
                deeds.push((now, What::PersonPasses, who));
            }
            deeds.push((now, What::DoorCloses, String::new()));
            self.step_up(now);
        }
        if self.gives_up_at().is_some_and(|at| at <= now)
            && let Some(person) = self.queue.pop_front()
        {
            deeds.push((now, What::PersonLeaves, person.name));
            self.step_up(now);
        }
    }

    fn pushed_open(&mut self, now: Duration, deeds: &mut Vec<Deed>) {
        self.opens_at = None;
        self.open = true;
        let mut stays = Duration::from_millis(self.config.walk_ms);
        match self.queue.pop_front() {
            None => deeds.push((now, What::DoorOpens, String::new())),
            Some(person) => {
                match person.errand {
                    Errand::Forces if !self.released => deeds.push((now, What::DoorForced, person.name.clone())),
                    _ => deeds.push((now, What::DoorOpens, String::new())),
                }
                if let Errand::HoldsOpen(more) = person.errand {
                    deeds.push((now, What::DoorHeld, person.name.clone()));
                    stays += more;
                }
                self.walking = Some(person.name);
            }
        }
        self.closes_at = Some(now + stays);
    }

    /// Whether the exit button is pressed.
    pub(super) fn button(&self) -> bool {
        self.pressed_until.is_some()
    }

    /// Who waits at the door, outside.
    pub(super) fn in_view(&self) -> Option<&str> {
        self.queue
            .front()
            .filter(|person| person.from == Side::Outside && !self.open)
            .map(|person| person.name.as_str())
    }

    pub(super) fn queue_length(&self) -> usize {
        self.queue.len() + usize::from(self.walking.is_some())
    }

    pub(super) fn state(&self) -> DoorState {
        let person = self.somebody || self.walking.is_some() || !self.queue.is_empty();
        DoorState { open: self.open, released: self.released, person }
    }
}
