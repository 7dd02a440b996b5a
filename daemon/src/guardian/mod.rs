//! What makes the outputs safe when this program cannot: a small process beside it.
//!
//! ```text
//! access task --beat--> Heartbeat --looked at--> keeper (here) --a byte each 500 ms--> pipe --> guard (guard.rs)
//!                          |                                                                     |
//!                          +-- watch: no beat for 3 s ends the program in order                   |
//!            end of the pipe without a goodbye, or no byte for 5 s: kill what hangs, take the lock, make all outputs safe
//! ```
//!
//! A pulse or a hold is ended by the task of its board. That task is gone when the program is killed, and may be stuck when the
//! program hangs; then the guard ends it. It is this program again (`cardead guard`, hidden), has no more rights, and only ever
//! writes safe states.
//!
//! Nobody fights over a board: who drives outputs holds the lock on `outputs.lock` in the state folder ([`OutputsLock`]),
//! which the kernel takes away from the dead. `cardead run` and `cardead safe` wait for it; the guard acts under it.

pub mod guard;
mod lock;

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cardea_hardware::HardwareConfig;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval};

pub use lock::{LockError, OutputsLock};

/// How often the access task beats at least, and how often that is passed on.
pub const BEAT: Duration = Duration::from_millis(500);
/// Looks without a beat until the program ends itself: 3 s.
const MISSED_BEATS: u32 = 6;
/// Bytes that are sent for a program that is ending, which takes its time if a board does not answer.
const CLOSING_BEATS: u32 = 30;
/// The pipe says: all is well.
const ALIVE: u8 = b'.';
/// The pipe says: the outputs are safe, and this process ends now.
const GOODBYE: u8 = b'q';

/// Counts the rounds of the task that decides.
#[derive(Clone, Debug, Default)]
pub struct Heartbeat {
    rounds: Arc<AtomicU64>,
    closing: Arc<AtomicBool>,
}

impl Heartbeat {
    /// Another round.
    pub fn beat(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
    }

    /// From here on nobody beats, because the program is ending.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    fn closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    fn count(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Ends, with the reason, when no beat has come for 3 s after the first. It counts its own looks, so that a machine that
    /// slept or had no time for this program at all is no reason.
    pub(crate) async fn watch(self) -> Result<(), String> {
        self.watch_every(BEAT).await
    }

    async fn watch_every(self, look: Duration) -> Result<(), String> {
        let mut looks = interval(look);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut seen, mut missed) = (0, 0);
        loop {
            looks.tick().await;
            let count = self.count();
            missed = if count == seen && count != 0 { missed + 1 } else { 0 };
            seen = count;
            if missed >= MISSED_BEATS {
                return Err("the task that decides does not answer".to_owned());
            }
        }
    }
}

/// How a guard is started.
#[derive(Clone, Debug)]
pub struct GuardPlan {
    /// This program.
    pub program: PathBuf,
    /// What it makes safe.
    pub hardware: HardwareConfig,
    /// The file of [`OutputsLock`].
    pub lock: PathBuf,
}

/// The parent's end of a guard.
#[derive(Debug)]
pub struct Guardian {
    goodbye: oneshot::Sender<()>,
    keeper: JoinHandle<()>,
}

/// Why there is no guard.
#[derive(Debug, thiserror::Error)]
#[error("the guardian process could not be started: check that {program} may be run; without it nothing runs")]
pub struct GuardianError {
    program: PathBuf,
    source: std::io::Error,
}

impl Guardian {
    /// Starts a guard, and goes on feeding it while `heartbeat` beats. One that dies is replaced.
    pub fn start(plan: GuardPlan, heartbeat: Heartbeat) -> Result<Self, GuardianError> {
        let failed = |source| GuardianError { program: plan.program.clone(), source };
        let first = Guard::spawn(&plan).map_err(failed)?;
        let (goodbye, told) = oneshot::channel();
        Ok(Self { goodbye, keeper: tokio::spawn(keep(first, plan, heartbeat, told)) })
    }

    /// To be called when the outputs are safe and the process is about to end. A process that does not end after all is ended
    /// by the guard.
    pub async fn goodbye(self) {
        let _gone = self.goodbye.send(());
        if let Err(error) = self.keeper.await {
            tracing::error!(%error, "the guardian's keeper did not end in order");
        }
    }
}

