//! Scenes: a text file that says who arrives when, and what breaks.
//!
//! ```text
//! title = "A tailgater"
//! empty = { plate-cam = "yard.jpg" }            # what a camera shows while nobody is in view
//!
//! [[step]]
//! at = "2s"
//! car = { plate_picture = "car-day.jpg", speed_kmh = 8 }
//!
//! [[step]]
//! when = "boom-raising"                         # any happening, by its name; `at` then counts from it
//! fault = { part = "io", kind = "dead", for = "3s" }
//! ```
//!
//! | key of a step | |
//! |---|---|
//! | `at` | when, from the start of the scene (or from `when`): `"1500ms"`, `"2s"`, `"1m30s"`; `"2s..10s"` is any time in between, by `seed` |
//! | `when` | not before this happens, by the name of a [`What`]: `"boom-lowering"`, `"car-waits"`, … |
//! | `repeat` | `{ times = 5, every = "20s" }`, or `every = "10s..40s"` |
//!
//! and one of:
//!
//! | what | keys |
//! |---|---|
//! | `car` | `plate_picture`, `camera` ("plate-cam"), `name`, `from` ("outside", "inside"), `speed_kmh` (8), `length_m` (4.5), `gap_m` (1.5), `driver` ("careful", "hasty"), `waits`, `stands`, `backs_out` |
//! | `person` | `face_picture`, `camera` ("face-cam"), `name`, `from`, `does` ("walks-through", "holds-open", "forces"), `holds`, `waits` |
//! | `card` | `reader`, and what that reader takes: the action `card` of the part |
//! | `part` | `name`, `action`, `with`: any action of any part |
//! | `fault` | `part`, `kind`, `ms` (for "slow"), `for` |
//! | `input` | `name` (or `channel`), `on`, `for` |
//! | `picture` | `camera`, `file`, `for`: whoever is in view |
//! | `say` | a line for who watches |
//!
//! Pictures are files of one folder, which whoever plays the scene names. [`Scene::parse`] refuses what it does not understand,
//! with the step and the way out; the [`Player`] knows when each thing is due, with time as its argument. To add a kind of step:
//! its keys in `entry.rs`, an [`Act`], and what it does in [`Act::perform`] or, beyond the house, in `stage.rs`.
//!
//! [`What`]: super::physics::What

mod entry;
mod player;
mod rehearsal;
mod span;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

pub use player::{Beyond, Player, Progress};
pub use rehearsal::Rehearsal;
use span::Span;

use super::fault::Fault;
use super::physics::{CarPlan, PersonPlan, What};

/// Why a scene is refused. Nothing of it is played.
#[derive(Debug, thiserror::Error)]
pub enum SceneError {
    /// It is not what a scene looks like.
    #[error("the scene is not understood: {0}")]
    Text(#[from] toml::de::Error),
    /// A step makes no sense.
    #[error("step {number} of the scene: {reason}")]
    Step {
        /// Counts from 1.
        number: usize,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// It would never end.
    #[error("the scene has more than {limit} things to do once its repetitions are counted; repeat less")]
    TooLong {
        /// The most there may be.
        limit: usize,
    },
    /// A picture is not there.
    #[error(
        "the picture {file:?} of the scene could not be read from {folder}: {reason}; name the folder with --pictures"
    )]
    Picture {
        /// As the scene names it.
        file: String,
        /// Where it was looked for.
        folder: String,
        /// Why not.
        reason: String,
    },
    /// It needs something that this site does not have.
    #[error("the scene does not fit this site: {0}")]
    Misfit(String),
}

/// A scene that was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// What it is called.
    pub title: String,
    /// What it shows.
    pub about: String,
    /// What chance goes by.
    pub seed: u64,
    /// What each camera shows while nobody is in view: a file for a camera's id.
    pub empty: BTreeMap<String, String>,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
struct Step {
    at: Span,
    when: Option<What>,
    repeat: Option<(u32, Span)>,
    act: Act,
    /// What ends it, and after how long.
    until: Option<(Duration, Act)>,
}

/// A picture for a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shot {
    /// The camera's id.
    pub camera: String,
    /// The file's name.
    pub file: String,
}

/// One thing that a scene does.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// A car arrives; while its plate is in view, the camera shows the picture.
    Car(CarPlan, Option<Shot>),
    /// Somebody comes to the door; while they wait outside, the camera shows the picture.
    Person(PersonPlan, Option<Shot>),
    /// An input is set, or let go of.
    Input(usize, Option<bool>),
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

impl Scene {
    /// Understands the text of a scene, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, SceneError> {
        entry::scene(text)
    }

    fn acts(&self) -> impl Iterator<Item = &Act> {
        self.steps.iter().flat_map(|step| std::iter::once(&step.act).chain(step.until.as_ref().map(|(_, act)| act)))
    }

    /// Every picture it needs, by file name.
    pub fn files(&self) -> BTreeSet<&str> {
        let shots = self.acts().filter_map(|act| match act {
            Act::Car(_, shot) | Act::Person(_, shot) => shot.as_ref().map(|shot| shot.file.as_str()),
            Act::Picture(_, file) => file.as_deref(),
            _ => None,
        });
        shots.chain(self.empty.values().map(String::as_str)).collect()
    }

    /// Every camera it needs.
    pub fn cameras(&self) -> BTreeSet<&str> {
        let shown = self.acts().filter_map(|act| match act {
            Act::Car(_, shot) | Act::Person(_, shot) => shot.as_ref().map(|shot| shot.camera.as_str()),
            Act::Picture(camera, _) => Some(camera.as_str()),
            _ => None,
        });
        shown.chain(self.empty.keys().map(String::as_str)).collect()
    }

    /// Every fault it switches on, with the part.
    pub fn faults(&self) -> impl Iterator<Item = (&str, Fault)> {
        self.acts()
            .filter_map(|act| if let Act::Fault(part, fault) = act { Some((part.as_str(), *fault)) } else { None })
    }

    /// Everything it does to parts: the part and the action.
    pub fn actions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.acts().filter_map(|act| match act {
            Act::Part { part, action, .. } => Some((part.as_str(), action.as_str())),
            _ => None,
        })
    }
}
