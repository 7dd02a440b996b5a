//! Card readers: what a card says, from the wire to one [`Read`].
//!
//! ```text
//! wiegand        edges of D0/D1 --- pulses.rs ---> frame --- bits.rs ---> CardNumber --+
//! osdp           RS-485 ---------- framing, panel > bits --- bits.rs ---> CardNumber --+--> Reader::watch
//! serial-line    bytes ----------- line.rs ------> line -----------------> CardNumber --+
//! ```
//!
//! What all drivers keep:
//! * **A read is an event, not a state.** The newest one is published with its time and number; nothing is queued. What a reader
//!   had stored before its connection was made is thrown away, so a card shown during an outage opens nothing afterwards.
//! * **`at` is the earliest moment the card can have been shown** as far as this machine can tell, so that an age computed from
//!   it is never too small.
//! * **A number never shows.** [`CardNumber`] prints as `…`, its memory is cleared, and what is refused is told by its reason.
//!
//! To add a driver: a pure decoder in a file of its own, a [`Source`] that feeds it, its keys in [`crate::config::ReaderConfig`],
//! one arm in [`open`].

pub mod bits;
pub mod card;
pub mod line;
pub mod osdp;
pub mod pulses;

mod edges;
mod serial_line;
mod wiegand;

use std::time::Duration;

use async_trait::async_trait;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use card::CardNumber;
pub(crate) use edges::monotonic_ns;
use osdp::Osdp;
use serial_line::SerialLine;
use wiegand::{Wiegand, Wires};

use crate::{DeviceError, Health, config::ReaderConfig};

/// The first wait after a lost connection; doubled up to [`MAX_BACKOFF`] while it stays lost.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(2);
/// How long after a decision it is worth being shown.
const ANSWER_IS_NEWS: Duration = Duration::from_secs(1);
/// What cannot be read is told in the log at most this often for each reader.
const REFUSALS_LOGGED_EVERY: Duration = Duration::from_secs(10);

/// One card that was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// What it says.
    pub number: CardNumber,
    /// The earliest moment at which it can have been shown, as far as this machine can tell.
    pub at: Instant,
}

/// What a reader has told since the program started.
#[derive(Debug, Clone, Default)]
pub struct Reads {
    /// The newest read; a burst leaves only its last.
    pub last: Option<Read>,
    /// How many reads there were. A consumer judges [`Reads::last`] once for each value it sees here.
    pub sequence: u64,
    /// How many presentations could not be read: parity, length, noise.
    pub refused: u64,
}

/// What is shown to whoever holds a card to the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The way is open.
    Granted,
    /// It is not.
    Refused,
    /// The card was in order, and something else is asked for.
    Awaited,
}

/// One card reader.
#[async_trait]
pub trait Reader: Send + Sync {
    /// The logical name from the configuration.
    fn id(&self) -> &str;

    /// Follows the reads. The first value is what there was before, which is nobody's business any more.
    fn watch(&self) -> watch::Receiver<Reads>;

    /// Whether the reader's housing reports that it was opened; `None` where the reader cannot tell or does not answer.
    fn tamper(&self) -> watch::Receiver<Option<bool>>;

    /// Whether the reader answers. A Wiegand reader never answers: for it, whether its lines can be watched.
    fn health(&self) -> watch::Receiver<Health>;

    /// Shows what was decided, at once or not at all, where the reader can show anything.
    fn answer(&self, answer: Answer);
}

/// The reading end of every driver.
pub(crate) struct Handle {
    id: String,
    reads: watch::Receiver<Reads>,
    tamper: watch::Receiver<Option<bool>>,
    health: watch::Receiver<Health>,
    answers: watch::Sender<Option<(Answer, Instant)>>,
}

impl Reader for Handle {
    fn id(&self) -> &str {
        &self.id
    }

    fn watch(&self) -> watch::Receiver<Reads> {
        self.reads.clone()
    }

    fn tamper(&self) -> watch::Receiver<Option<bool>> {
        self.tamper.clone()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    fn answer(&self, answer: Answer) {
        self.answers.send_replace(Some((answer, Instant::now())));
    }
}

/// The telling end of every driver.
pub(crate) struct Publisher {
    /// Names the reader in errors: id, driver, address.
    device: String,
    reads: watch::Sender<Reads>,
    tamper: watch::Sender<Option<bool>>,
    health: watch::Sender<Health>,
    answers: watch::Receiver<Option<(Answer, Instant)>>,
    /// When a refusal was last written to the log, and how many there have been since.
    quiet: Option<(Instant, u64)>,
}

/// Both ends of a reader called `id`.
fn ends(id: &str, device: String) -> (Handle, Publisher) {
    let (reads_tx, reads) = watch::channel(Reads::default());
    let (tamper_tx, tamper) = watch::channel(None);
    let (health_tx, health) = watch::channel(Health::Starting);
    let (answers_tx, answers) = watch::channel(None);
    let handle = Handle { id: id.into(), reads, tamper, health, answers: answers_tx };
    (handle, Publisher { device, reads: reads_tx, tamper: tamper_tx, health: health_tx, answers, quiet: None })
}

impl Publisher {
    pub(crate) fn device(&self) -> &str {
        &self.device
    }

