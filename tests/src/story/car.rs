//! Chapter 3: the car.

use std::time::Duration;

use anyhow::{bail, ensure};
use cardea_hardware::sim::physics::What;
use serde_json::json;

use super::{PLATE, PLATE_CANONICAL, Tale};
use crate::picture;
use crate::site::SITE;
use crate::site::house::{shipped_scene, told};

/// How long a car may take to come, pass and be gone.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// The scenes that `make setup` rendered with this plate.
pub(super) const SCENES: [&str; 3] = ["car-day.jpg", "car-night.jpg", "car-dirt.jpg"];

pub(super) async fn play(tale: &mut Tale) -> anyhow::Result<()> {
    unknown(tale).await?;
    let body = json!({ "plate": PLATE });
    let admitted = tale.customer.post(&format!("/v1/sites/{SITE}/plates"), &body).await?.expect(201)?;
    tale.plate_id = admitted.text("/plate_id")?;
    tale.telling.timed("its owner registers the plate, nothing else", "registered", admitted.took);
    tale.controller_follows().await?;
    for scene in SCENES {
        returns(tale, scene).await?;
    }
    let state = tale.site.house.state().await?;
    ensure!(!state.barrier.struck, "the boom came down on a car");
    Ok(())
}

async fn unknown(tale: &mut Tale) -> anyhow::Result<()> {
    let before = tale.site.house.last_edge().await?;
    drive_up(tale, "turned-away", SCENES[0]).await?;
    let event = tale.decision("plate", false).await?;
    tale.site.house.scene_over(PATIENCE).await?;
    let pulses = tale.site.house.pulses("open", before).await?;
    ensure!(pulses == 0, "the barrier was opened for an unknown plate");
    tale.telling.step("a car with an unknown plate drives up", format!("barrier stays down: {}", event["reason"]));
    Ok(())
}

async fn returns(tale: &mut Tale, scene: &str) -> anyhow::Result<()> {
    let before = tale.site.house.last_edge().await?;
    drive_up(tale, "one-car", scene).await?;
    let opened = tale.loop_to_relay(before).await?;
    let event = tale.decision("plate", true).await?;
    tale.telling.timed(format!("the car returns ({scene})"), format!("barrier opens: {}", event["reason"]), opened);
    tale.passage(format!("plate, {scene}"), &event, opened);

    // It stops under the boom for longer than the boom would wait with a clear way.
    let scene = tale.site.house.scene_over(PATIENCE).await?;
    let when = |what| scene.happenings.iter().find(|it| it.what == what).map(|it| it.at_ms);
    let (passes, lowering) = (when(What::CarPasses), when(What::BoomLowering));
    let (Some(passes), Some(lowering)) = (passes, lowering) else {
        bail!("the car did not pass, or the boom did not come down:\n{}", told(&scene));
    };
    ensure!(lowering > passes, "the boom moved with a car under it:\n{}", told(&scene));
    let took = Duration::from_secs_f64((lowering - passes) / 1e3);
    tale.telling.timed("the car stops under the boom and drives on", "only then the boom comes down", took);
    Ok(())
}

/// Plays a shipped scene with one car, and this picture as its plate.
pub(super) async fn drive_up(tale: &mut Tale, scene: &str, picture: &str) -> anyhow::Result<()> {
    tale.skip_events().await?;
    let shot = picture::sample_bytes(picture)?;
    let (annotated, read) = tale.onlooker.plates(&shot)?;
    let known = read.as_deref() == Some(PLATE_CANONICAL);
    let caption = format!("{picture}: read {}", if known { "correctly" } else { "differently in this one frame" });
    tale.telling.picture(caption, annotated);
    let scene = shipped_scene(scene)?.replace("car-day.jpg", picture).replace("car-other.jpg", picture);
    tale.site.house.play(&scene).await
}
