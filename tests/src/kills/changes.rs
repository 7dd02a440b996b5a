//! What changes at the site while programs are killed: plates and residents come and go, through the API.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::json;

use crate::picture::{self, View};
use crate::site::back_end::{BackEnd, Reply};
use crate::site::{SITE, poll};
use crate::story::consent;

const PATIENCE: Duration = Duration::from_mins(5);

/// A call.
#[derive(Clone, Debug)]
pub enum Change {
    /// A plate is admitted.
    Admit(String),
    /// A plate is removed, by its id.
    Remove(String),
    /// A resident, who has consented, is enrolled.
    Enrol(String),
    /// A resident's consent is withdrawn: they are erased.
    Withdraw(String),
}

/// What the customer was told, and so must hold.
pub struct Changes {
    photo: Vec<u8>,
    count: u64,
    /// Plates that were admitted, by id.
    pub plates: BTreeSet<String>,
    /// Plates that were removed, by id.
    pub removed: BTreeSet<String>,
    /// The consent of each who is enrolled.
    pub enrolled: BTreeMap<String, String>,
    /// The erasure of each who was erased.
    pub erasures: BTreeMap<String, String>,
}

impl Changes {
    /// Of a site where there is nothing yet.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            photo: picture::photograph("grace_hopper.jpg", View::PLAIN)?,
            count: 0,
            plates: BTreeSet::new(),
            removed: BTreeSet::new(),
            enrolled: BTreeMap::new(),
            erasures: BTreeMap::new(),
        })
    }

    /// What to do next.
    pub async fn next(&mut self, rng: &mut StdRng, customer: &BackEnd) -> anyhow::Result<Change> {
        self.count += 1;
        let choice = rng.random_range(0..10);
        let plate = self.plates.iter().nth(rng.random_range(0..self.plates.len().max(1))).cloned();
        let resident = self.enrolled.keys().nth(rng.random_range(0..self.enrolled.len().max(1))).cloned();
        match (choice, plate, resident) {
            (0..=2, Some(plate), _) => Ok(Change::Remove(plate)),
            (3 | 4, _, Some(resident)) => Ok(Change::Withdraw(resident)),
            (5 | 6, ..) => {
                let subject = format!("5f0c2f0e-8a1b-4c5e-9d1e-{:012x}", self.count);
                let recorded = customer.post(&format!("/v1/sites/{SITE}/consents"), &consent(&subject)).await?;
                self.enrolled.insert(subject.clone(), recorded.expect(201)?.text("/consent_id")?);
                Ok(Change::Enrol(subject))
            }
            _ => Ok(Change::Admit(format!("A{:03}BC{}", self.count % 1_000, 100 + self.count / 1_000))),
        }
    }

    /// Makes the call. Repeated, since nobody knows whether the first was heard, it may find that it was.
    pub async fn make(&mut self, change: &Change, customer: &BackEnd, repeated: bool) -> anyhow::Result<()> {
        let at = format!("/v1/sites/{SITE}");
        match change {
            Change::Admit(plate) => {
                let reply = customer.post(&format!("{at}/plates"), &json!({ "plate": plate })).await?;
                if let Some(reply) = done(reply, 201, repeated.then_some(409))? {
                    self.plates.insert(reply.text("/plate_id")?);
                }
            }
            Change::Remove(id) => {
                done(customer.delete(&format!("{at}/plates/{id}")).await?, 204, repeated.then_some(404))?;
                self.plates.remove(id);
                self.removed.insert(id.clone());
            }
            Change::Enrol(subject) => {
                let path = format!("{at}/subjects/{subject}/faces");
                customer.post_bytes(&path, "image/jpeg", self.photo.clone()).await?.expect(201)?;
            }
            Change::Withdraw(subject) => {
                let consent = self.enrolled.get(subject).context("nobody of that name is enrolled")?;
                let path = format!("{at}/consents/{consent}/withdrawal");
                let erasure = customer.post(&path, &json!({})).await?.expect(202)?.text("/erasure_id")?;
                self.enrolled.remove(subject);
                self.erasures.insert(subject.clone(), erasure);
            }
        }
        Ok(())
    }

    /// Waits until every erasure is complete, with every receipt.
    pub async fn receipts(&self, customer: &BackEnd) -> anyhow::Result<()> {
        for erasure in self.erasures.values() {
            let path = format!("/v1/erasures/{erasure}");
            let view = poll(PATIENCE, "every receipt has come", async || {
                let view = customer.get(&path).await?.expect(200)?.body;
                Ok((view["state"] == "complete").then_some(view))
            })
            .await?;
            let receipts = view["receipts"].as_array().context("an erasure tells of no receipts")?;
            ensure!(!receipts.is_empty() && receipts.iter().all(|one| one["state"] == "received"), "{view}");
        }
        Ok(())
    }
}

/// The reply, if the call did it; none, if it had been done before.
fn done(reply: Reply, status: u16, before: Option<u16>) -> anyhow::Result<Option<Reply>> {
    match reply.status {
        found if found == status => Ok(Some(reply)),
        found if Some(found) == before => Ok(None),
        found => bail!("HTTP {found}: {}", reply.body),
    }
}
