//! The stage: plays a scene in real time, lets the cameras see who is in view, and tells whoever watches.
//!
//! The scene's clockwork and the house are pure; this only sleeps until one of them has something to do, or somebody touches
//! the house.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio::time::sleep_until;

use super::physics::{Edge, Happening, What};
use super::scene::{Act, Beyond, Player, Progress, Scene, SceneError, Shot};
use super::{Fault, SimError, Site};
use crate::ImageKind;

/// Who watches may fall behind by so much.
const SIGHTS: usize = 4096;

/// Something that can be seen by whoever watches; its `Display` is a line with the time.
#[derive(Debug, Clone, PartialEq)]
pub enum Sight {
    /// Something happened.
    Happening(Happening),
    /// A relay or an input changed.
    Edge(Edge),
    /// A part broke, or was mended.
    Fault {
        /// Milliseconds since the simulation began.
        at_ms: f64,
        /// The part.
        part: String,
        /// Its fault.
        fault: Fault,
    },
    /// The scene says something of itself.
    Said {
        /// Milliseconds since the simulation began.
        at_ms: f64,
        /// The line.
        line: String,
    },
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Happening(happening) => happening.fmt(f),
            Self::Edge(edge) => edge.fmt(f),
            Self::Fault { at_ms, part, fault: Fault::None } => write!(f, "{:8.2} s  {part} is mended", at_ms / 1e3),
            Self::Fault { at_ms, part, fault } => write!(f, "{:8.2} s  {part} breaks: {}", at_ms / 1e3, fault.name()),
            Self::Said { at_ms, line } => write!(f, "{:8.2} s  -- {line}", at_ms / 1e3),
        }
    }
}

impl Sight {
    fn at_ms(&self) -> f64 {
        match self {
            Self::Happening(happening) => happening.at_ms,
            Self::Edge(edge) => edge.at_ms,
            Self::Fault { at_ms, .. } | Self::Said { at_ms, .. } => *at_ms,
        }
    }
}

/// How the scene goes: the answer to `GET /scene`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SceneState {
    /// What it is called.
    pub title: String,
    /// How far it is.
    #[serde(flatten)]
    pub progress: Progress,
    /// Every step is done, and everybody is gone.
    pub done: bool,
    /// How many cars and people are here.
    pub here: usize,
    /// How many cars have passed the boom since it began.
    pub passages: usize,
    /// Each time the boom came down on a car: there must be none.
    pub collisions: Vec<Happening>,
    /// Everything that happened since it began.
    pub happenings: Vec<Happening>,
}

/// What is being played, and who watches.
pub(super) struct Stage {
    pictures: PathBuf,
    play: Mutex<Option<Play>>,
    sights: broadcast::Sender<Sight>,
}

struct Play {
    title: String,
    player: Player,
    started: Duration,
    /// The last happening before it began, and the last that the player was told of.
    began_after: u64,
    noticed: u64,
    files: BTreeMap<String, Bytes>,
    empty: BTreeMap<String, String>,
    /// Whose picture is shown where.
    shows: BTreeMap<String, Shot>,
    /// Pictures put before a camera whoever is in view.
    held: BTreeMap<String, String>,
    /// What each camera of the scene shows; `None` is what it shows by itself.
    shown: BTreeMap<String, Option<String>>,
}

/// What whoever watches was told already.
#[derive(Default)]
struct Told {
    edge: u64,
    happening: u64,
}

impl Stage {
    pub(super) fn new(pictures: PathBuf) -> Self {
        Self { pictures, play: Mutex::new(None), sights: broadcast::Sender::new(SIGHTS) }
    }

    pub(super) fn watch(&self) -> broadcast::Receiver<Sight> {
        self.sights.subscribe()
    }

    /// Tells whoever watches.
    pub(super) fn show(&self, sight: Sight) {
        // Nobody need watch.
        let _ = self.sights.send(sight);
    }

