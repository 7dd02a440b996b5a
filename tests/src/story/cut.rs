//! Chapter 6: the network is cut, and returns.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use cardea_daemon::local;
use tokio::time::{Instant, sleep};

use super::car::{self, SCENES, drive_up};
use super::{RESIDENT_PHOTO, Tale};
use crate::picture::{self, View};
use crate::site::poll;

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) async fn play(tale: &mut Tale) -> anyhow::Result<()> {
    tale.skip_events().await?;
    tale.site.link.cut();
    let cut = Instant::now();
    tale.telling.step(
        "the cable to the cloud is pulled",
        format!("faces may go stale after {} s", tale.site.tempo().face_staleness_s),
    );

    face_opens(tale, "the resident walks up, network cut").await?;
    plate_opens(tale, "the car drives up, network cut").await?;

    let limit = Duration::from_secs(tale.site.tempo().face_staleness_s + 1);
    if let Some(rest) = limit.checked_sub(cut.elapsed()) {
        tale.telling.step("waiting for the face staleness limit", format!("{:.0} s more", rest.as_secs_f64()));
        sleep(rest).await;
    }
    face_refused(tale).await?;
    plate_opens(tale, "the car drives up, past the limit").await?;

    tale.site.link.restore();
    let start = Instant::now();
    tale.controller_follows().await?;
    tale.telling.timed("the network returns", "in sync, digest equal", start.elapsed());
    let event = tale.reason("face", "face-stale").await.context("the refusal is reported after the cut")?;
    tale.telling.step("what happened meanwhile is reported", format!("the refusal too: {}", event["reason"]));
    Ok(())
}

async fn face_opens(tale: &mut Tale, who: &str) -> anyhow::Result<()> {
    let took = tale.comes_to_the_door(&picture::photograph(RESIDENT_PHOTO, View::EVENING)?).await?;
    tale.telling.timed(who, "door opens", took);
    tale.walked_in().await
}

async fn plate_opens(tale: &mut Tale, what: &str) -> anyhow::Result<()> {
    let before = tale.site.house.last_edge().await?;
    drive_up(tale, "one-car", SCENES[0]).await?;
    let opened = tale.loop_to_relay(before).await?;
    tale.telling.timed(what, "barrier opens", opened);
    tale.site.house.scene_over(car::PATIENCE).await.map(|_| ())
}

async fn face_refused(tale: &mut Tale) -> anyhow::Result<()> {
    let before = tale.site.house.last_edge().await?;
    tale.site.house.person(true).await?;
    tale.site.house.show("face-cam", picture::photograph(RESIDENT_PHOTO, View::BRIGHT)?).await?;
    let socket = tale.site.dir.join("local.sock");
    let reason = poll(PATIENCE, "the controller refuses the face", async || {
        let status = local::ask(&socket).await?;
        Ok(status.recent.iter().find(|decision| decision.reason == "face-stale").map(|d| d.reason.clone()))
    })
    .await?;
    ensure!(tale.site.house.pulses("lock", before).await? == 0, "the lock was released for a stale face");
    tale.telling.step("the resident walks up, past the limit", format!("door stays shut: \"{reason}\""));
    tale.person_leaves().await
}
