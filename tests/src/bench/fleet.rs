//! Many controllers in this process: each has an identity of its own, claimed over TLS, and the store and the session of
//! `cardead` over mutual TLS and MQTT. None has a gate: instead of the access task, whoever holds the holdings says at once
//! that the gallery has followed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cardea_daemon::config::EventsConfig;
use cardea_daemon::identity::StateDir;
use cardea_daemon::identity::claim::{Claim, ClaimCode, claim};
use cardea_daemon::seam::{AccessLinks, HoldingsVersion, links};
use cardea_daemon::store::{DeviceKey, Store, StoreOptions, machine_boot};
use cardea_daemon::sync::network::Internet;
use cardea_daemon::sync::{self, SyncStatus, SyncTask};
use cardea_protocol::clock::{Clock as _, SharedClock, SystemClock};
use cardea_protocol::id::{BootId, ControllerId};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::site::back_end::BackEnd;
use crate::site::{SITE, Site};

const PATIENCE: Duration = Duration::from_mins(1);

/// Controllers of [`SITE`], all in session. They end when it is dropped.
pub struct Fleet {
    members: Vec<Member>,
    _ends: DropGuard,
}

/// One controller.
pub(crate) struct Member {
    id: ControllerId,
    /// Its store.
    pub(crate) store: Store,
    status: watch::Receiver<SyncStatus>,
    holdings: watch::Receiver<HoldingsVersion>,
}

impl Fleet {
    /// Registers, claims and starts `count` controllers, whose state lies in `dir`.
    pub async fn start(
        site: &Site,
        operator: &BackEnd,
        dir: &Path,
        count: usize,
        embedder: &str,
    ) -> anyhow::Result<Self> {
        let cancel = CancellationToken::new();
        let mut fleet = Self { members: Vec::with_capacity(count), _ends: cancel.clone().drop_guard() };
        for number in 0..count {
            let id = ControllerId::new(format!("fleet-{number}"))?;
            let state = StateDir::new(dir.join(id.as_str()));
            enrol(site, operator, &id, &state).await?;
            fleet.members.push(Member::start(id, state, number as u64, embedder, cancel.clone())?);
        }
        for member in &mut fleet.members {
            let online = member.status.wait_for(|status| matches!(status, SyncStatus::Online { .. }));
            timeout(PATIENCE, online).await.context("a controller never came into session")??;
        }
        Ok(fleet)
    }

    /// Waits until each holds the site at `revision`, and forgets what has changed until then.
    pub async fn at(&mut self, revision: u64) -> anyhow::Result<()> {
        for member in &mut self.members {
            let reached = async {
                loop {
                    member.holdings.borrow_and_update();
                    if member.store.standing().await?.cursor.0 >= revision {
                        return anyhow::Ok(());
                    }
                    member.holdings.changed().await?;
                }
            };
            timeout(PATIENCE, reached).await.with_context(|| format!("{} did not follow", member.id))??;
        }
        Ok(())
    }

    /// When the last of them has committed its next change to disk.
    pub async fn next_change(&mut self) -> anyhow::Result<Instant> {
        for member in &mut self.members {
            let changed = timeout(PATIENCE, member.holdings.changed()).await;
            changed.with_context(|| format!("{} did not follow", member.id))??;
        }
        Ok(Instant::now())
    }

    /// The ids.
    pub fn ids(&self) -> impl Iterator<Item = &ControllerId> {
        self.members.iter().map(|member| &member.id)
    }
}

impl Member {
    /// Starts it with what it has claimed; it ends when `cancel` says so.
    pub(crate) fn start(
        id: ControllerId,
        state: StateDir,
        seed: u64,
        embedder: &str,
        cancel: CancellationToken,
    ) -> anyhow::Result<Self> {
        let options = StoreOptions {
            device_key: DeviceKey::load_or_create(&state.device_key())?,
            events: EventsConfig::default(),
            machine_boot: machine_boot(),
        };
        let store = Store::open(&state.database(), options)?;
        let clock: SharedClock = Arc::new(SystemClock);
        let (access, links) = links(&store, &clock, &BootId::random(), Vec::new());
        let rng = StdRng::seed_from_u64(seed);
        let (task, status) =
            SyncTask::new(state, store.clone(), Arc::new(Internet), clock, rng, links, Some(embedder.to_owned()));
        tokio::spawn(sync::run(task, cancel.clone()));
        let holdings = store.holdings_version();
        tokio::spawn(follow(access, cancel));
        Ok(Self { id, store, status, holdings })
    }
}

/// Plays the access task.
async fn follow(mut access: AccessLinks, cancel: CancellationToken) {
    while !cancel.is_cancelled() {
        let version = *access.holdings.borrow_and_update();
        access.gallery_at.send_replace(version);
        tokio::select! {
            () = cancel.cancelled() => {}
            changed = access.holdings.changed() => if changed.is_err() { return },
        }
    }
}

async fn enrol(site: &Site, operator: &BackEnd, id: &ControllerId, state: &StateDir) -> anyhow::Result<()> {
    let path = format!("/v1/sites/{SITE}/controllers");
    let code =
        operator.post(&path, &json!({ "controller_id": id.as_str() })).await?.expect(201)?.text("/claim_code")?;
    claim_with(site, id, state, &code).await
}

/// Claims a controller that is registered.
pub(crate) async fn claim_with(site: &Site, id: &ControllerId, state: &StateDir, code: &str) -> anyhow::Result<()> {
    let request = Claim {
        enrolment_url: site.enrolment.parse()?,
        api_url: site.api.parse()?,
        ca_pem: std::fs::read(&site.cloud_ca)?,
        controller: id.clone(),
        code: ClaimCode::new(code),
        replace: false,
    };
    claim(state, &request, SystemClock.now()).await?;
    Ok(())
}