struct Guard {
    child: Child,
    pipe: ChildStdin,
    introduction: Vec<u8>,
}

impl Guard {
    fn spawn(plan: &GuardPlan) -> std::io::Result<Self> {
        let mut introduction = serde_json::to_vec(&plan.hardware).map_err(std::io::Error::other)?;
        introduction.push(b'\n');
        let mut child = Command::new(&plan.program)
            .arg("guard")
            .arg("--parent")
            .arg(std::process::id().to_string())
            .arg("--lock")
            .arg(&plan.lock)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            // Ctrl-C on a terminal is for the parent.
            .process_group(0)
            .spawn()?;
        let pipe = child.stdin.take().ok_or_else(|| std::io::Error::other("it has no standard input"))?;
        Ok(Self { child, pipe, introduction })
    }

    /// Tells it what to make safe; until then it has nothing to do.
    async fn introduce(&mut self) -> std::io::Result<()> {
        if !self.introduction.is_empty() {
            self.pipe.write_all(&std::mem::take(&mut self.introduction)).await?;
        }
        Ok(())
    }

    async fn say(&mut self, byte: u8) -> std::io::Result<()> {
        self.introduce().await?;
        self.pipe.write_all(&[byte]).await
    }
}

/// Feeds a guard until told to say goodbye.
async fn keep(mut guard: Guard, plan: GuardPlan, heartbeat: Heartbeat, mut told: oneshot::Receiver<()>) {
    let mut beats = interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut seen, mut closing) = (0, 0);
    loop {
        tokio::select! {
            biased;
            _ = &mut told => break,
            ended = guard.child.wait() => {
                tracing::error!(?ended, "the guardian process ended; another is started");
                tokio::select! {
                    _ = &mut told => return,
                    another = replace(|| Guard::spawn(&plan), &mut beats) => guard = another,
                }
                if let Err(error) = guard.introduce().await {
                    tracing::warn!(%error, "the guardian process does not listen");
                }
            }
            _ = beats.tick() => {
                let count = heartbeat.count();
                // Before its first beat the task that decides has switched nothing; that this one runs is enough.
                let alive = count == 0 || count != seen || (heartbeat.closing() && closing < CLOSING_BEATS);
                closing += u32::from(heartbeat.closing());
                seen = count;
                let fed = if alive { guard.say(ALIVE).await } else { Ok(()) };
                if let Err(error) = fed {
                    tracing::warn!(%error, "the guardian process does not listen");
                }
            }
        }
    }
    if let Err(error) = guard.say(GOODBYE).await {
        tracing::warn!(%error, "the guardian process did not hear goodbye");
    }
    // Left open: its closing is the proof that this process has ended.
    std::mem::forget(guard.pipe);
}

/// Starts another guard, one try at each of `beats`, until one runs: memory that was short for a moment is no reason to go on
/// without.
async fn replace<G>(mut spawn: impl FnMut() -> std::io::Result<G>, beats: &mut Interval) -> G {
    let mut told = false;
    loop {
        beats.tick().await;
        match spawn() {
            Ok(guard) => {
                tracing::info!("another guardian process runs");
                return guard;
            }
            Err(error) if !std::mem::replace(&mut told, true) => {
                tracing::error!(%error, "no guardian: outputs are not made safe if this program is killed; trying again");
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_heart_that_stops_is_noticed_and_one_that_has_not_begun_is_not() {
        let look = Duration::from_millis(20);
        let heartbeat = Heartbeat::default();
        let watched = tokio::spawn(heartbeat.clone().watch_every(look));
        tokio::time::sleep(look * (MISSED_BEATS + 4)).await;
        assert!(!watched.is_finished(), "nothing has begun");
        let begun = tokio::time::Instant::now();
        heartbeat.beat();
        assert!(watched.await.unwrap().unwrap_err().contains("does not answer"));
        assert!(begun.elapsed() >= look * (MISSED_BEATS - 1), "not at the first missing beat");
    }

    #[tokio::test]
    async fn a_guard_that_cannot_be_started_is_tried_again_until_it_can() {
        let mut tries = 0;
        let spawn = || {
            tries += 1;
            if tries < 5 { Err(std::io::Error::from(std::io::ErrorKind::OutOfMemory)) } else { Ok("guard") }
        };
        assert_eq!(replace(spawn, &mut interval(Duration::from_millis(1))).await, "guard");
        assert_eq!(tries, 5);
    }
}
