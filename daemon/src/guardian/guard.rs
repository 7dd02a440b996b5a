//! The guard's side: waits for its parent to end or to hang, and then makes the outputs safe.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use cardea_hardware::{HardwareConfig, make_safe};
use rustix::process::{Pid, PidfdFlags, Signal, getppid, pidfd_open, pidfd_send_signal};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{GOODBYE, LockError, OutputsLock};

/// How often it looks at its clock. It counts looks, so that time in which this process did not run either counts for nothing.
const LOOK: Duration = Duration::from_millis(250);
/// Looks without a sign of life until the parent counts as hung: 5 s.
const MISSED_LOOKS: u32 = 20;
/// How long a parent may take to end that was killed.
const DEATH: Duration = Duration::from_secs(2);
/// How long it waits for the lock of a parent that has ended.
const LOCK: Duration = Duration::from_secs(1);
/// How long boards that do not answer are tried.
pub const SAFE_WITHIN: Duration = Duration::from_secs(10);
/// Larger than any configuration.
const MAX_INTRODUCTION: usize = 1 << 20;

/// What the guard needs to know.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The process to watch, which must be the parent.
    pub parent: u32,
    /// The file of the lock.
    pub lock: PathBuf,
}

/// How it went.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The parent ended in order.
    Goodbye,
    /// Somebody else drives the outputs by now.
    LeftToAnother,
    /// The outputs were put into their safe states; those boards were not reached.
    MadeSafe {
        /// Their names.
        not_reached: Vec<String>,
    },
}

/// Watches the process whose pipe is standard input.
pub async fn run(watch: Watch) -> io::Result<Outcome> {
    // Whoever ends a whole group of processes must not end this one first.
    let _deaf = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    let parent = Parent::find(watch.parent);
    let mut line =
        Line { pipe: pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?, heard: Vec::new() };
    let Some(hardware) = line.introduction().await? else { return Ok(Outcome::Goodbye) };
    match line.listen().await {
        End::Goodbye => {
            if !line.closed_within(MISSED_LOOKS).await {
                tracing::error!("the controller said goodbye and did not end; it is killed");
                parent.kill();
            }
            return Ok(Outcome::Goodbye);
        }
        End::Closed => tracing::error!("the controller ended without a word; its outputs are made safe"),
        End::Silence => {
            tracing::error!("the controller gives no sign of life; it is killed and its outputs are made safe");
            parent.kill();
            let _ = timeout(DEATH, line.closed()).await;
        }
    }
    let _lock = match OutputsLock::take(&watch.lock, LOCK).await {
        Ok(lock) => Some(lock),
        // A process that cannot be killed does not run; one that has closed its end is not the one with the lock.
        Err(LockError::Taken { .. }) if !line.is_closed().await => None,
        Err(LockError::Taken { .. }) => return Ok(Outcome::LeftToAnother),
        Err(LockError::Io { source, .. }) => {
            tracing::warn!(%source, "no lock; the outputs are made safe all the same");
            None
        }
    };
    let failed = make_safe(&hardware, SAFE_WITHIN).await.map_err(io::Error::other)?;
    for (board, error) in &failed {
        tracing::error!(board, %error, "its outputs could not be made safe");
    }
    Ok(Outcome::MadeSafe { not_reached: failed.into_iter().map(|(board, _)| board).collect() })
}

/// The parent, by a handle that never means another process.
struct Parent(Option<OwnedFd>);

impl Parent {
    fn find(id: u32) -> Self {
        let pid = Pid::from_raw(id.cast_signed());
        let is_parent = || pid.is_some() && getppid() == pid;
        if !is_parent() {
            return Self(None);
        }
        let handle = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        // It may have ended between the two, and its number been given to another.
        Self(handle.filter(|_| is_parent()))
    }

    fn kill(&self) {
        let killed = self.0.as_ref().map(|handle| pidfd_send_signal(handle, Signal::KILL));
        if let Some(Err(error)) = killed {
            tracing::error!(%error, "the controller could not be killed");
        }
    }
}

enum End {
    Goodbye,
    Closed,
    Silence,
}

struct Line {
    pipe: pipe::Receiver,
    heard: Vec<u8>,
}

impl Line {
    /// The configuration, a line of JSON; `None` if the parent ended before it said anything, and so drove nothing.
    async fn introduction(&mut self) -> io::Result<Option<HardwareConfig>> {
        while !self.heard.contains(&b'\n') {
            if self.heard.len() > MAX_INTRODUCTION {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "no configuration was sent"));
            }
            if self.more().await? == 0 {
                return Ok(None);
            }
        }
        let end = self.heard.iter().position(|byte| *byte == b'\n').unwrap_or_default();
        let rest = self.heard.split_off(end + 1);
        let line = std::mem::replace(&mut self.heard, rest);
        Ok(Some(serde_json::from_slice(&line)?))
    }

    async fn more(&mut self) -> io::Result<usize> {
        self.pipe.read_buf(&mut self.heard).await
    }

    async fn listen(&mut self) -> End {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut missed = 0;
        loop {
            let bytes = std::mem::take(&mut self.heard);
            if bytes.contains(&GOODBYE) {
                return End::Goodbye;
            }
            if !bytes.is_empty() {
                missed = 0;
            }
            tokio::select! {
                read = self.more() => if !matches!(read, Ok(1..)) { return End::Closed },
                _ = looks.tick() => {
                    missed += 1;
                    if missed >= MISSED_LOOKS {
                        return End::Silence;
                    }
                }
            }
        }
    }

    async fn closed(&mut self) {
        while matches!(self.more().await, Ok(1..)) {
            self.heard.clear();
        }
    }

    async fn closed_within(&mut self, looks: u32) -> bool {
        timeout(LOOK * looks, self.closed()).await.is_ok()
    }

    async fn is_closed(&mut self) -> bool {
        self.closed_within(1).await
    }
}
