//! The controller that is killed: the store and the session of `cardead` in a program of its own, and an event as often as the
//! store commits one.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cardea_daemon::identity::StateDir;
use cardea_daemon::seam::Outbox;
use cardea_protocol::clock::SystemClock;
use cardea_protocol::event::EventKind;
use cardea_protocol::id::ControllerId;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::fleet::Member;
use crate::site::CONTROLLER;

/// Events between two reports.
const AT_ONCE: u64 = 20;
/// No more is pushed while this many wait: far from the bounds of the outbox, so that none may be dropped.
const FULL: u64 = 5_000;
const PAUSE: Duration = Duration::from_millis(5);

/// What a run of it is started with.
#[derive(Clone, Debug, clap::Args)]
pub struct Run {
    /// The folder of its state, which is claimed.
    #[arg(long)]
    pub state: PathBuf,
    /// Which run this is: with the event's number, it names an event.
    #[arg(long)]
    pub number: u64,
    /// Pushes no events.
    #[arg(long)]
    pub quiet: bool,
    /// The embedder's id in the model pack.
    #[arg(long)]
    pub embedder: String,
}

/// The name of an event, which it has in the cloud too.
pub fn name(run: u64, event: u64) -> String {
    format!("event-{run}-{event}")
}

/// What [`name`] was made of.
pub fn named(name: &str) -> Option<(usize, usize)> {
    let (run, event) = name.strip_prefix("event-")?.split_once('-')?;
    Some((run.parse().ok()?, event.parse().ok()?))
}

/// Runs until it is killed. Each line it prints holds two numbers: the last event that is committed, as are all before it, and how
/// many wait for the cloud.
pub async fn run(run: Run) -> anyhow::Result<()> {
    let id = ControllerId::new(CONTROLLER)?;
    let state = StateDir::new(run.state);
    let member = Member::start(id, state, run.number, &run.embedder, CancellationToken::new())?;
    let outbox = Outbox::new(member.store.clone(), Arc::new(SystemClock));
    let mut stdout = std::io::stdout();
    let mut event = 0;
    loop {
        // The store works in order: it answers when everything that was pushed before is committed.
        let waiting = member.store.events_waiting().await?;
        stdout.write_all(format!("{event} {waiting}\n").as_bytes())?;
        stdout.flush()?;
        if run.quiet || waiting >= FULL {
            sleep(PAUSE).await;
            continue;
        }
        for _ in 0..AT_ONCE {
            event += 1;
            outbox.push(None, EventKind::Alarm { alarm: name(run.number, event) });
        }
    }
}
