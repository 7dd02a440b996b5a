//! Many controllers in this process: each has an identity of its own, claimed over TLS, and the store and the session of
//! `cardead` over mutual TLS and MQTT. None has a gate: instead of the access task, whoever holds the holdings says at once
//! that the gallery has followed.
//!
//! | module | what it does |
//! |---|---|
//! | [`trial`] | connects, changes the site, erases, and reports how long that takes everybody |

pub mod trial;

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
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::site::back_end::BackEnd;
use crate::site::{SITE, Site};

const PATIENCE: Duration = Duration::from_mins(5);
/// Claims under way at once: the cloud takes its time over each code.
const CLAIMS: usize = 8;
/// Files that a controller has open (a database with its log and index, a connection), and some to spare.
const FILES_OF_EACH: u64 = 8;

/// Controllers of [`SITE`]. They end when it is dropped.
pub struct Fleet {
    members: Vec<Member>,
    _ends: DropGuard,
}

/// Controllers that are claimed and do not run yet.
pub struct Claimed(Vec<(ControllerId, StateDir)>);

/// One controller.
pub(crate) struct Member {
    id: ControllerId,
    /// Its store.
    pub(crate) store: Store,
    status: watch::Receiver<SyncStatus>,
    holdings: watch::Receiver<HoldingsVersion>,
}

impl Claimed {
    /// Registers and claims `count` controllers, whose state lies in `dir`.
    pub async fn new(site: &Site, operator: &BackEnd, dir: &Path, count: usize) -> anyhow::Result<Self> {
        let means = Arc::new(Means::of(site)?);
        let mut claims = JoinSet::new();
        let mut all = Vec::with_capacity(count);
        for number in 0..count {
            let id = ControllerId::new(format!("fleet-{number:04}"))?;
            let state = StateDir::new(dir.join(id.as_str()));
            all.push((id.clone(), state.clone()));
            if claims.len() >= CLAIMS
                && let Some(claimed) = claims.join_next().await
            {
                claimed??;
            }
            let (means, operator) = (means.clone(), operator.clone());
            claims.spawn(async move {
                let path = format!("/v1/sites/{SITE}/controllers");
                let registered = operator.post(&path, &json!({ "controller_id": id.as_str() })).await?.expect(201)?;
                means.claim(&id, &state, &registered.text("/claim_code")?).await
            });
        }
        while let Some(claimed) = claims.join_next().await {
            claimed??;
        }
        Ok(Self(all))
    }

    /// Starts all of them at once, and waits until the last is in session. Answers how long each took to come there, in
    /// milliseconds.
    pub async fn connect(self, embedder: &str) -> anyhow::Result<(Fleet, Vec<f64>)> {
        let cancel = CancellationToken::new();
        let begun = Instant::now();
        let mut members = Vec::with_capacity(self.0.len());
        for (number, (id, state)) in self.0.into_iter().enumerate() {
            members.push(Member::start(id, state, number as u64, embedder, cancel.clone())?);
        }
        let fleet = Fleet { members, _ends: cancel.drop_guard() };
        let times = fleet.each(|member| {
            let mut status = member.status.clone();
            async move {
                status.wait_for(|status| matches!(status, SyncStatus::Online { .. })).await?;
                Ok(begun.elapsed().as_secs_f64() * 1e3)
            }
        });
        let times = times.await.context("in session")?;
        Ok((fleet, times))
    }
}

/// So many files may be open as `controllers` take, here and in the programs that are started from here.
pub fn open_files(controllers: usize) -> anyhow::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = controllers as u64 * FILES_OF_EACH + 4_096;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let raised = Rlimit { current: Some(wanted), maximum: maximum.map(|maximum| maximum.max(wanted)) };
    setrlimit(Resource::Nofile, raised).with_context(|| {
        format!("{controllers} controllers take {wanted} open files: raise the limit (ulimit -n {wanted})")
    })
}

impl Fleet {
    /// Registers, claims and starts `count` controllers, whose state lies in `dir`; all are in session then.
    pub async fn start(
        site: &Site,
        operator: &BackEnd,
        dir: &Path,
        count: usize,
        embedder: &str,
    ) -> anyhow::Result<Self> {
        let claimed = Claimed::new(site, operator, dir, count).await?;
        Ok(claimed.connect(embedder).await?.0)
    }

    /// Does something with each at once, and answers what comes of it in their order.
    async fn each<T, W>(&self, mut work: impl FnMut(&Member) -> W) -> anyhow::Result<Vec<T>>
    where
        T: Send + 'static,
        W: Future<Output = anyhow::Result<T>> + Send + 'static,
    {
        let mut tasks = JoinSet::new();
        for (number, member) in self.members.iter().enumerate() {
            let (id, work) = (member.id.clone(), work(member));
            tasks.spawn(async move {
                let done = timeout(PATIENCE, work).await.with_context(|| format!("{id} did not come so far"))?;
                anyhow::Ok((number, done?))
            });
        }
        let mut all: Vec<Option<T>> = self.members.iter().map(|_| None).collect();
        while let Some(done) = tasks.join_next().await {
            let (number, done) = done??;
            all[number] = Some(done);
        }
        Ok(all.into_iter().flatten().collect())
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

    /// When each of them has committed its next change to disk: a change that comes after this was called.
    pub fn next_changes(&mut self) -> impl Future<Output = anyhow::Result<Vec<Instant>>> {
        for member in &mut self.members {
            member.holdings.borrow_and_update();
        }
        self.each(|member| {
            let mut holdings = member.holdings.clone();
            async move {
                holdings.changed().await?;
                Ok(Instant::now())
            }
        })
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

/// What a claim needs to know of the cloud.
pub(crate) struct Means {
    enrolment_url: reqwest::Url,
    api_url: reqwest::Url,
    ca_pem: Vec<u8>,
}

impl Means {
    pub(crate) fn of(site: &Site) -> anyhow::Result<Self> {
        let ca_pem = std::fs::read(&site.cloud_ca)?;
        Ok(Self { enrolment_url: site.enrolment.parse()?, api_url: site.api.parse()?, ca_pem })
    }

    /// Claims a controller that is registered.
    pub(crate) async fn claim(&self, id: &ControllerId, state: &StateDir, code: &str) -> anyhow::Result<()> {
        let request = Claim {
            enrolment_url: self.enrolment_url.clone(),
            api_url: self.api_url.clone(),
            ca_pem: self.ca_pem.clone(),
            controller: id.clone(),
            code: ClaimCode::new(code),
            replace: false,
        };
        claim(state, &request, SystemClock.now()).await?;
        Ok(())
    }
}
