//! Property sales at a site with a hundred controllers: from the API call until the last of them has blocked the former owner,
//! and until the cloud has every acknowledgement and every signed receipt.
//!
//! Each sale takes a plate, and a resident whose face every controller holds. The controllers ([`crate::fleet`]) share this
//! machine's processors and its disk with the cloud, which real ones do not.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::site::resident_mib;
use super::{Summary, median, percentile};
use crate::fleet::Fleet;
use crate::look::Onlooker;
use crate::picture::{self, View};
use crate::site::back_end::BackEnd;
use crate::site::{self, SITE, Site, Tempo, poll};
use crate::story::{PASSWORD, consent, consent_text};

const CONTROLLERS: usize = 100;
const SALES: usize = 40;
/// How often the state of a sale is asked for: the resolution of the second figure.
const ASKED_EVERY: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_mins(1);

/// Measures in `dir`, which must not exist.
pub async fn run(dir: &Path, summary: &mut Summary) -> anyhow::Result<()> {
    let mut site = Site::start(dir, Tempo::REAL, site::now()).await?;
    site.register(PASSWORD).await?;
    let (operator, customer) = (site.operator().await?, site.customer().await?);
    let memory_alone = resident_mib(site.cloud().pid())?;
    let embedder = Onlooker::load()?.faces.embedder().model().to_owned();
    let mut fleet = Fleet::start(&site, &operator, &dir.join("fleet"), CONTROLLERS, &embedder).await?;
    for sale in 0..SALES {
        admit(&customer, sale).await?;
    }
    settle(&mut fleet, &operator).await?;
    let memory = resident_mib(site.cloud().pid())?;

    let (mut answers, mut blocked, mut complete) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..SALES {
        let begun = Instant::now();
        let body = json!({ "plates": [plate(number)], "subjects": [subject(number)] });
        let path = format!("/v1/sites/{SITE}/property-sales");
        let (sold, changed) = tokio::join!(customer.post(&path, &body), fleet.next_changes());
        let sold = sold?.expect(201)?;
        answers.push(sold.took.as_secs_f64() * 1e3);
        let last = changed?.into_iter().max().unwrap_or(begun);
        blocked.push((last - begun).as_secs_f64() * 1e3);
        let path = format!("/v1/property-sales/{}", sold.text("/sale_id")?);
        until_complete(&customer, &path).await?;
        complete.push(begun.elapsed().as_secs_f64() * 1e3);
        // That it was this change which each of them took.
        fleet.at(sold.body["revision"].as_u64().unwrap_or(u64::MAX)).await?;
    }
    for (what, mut times) in [
        ("the API's answer", answers),
        ("blocked on the last", blocked),
        ("every acknowledgement and receipt", complete),
    ] {
        let name = format!("sale, {CONTROLLERS} controllers: API call to {what}");
        let p99 = percentile(&mut times, 0.99);
        summary.alone(&name, median(times), "ms");
        summary.alone(&format!("{name}, 99 in 100"), p99, "ms");
    }
    let name = format!("memory: cloud with {CONTROLLERS} controllers in session");
    summary.beside(&name, memory, "MiB", "without", memory_alone);
    drop(fleet);
    site.stop().await
}

fn plate(number: usize) -> String {
    format!("A{number:03}BC77")
}

fn subject(number: usize) -> String {
    format!("5f0c2f0e-8a1b-4c5e-9d1e-{number:012x}")
}

/// A plate, and a resident with consent and face.
async fn admit(customer: &BackEnd, number: usize) -> anyhow::Result<()> {
    let at = format!("/v1/sites/{SITE}");
    customer.post(&format!("{at}/plates"), &json!({ "plate": plate(number) })).await?.expect(201)?;
    if number == 0 {
        customer.post("/v1/consent-texts", &consent_text()).await?.expect(201)?;
    }
    let subject = subject(number);
    customer.post(&format!("{at}/consents"), &consent(&subject)).await?.expect(201)?;
    let photo = picture::photograph("grace_hopper.jpg", View::PLAIN)?;
    customer.post_bytes(&format!("{at}/subjects/{subject}/faces"), "image/jpeg", photo).await?.expect(201)?;
    Ok(())
}

/// Waits until every controller has what was admitted, and the cloud knows.
async fn settle(fleet: &mut Fleet, operator: &BackEnd) -> anyhow::Result<()> {
    let mut revision = 0;
    for id in fleet.ids() {
        let path = format!("/v1/controllers/{id}");
        revision = poll(PATIENCE, "every controller is in sync", async || {
            let view = operator.get(&path).await?.expect(200)?.body;
            let current = view["cursor"] == view["site_revision"] && view["in_sync"] == true;
            Ok(if current { view["cursor"].as_u64() } else { None })
        })
        .await?;
    }
    fleet.at(revision).await
}

async fn until_complete(customer: &BackEnd, path: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while customer.get(path).await?.expect(200)?.body["state"] != "complete" {
        anyhow::ensure!(Instant::now() < deadline, "the sale {path} was never complete");
        sleep(ASKED_EVERY).await;
    }
    Ok(())
}
