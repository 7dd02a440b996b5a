//! A serial line that Modbus RTU boards share. One task owns it and gives turns: one exchange each, what switches a relay
//! before what only reads, otherwise in the order of asking.
//!
//! RTU frames carry no number, so that an answer that comes late could be taken for the next one's. Therefore
//! * whatever lies in the port is thrown away before each request, and after an exchange that went wrong the line must have
//!   been silent for a while first;
//! * a unit that has not answered in time is not believed again until, after its next answer, nothing more has come for as
//!   long as it may take to answer: a unit that is one answer behind is found out.
//!
//! A unit that is silent costs the others one timeout each time it is tried, and its board's task tries it ever more rarely
//! (`reconnect_max_ms`).

use std::{collections::HashSet, fmt::Debug, io, path::PathBuf, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_modbus::prelude::{Request, Slave, rtu};
use tokio_serial::{ClearBuffer, SerialPort as _, SerialPortBuilderExt as _, SerialStream};

use super::wire::{Answer, CallError, Wire, call};
use crate::config::Parity;

/// Turns that may wait; each board on the line waits for one at most.
const WAITING_TURNS: usize = 256;
/// Unit, function, exception, CRC: a unit that sent as much has answered, if only what noise left of it.
const SHORTEST_ANSWER: usize = 5;
/// How long the line must be silent after an exchange that went wrong. USB adapters hand bytes over every 16 ms.
const SETTLED: Duration = Duration::from_millis(20);
/// A line that is never silent is used all the same after this time: the CRC tells noise from answers.
const SETTLE_LIMIT: Duration = Duration::from_millis(200);

/// How a port is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineSettings {
    pub(crate) path: PathBuf,
    pub(crate) baud: u32,
    pub(crate) parity: Parity,
}

impl LineSettings {
    fn open(&self) -> io::Result<SerialStream> {
        let parity = match self.parity {
            Parity::Even => tokio_serial::Parity::Even,
            Parity::Odd => tokio_serial::Parity::Odd,
            Parity::None => tokio_serial::Parity::None,
        };
        let builder = tokio_serial::new(self.path.to_string_lossy(), self.baud).parity(parity);
        let port = builder.open_native_async()?;
        port.clear(ClearBuffer::All)?;
        Ok(port)
    }

    /// The silence that separates frames: 3.5 characters, 1.75 ms beyond 19200 bits per second (Modbus over Serial Line
    /// V1.02, section 2.5.1.1).
    fn gap(&self) -> Duration {
        let characters = Duration::from_micros(38_500_000 / u64::from(self.baud.max(1)));
        characters.max(Duration::from_micros(1750))
    }
}

/// What is to be done in a turn.
#[derive(Debug)]
pub(super) enum Work {
    /// Opens the port, if it is not open; answers which opening it is.
    Open,
    /// One exchange; refused if the port has been opened anew since.
    Exchange { opening: u64, request: Request<'static> },
}

type Turned = Result<(Option<Answer>, u64), CallError>;

#[derive(Debug)]
struct Turn {
    unit: u8,
    work: Work,
    limit: Duration,
    reply: oneshot::Sender<Turned>,
}

/// A line that boards hold; its task ends when the last one lets go.
pub(crate) struct Line {
    urgent: mpsc::Sender<Turn>,
    patient: mpsc::Sender<Turn>,
}

impl Line {
    /// Starts the task of a line.
    pub(crate) fn start(settings: LineSettings) -> (Self, JoinHandle<()>) {
        let gap = settings.gap();
        Self::start_on(move || settings.open(), gap)
    }

    /// The same on any stream.
    pub(super) fn start_on<S, O>(open: O, gap: Duration) -> (Self, JoinHandle<()>)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + Debug + 'static,
        O: FnMut() -> io::Result<S> + Send + 'static,
    {
        let (urgent, urgent_turns) = mpsc::channel(WAITING_TURNS);
        let (patient, patient_turns) = mpsc::channel(WAITING_TURNS);
        let owner = Owner {
            open,
            gap,
            port: None,
            opening: 0,
            unsettled: false,
            quiet_from: Instant::now(),
            behind: HashSet::new(),
        };
        (Self { urgent, patient }, tokio::spawn(owner.run(urgent_turns, patient_turns)))
    }

