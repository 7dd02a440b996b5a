//! The scenes that are shipped, played in real time against the real controller over Modbus TCP: whoever drives how, and
//! whatever breaks, the boom meets no car.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use anyhow::ensure;
use cardea_hardware::sim::SceneState;
use cardea_hardware::sim::physics::What;
use cardea_tests::site::back_end::BackEnd;
use cardea_tests::site::house::{shipped_scene, told};
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
    let scene = site.house.scene_over(PATIENCE).await?;
    println!("{name}:\n{}", told(&scene));
    Ok(scene)
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

#[tokio::test(flavor = "multi_thread")]
async fn the_boom_meets_no_car_whoever_drives_and_whatever_breaks() -> anyhow::Result<()> {
    site::prepare()?;
    let folder = tempfile::tempdir()?;
    let dir = folder.path().join("site");
    let (site, customer, operator) = Site::start_claimed(&dir, Tempo::DEMO, site::now(), PASSWORD).await?;
    customer.post(&format!("/v1/sites/{SITE}/plates"), &json!({ "plate": PLATE })).await?.expect(201)?;
    site.in_sync(&operator, PATIENCE).await?;

    let scene = play(&site, "tailgater").await?;
    ensure!(scene.passages == 2, "both drive in:\n{}", told(&scene));
    ensure!(count(&scene, What::BoomLowering) == 1, "the boom waits for the second:\n{}", told(&scene));

    let scene = play(&site, "wrong-way").await?;
    ensure!(scene.passages == 2, "both pass:\n{}", told(&scene));

    let scene = play(&site, "board-lost").await?;
    ensure!(scene.passages == 2, "the second is let in once the board is back:\n{}", told(&scene));
    let board = |reachable| move |event: &Value| event["equipment"] == "io1" && event["reachable"] == reachable;
    event(&customer, "the board is reported lost", board(false)).await?;
    event(&customer, "the board is reported back", board(true)).await?;
    site.stop().await
}
