//! Chapter 3: the car.

use std::time::Duration;

use anyhow::ensure;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{PLATE, PLATE_CANONICAL, Tale};
use crate::picture;
use crate::site::SITE;

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
    drive_up(tale, SCENES[0]).await?;
    let event = tale.decision("plate", false).await?;
    let pulses = tale.site.house.pulses("open", before).await?;
    ensure!(pulses == 0, "the barrier was opened for an unknown plate");
    tale.telling.step("a car with an unknown plate drives up", format!("barrier stays down: {}", event["reason"]));
    tale.car_leaves().await
}

async fn returns(tale: &mut Tale, scene: &str) -> anyhow::Result<()> {
    let start = Instant::now();
    drive_up(tale, scene).await?;
    let up = |state: &cardea_hardware::sim::physics::HouseState| state.relays[0] || state.barrier.position > 0.0;
    tale.site.house.wait("the barrier opens", Duration::from_secs(15), up).await?;
    let opened = start.elapsed();
    let event = tale.decision("plate", true).await?;
    tale.telling.timed(format!("the car returns ({scene})"), format!("barrier opens: {}", event["reason"]), opened);
    tale.passage(format!("plate, {scene}"), &event, opened);

    let full = |state: &cardea_hardware::sim::physics::HouseState| state.barrier.position >= 1.0;
    tale.site.house.wait("the boom is up", Duration::from_secs(10), full).await?;
    // Longer than it would wait with a clear way: it must not come down while the car stands on the loop.
    sleep(Duration::from_millis(tale.site.tempo().clear_ms * 2)).await;
    let state = tale.site.house.state().await?;
    ensure!(state.barrier.position >= 1.0, "the boom moved with a car on the loop: {state:?}");
    let left = Instant::now();
    tale.car_leaves().await?;
    tale.telling.timed("the car leaves the loop", "only then the boom comes down", left.elapsed());
    Ok(())
}

/// Puts the scene before the camera and a car on the loop.
pub(super) async fn drive_up(tale: &mut Tale, scene: &str) -> anyhow::Result<()> {
    tale.skip_events().await?;
    let shot = picture::sample_bytes(scene)?;
    let (annotated, read) = tale.onlooker.plates(&shot)?;
    let known = read.as_deref() == Some(PLATE_CANONICAL);
    let caption = format!("{scene}: read {}", if known { "correctly" } else { "differently in this one frame" });
    tale.telling.picture(caption, annotated);
    tale.site.house.show("plate-cam", shot).await?;
    tale.site.house.vehicle(true).await
}
