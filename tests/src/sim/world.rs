//! One history: who does what when, and what goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tempfile::TempDir;
use tokio::sync::Notify;

use super::Outcome;
use super::clock::{SimClock, TrueTime};
use super::cloud;
use super::controller;
use super::coverage::{Coverage, Fault};
use super::disk::Disk;
use super::ground::{CONTROLLERS, Claimed, Ground};
use super::guests::Guests;
use super::network::{Net, Weather};
use super::people::People;
use super::trace::Trace;
use super::witness::Witness;

/// Steps of a history.
const STEPS: std::ops::Range<u32> = 20..60;
/// The longest pause between two of them.
const PAUSE_MS: u64 = 12_000;
/// In one of so many worlds certificates end.
const SHORT_LIVED_IN: u32 = 4;
const HOUR_MS: i64 = 3_600_000;
/// By how much a clock may be wrong.
const JUMPS_MS: [i64; 8] = [-24 * HOUR_MS, -HOUR_MS, -600_000, -70_000, 70_000, 600_000, HOUR_MS, 24 * HOUR_MS];

/// What ends a misfortune.
#[derive(Clone, Debug)]
enum Due {
    Weather,
    Reconnect(usize),
    Rise,
    StartGate(usize),
    StartCloud,
    EmptyGateDisk(usize),
    EmptyCloudDisks,
    SetGateClock(usize),
    OpenDesk,
    SetCloudClock,
}

/// A world.
pub(super) struct World<'a> {
    pub(super) ground: &'a Ground,
    pub(super) time: TrueTime,
    pub(super) trace: Trace,
    pub(super) witness: Witness,
    pub(super) coverage: Coverage,
    pub(super) people: People,
    pub(super) guests: Guests,
    pub(super) cloud: cloud::Machine,
    pub(super) gates: Vec<controller::Machine>,
    pub(super) net: Net,
    pub(super) rng: StdRng,
    due: BTreeMap<(u64, u64), Due>,
    dues: u64,
    calm: bool,
    /// Whether an old copy has taken the place of the cloud's data.
    pub(super) was_restored: bool,
    /// Gates that were away in the end, with a certificate that has ended.
    pub(super) away: BTreeSet<usize>,
    backup: Option<Disk>,
    /// Where the controllers of this world keep their certificates, if these are their own.
    folder: Option<TempDir>,
}

impl<'a> World<'a> {
    /// Everything runs, and nothing has happened yet.
    pub(super) async fn new(ground: &'a Ground, seed: u64, loud: bool, coverage: Coverage) -> Result<Self> {
        let time = TrueTime::begin();
        let mut rng = StdRng::seed_from_u64(seed);
        let trace = Trace::new(time, loud);
        let witness = Witness::new(time, trace.clone(), coverage.clone());
        let embedded = rng.random();
        let net = Net::new(rng.random(), time, embedded, trace.clone(), witness.clone(), coverage.clone());
        let mut cloud = cloud::Machine::new(SimClock::new(time))?;
        witness.cloud_on(cloud.data.clone());
        cloud.start(ground, &net, &mut rng).await?;
        let number = rng.random_range(1..=CONTROLLERS);
        let (claims, folder) = claims(ground, &mut rng, &net, number)?;
        cloud.furnish(ground, &claims).await?;
        let mut gates = Vec::new();
        for claimed in &claims {
            let mut gate = controller::Machine::new(claimed, SimClock::new(time))?;
            witness.meet(&claimed.id, gate.disk.clone(), gate.clock.clone());
            gate.start(&net, &mut rng).await?;
            gates.push(gate);
        }
        let (people, guests) = (People::new()?, Guests::default());
        let due = BTreeMap::new();
        let (dues, calm, backup) = (0, false, None);
        let mut world = Self {
            ground,
            time,
            trace,
            witness,
            coverage,
            people,
            guests,
            cloud,
            gates,
            net,
            rng,
            due,
            dues,
            calm,
            was_restored: false,
            away: BTreeSet::new(),
            backup,
            folder,
        };
        if world.folder.is_some() {
            world.later(0..600_000, Due::OpenDesk);
        }
        Ok(world)
    }

    /// Whether certificates end in this world.
    pub(super) fn lets_certificates_end(&self) -> bool {
        self.folder.is_some()
    }

    pub(super) fn breaks(&self, what: String) {
        self.witness.breaks(what);
    }

