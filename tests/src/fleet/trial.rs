//! A fleet put to the test: how long it takes to come into session at once, to hear of a change, and to answer for an erasure.
//!
//! The controllers share this machine with the cloud, and lie on one disk with it unless their state is put elsewhere. Each
//! commits every change to its own database before it counts, as a real one does to its own disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use cardea_access::time::Timestamp;
use cardea_protocol::clock::{Clock as _, SystemClock};
use cardea_protocol::rfc3339;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Claimed, open_files};
use crate::bench::percentile;
use crate::bench::site::resident_mib;
use crate::look::Onlooker;
use crate::picture::{self, View};
use crate::site::back_end::BackEnd;
use crate::site::{self, SITE, Site, Tempo};
use crate::story::telling::line;
use crate::story::{PASSWORD, consent, consent_text};

/// A word of the cloud that all is current is a commit of each controller: as often as by default, or this disk does nothing else.
const TEMPO: Tempo = Tempo { freshness_ms: 30_000, ..Tempo::REAL };
const PATIENCE: Duration = Duration::from_mins(10);
/// How often an erasure is looked at. When each receipt came, it tells by itself.
const LOOK: Duration = Duration::from_millis(200);

/// How much of it.
#[derive(Clone, Debug, clap::Args)]
pub struct Extent {
    /// How many controllers.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..))]
    pub controllers: u16,
    /// How many plates are taken back, one after the other.
    #[arg(long, default_value_t = 20)]
    pub plates: u16,
    /// How many consents are withdrawn, one after the other.
    #[arg(long, default_value_t = 5)]
    pub withdrawals: u16,
    /// Where the controllers' state lies: a folder in memory, such as one in /dev/shm, shows what cloud and network take alone.
    #[arg(long)]
    pub state: Option<PathBuf>,
}

/// How long something took, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Times {
    /// The median.
    pub p50: f64,
    /// Nine in ten took no longer.
    pub p90: f64,
    /// 99 in 100 took no longer.
    pub p99: f64,
    /// The longest.
    pub most: f64,
}

impl Times {
    fn of(mut times: Vec<f64>) -> Self {
        let mut at = |share| percentile(&mut times, share);
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), most: at(1.0) }
    }
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How many controllers.
    pub controllers: usize,
    /// How long registering and claiming all of them took, seconds.
    pub claimed_s: f64,
    /// From the start of all at once until each was in session.
    pub storm: Times,
    /// The answer of the call that takes back a plate.
    pub answer: Times,
    /// From that call until each controller, in each round, had the denial on its disk and its gate had followed.
    pub denial: Times,
    /// Until the last had, in each round.
    pub last_denial: Times,
    /// From the call that withdraws a consent until the cloud had stored each receipt, in each round. The cloud dates them to the
    /// millisecond.
    pub receipt: Times,
    /// Until it had the last, in each round.
    pub last_receipt: Times,
    /// Resident memory of the cloud once all are claimed and none is connected, MiB.
    pub cloud_alone_mib: f64,
    /// The same at the end, MiB.
    pub cloud_mib: f64,
    /// The difference for each controller, KiB.
    pub controller_kib: f64,
}

impl Report {
    /// The lines of a table.
    pub fn table(&self) -> Vec<String> {
        let mut table = vec![format!("{:<62}{:>10}{:>10}{:>10}{:>10}", "milliseconds", "p50", "p90", "p99", "most")];
        for (what, times) in [
            ("connect storm: start of all to session, each controller", self.storm),
            ("taking back a plate: call to answer", self.answer),
            ("taking back a plate: call to denial on disk, each controller", self.denial),
            ("taking back a plate: the same, the last controller", self.last_denial),
            ("withdrawal: call to stored receipt, each controller", self.receipt),
            ("withdrawal: the same, the last receipt", self.last_receipt),
        ] {
            let Times { p50, p90, p99, most } = times;
            table.push(format!("{what:<62}{p50:>10.1}{p90:>10.1}{p99:>10.1}{most:>10.1}"));
        }
        table.push(format!(
            "{} controllers, claimed in {:.1} s; the cloud takes {:.0} MiB, {:.0} without them: {:.0} KiB for each",
            self.controllers, self.claimed_s, self.cloud_mib, self.cloud_alone_mib, self.controller_kib
        ));
        table
    }
}

