//! Chapter 5: opened on demand, with a confirmed state; a replay, also across a power cut, does nothing.

use std::time::Duration;

use anyhow::ensure;
use cardea_daemon::local;
use cardea_hardware::sim::physics::HouseState;
use tokio::time::{Instant, sleep};

use super::Tale;
use crate::site::{BARRIER, DOOR, poll};

pub(super) async fn play(tale: &mut Tale) -> anyhow::Result<()> {
    let opened = order(tale, BARRIER, "demo-barrier-1").await?;
    tale.step_confirmed("the barrier is opened on demand", &opened)?;
    let down = |state: &HouseState| state.barrier.position <= 0.0;
    tale.site.house.wait("the boom comes down again, as nobody drives in", Duration::from_secs(40), down).await?;

    tale.site.house.person(true).await?;
    let door = order(tale, DOOR, "demo-door-1").await?;
    tale.step_confirmed("the door is opened on demand", &door)?;
    tale.person_leaves().await?;

    let before = tale.site.house.last_edge().await?;
    let replayed = order(tale, BARRIER, "demo-barrier-1").await?;
    ensure!(replayed.body["command_id"] == opened.body["command_id"], "the replay became a new command");
    ensure!(tale.site.house.pulses("open", before).await? == 0, "the replayed command moved the barrier");
    tale.telling.step("the same request again", "the same command, nothing moves");

    let before = tale.site.house.last_edge().await?;
    let socket = tale.site.dir.join("local.sock");
    let boot = local::ask(&socket).await?.boot_id;
    let start = Instant::now();
    tale.site.controller()?.kill().await?;
    tale.site.start_controller()?;
    poll(Duration::from_secs(20), "the controller answers again", async || {
        // Until it has started again, nobody answers at its socket.
        Ok(local::ask(&socket).await.ok().filter(|status| status.boot_id != boot))
    })
    .await?;
    let started = start.elapsed();
    tale.controller_follows().await?;
    let replayed = order(tale, BARRIER, "demo-barrier-1").await?;
    ensure!(replayed.body["command_id"] == opened.body["command_id"], "the replay became a new command");
    sleep(Duration::from_secs(1)).await;
    let pulses = tale.site.house.pulses("open", before).await? + tale.site.house.pulses("lock", before).await?;
    ensure!(pulses == 0, "something opened by itself after the power cut");
    tale.telling.timed("the controller loses power and starts again, the request once more", "nothing moves", started);
    Ok(())
}

async fn order(tale: &Tale, access_point: &str, key: &str) -> anyhow::Result<crate::site::back_end::Reply> {
    let path = format!("/v1/access-points/{access_point}/open");
    tale.customer.post_with(&path, ("idempotency-key", key)).await?.expect(200)
}

impl Tale {
    fn step_confirmed(&mut self, what: &str, reply: &crate::site::back_end::Reply) -> anyhow::Result<()> {
        ensure!(reply.body["state"] == "confirmed", "{what}: {}", reply.body);
        self.telling.timed(what, "mechanically confirmed", reply.took);
        self.telling.latency(format!("{what}: API call to mechanically confirmed"), reply.took.as_secs_f64() * 1e3);
        Ok(())
    }
}
