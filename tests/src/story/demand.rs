//! Chapter 5: opened on demand, with a confirmed state; a replay does nothing, at the API and on the wire, also after a
//! power cut.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use cardea_daemon::local;
use cardea_hardware::sim::physics::HouseState;
use tokio::time::{Instant, sleep};

use super::Tale;
use crate::site::wiretap::Wiretap;
use crate::site::{BARRIER, CONTROLLER, DOOR, poll};

pub(super) async fn play(tale: &mut Tale) -> anyhow::Result<()> {
    let [cloud, controller] = tale.site.memories();
    let tap = Wiretap::start(tale.site.broker, &cloud, &controller).await?;
    lead_to(tale, tap.local()).await?;
    tale.telling.step("an evil broker steps between, with the real one's key", "it reads every packet");

    let opened = order(tale, BARRIER, "demo-barrier-1").await?;
    tale.step_confirmed("the barrier is opened on demand", &opened)?;
    let down = |state: &HouseState| state.barrier.position <= 0.0;
    tale.site.house.wait("the boom comes down again, as nobody drives in", Duration::from_secs(40), down).await?;

    tale.site.house.person(true).await?;
    let door = order(tale, DOOR, "demo-door-1").await?;
    tale.step_confirmed("the door is opened on demand", &door)?;
    tale.person_leaves().await?;
    ensure!(tap.orders() == 2, "the tap has seen {} orders instead of two", tap.orders());

    let before = tale.site.house.last_edge().await?;
    let replayed = order(tale, BARRIER, "demo-barrier-1").await?;
    ensure!(replayed.body["command_id"] == opened.body["command_id"], "the replay became a new command");
    tale.nothing_moved(before).await?;
    tale.telling.step("the customer repeats the same request", "the same command, nothing moves");

    replay(tale, &tap).await?;
    tale.nothing_moved(before).await?;
    tale.telling.step("the evil broker replays the signed order", "nothing moves");

    let started = power_cut(tale).await?;
    replay(tale, &tap).await?;
    tale.nothing_moved(before).await?;
    tale.telling.timed("the controller loses power and starts again; the order once more", "nothing moves", started);
    lead_to(tale, tale.site.broker).await
}

/// Replays the first order, and waits until the controller has said that it refused a message.
async fn replay(tale: &mut Tale, tap: &Wiretap) -> anyhow::Result<()> {
    const REFUSED: &str = "a message was refused";
    let before = tale.site.controller()?.said(REFUSED);
    tap.replay_first()?;
    let controller = tale.site.controller()?;
    poll(Duration::from_secs(10), "the controller refuses the replayed order", async || {
        Ok((controller.said(REFUSED) > before).then_some(()))
    })
    .await
}

/// Lays the cable elsewhere, and waits for the controller to have come back over it.
async fn lead_to(tale: &Tale, target: SocketAddr) -> anyhow::Result<()> {
    tale.site.link.cut();
    tale.offline().await?;
    tale.site.link.lead_to(target);
    tale.site.link.restore();
    tale.controller_follows().await
}

/// SIGKILL, and a new start; how long it took until it answered.
async fn power_cut(tale: &mut Tale) -> anyhow::Result<Duration> {
    let socket = tale.site.dir.join("local.sock");
    let boot = local::ask(&socket).await?.boot_id;
    let start = Instant::now();
    tale.site.controller()?.kill().await?;
    tale.offline().await?;
    tale.site.start_controller()?;
    poll(Duration::from_secs(20), "the controller answers again", async || {
        // Until it has started again, nobody answers at its socket.
        Ok(local::ask(&socket).await.ok().filter(|status| status.boot_id != boot))
    })
    .await?;
    let started = start.elapsed();
    tale.controller_follows().await?;
    Ok(started)
}

async fn order(tale: &Tale, access_point: &str, key: &str) -> anyhow::Result<crate::site::back_end::Reply> {
    let path = format!("/v1/access-points/{access_point}/open");
    tale.customer.post_with(&path, ("idempotency-key", key)).await?.expect(200)
}

impl Tale {
    /// Waits until the cloud has noticed that the controller is away.
    async fn offline(&self) -> anyhow::Result<()> {
        let path = format!("/v1/controllers/{CONTROLLER}");
        poll(Duration::from_secs(20), "the cloud notices that the controller is away", async || {
            let view = self.operator.get(&path).await?.expect(200)?.body;
            Ok((view["connected"] == false).then_some(()))
        })
        .await
    }

    /// Gives whatever was asked for a good time to happen, and checks that it did not.
    async fn nothing_moved(&self, after: u64) -> anyhow::Result<()> {
        sleep(Duration::from_millis(1_500)).await;
        let pulses = self.site.house.pulses("open", after).await? + self.site.house.pulses("lock", after).await?;
        ensure!(pulses == 0, "a replayed order moved something");
        Ok(())
    }

    fn step_confirmed(&mut self, what: &str, reply: &crate::site::back_end::Reply) -> anyhow::Result<()> {
        ensure!(reply.body["state"] == "confirmed", "{what}: {}", reply.body);
        self.telling.timed(what, "mechanically confirmed", reply.took);
        self.telling.latency(format!("{what}: API call to mechanically confirmed"), reply.took.as_secs_f64() * 1e3);
        Ok(())
    }
}
