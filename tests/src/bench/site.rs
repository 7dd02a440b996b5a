//! The whole system: passages, revocations and memory of the real programs.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use cardea_daemon::local;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Summary, median};
use crate::picture::{self, View};
use crate::site::back_end::BackEnd;
use crate::site::{self, BARRIER, DOOR, SITE, Site, Tempo, poll};
use crate::story::telling::STAGES;
use crate::story::{PASSWORD, PLATE, RESIDENT, consent, consent_text};

const PASSAGES: usize = 8;
const REVOCATIONS: usize = 20;
const ERASURES: usize = 8;
const PATIENCE: Duration = Duration::from_secs(20);

struct Bench<'a> {
    site: Site,
    customer: BackEnd,
    operator: BackEnd,
    summary: &'a mut Summary,
}

/// Measures in `dir`, which must not exist.
pub async fn run(dir: &Path, summary: &mut Summary) -> anyhow::Result<()> {
    let (site, customer, operator) = Site::start_claimed(dir, Tempo::DEMO, site::now(), PASSWORD).await?;
    let mut bench = Bench { site, customer, operator, summary };
    bench.revocations().await?;
    bench.erasures().await?;
    bench.passages().await?;
    bench.memory().await?;
    bench.site.stop().await
}

impl Bench<'_> {
    /// From the call that removes a plate to the controller having committed it.
    async fn revocations(&mut self) -> anyhow::Result<()> {
        let plates = format!("/v1/sites/{SITE}/plates");
        let (mut ours, mut peer) = (Vec::new(), Vec::new());
        for run in 0..REVOCATIONS {
            let plate = json!({ "plate": format!("A{run:03}BC77") });
            let id = self.customer.post(&plates, &plate).await?.expect(201)?.text("/plate_id")?;
            let held = self.site.in_sync(&self.operator, PATIENCE).await?["cursor"].as_u64().unwrap_or_default();
            let start = Instant::now();
            self.customer.delete(&format!("{plates}/{id}")).await?.expect(204)?;
            self.cursor_beyond(held).await?;
            ours.push(start.elapsed().as_secs_f64() * 1e3);
            peer.push(self.customer.get("/healthz").await?.expect(204)?.took.as_secs_f64() * 1e3);
        }
        let name = "revocation: API call to durable denial on the controller";
        self.summary.beside(name, median(ours), "ms", "HTTPS call that does nothing", median(peer));
        Ok(())
    }

    /// From the withdrawal of a consent to the controller's signed receipt in the cloud.
    async fn erasures(&mut self) -> anyhow::Result<()> {
        let photo = picture::photograph("grace_hopper.jpg", View::PLAIN)?;
        let mut ours = Vec::new();
        for _ in 0..ERASURES {
            let consent = self.enrol(&photo).await?;
            let start = Instant::now();
            let path = format!("/v1/sites/{SITE}/consents/{consent}/withdrawal");
            let erasure = self.customer.post(&path, &json!({})).await?.expect(202)?.text("/erasure_id")?;
            let path = format!("/v1/erasures/{erasure}");
            poll(PATIENCE, "the receipt has arrived", async || {
                let view = self.customer.get(&path).await?.expect(200)?.body;
                Ok((view["state"] == "complete").then_some(()))
            })
            .await?;
            ours.push(start.elapsed().as_secs_f64() * 1e3);
        }
        self.summary.alone("withdrawal: API call to signed receipt, files checked", median(ours), "ms");
        Ok(())
    }

    /// A known car and a known face, several times: stages as the controller reports them, and the whole from outside.
    async fn passages(&mut self) -> anyhow::Result<()> {
        let body = json!({ "plate": PLATE });
        self.customer.post(&format!("/v1/sites/{SITE}/plates"), &body).await?.expect(201)?;
        self.enrol(&picture::photograph("grace_hopper.jpg", View::PLAIN)?).await?;
        self.site.in_sync(&self.operator, PATIENCE).await?;
        let (mut plate, mut face) = (Vec::new(), Vec::new());
        let car = picture::sample_bytes("car-day.jpg")?;
        let resident = picture::photograph("grace_hopper.jpg", View::EVENING)?;
        for _ in 0..PASSAGES {
            self.site.house.show("plate-cam", car.clone()).await?;
            let start = Instant::now();
            self.site.house.vehicle(true).await?;
            self.site.house.wait("the barrier opens", PATIENCE, |s| s.relays[0]).await?;
            plate.push(start.elapsed().as_secs_f64() * 1e3);
            self.site.house.wait("the boom is up", PATIENCE, |s| s.barrier.position >= 1.0).await?;
            self.site.house.vehicle(false).await?;
            self.site.house.wait("the boom is down", PATIENCE, |s| s.barrier.position <= 0.0).await?;

            self.site.house.person(true).await?;
            let start = Instant::now();
            self.site.house.show("face-cam", resident.clone()).await?;
            self.site.house.wait("the door is released", PATIENCE, |s| s.relays[4] || s.door.open).await?;
            face.push(start.elapsed().as_secs_f64() * 1e3);
            self.site.house.person(false).await?;
            self.site.house.show("face-cam", picture::nobody()?).await?;
            self.site.house.wait("the door is locked", PATIENCE, |s| !s.door.open && !s.door.released).await?;
            sleep(Duration::from_millis(500)).await;
        }
        self.summary.alone("passage, plate: car on the loop to relay, from outside", median(plate), "ms");
        self.summary.alone("passage, face: before the camera to lock, from outside", median(face), "ms");
        self.stages().await
    }

    async fn stages(&mut self) -> anyhow::Result<()> {
        let page = self.customer.get(&format!("/v1/sites/{SITE}/events?limit=500")).await?.expect(200)?.body;
        let events: Vec<Value> = page["events"].as_array().cloned().unwrap_or_default();
        for (access_point, credential) in [(BARRIER, "plate"), (DOOR, "face")] {
            for stage in STAGES {
                let key = format!("{stage}_ms");
                let of_this = |e: &&Value| e["access_point_id"] == access_point && e["granted"] == true;
                let values: Vec<f64> = events.iter().filter(of_this).filter_map(|e| e[&key].as_f64()).collect();
                let name = format!("passage, {credential}: {stage}, at the controller");
                self.summary.alone(&name, median(values), "ms");
            }
        }
        Ok(())
    }

    /// Resident memory after the passages, and of a controller without models.
    async fn memory(&mut self) -> anyhow::Result<()> {
        let with = resident_mib(self.site.controller()?.pid())?;
        self.site.restart_controller_without_models().await?;
        let without = resident_mib(self.site.controller()?.pid())?;
        self.summary.alone("memory: cardead without models, resident", without, "MiB");
        self.summary.beside("memory: cardead with models, resident", with, "MiB", "without models", without);
        Ok(())
    }

    /// Consent and photo; the consent's id.
    async fn enrol(&self, photo: &[u8]) -> anyhow::Result<String> {
        let consents = format!("/v1/sites/{SITE}/consents");
        self.customer.post("/v1/consent-texts", &consent_text()).await?.expect(201)?;
        let consent = self.customer.post(&consents, &consent(RESIDENT)).await?.expect(201)?.text("/consent_id")?;
        let faces = format!("/v1/sites/{SITE}/subjects/{RESIDENT}/faces");
        self.customer.post_bytes(&faces, "image/jpeg", photo.to_vec()).await?.expect(201)?;
        self.site.in_sync(&self.operator, PATIENCE).await?;
        Ok(consent)
    }

    async fn cursor_beyond(&self, held: u64) -> anyhow::Result<()> {
        let socket = self.site.dir.join("local.sock");
        let deadline = Instant::now() + PATIENCE;
        while local::ask(&socket).await?.holdings.cursor <= held {
            anyhow::ensure!(Instant::now() < deadline, "the controller did not follow");
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

/// `VmRSS` of a process (proc(5)).
pub(crate) fn resident_mib(pid: Option<u32>) -> anyhow::Result<f64> {
    let pid = pid.context("the program is not running")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in /proc")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}
