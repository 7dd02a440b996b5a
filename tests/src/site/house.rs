//! The simulated house from outside: what happens around it, and what is seen of it.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use cardea_hardware::sim::SceneState;
use cardea_hardware::sim::physics::{Edge, HouseState, INPUT_EXIT_BUTTON, What};
use serde::Deserialize;
use serde_json::{Value, json};

use super::poll;
use super::process::Process;
use crate::picture;

/// Input channel of the loop under the boom.
pub const LOOP: usize = 0;

/// A running `cardea-sim` and its control API.
pub struct House {
    process: Process,
    http: reqwest::Client,
    control: String,
    pictures: PathBuf,
    /// `host:port` of the Modbus board.
    pub modbus: String,
    /// Base URL of the cameras.
    pub cameras: String,
}

#[derive(Deserialize)]
struct Bound {
    modbus: String,
    cameras: String,
    control: String,
}

#[derive(Deserialize)]
struct History {
    edges: Vec<Edge>,
}

impl House {
    /// Starts the simulator with a boom that travels for `travel_ms`, on ephemeral ports. Its scenes find the sample pictures,
    /// and what [`House::add_picture`] adds.
    pub async fn start(dir: &Path, travel_ms: u64) -> anyhow::Result<Self> {
        let travel = travel_ms.to_string();
        let pictures = dir.join("pictures");
        std::fs::create_dir(&pictures)?;
        for entry in std::fs::read_dir(picture::sample(""))? {
            let entry = entry?;
            std::os::unix::fs::symlink(entry.path().canonicalize()?, pictures.join(entry.file_name()))?;
        }
        let folder = pictures.to_str().context("the path is not UTF-8")?;
        let arguments = ["--travel-ms", &travel, "--auto-push", "true", "--pictures", folder];
        let mut process = Process::start("cardea-sim", dir, &arguments, true)?;
        let line = process.first_line(Duration::from_secs(20)).await?;
        let bound: Bound = serde_json::from_str(&line).with_context(|| format!("cardea-sim said {line}"))?;
        Ok(Self {
            process,
            http: reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?,
            control: bound.control.trim_end_matches('/').to_owned(),
            pictures,
            modbus: bound.modbus,
            cameras: bound.cameras.trim_end_matches('/').to_owned(),
        })
    }

    /// Base URL of the control API.
    pub fn control(&self) -> &str {
        &self.control
    }

    /// Relays, inputs, boom and door.
    pub async fn state(&self) -> anyhow::Result<HouseState> {
        let answer = self.http.get(format!("{}/state", self.control)).send().await?.error_for_status()?;
        Ok(answer.json().await?)
    }

    /// Every change of a relay or input after sequence number `after`.
    pub async fn history(&self, after: u64) -> anyhow::Result<Vec<Edge>> {
        let url = format!("{}/history?after={after}", self.control);
        Ok(self.http.get(url).send().await?.error_for_status()?.json::<History>().await?.edges)
    }

    /// The number of the last change so far.
    pub async fn last_edge(&self) -> anyhow::Result<u64> {
        Ok(self.history(0).await?.last().map_or(0, |edge| edge.sequence))
    }

    /// How often the relay `name` was switched on after sequence number `after`.
    pub async fn pulses(&self, name: &str, after: u64) -> anyhow::Result<usize> {
        Ok(self.history(after).await?.iter().filter(|edge| edge.name == name && edge.on).count())
    }

    /// Puts a picture before a camera.
    pub async fn show(&self, camera: &str, picture: Vec<u8>) -> anyhow::Result<()> {
        let url = format!("{}/cameras/{camera}/picture", self.control);
        self.http.put(url).body(picture).send().await?.error_for_status()?;
        Ok(())
    }

    /// Puts a picture among those that scenes can name.
    pub fn add_picture(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(std::fs::write(self.pictures.join(name), bytes)?)
    }

    /// The folder of the pictures that scenes can name.
    pub fn pictures(&self) -> &Path {
        &self.pictures
    }

