//! `kill -9`, of the cloud and of a controller, at any moment: what was committed arrives once, what was erased stays erased.
//!
//! | module | what it does |
//! |---|---|
//! | [`controller`] | the program that is killed: the store and the session of `cardead`, without a gate |
//! | [`changes`] | plates and residents who come and go through the API meanwhile |
//! | [`ledger`] | what was reported as committed, held against the cloud's database |
//!
//! The cloud is the real program. A kill loses what a process had in memory. What the system had in memory it does not lose:
//! this is no power cut.

pub mod changes;
pub mod controller;
pub mod ledger;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use cardea_daemon::identity::StateDir;
use cardea_protocol::id::ControllerId;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::fleet::Means;
use crate::look::Onlooker;
use crate::site::back_end::BackEnd;
use crate::site::process::Process;
use crate::site::{self, CONTROLLER, SITE, Site, Tempo};
use crate::story::telling::line;
use crate::story::{PASSWORD, consent_text};
use changes::Changes;
use ledger::Ledger;

const PATIENCE: Duration = Duration::from_mins(5);
/// Half of the kills come so soon after the last, milliseconds: in a start of the controller.
const SOON_MS: u64 = 150;
/// Kills between two lines that tell of them.
const TOLD_EVERY: usize = 50;

/// How much of it.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Extent {
    /// How many kills at least.
    #[arg(long, default_value_t = 1_000)]
    pub kills: usize,
    /// How many events at least are to be reported as committed.
    #[arg(long, default_value_t = 100_000)]
    pub events: u64,
    /// Half of the kills come within so many milliseconds of the last, the others much sooner: the more, the more events arrive.
    #[arg(long, default_value_t = 1_500, value_parser = clap::value_parser!(u64).range(1..))]
    pub within_ms: u64,
    /// Chooses who is killed, and when.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Times the cloud was killed.
    pub cloud: usize,
    /// Times the controller was killed.
    pub controller: usize,
    /// Events that were reported as committed, and have arrived.
    pub events: u64,
    /// Events that have arrived and were committed, and the controller was killed before it said so.
    pub unreported: u64,
    /// Plates that were admitted, of which some were removed.
    pub plates: usize,
    /// Residents who were erased.
    pub erased: usize,
}

/// Kills at least so often and until so many events were reported as committed, in `dir`, which must not exist. An error says
/// what was lost or has come back.
pub async fn run(dir: &Path, extent: Extent) -> anyhow::Result<Figures> {
    let mut trial = Trial::start(dir, extent).await?;
    match trial.all().await {
        Ok(figures) => Ok(figures),
        Err(error) => {
            let log = trial.site.cloud().tail();
            Err(error.context(format!("with the seed {}; the cloud's log ends with:\n{log}\n", extent.seed)))
        }
    }
}

struct Trial {
    extent: Extent,
    site: Site,
    customer: BackEnd,
    embedder: String,
    rng: StdRng,
    changes: Changes,
    ledger: Ledger,
    running: Running,
    figures: Figures,
}

/// A run of the controller, and what it has said last: committed and waiting.
struct Running {
    process: Process,
    said: watch::Receiver<(u64, u64)>,
    listening: JoinHandle<()>,
}

impl Running {
    fn start(site: &Site, embedder: &str, number: usize, quiet: bool) -> anyhow::Result<Self> {
        let state = site.dir.join("controller");
        let (state, number) = (state.to_str().context("the path is not UTF-8")?, number.to_string());
        let mut args = vec!["controller", "--state", state, "--number", &number, "--embedder", embedder];
        if quiet {
            args.push("--quiet");
        }
        let mut process = Process::start("cardea-kill", &site.dir, &args, true)?;
        let mut lines = process.lines()?;
        let (tell, said) = watch::channel((0, u64::MAX));
        let listening = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some((committed, waiting)) = line.split_once(' ')
                    && let (Ok(committed), Ok(waiting)) = (committed.parse(), waiting.parse())
                {
                    tell.send_replace((committed, waiting));
                }
            }
        });
        Ok(Self { process, said, listening })
    }

    /// Kills it, and reads to the end what it had said: the last event that it had reported as committed.
    async fn kill(&mut self) -> anyhow::Result<u64> {
        self.process.kill().await?;
        (&mut self.listening).await?;
        Ok(self.said.borrow().0)
    }
}