    fn play(&self) -> MutexGuard<'_, Option<Play>> {
        self.play.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Site {
    /// Plays a scene from its beginning, instead of the one that is being played. One that is refused changes nothing.
    pub(super) fn play(&self, text: &str) -> Result<(), SimError> {
        let scene = Scene::parse(text)?;
        self.fits(&scene)?;
        let files = scene.files().into_iter().map(|file| Ok((file.to_owned(), read(&self.stage.pictures, file)?)));
        let files = files.collect::<Result<_, SceneError>>()?;
        self.end_scene();
        let now = self.world.now();
        let began_after = self.world.house().happenings(0, now).last().map_or(0, |happening| happening.sequence);
        let shown = scene.cameras().into_iter().map(|camera| (camera.to_owned(), None)).collect();
        let line = match scene.about.trim() {
            "" => scene.title.clone(),
            about => format!("{}: {about}", scene.title),
        };
        self.stage.show(Sight::Said { at_ms: super::millis(now), line });
        *self.stage.play() = Some(Play {
            title: scene.title.clone(),
            player: Player::new(&scene),
            started: now,
            began_after,
            noticed: began_after,
            files,
            empty: scene.empty,
            shows: BTreeMap::new(),
            held: BTreeMap::new(),
            shown,
        });
        self.world.stirred.notify_one();
        Ok(())
    }

    /// Ends the scene, if there is one: what it broke is mended, cameras show what they did before. Who is here stays.
    pub(super) fn end_scene(&self) {
        let Some(mut play) = self.stage.play().take() else { return };
        for act in play.player.abandon() {
            self.perform(act, None);
        }
        for camera in play.shown.keys() {
            if let Ok(camera) = self.world.camera(camera) {
                camera.show(None);
            }
        }
    }

    /// How the scene goes; `None` before the first.
    pub(super) fn scene(&self) -> Option<SceneState> {
        let play = self.stage.play();
        let play = play.as_ref()?;
        let now = self.world.now();
        let mut house = self.world.house();
        let happenings = house.happenings(play.began_after, now);
        let here = house.population(now);
        let of = |what| happenings.iter().filter(move |happening| happening.what == what);
        Some(SceneState {
            title: play.title.clone(),
            progress: play.player.progress(),
            done: play.player.is_done() && here == 0,
            here,
            passages: of(What::CarPasses).count(),
            collisions: of(What::Collision).cloned().collect(),
            happenings,
        })
    }

    /// Whether there is here what the scene needs.
    fn fits(&self, scene: &Scene) -> Result<(), SceneError> {
        let misfit = |error: SimError| SceneError::Misfit(error.to_string());
        for camera in scene.cameras() {
            self.world.camera(camera).map_err(misfit)?;
        }
        for (part, fault) in scene.faults() {
            self.parts.knows(part, fault).map_err(misfit)?;
        }
        for (part, action) in scene.actions() {
            let part = self.parts.get(part).map_err(misfit)?;
            if !part.actions().contains(&action) {
                return Err(misfit(part.unknown_action(action)));
            }
        }
        Ok(())
    }

    /// Does what is due, tells what is new, and answers when it wants to be called again.
    fn turn(&self, told: &mut Told) -> Option<Duration> {
        loop {
            let now = self.world.now();
            let mut stage = self.stage.play();
            let act = stage.as_mut().and_then(|play| play.player.take(now.saturating_sub(play.started)));
            if let Some(act) = act {
                self.perform(act, stage.as_mut());
                continue;
            }
            self.tell(told, now);
            let Some(play) = stage.as_mut() else { return self.world.quiet_house().next_event() };
            for happening in self.world.quiet_house().happenings(play.noticed, now) {
                play.noticed = happening.sequence;
                let at = Duration::from_secs_f64(happening.at_ms / 1e3).saturating_sub(play.started);
                play.player.notice(happening.what, at);
            }
            self.aim_cameras(play, now);
            let due = play.player.next_due().map(|due| play.started + due);
            if due.is_some_and(|due| due <= now) {
                continue;
            }
            return due.into_iter().chain(self.world.quiet_house().next_event()).min();
        }
    }

    fn perform(&self, act: Act, play: Option<&mut Play>) {
        let now = self.world.now();
        let beyond = act.perform(&mut self.world.quiet_house(), now);
        let outcome = match beyond {
            None => Ok(()),
            Some(Beyond::Fault(part, fault)) => self.set_fault(&part, fault),
            Some(Beyond::Part { part, action, body }) => self.parts.get(&part).and_then(|part| part.act(&action, body)),
            Some(Beyond::Say(line)) => {
                self.stage.show(Sight::Said { at_ms: super::millis(now), line });
                Ok(())
            }
            Some(Beyond::Shows { who, shot }) => {
                play.map(|play| play.shows.insert(who, shot));
                Ok(())
            }
            Some(Beyond::Picture(camera, file)) => {
                play.map(|play| match file {
                    Some(file) => play.held.insert(camera, file),
                    None => play.held.remove(&camera),
                });
                Ok(())
            }
        };
        if let Err(error) = outcome {
            tracing::error!(%error, "a step of the scene could not be done");
            self.stage.show(Sight::Said { at_ms: super::millis(now), line: format!("not done: {error}") });
        }
    }

    /// Tells whoever watches what is new, in the order of time.
    fn tell(&self, told: &mut Told, now: Duration) {
        let (edges, happenings) = {
            let mut house = self.world.quiet_house();
            (house.history(told.edge, now), house.happenings(told.happening, now))
        };
        told.edge = edges.last().map_or(told.edge, |edge| edge.sequence);
        told.happening = happenings.last().map_or(told.happening, |happening| happening.sequence);
        let mut sights: Vec<Sight> = edges.into_iter().map(Sight::Edge).collect();
        sights.extend(happenings.into_iter().map(Sight::Happening));
        sights.sort_by(|a, b| a.at_ms().total_cmp(&b.at_ms()));
        for sight in sights {
            self.stage.show(sight);
        }
    }

    /// Each camera of the scene shows who is in view, or its empty scene.
    fn aim_cameras(&self, play: &mut Play, now: Duration) {
        let view = self.world.quiet_house().view(now);
        let in_view: Vec<&Shot> = view.car.iter().chain(&view.person).filter_map(|who| play.shows.get(who)).collect();
        for (camera, shown) in &mut play.shown {
            let seen = in_view.iter().find(|shot| shot.camera == *camera).map(|shot| &shot.file);
            let file = play.held.get(camera).or(seen).or(play.empty.get(camera));
            let Ok(served) = self.world.camera(camera) else { continue };
            if file != shown.as_ref() {
                served.show(file.and_then(|file| play.files.get(file)).cloned());
                *shown = file.cloned();
            }
        }
    }
}

/// Runs until the site ends.
pub(super) async fn keep(site: Arc<Site>) {
    let mut told = Told::default();
    loop {
        let next = site.turn(&mut told).map(|at| site.world.started + at);
        let sleeping = async {
            match next {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = site.world.shutdown.cancelled() => return,
            () = site.world.stirred.notified() => {}
            () = sleeping => {}
        }
    }
}

fn read(folder: &Path, file: &str) -> Result<Bytes, SceneError> {
    let refused =
        |reason: String| SceneError::Picture { file: file.into(), folder: folder.display().to_string(), reason };
    let bytes = Bytes::from(std::fs::read(folder.join(file)).map_err(|error| refused(error.to_string()))?);
    match ImageKind::sniff(&bytes) {
        Some(_) => Ok(bytes),
        None => Err(refused("it is neither JPEG nor PNG".into())),
    }
}