    /// Waits for a turn and for what comes of it. Whoever stops waiting before the turn has nothing sent.
    pub(super) async fn turn(&self, unit: u8, work: Work, limit: Duration, urgent: bool) -> Turned {
        let ended = || CallError::Lost { reason: "the line's task has ended".into(), sent: false };
        let (reply, answer) = oneshot::channel();
        let queue = if urgent { &self.urgent } else { &self.patient };
        queue.send(Turn { unit, work, limit, reply }).await.map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

struct Owner<S, O> {
    open: O,
    gap: Duration,
    port: Option<Wire<S>>,
    /// Counts how often the port was opened.
    opening: u64,
    /// The last exchange went wrong: something may still be on its way.
    unsettled: bool,
    /// When the silence between frames will have been kept.
    quiet_from: Instant,
    /// Units that have not answered in time, and may be an answer behind.
    behind: HashSet<u8>,
}

impl<S, O> Owner<S, O>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + Debug + 'static,
    O: FnMut() -> io::Result<S> + Send,
{
    async fn run(mut self, mut urgent: mpsc::Receiver<Turn>, mut patient: mpsc::Receiver<Turn>) {
        loop {
            let turn = tokio::select! {
                biased;
                Some(turn) = urgent.recv() => turn,
                Some(turn) = patient.recv() => turn,
                else => return,
            };
            if turn.reply.is_closed() {
                continue; // given up before anything was sent
            }
            let done = self.take(turn.unit, turn.work, turn.limit).await;
            let _gone = turn.reply.send(done);
        }
    }

    async fn take(&mut self, unit: u8, work: Work, limit: Duration) -> Turned {
        let mut port = self.opened()?;
        let Work::Exchange { opening, request } = work else { return Ok((None, self.opening)) };
        if opening != self.opening {
            return Err(CallError::Lost { reason: "the adapter was replaced".into(), sent: false });
        }
        self.settle(&mut port).await?;
        let mut context = rtu::attach_slave(port.clone(), Slave(unit));
        let called = timeout(limit, call(&port, &mut context, request)).await;
        let mut done = called.unwrap_or_else(|_| {
            let garbled = port.heard() >= SHORTEST_ANSWER;
            let noise = || CallError::Nonsense("what came was no frame; is there noise on the line?".into());
            Err(if garbled { noise() } else { CallError::Silent { after: limit } })
        });
        if done.is_ok() && self.behind.contains(&unit) {
            done = self.last_word(&mut port, limit).await.and(done);
        }
        match &done {
            Ok(_) => drop(self.behind.remove(&unit)),
            Err(CallError::Silent { .. }) => drop(self.behind.insert(unit)),
            Err(CallError::Lost { .. }) => self.port = None,
            Err(CallError::Nonsense(_) | CallError::Exception(_)) => {}
        }
        self.unsettled = matches!(done, Err(CallError::Silent { .. } | CallError::Nonsense(_)));
        self.quiet_from = Instant::now() + self.gap;
        done.map(|answer| (Some(answer), self.opening))
    }

    fn opened(&mut self) -> Result<Wire<S>, CallError> {
        if let Some(port) = &self.port {
            return Ok(port.clone());
        }
        let opened = (self.open)().map_err(|error| CallError::Lost { reason: error.to_string(), sent: false })?;
        let port = Wire::new(opened);
        self.port = Some(port.clone());
        self.opening += 1;
        self.unsettled = false;
        self.behind.clear();
        Ok(port)
    }

    /// Waits until a frame may begin, and throws away what came unasked.
    async fn settle(&mut self, port: &mut Wire<S>) -> Result<(), CallError> {
        let gone = |error: io::Error| CallError::Lost { reason: error.to_string(), sent: false };
        if self.unsettled {
            let limit = Instant::now() + SETTLE_LIMIT;
            let mut unasked = [0; 64];
            while let Ok(read) = timeout_at((Instant::now() + SETTLED).min(limit), port.read(&mut unasked)).await {
                match read {
                    Ok(0) => return self.lost(gone(io::ErrorKind::UnexpectedEof.into())),
                    Ok(_) if Instant::now() < limit => {}
                    Ok(_) => break,
                    Err(error) => return self.lost(gone(error)),
                }
            }
        } else {
            sleep_until(self.quiet_from).await;
        }
        port.drain().or_else(|error| self.lost(gone(error)))
    }

    fn lost(&mut self, error: CallError) -> Result<(), CallError> {
        self.port = None;
        Err(error)
    }

    /// Listens whether more comes after an answer of a unit that may be one behind.
    async fn last_word(&mut self, port: &mut Wire<S>, limit: Duration) -> Result<(), CallError> {
        match timeout(limit, port.read(&mut [0; 1])).await {
            Err(_silent) => Ok(()),
            Ok(Ok(0)) => Err(CallError::Lost { reason: "the adapter is gone".into(), sent: true }),
            Ok(Ok(_)) => Err(CallError::Nonsense("an earlier answer came late".into())),
            Ok(Err(error)) => Err(CallError::Lost { reason: error.to_string(), sent: true }),
        }
    }
}
