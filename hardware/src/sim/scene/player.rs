//! When each thing of a scene is due: a pure clockwork with time as its argument.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::{SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Act, Scene, Shot};
use crate::sim::fault::Fault;
use crate::sim::physics::{House, What};

/// How far a scene is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// How many things it does, repetitions and ends of faults counted.
    pub steps: usize,
    /// How many it has done.
    pub steps_done: usize,
}

/// What an act asks for beyond the house: of parts, cameras, and whoever watches.
#[derive(Debug, Clone, PartialEq)]
pub enum Beyond {
    /// The camera shows the picture while this car or person is in view.
    Shows {
        /// Who.
        who: String,
        /// What, and where.
        shot: Shot,
    },
    /// A part breaks, or is mended.
    Fault(String, Fault),
    /// Something is done to a part.
    Part {
        /// Its name.
        part: String,
        /// Which of its actions.
        action: String,
        /// What the action is given.
        body: Value,
    },
    /// A picture is put before a camera, whoever is in view; `None` takes it away.
    Picture(String, Option<String>),
    /// A line for who watches.
    Say(String),
}

impl Act {
    /// Does it to the house; what is to be done beyond it is answered.
    pub fn perform(self, house: &mut House, now: Duration) -> Option<Beyond> {
        match self {
            Self::Car(plan, shot) => {
                let who = plan.name.clone();
                house.car_arrives(plan, now);
                shot.map(|shot| Beyond::Shows { who, shot })
            }
            Self::Person(plan, shot) => {
                let who = plan.name.clone();
                house.person_arrives(plan, now);
                shot.map(|shot| Beyond::Shows { who, shot })
            }
            Self::Input(channel, level) => {
                house.set_input(channel, level, now);
                None
            }
            Self::Fault(part, fault) => Some(Beyond::Fault(part, fault)),
            Self::Part { part, action, body } => Some(Beyond::Part { part, action, body }),
            Self::Picture(camera, file) => Some(Beyond::Picture(camera, file)),
            Self::Say(line) => Some(Beyond::Say(line)),
        }
    }

    /// Whether it puts right what another act did.
    fn mends(&self) -> bool {
        matches!(self, Self::Input(_, None) | Self::Fault(_, Fault::None) | Self::Picture(_, None))
    }
}

/// A scene being played. Times count from its start.
#[derive(Debug)]
pub struct Player {
    /// By when it is due and the order of the steps.
    due: BTreeMap<(Duration, usize), Act>,
    /// What waits for something to happen.
    armed: Vec<Armed>,
    names: BTreeSet<String>,
    next_key: usize,
    progress: Progress,
}

#[derive(Debug)]
struct Armed {
    when: What,
    delay: Duration,
    act: Act,
    until: Option<(Duration, Act)>,
}

impl Player {
    /// Ready to play it from the beginning.
    pub fn new(scene: &Scene) -> Self {
        let mut player = Self {
            due: BTreeMap::new(),
            armed: Vec::new(),
            names: BTreeSet::new(),
            next_key: 0,
            progress: Progress::default(),
        };
        let mut chance = StdRng::seed_from_u64(scene.seed);
        for step in &scene.steps {
            let mut at = step.at.pick(&mut chance);
            if let Some(when) = step.when {
                player.progress.steps += 1 + usize::from(step.until.is_some());
                let (act, until) = (step.act.clone(), step.until.clone());
                player.armed.push(Armed { when, delay: at, act, until });
                continue;
            }
            for _ in 0..step.repeat.map_or(1, |(times, _)| times) {
                player.progress.steps += 1 + usize::from(step.until.is_some());
                player.plan(at, step.act.clone(), step.until.clone());
                at += step.repeat.map_or(Duration::ZERO, |(_, every)| every.pick(&mut chance));
            }
        }
        player
    }

    fn plan(&mut self, at: Duration, act: Act, until: Option<(Duration, Act)>) {
        self.due.insert((at, self.next_key), act);
        self.next_key += 1;
        if let Some((after, act)) = until {
            self.due.insert((at + after, self.next_key), act);
            self.next_key += 1;
        }
    }

    /// Something happened in the house: what waits for it is due its delay later.
    pub fn notice(&mut self, what: What, now: Duration) {
        let (came, armed) = std::mem::take(&mut self.armed).into_iter().partition(|armed| armed.when == what);
        self.armed = armed;
        let came: Vec<Armed> = came;
        for Armed { delay, act, until, .. } in came {
            self.plan(now + delay, act, until);
        }
    }

    /// When the next thing is due. `None` while all that is left waits for something to happen, and at the end.
    pub fn next_due(&self) -> Option<Duration> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next thing that is due, if it is.
    pub fn take(&mut self, now: Duration) -> Option<Act> {
        let first = self.due.first_entry().filter(|entry| entry.key().0 <= now)?;
        let act = first.remove();
        self.progress.steps_done += 1;
        Some(self.named(act))
    }

    /// Gives the play up; what is left is what mends that which was broken.
    pub fn abandon(&mut self) -> Vec<Act> {
        self.armed.clear();
        std::mem::take(&mut self.due).into_values().filter(Act::mends).collect()
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Whether nothing is left to do.
    pub fn is_done(&self) -> bool {
        self.due.is_empty() && self.armed.is_empty()
    }

    /// Everybody has a name of their own: the second "taxi" is "taxi 2".
    fn named(&mut self, mut act: Act) -> Act {
        let (name, usual) = match &mut act {
            Act::Car(plan, _) => (&mut plan.name, "car"),
            Act::Person(plan, _) => (&mut plan.name, "person"),
            _ => return act,
        };
        let stem = if name.is_empty() { usual.to_owned() } else { std::mem::take(name) };
        let mut candidate = if stem == usual { format!("{stem} 1") } else { stem.clone() };
        let mut count = 1;
        while !self.names.insert(candidate.clone()) {
            count += 1;
            candidate = format!("{stem} {count}");
        }
        *name = candidate;
        act
    }
}