    /// What has become of it.
    pub(super) fn end(mut self) -> Outcome {
        for gate in &mut self.gates {
            gate.crash();
        }
        self.cloud.crash(&self.net);
        Outcome { broken: self.witness.broken(), hash: self.trace.hash(), trace: self.trace.end() }
    }

    /// Lives through all of it.
    pub(super) async fn live(&mut self) -> Result<()> {
        let steps = self.rng.random_range(STEPS);
        for _ in 0..steps {
            let pause = self.rng.random_range(0..PAUSE_MS);
            self.pass(pause).await?;
            if self.rng.random_range(0..100) < 25 {
                self.misfortune();
            } else {
                self.operate().await?;
            }
            self.bury().await?;
            self.look()?;
            if !self.witness.broken().is_empty() {
                return Ok(());
            }
        }
        self.calm = true;
        self.make_whole().await?;
        self.settle().await
    }

    /// Nothing goes wrong any more, and what has is mended.
    async fn make_whole(&mut self) -> Result<()> {
        self.trace.note(format_args!("nothing goes wrong any more"));
        for gate in &mut self.gates {
            match &gate.life {
                Some(life) if life.power.is_off() => gate.crash(),
                Some(life) => life.power.fail_after(u32::MAX, true),
                None => {}
            }
        }
        match &self.cloud.life {
            Some(life) if life.power.is_off() => self.cloud.crash(&self.net),
            Some(life) => life.power.fail_after(u32::MAX, true),
            None => {}
        }
        self.cloud.fill(false);
        self.gates.iter().for_each(|gate| gate.disk.fill(false));
        self.net.weather(Weather::default());
        self.net.rise();
        while let Some((_, due)) = self.due.pop_first() {
            self.end_of(due).await?;
        }
        for number in 0..self.gates.len() {
            self.revive_gate(number).await?;
        }
        self.revive_cloud().await
    }

    /// A program of which a task has ended is started anew, as systemd does.
    async fn bury(&mut self) -> Result<()> {
        for number in 0..self.gates.len() {
            if self.gates[number].has_ended().await {
                self.trace.note(format_args!("gate-{number}'s program has ended by itself"));
                self.coverage.hit(Fault::ControllerEnded);
                self.stop_gate(number);
            }
        }
        Ok(())
    }

    /// Lets time pass, with what falls due and what fails in it.
    async fn pass(&mut self, ms: u64) -> Result<()> {
        let until = self.time.ms() + ms;
        loop {
            let next = self.due.keys().next().map_or(until, |(at, _)| (*at).min(until));
            let wait = Duration::from_millis(next.saturating_sub(self.time.ms()));
            let failed = failure(&self.cloud.failed, &self.gates);
            tokio::select! {
                biased;
                which = failed => self.failed(which),
                () = tokio::time::sleep(wait) => {
                    let now = self.time.ms();
                    let ripe = self.due.first_entry().filter(|due| due.key().0 <= now).map(|due| due.remove());
                    match ripe {
                        Some(due) => self.end_of(due).await?,
                        None if now >= until => return Ok(()),
                        None => {}
                    }
                }
            }
        }
    }

    fn later(&mut self, range: std::ops::Range<u64>, due: Due) {
        let at = self.time.ms() + self.rng.random_range(range);
        self.dues += 1;
        self.due.insert((at, self.dues), due);
    }

    /// The power of a machine has failed by itself.
    fn failed(&mut self, which: Option<usize>) {
        match which {
            Some(number) if self.gates[number].life.as_ref().is_some_and(|life| life.power.is_off()) => {
                self.trace.note(format_args!("gate-{number} fails at a commit"));
                self.coverage.hit(Fault::ControllerCrash);
                self.stop_gate(number);
            }
            None if self.cloud.life.as_ref().is_some_and(|life| life.power.is_off()) => {
                self.trace.note(format_args!("the cloud fails at a commit"));
                self.coverage.hit(Fault::CloudCrash);
                self.stop_cloud();
            }
            // It has been started anew since.
            _ => {}
        }
    }