/// Measures in `dir`, which must not exist.
pub async fn run(dir: &Path, extent: &Extent) -> anyhow::Result<Report> {
    let controllers = usize::from(extent.controllers);
    open_files(controllers)?;
    let mut site = Site::start(dir, TEMPO, site::now()).await?;
    site.register(PASSWORD).await?;
    let (operator, customer) = (site.operator().await?, site.customer().await?);
    let residents = Residents::enrol(&customer, extent).await?;

    let state = extent.state.clone().unwrap_or_else(|| site.dir.join("fleet"));
    let begun = Instant::now();
    let claimed = Claimed::new(&site, &operator, &state, controllers).await?;
    let claimed_s = begun.elapsed().as_secs_f64();
    line(format_args!("   {controllers} controllers are claimed, in {claimed_s:.1} s"));
    // After what the codes take, which is given back as the allocator likes.
    let cloud_alone_mib = resident_mib(site.cloud().pid())?;
    let embedder = Onlooker::load()?.faces.embedder().model().to_owned();
    let sites = customer.get("/v1/sites").await?.expect(200)?.body;
    let mut revision = sites["sites"][0]["revision"].as_u64().context("the site tells no revision")?;
    let (mut fleet, storm) = claimed.connect(&embedder).await?;
    line(format_args!("   all are in session"));
    fleet.at(revision).await?;
    line(format_args!("   all hold the site"));

    let (mut answers, mut denials, mut last_denials) = (Vec::new(), Vec::new(), Vec::new());
    for plate in &residents.plates {
        let begun = Instant::now();
        let path = format!("/v1/sites/{SITE}/plates/{plate}");
        let (removed, changed) = tokio::join!(customer.delete(&path), fleet.next_changes());
        answers.push(removed?.expect(204)?.took.as_secs_f64() * 1e3);
        let mut times: Vec<f64> = changed?.into_iter().map(|at| (at - begun).as_secs_f64() * 1e3).collect();
        last_denials.push(percentile(&mut times, 1.0));
        denials.append(&mut times);
        revision += 1;
        fleet.at(revision).await?;
    }
    let (mut receipts, mut last_receipts) = (Vec::new(), Vec::new());
    for consent in &residents.consents {
        let mut times = withdraw(&customer, consent, controllers).await?;
        last_receipts.push(percentile(&mut times, 1.0));
        receipts.append(&mut times);
        revision += 1;
        fleet.at(revision).await?;
    }
    let cloud_mib = resident_mib(site.cloud().pid())?;
    drop(fleet);
    site.stop().await?;
    Ok(Report {
        controllers,
        claimed_s,
        storm: Times::of(storm),
        answer: Times::of(answers),
        denial: Times::of(denials),
        last_denial: Times::of(last_denials),
        receipt: Times::of(receipts),
        last_receipt: Times::of(last_receipts),
        cloud_alone_mib,
        cloud_mib,
        controller_kib: (cloud_mib - cloud_alone_mib) * 1_024.0 / controllers as f64,
    })
}

/// Who and what is to go.
struct Residents {
    plates: Vec<String>,
    consents: Vec<String>,
}

impl Residents {
    async fn enrol(customer: &BackEnd, extent: &Extent) -> anyhow::Result<Self> {
        let at = format!("/v1/sites/{SITE}");
        let (mut plates, mut consents) = (Vec::new(), Vec::new());
        for number in 0..extent.plates {
            let plate = json!({ "plate": format!("A{:03}BC{}", number % 1_000, 100 + number / 1_000) });
            plates.push(customer.post(&format!("{at}/plates"), &plate).await?.expect(201)?.text("/plate_id")?);
        }
        customer.post("/v1/consent-texts", &consent_text()).await?.expect(201)?;
        let photo = picture::photograph("grace_hopper.jpg", View::PLAIN)?;
        for number in 0..extent.withdrawals {
            let subject = format!("5f0c2f0e-8a1b-4c5e-9d1e-{number:012x}");
            let recorded = customer.post(&format!("{at}/consents"), &consent(&subject)).await?.expect(201)?;
            consents.push(recorded.text("/consent_id")?);
            let path = format!("{at}/subjects/{subject}/faces");
            customer.post_bytes(&path, "image/jpeg", photo.clone()).await?.expect(201)?;
        }
        Ok(Self { plates, consents })
    }
}

/// Withdraws a consent, and answers after how many milliseconds each receipt was in the cloud.
async fn withdraw(customer: &BackEnd, consent: &str, controllers: usize) -> anyhow::Result<Vec<f64>> {
    let begun = SystemClock.now();
    let path = format!("/v1/sites/{SITE}/consents/{consent}/withdrawal");
    let path = format!("/v1/erasures/{}", customer.post(&path, &json!({})).await?.expect(202)?.text("/erasure_id")?);
    let deadline = Instant::now() + PATIENCE;
    loop {
        // Where a thousand controllers write to the cloud's own disk, an answer may come too late for the client.
        if let Ok(reply) = customer.get(&path).await {
            let view = reply.expect(200)?.body;
            if view["state"] == "complete" {
                return received(&view, begun, controllers);
            }
        }
        ensure!(Instant::now() < deadline, "{path} was never complete");
        sleep(LOOK).await;
    }
}

fn received(erasure: &Value, begun: Timestamp, controllers: usize) -> anyhow::Result<Vec<f64>> {
    let receipts = erasure["receipts"].as_array().context("an erasure tells of no receipts")?;
    // The site's own controller, which is registered and was never claimed, owes none.
    ensure!(receipts.len() >= controllers, "{} receipts from {controllers} controllers", receipts.len());
    let times = receipts.iter().filter_map(|receipt| {
        let at = rfc3339::parse(receipt["received_at"].as_str()?).ok()?;
        Some(at.since_ms(begun) as f64)
    });
    let times: Vec<f64> = times.collect();
    ensure!(times.len() == controllers, "{} of {controllers} receipts have a time", times.len());
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_what_so_many_did_not_exceed() {
        let times = Times::of((1..=200).map(f64::from).collect());
        assert_eq!((times.p50, times.p90, times.p99, times.most), (100.0, 180.0, 198.0, 200.0));
    }
}
