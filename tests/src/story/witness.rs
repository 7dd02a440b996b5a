//! What the chapters see: access decisions in the customer's event list, pulses in the house's history.

use std::time::Duration;

use anyhow::ensure;
use cardea_daemon::local;
use cardea_hardware::sim::physics::What;
use serde_json::Value;
use tokio::time::Instant;

use super::Tale;
use super::telling::{Passage, STAGES};
use crate::site::house::{shipped_scene, told};
use crate::site::{SITE, poll};

/// How long a decision may take to be made, reported and stored.
const PATIENCE: Duration = Duration::from_secs(20);
/// More frames than a decision needs.
const MORE_LOOKS: u64 = 4;

impl Tale {
    /// Events that came since the last call, oldest first.
    pub(super) async fn new_events(&mut self) -> anyhow::Result<Vec<Value>> {
        let mut all = Vec::new();
        loop {
            let after = self.last_event.as_ref().map(|id| format!("&after={id}")).unwrap_or_default();
            let page = self.customer.get(&format!("/v1/sites/{SITE}/events?limit=100{after}")).await?.expect(200)?.body;
            let events = page["events"].as_array().cloned().unwrap_or_default();
            let Some(last) = events.last().and_then(|event| event["event_id"].as_str()) else { return Ok(all) };
            self.last_event = Some(last.to_owned());
            all.extend(events);
        }
    }

    /// Forgets what has happened so far.
    pub(super) async fn skip_events(&mut self) -> anyhow::Result<()> {
        self.new_events().await.map(|_| ())
    }

    /// Waits for an access decision by `credential` that was granted or not. A grant where none may be ends the wait; a
    /// refusal where a grant must come does not: something else in the picture may have been taken for a face.
    pub(super) async fn decision(&mut self, credential: &str, granted: bool) -> anyhow::Result<Value> {
        self.decision_where(credential, &format!("granted = {granted}"), |event| {
            let wanted = event["granted"] == granted;
            ensure!(wanted || granted, "access by {credential} was granted: {}", event["reason"]);
            Ok(wanted)
        })
        .await
    }

    /// Waits until a decision with this reason code was reported, whatever else was.
    pub(super) async fn reason(&mut self, credential: &str, reason: &str) -> anyhow::Result<Value> {
        self.decision_where(credential, reason, |event| Ok(event["reason"] == reason)).await
    }

    async fn decision_where(
        &mut self,
        credential: &str,
        what: &str,
        wanted: impl Fn(&Value) -> anyhow::Result<bool>,
    ) -> anyhow::Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        let mut others = Vec::new();
        loop {
            for event in self.new_events().await? {
                if event["type"] == "access-decision" && event["credential"] == credential {
                    if wanted(&event)? {
                        return Ok(event);
                    }
                    others.push(event["reason"].to_string());
                }
            }
            let late = Instant::now() > deadline;
            ensure!(!late, "no {credential} decision with {what} within {PATIENCE:?}, only {others:?}");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Waits until the camera of `access_point` has looked several times more, with the models.
    pub(super) async fn looks_again(&self, access_point: &str) -> anyhow::Result<()> {
        let socket = self.site.dir.join("local.sock");
        let looks = async || -> anyhow::Result<u64> {
            let captures = local::ask(&socket).await?.captures;
            Ok(captures.iter().find(|(id, _)| id.as_str() == access_point).map_or(0, |(_, count)| count.recognised))
        };
        let before = looks().await?;
        poll(PATIENCE, "the camera looks again", async || Ok((looks().await? >= before + MORE_LOOKS).then_some(())))
            .await
    }

    /// Waits for the barrier to open; how long the car had been on the loop by then, by the house's own clock.
    pub(super) async fn loop_to_relay(&self, after: u64) -> anyhow::Result<Duration> {
        poll(PATIENCE, "the barrier opens", async || {
            let edges = self.site.house.history(after).await?;
            let first = |name: &str| edges.iter().find(|edge| edge.name == name && edge.on).map(|edge| edge.at_ms);
            Ok(first("loop")
                .zip(first("open"))
                .map(|(on, opened)| Duration::from_secs_f64((opened - on).max(0.0) / 1e3)))
        })
        .await
    }

    /// Plays the shipped scene of somebody who comes to the door and walks in, with this picture as their face, and waits for
    /// the lock; how long they had been there by then, by the house's own clock.
    pub(super) async fn comes_to_the_door(&self, face: &[u8]) -> anyhow::Result<Duration> {
        let house = &self.site.house;
        house.add_picture("face.jpg", face)?;
        house.add_picture("nobody.jpg", &crate::picture::nobody()?)?;
        let before = house.last_edge().await?;
        let scene =
            shipped_scene("resident")?.replace("grace_hopper.jpg", "face.jpg").replace("yard.jpg", "nobody.jpg");
        house.play(&scene).await?;
        let came = house.saw(What::PersonArrives, PATIENCE).await?;
        poll(PATIENCE, "the door opens", async || {
            let edges = house.history(before).await?;
            let released = edges.iter().find(|edge| edge.name == "lock" && edge.on);
            Ok(released.map(|edge| Duration::from_secs_f64((edge.at_ms - came).max(0.0) / 1e3)))
        })
        .await
    }

    /// Waits until whoever came to the door is through, and it is shut and locked.
    pub(super) async fn walked_in(&self) -> anyhow::Result<()> {
        let scene = self.site.house.scene_over(PATIENCE).await?;
        let passed = scene.happenings.iter().any(|happening| happening.what == What::PersonPasses);
        ensure!(passed, "nobody walked in:\n{}", told(&scene));
        self.person_leaves().await
    }

    /// Nobody at the door any more, and the door shut and locked.
    pub(super) async fn person_leaves(&self) -> anyhow::Result<()> {
        self.site.house.person(false).await?;
        self.site.house.show("face-cam", crate::picture::nobody()?).await?;
        let shut = |state: &cardea_hardware::sim::physics::HouseState| !state.door.open && !state.door.released;
        self.site.house.wait("the door is shut and locked", PATIENCE, shut).await.map(|_| ())
    }

    /// Waits until the controller holds the newest revision, proven by its digest.
    pub(super) async fn controller_follows(&self) -> anyhow::Result<()> {
        self.site.in_sync(&self.operator, PATIENCE).await.map(|_| ())
    }

    /// Records where the time of a decision went: as the controller measured it, and as seen from the house.
    pub(super) fn passage(&mut self, what: impl Into<String>, event: &Value, seen: Duration) {
        let stages_ms = STAGES.map(|stage| event[format!("{stage}_ms")].as_f64());
        self.telling.passages.push(Passage { what: what.into(), stages_ms, seen_ms: seen.as_secs_f64() * 1e3 });
    }

    /// Waits until an erasure has every receipt.
    pub(super) async fn erased(&self, erasure: &str) -> anyhow::Result<Value> {
        let path = format!("/v1/erasures/{erasure}");
        poll(PATIENCE, "every controller has sent its receipt", async || {
            let view = self.customer.get(&path).await?.expect(200)?.body;
            Ok((view["state"] == "complete").then_some(view))
        })
        .await
    }
}