    /// The program of a gate ends, or its whole machine.
    fn stop_gate(&mut self, number: usize) {
        self.gates[number].crash();
        if self.rng.random_range(0..3) == 0 {
            self.coverage.hit(Fault::ControllerPowerLoss);
            self.gates[number].boot += 1;
            let clock = self.gates[number].clock.clone();
            let knows = self.rng.random_range(0..3) > 0;
            self.trace.note(format_args!("gate-{number} has lost its power; it knows the time: {knows}"));
            clock.boot(knows);
            if !knows {
                clock.skew(-self.rng.random_range(0..4 * HOUR_MS));
                self.later(1_000..180_000, Due::SetGateClock(number));
            }
        }
        self.later(500..40_000, Due::StartGate(number));
    }

    fn stop_cloud(&mut self) {
        self.cloud.crash(&self.net);
        self.later(500..60_000, Due::StartCloud);
    }

    async fn end_of(&mut self, due: Due) -> Result<()> {
        self.trace.note(format_args!("{due:?}"));
        match due {
            Due::Weather => self.net.weather(Weather::default()),
            Due::Reconnect(number) => self.net.partition(&self.ground.controllers[number].id, false),
            Due::Rise => self.net.rise(),
            Due::StartGate(number) => self.revive_gate(number).await?,
            Due::StartCloud => self.revive_cloud().await?,
            Due::EmptyGateDisk(number) => self.gates[number].disk.fill(false),
            Due::EmptyCloudDisks => self.cloud.fill(false),
            Due::OpenDesk => self.net.open_desk(true),
            Due::SetGateClock(number) => self.gates[number].clock.set(),
            Due::SetCloudClock => self.cloud.clock.set(),
        }
        Ok(())
    }

    async fn revive_gate(&mut self, number: usize) -> Result<()> {
        if self.gates[number].life.is_some() {
            return Ok(());
        }
        if let Err(error) = self.gates[number].start(&self.net, &mut self.rng).await {
            self.trace.note(format_args!("gate-{number} does not start: {error}"));
            if self.calm {
                return Err(error);
            }
            self.stop_gate(number);
        }
        Ok(())
    }

    async fn revive_cloud(&mut self) -> Result<()> {
        if self.cloud.life.is_some() {
            return Ok(());
        }
        if let Err(error) = self.cloud.start(self.ground, &self.net, &mut self.rng).await {
            self.trace.note(format_args!("the cloud does not start: {error}"));
            self.net.cloud_gone();
            if self.calm {
                return Err(error);
            }
            self.stop_cloud();
        }
        Ok(())
    }

    /// Something goes wrong.
    fn misfortune(&mut self) {
        let number = self.rng.random_range(0..self.gates.len());
        match self.rng.random_range(0..17) {
            0 | 1 => self.storm(),
            2..=4 => {
                self.trace.note(format_args!("gate-{number} is cut off"));
                self.coverage.hit(Fault::Partition);
                self.net.partition(&self.ground.controllers[number].id, true);
                self.later(1_000..240_000, Due::Reconnect(number));
            }
            5 => {
                self.trace.note(format_args!("the broker ends"));
                self.coverage.hit(Fault::BrokerRestart);
                self.net.fall();
                self.later(100..20_000, Due::Rise);
            }
            6..=8 => {
                let (commits, made) = (self.rng.random_range(0..8), self.rng.random());
                self.trace.note(format_args!("gate-{number} will fail after {commits} commits, the last made: {made}"));
                if let Some(life) = &self.gates[number].life {
                    life.power.fail_after(commits, made);
                }
            }
            9 | 10 => {
                let (commits, made) = (self.rng.random_range(0..8), self.rng.random());
                self.trace.note(format_args!("the cloud will fail after {commits} commits, the last made: {made}"));
                if let Some(life) = &self.cloud.life {
                    life.power.fail_after(commits, made);
                }
            }
            11 => {
                self.trace.note(format_args!("gate-{number}'s disk is full"));
                self.coverage.hit(Fault::ControllerDiskFull);
                self.gates[number].disk.fill(true);
                self.later(1_000..60_000, Due::EmptyGateDisk(number));
            }
            12 => {
                self.trace.note(format_args!("the cloud's disks are full"));
                self.coverage.hit(Fault::CloudDiskFull);
                self.cloud.fill(true);
                self.later(1_000..60_000, Due::EmptyCloudDisks);
            }
            13 => self.misset(number),
            16 => self.at_once(),
            _ => self.back_up_or_restore(),
        }
    }