    /// A card was shown.
    pub(crate) fn read(&self, number: CardNumber, at: Instant) {
        self.reads.send_modify(|reads| {
            reads.last = Some(Read { number, at });
            reads.sequence += 1;
        });
    }

    /// Something was shown that cannot be read.
    pub(crate) fn refused(&mut self, reason: impl std::fmt::Display) {
        self.reads.send_modify(|reads| reads.refused += 1);
        let now = Instant::now();
        match &mut self.quiet {
            Some((since, more)) if now.duration_since(*since) < REFUSALS_LOGGED_EVERY => *more += 1,
            quiet => {
                let more = quiet.replace((now, 0)).map_or(0, |(_, more)| more);
                warn!(device = %self.device, %reason, unreported = more, "a presentation could not be read");
            }
        }
    }

    /// Waits for something to show that is still news. Cancelled at any time.
    pub(crate) async fn answer(&mut self) -> Answer {
        while self.answers.changed().await.is_ok() {
            let answer = *self.answers.borrow_and_update();
            if let Some((answer, at)) = answer
                && at.elapsed() < ANSWER_IS_NEWS
            {
                return answer;
            }
        }
        std::future::pending().await
    }

    pub(crate) fn tamper(&self, tampered: Option<bool>) {
        self.tamper.send_if_modified(|known| {
            let changed = *known != tampered;
            *known = tampered;
            changed
        });
    }

    pub(crate) fn up(&self) {
        self.health.send_if_modified(|health| {
            if health.is_up() {
                return false;
            }
            info!(device = %self.device, "reader up");
            *health = Health::Up;
            true
        });
    }

    pub(crate) fn down(&self, error: &DeviceError) {
        // A reader that does not answer says nothing about its housing.
        self.tamper(None);
        let reason = error.to_string();
        self.health.send_if_modified(|health| {
            if matches!(health, Health::Down { reason: told } if *told == reason) {
                return false;
            }
            warn!(%reason, "reader down; trying again in the background");
            *health = Health::Down { reason };
            true
        });
    }
}

/// Starts the task of one reader. It ends when `shutdown` is cancelled.
pub(crate) fn open(config: &ReaderConfig, shutdown: CancellationToken) -> (Handle, JoinHandle<()>) {
    let (handle, publisher) = ends(config.id(), config.describe());
    let task = match config {
        ReaderConfig::Wiegand(wiegand) => {
            let (chip, lines, bias) = (wiegand.chip.clone(), [wiegand.d0, wiegand.d1], wiegand.bias);
            let wires = Wires::Gpio { chip, lines, bias };
            let (timing, formats) = (wiegand.pulses.timing(), wiegand.formats.clone());
            start(Wiegand { wires, timing, formats }, publisher, shutdown)
        }
        ReaderConfig::WiegandSim(sim) => {
            warn!(reader = %sim.id, "its cards come from a simulator: not for a real door");
            let wires = Wires::Simulated { socket: sim.socket.clone() };
            let (timing, formats) = (sim.pulses.timing(), sim.formats.clone());
            start(Wiegand { wires, timing, formats }, publisher, shutdown)
        }
        ReaderConfig::Osdp(osdp) => {
            let source = Osdp {
                path: osdp.path.clone(),
                baud: osdp.baud,
                address: osdp.address,
                key_file: osdp.key_file(),
                poll: Duration::from_millis(osdp.poll_ms),
                formats: osdp.formats.clone(),
                feedback: osdp.feedback,
            };
            if source.key_file.is_none() {
                warn!(reader = %osdp.id, "its cards come over an open line: anybody on the cable can copy and replay them");
            }
            start(source, publisher, shutdown)
        }
        ReaderConfig::SerialLine(line) => {
            let (path, baud, rules, within) = (line.path.clone(), line.baud, line.rules(), line.within());
            start(SerialLine { path, baud, rules, within }, publisher, shutdown)
        }
    };
    (handle, task)
}

/// A connection to one reader.
#[async_trait]
pub(crate) trait Source: Send + Sync {
    /// Connects, tells what is read, and answers why that ended. Cancelled at any time.
    async fn serve(&self, publisher: &mut Publisher) -> DeviceError;
}

/// Serves `source` until `shutdown`, connecting anew whenever it is lost.
fn start(source: impl Source + 'static, mut publisher: Publisher, shutdown: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(async move {
        let forever = async {
            let mut backoff = FIRST_BACKOFF;
            loop {
                let lost = source.serve(&mut publisher).await;
                if publisher.health.borrow().is_up() {
                    backoff = FIRST_BACKOFF;
                }
                publisher.down(&lost);
                sleep(backoff).await;
                backoff = (backoff * 2).min(MAX_BACKOFF);
            }
        };
        shutdown.run_until_cancelled(forever).await;
    })
}

#[cfg(test)]
mod tests;