impl Trial {
    async fn start(dir: &Path, extent: Extent) -> anyhow::Result<Self> {
        let site = Site::start(dir, Tempo::DEMO, site::now()).await?;
        let code = site.register(PASSWORD).await?;
        let state = StateDir::new(site.dir.join("controller"));
        Means::of(&site)?.claim(&ControllerId::new(CONTROLLER)?, &state, &code).await?;
        let customer = site.customer().await?;
        customer.post("/v1/consent-texts", &consent_text()).await?.expect(201)?;
        let embedder = Onlooker::load()?.faces.embedder().model().to_owned();
        let running = Running::start(&site, &embedder, 0, false)?;
        Ok(Self {
            extent,
            customer,
            embedder,
            rng: StdRng::seed_from_u64(extent.seed),
            changes: Changes::new()?,
            ledger: Ledger::default(),
            running,
            figures: Figures::default(),
            site,
        })
    }

    async fn all(&mut self) -> anyhow::Result<Figures> {
        let Extent { kills, events, .. } = self.extent;
        let mut told = 0;
        while self.figures.cloud + self.figures.controller < kills || self.ledger.committed() < events {
            self.kill_amid_a_change().await?;
            let done = self.figures.cloud + self.figures.controller;
            if done >= told + TOLD_EVERY {
                told = done;
                line(format_args!("   {done} kills, {} events committed", self.ledger.committed()));
            }
        }
        self.settle().await?;
        self.audit()?;
        Ok(self.figures)
    }

    /// A call, and a side that is killed at some moment of it or after it; then that side again, and the call, if it failed.
    async fn kill_amid_a_change(&mut self) -> anyhow::Result<()> {
        let change = self.changes.next(&mut self.rng, &self.customer).await?;
        // A cloud takes longer to start.
        let (cloud, controller) = match self.rng.random_range(0..10) {
            0 | 1 => (true, false),
            2 => (true, true),
            _ => (false, true),
        };
        let latest = if self.rng.random() { SOON_MS } else { self.extent.within_ms };
        let moment = Duration::from_millis(self.rng.random_range(0..latest));
        let Self { site, changes, ledger, running, customer, .. } = self;
        let killing = async {
            sleep(moment).await;
            if controller {
                ledger.run(running.kill().await?);
            }
            if cloud {
                site.cloud().kill().await?;
            }
            anyhow::Ok(())
        };
        let (made, killed) = tokio::join!(changes.make(&change, customer, false), killing);
        killed?;
        self.figures.controller += usize::from(controller);
        self.figures.cloud += usize::from(cloud);
        if controller {
            self.running = Running::start(&self.site, &self.embedder, self.ledger.runs(), false)?;
        }
        if cloud {
            self.site.restart_cloud().await?;
            self.customer = self.site.customer().await?;
        }
        match made {
            Err(_) if cloud => self.changes.make(&change, &self.customer, true).await,
            made => made,
        }
    }

    /// The controller once more, which pushes nothing, until both sides agree and nothing waits. Then both end.
    async fn settle(&mut self) -> anyhow::Result<()> {
        self.ledger.run(self.running.kill().await?);
        self.running = Running::start(&self.site, &self.embedder, self.ledger.runs(), true)?;
        let sent = self.running.said.wait_for(|(_, waiting)| *waiting == 0);
        timeout(PATIENCE, sent).await.context("events still wait")??;
        self.changes.receipts(&self.customer).await?;
        // Cursor and digest: the controller tells what it reads from its rows.
        let operator = self.site.operator().await?;
        self.site.in_sync(&operator, PATIENCE).await?;
        self.running.kill().await?;
        let status = self.site.cloud().stop().await?;
        ensure!(status.success(), "cardea-cloud ended with {status}");
        Ok(())
    }

    fn audit(&mut self) -> anyhow::Result<()> {
        let [cloud, controller] = self.site.memories();
        let (events, unreported) = self.ledger.arrived(&cloud.join("cloud.db"))?;
        self.figures = Figures {
            events,
            unreported,
            plates: self.changes.plates.len() + self.changes.removed.len(),
            erased: self.changes.erasures.len(),
            ..self.figures
        };
        ledger::plates(&controller.join("cardea.db"), &self.changes)?;
        ledger::templates(
            [("cloud", ledger::of_cloud(&cloud, SITE)?), ("controller", ledger::of_controller(&controller)?)],
            &self.changes,
        )
    }
}