    /// The same thing happens to everybody.
    fn at_once(&mut self) {
        if self.rng.random() {
            self.trace.note(format_args!("power fails everywhere"));
            self.coverage.hit(Fault::AllFailAtOnce);
            (0..self.gates.len()).for_each(|number| self.stop_gate(number));
            self.stop_cloud();
        } else {
            self.trace.note(format_args!("all disks are full"));
            self.coverage.hit(Fault::AllDisksFull);
            self.cloud.fill(true);
            self.later(1_000..60_000, Due::EmptyCloudDisks);
            for number in 0..self.gates.len() {
                self.gates[number].disk.fill(true);
                self.later(1_000..60_000, Due::EmptyGateDisk(number));
            }
        }
    }

    /// The network is at its worst for a while.
    fn storm(&mut self) {
        let mut chance = |most: u32| if self.rng.random() { self.rng.random_range(0..most) } else { 0 };
        let weather = Weather {
            drop: chance(300),
            duplicate: chance(500),
            reorder: chance(500),
            delay_ms: u64::from(chance(12_000)),
        };
        self.trace.note(format_args!("{weather:?}"));
        self.net.weather(weather);
        self.later(5_000..90_000, Due::Weather);
    }

    /// A clock is set wrong for a while.
    fn misset(&mut self, number: usize) {
        let jump = JUMPS_MS[self.rng.random_range(0..JUMPS_MS.len())];
        self.coverage.hit(Fault::ClockJump);
        if self.rng.random_range(0..4) == 0 {
            self.trace.note(format_args!("the cloud's clock jumps by {jump}"));
            self.cloud.clock.skew(jump);
            self.cloud.was_behind |= jump < 0;
            self.later(1_000..120_000, Due::SetCloudClock);
        } else {
            self.trace.note(format_args!("gate-{number}'s clock jumps by {jump}"));
            self.gates[number].clock.skew(jump);
            self.later(1_000..180_000, Due::SetGateClock(number));
        }
    }

    /// The cloud's data are copied, or replaced by the copy that was made before.
    fn back_up_or_restore(&mut self) {
        match self.backup.take() {
            None => {
                self.trace.note(format_args!("the cloud's data are copied"));
                self.backup = self.cloud.data.copy("backup").ok();
            }
            Some(backup) => {
                self.trace.note(format_args!("the cloud's data are replaced by an old copy"));
                self.coverage.hit(Fault::Restore);
                self.was_restored = true;
                self.stop_cloud();
                self.cloud.restore(backup);
                self.witness.cloud_on(self.cloud.data.clone());
                if let Err(error) = self.note_retired() {
                    self.breaks(format!("the restored copy cannot be read: {error}"));
                }
                // Whoever restores starts the broker anew.
                self.net.fall();
                self.later(100..5_000, Due::Rise);
            }
        }
    }
}

/// The controllers of a world: those of the ground, whose certificates outlast it, or the same with certificates that end in it,
/// and a desk that may be closed at first.
fn claims(ground: &Ground, rng: &mut StdRng, net: &Net, number: usize) -> Result<(Vec<Claimed>, Option<TempDir>)> {
    if rng.random_range(0..SHORT_LIVED_IN) > 0 {
        return Ok((ground.controllers.iter().take(number).cloned().collect(), None));
    }
    // In memory where there is such a place: what is written there is synced.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? };
    let claims = (0..number).map(|n| ground.ending(n, folder.path(), rng.random_range(20_000..500_000)));
    let claims = claims.collect::<Result<_>>()?;
    net.open_desk(rng.random());
    Ok((claims, Some(folder)))
}

/// Waits for a machine's power to fail by itself: a controller's, or (`None`) the cloud's.
fn failure(cloud: &Arc<Notify>, gates: &[controller::Machine]) -> impl Future<Output = Option<usize>> + use<> {
    let cloud = cloud.clone();
    let gates: Vec<_> = gates.iter().map(|gate| gate.failed.clone()).collect();
    async move {
        let mut waits: Vec<std::pin::Pin<Box<dyn Future<Output = Option<usize>> + Send>>> =
            vec![Box::pin(async move {
                cloud.notified().await;
                None
            })];
        for (number, gate) in gates.into_iter().enumerate() {
            waits.push(Box::pin(async move {
                gate.notified().await;
                Some(number)
            }));
        }
        std::future::poll_fn(move |context| {
            for wait in &mut waits {
                if let std::task::Poll::Ready(which) = wait.as_mut().poll(context) {
                    return std::task::Poll::Ready(which);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}
