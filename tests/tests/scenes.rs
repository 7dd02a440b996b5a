//! The scenes that are shipped, played in real time against the real controller over Modbus TCP: whoever drives how, and
//! whatever breaks, the boom meets no car.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use anyhow::{Context as _, ensure};
use cardea_hardware::sim::physics::{INPUT_APPROACH, INPUT_DEPARTURE, INPUT_PHOTOCELL, What};
use cardea_hardware::sim::{SceneState, Sim, SimConfig};
use cardea_tests::picture;
use cardea_tests::site::back_end::BackEnd;
use cardea_tests::site::house::{shipped_scene, shipped_scenes, told};
use cardea_tests::site::{self, SITE, Site, Tempo, poll};
use cardea_tests::story::{PASSWORD, PLATE};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(90);

fn count(scene: &SceneState, what: What) -> usize {
    scene.happenings.iter().filter(|happening| happening.what == what).count()
}

/// Plays a scene to its end. What must never happen did not; see [`cardea_tests::site::house::House::scene_over`].
async fn play(site: &Site, name: &str) -> anyhow::Result<SceneState> {
    site.house.play(&shipped_scene(name)?).await?;
    site.house.scene_over(PATIENCE).await
}

/// Waits until an event of the site is as `wanted`.
async fn event(customer: &BackEnd, what: &str, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
    poll(Duration::from_secs(20), what, async || {
        let page = customer.get(&format!("/v1/sites/{SITE}/events?limit=500")).await?.expect(200)?.body;
        let events = page["events"].as_array().cloned().unwrap_or_default();
        Ok(events.iter().any(&wanted).then_some(()))
    })
    .await
}

/// Wires the lane's loops and the photocell to the barrier, and starts the controller anew.
async fn wire_the_lane(site: &mut Site) -> anyhow::Result<()> {
    site.controller()?.stop().await?;
    let path = site.controller_config();
    let text = std::fs::read_to_string(&path)?;
    let plain = "loop = \"barrier-loop\"\n";
    ensure!(text.contains(plain), "the configuration names no loop");
    let lane =
        "photocell = \"photocell\"\napproach_loop = \"approach\"\ndeparture_loop = \"departure\"\nlane = \"entry\"\n";
    let mut text = text.replace(plain, &format!("{plain}{lane}"));
    for (id, channel) in [("photocell", INPUT_PHOTOCELL), ("approach", INPUT_APPROACH), ("departure", INPUT_DEPARTURE)]
    {
        text.push_str(&format!("\n[[input]]\nid = \"{id}\"\nboard = \"io1\"\nchannel = {channel}\n"));
    }
    std::fs::write(path, text)?;
    site.start_controller()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_boom_meets_no_car_whoever_drives_and_whatever_breaks() -> anyhow::Result<()> {
    site::prepare()?;
    let folder = tempfile::tempdir()?;
    let dir = folder.path().join("site");
    let (mut site, customer, operator) = Site::start_claimed(&dir, Tempo::DEMO, site::now(), PASSWORD).await?;
    wire_the_lane(&mut site).await?;
    customer.post(&format!("/v1/sites/{SITE}/plates"), &json!({ "plate": PLATE })).await?.expect(201)?;
    site.in_sync(&operator, PATIENCE).await?;
    let alarm = |name: &'static str| move |event: &Value| event["type"] == "alarm" && event["alarm"] == name;

    let scene = play(&site, "tailgater").await?;
    ensure!(scene.passages == 2, "both drive in:\n{}", told(&scene));
    ensure!(count(&scene, What::BoomLowering) == 1, "the boom waits for the second:\n{}", told(&scene));
    event(&customer, "the tailgater is reported", alarm("tailgating")).await?;

    let scene = play(&site, "wrong-way").await?;
    ensure!(scene.passages == 2, "both pass:\n{}", told(&scene));
    event(&customer, "who drove the wrong way is reported", alarm("wrong-direction")).await?;

    let scene = play(&site, "board-lost").await?;
    ensure!(scene.passages == 2, "the second is let in once the board is back:\n{}", told(&scene));
    let board = |reachable| move |event: &Value| event["equipment"] == "io1" && event["reachable"] == reachable;
    event(&customer, "the board is reported lost", board(false)).await?;
    event(&customer, "the board is reported back", board(true)).await?;

    let scene = play(&site, "frozen-camera").await?;
    let first = |what| scene.happenings.iter().find(|it| it.what == what).map(|it| it.at_ms).unwrap_or_default();
    let waited = first(What::BoomRaising) - first(What::CarArrives);
    ensure!(scene.passages == 1 && waited >= 11_000.0, "nothing opens by an old picture:\n{}", told(&scene));
    site.stop().await
}

#[tokio::test]
async fn every_shipped_scene_fits_a_house_with_the_sample_pictures() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let line_reader = Some(folder.path().join("reader"));
    let house = Sim::start(SimConfig { pictures: picture::sample(""), line_reader, ..SimConfig::default() }).await?;
    for entry in std::fs::read_dir(shipped_scenes())? {
        let path = entry?.path();
        house.play(&std::fs::read_to_string(&path)?).with_context(|| path.display().to_string())?;
    }
    house.shutdown().await;
    Ok(())
}