    /// Plays a scene, given as text, instead of the one that is being played.
    pub async fn play(&self, text: &str) -> anyhow::Result<()> {
        let answer = self.http.put(format!("{}/scene", self.control)).body(text.to_owned()).send().await?;
        if !answer.status().is_success() {
            bail!("the simulator refused the scene: {}", answer.text().await?);
        }
        Ok(())
    }

    /// How the scene goes.
    pub async fn scene(&self) -> anyhow::Result<SceneState> {
        let answer = self.http.get(format!("{}/scene", self.control)).send().await?.error_for_status()?;
        answer.json::<Option<SceneState>>().await?.context("no scene is being played")
    }

    /// Waits until something has happened in the scene; when, in milliseconds of the house's time.
    pub async fn saw(&self, what: What, within: Duration) -> anyhow::Result<f64> {
        let name = format!("{what:?}");
        let found = poll(within, &name, async || {
            let happenings = self.scene().await?.happenings;
            Ok(happenings.into_iter().find(|happening| happening.what == what).map(|happening| happening.at_ms))
        });
        match found.await {
            Ok(at_ms) => Ok(at_ms),
            Err(error) => Err(error.context(told(&self.scene().await?))),
        }
    }

    /// Waits until every step of the scene is done, everybody is gone and the boom is down again, and checks that it came down
    /// on nobody.
    pub async fn scene_over(&self, within: Duration) -> anyhow::Result<SceneState> {
        let over = poll(within, "the scene is over", async || {
            let (scene, state) = (self.scene().await?, self.state().await?);
            Ok((scene.done && state.barrier.position <= 0.0).then_some(scene))
        });
        let scene = match over.await {
            Ok(scene) => scene,
            Err(error) => return Err(error.context(told(&self.scene().await?))),
        };
        let harm = |what| matches!(what, What::Collision | What::CarHitsBoom);
        if scene.happenings.iter().any(|happening| harm(happening.what)) {
            bail!("boom and car met:\n{}", told(&scene));
        }
        Ok(scene)
    }

    /// A vehicle on the loop, or none.
    pub async fn vehicle(&self, present: bool) -> anyhow::Result<()> {
        self.put(&format!("/inputs/{LOOP}"), json!({ "on": present })).await
    }

    /// Somebody at the door who pushes it when it is released, or nobody.
    pub async fn person(&self, present: bool) -> anyhow::Result<()> {
        self.put("/door/person", json!({ "present": present })).await
    }

    /// Somebody inside holds the exit button, or lets go of it.
    pub async fn exit_button(&self, pressed: bool) -> anyhow::Result<()> {
        self.put(&format!("/inputs/{INPUT_EXIT_BUTTON}"), json!({ "on": pressed })).await
    }

    /// Breaks a part (`io` or a camera) in one of the simulator's ways, or mends it with `none`.
    pub async fn fault(&self, part: &str, fault: Value) -> anyhow::Result<()> {
        self.put(&format!("/faults/{part}"), fault).await
    }

    /// Waits until the house looks as `wanted`.
    pub async fn wait(
        &self,
        what: &str,
        within: Duration,
        wanted: impl Fn(&HouseState) -> bool,
    ) -> anyhow::Result<HouseState> {
        let last = Cell::new(None);
        let found = poll(within, what, async || {
            let state = self.state().await?;
            let is_so = wanted(&state);
            last.set(Some(state.clone()));
            Ok(is_so.then_some(state))
        });
        found.await.with_context(|| format!("the house stands at {:?}", last.take()))
    }

    /// Ends the simulator.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.process.stop().await.map(|_| ())
    }

    async fn put(&self, path: &str, body: Value) -> anyhow::Result<()> {
        let answer = self.http.put(format!("{}{path}", self.control)).json(&body).send().await?;
        if !answer.status().is_success() {
            bail!("the simulator refused {path}: {}", answer.text().await?);
        }
        Ok(())
    }
}

/// The text of a scene that is shipped.
pub fn shipped_scene(name: &str) -> anyhow::Result<String> {
    let path = shipped_scenes().join(format!("{name}.toml"));
    std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

/// The folder of the scenes that are shipped.
pub fn shipped_scenes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../hardware/scenes")
}

/// What happened in a scene, a line each.
pub fn told(scene: &SceneState) -> String {
    scene.happenings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
