//! The rules of the board task, on a hand-written board.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};

use super::*;
use crate::{Input as _, Output as _};

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Connected,
    Wrote(u32, bool),
}
use Seen::{Connected, Wrote};

/// A board that writes down what it sees.
struct FakeBoard {
    seen: watch::Sender<Vec<Seen>>,
    levels: Mutex<Vec<bool>>,
    broken: AtomicBool,
    /// A permit is needed for each poll while this is set.
    gated: AtomicBool,
    gate: Semaphore,
}

impl FakeBoard {
    fn new(levels: &[bool]) -> Arc<Self> {
        Arc::new(Self {
            seen: watch::Sender::new(Vec::new()),
            levels: Mutex::new(levels.to_vec()),
            broken: AtomicBool::new(false),
            gated: AtomicBool::new(false),
            gate: Semaphore::new(0),
        })
    }

    fn see(&self, seen: Seen) {
        self.seen.send_modify(|all| all.push(seen));
    }

    fn set_level(&self, index: usize, level: bool) {
        self.levels.lock().unwrap()[index] = level;
    }

    /// Waits until what was seen ends like this.
    async fn until_seen(&self, tail: &[Seen]) {
        let mut seen = self.seen.subscribe();
        let waited = timeout(PATIENCE, seen.wait_for(|all| all.ends_with(tail))).await.map(drop);
        assert!(waited.is_ok(), "waited for {tail:?}, saw {:?}", self.seen.borrow());
    }

    fn answer(&self) -> Result<(), DeviceError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(DeviceError::unreachable("fake", "answer", "it was unplugged", true));
        }
        Ok(())
    }
}

struct FakeDriver(Arc<FakeBoard>);
struct FakeBus(Arc<FakeBoard>);

#[async_trait]
impl Driver for FakeDriver {
    async fn connect(&self, _plan: &Plan) -> Result<Box<dyn Bus>, DeviceError> {
        self.0.answer()?;
        self.0.see(Connected);
        Ok(Box::new(FakeBus(self.0.clone())))
    }
}

#[async_trait]
impl Bus for FakeBus {
    async fn write(&mut self, channel: u32, high: bool) -> Result<(), DeviceError> {
        self.0.answer()?;
        self.0.see(Wrote(channel, high));
        Ok(())
    }

    async fn poll(&mut self, levels: &mut [bool]) -> Result<(), DeviceError> {
        if self.0.gated.load(Ordering::SeqCst) {
            self.0.gate.acquire().await.unwrap().forget();
        }
        self.0.answer()?;
        levels.copy_from_slice(&self.0.levels.lock().unwrap());
        Ok(())
    }
}

fn plan() -> Plan {
    let output = |id: &str, channel, active_low, safe| OutputLine {
        id: id.into(),
        channel,
        active_low,
        safe,
        max_pulse: Duration::from_secs(2),
    };
    let input = |id: &str, channel, active_low| InputLine {
        id: id.into(),
        channel,
        active_low,
        debounce: Duration::ZERO,
        bias: Bias::Off,
    };
    Plan {
        device: "fake board".into(),
        outputs: vec![output("relay", 0, false, false), output("lock", 1, true, false)],
        inputs: vec![input("loop", 0, false), input("button", 1, true)],
        timing: Timing { poll_ms: 5, request_timeout_ms: 5000, deliver_within_ms: 1000, reconnect_max_ms: 100 },
        waits: Duration::ZERO,
    }
}

struct Fixture {
    board: Arc<FakeBoard>,
    started: Started,
    shutdown: CancellationToken,
}

impl Fixture {
    async fn up(plan: Plan) -> Self {
        let board = FakeBoard::new(&[false, true]);
        let shutdown = CancellationToken::new();
        let started = start(plan, Arc::new(FakeDriver(board.clone())), shutdown.clone());
        let fixture = Self { board, started, shutdown };
        fixture.until_health(Health::is_up).await;
        fixture
    }

    async fn until_health(&self, wanted: impl FnMut(&Health) -> bool) {
        let mut health = self.started.health.clone();
        timeout(PATIENCE, health.wait_for(wanted)).await.expect("health").unwrap();
    }

    async fn until_reading(&self, index: usize, value: Option<bool>) -> crate::Reading {
        let mut readings = self.started.inputs[index].watch();
        *timeout(PATIENCE, readings.wait_for(|reading| reading.value == value)).await.expect("reading").unwrap()
    }
}

/// How every connection begins: relay off, and the lock, which is active low, off too.
const SAFE: [Seen; 3] = [Connected, Wrote(0, false), Wrote(1, true)];

fn then(more: &[Seen]) -> Vec<Seen> {
    [&SAFE, more].concat()
}

#[tokio::test]
async fn a_connection_begins_with_the_safe_state_and_shutdown_ends_with_it() {
    let fixture = Fixture::up(plan()).await;
    assert_eq!(*fixture.board.seen.borrow(), SAFE);
    assert_eq!(fixture.started.outputs[0].state(), Some(false));
    fixture.started.outputs[1].set(true).await.unwrap();
    assert_eq!(fixture.started.outputs[1].state(), Some(true));
    fixture.shutdown.cancel();
    fixture.started.task.await.unwrap();
    assert_eq!(*fixture.board.seen.borrow(), then(&[Wrote(1, false), Wrote(0, false), Wrote(1, true)]));
    assert!(fixture.started.outputs[1].set(true).await.is_err(), "nothing is done after the end");
}

#[tokio::test]
async fn a_shutdown_that_meets_a_lost_board_makes_its_outputs_safe_on_another_connection() {
    let fixture = Fixture::up(plan()).await;
    fixture.started.outputs[1].set(true).await.unwrap();
    fixture.board.broken.store(true, Ordering::SeqCst);
    fixture.shutdown.cancel();
    let mut health = fixture.started.health.clone();
    health.wait_for(|health| matches!(health, Health::Down { .. })).await.unwrap();
    fixture.board.broken.store(false, Ordering::SeqCst);
    fixture.started.task.await.unwrap();
    assert_eq!(*fixture.board.seen.borrow(), then(&[&[Wrote(1, false)], &SAFE[..]].concat()));
}

#[tokio::test]
async fn a_pulse_ends_by_itself_even_if_its_caller_is_gone() {
    let fixture = Fixture::up(plan()).await;
    let output = &fixture.started.outputs[0];
    let asked = Instant::now();
    let actuated = output.pulse(Duration::from_millis(60)).await.unwrap();
    assert!(actuated.at >= asked);
    assert_eq!(output.state(), Some(true), "the call returns when on is acknowledged");
    drop(fixture.started.outputs);
    fixture.board.until_seen(&then(&[Wrote(0, true), Wrote(0, false)])).await;
    assert!(asked.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn switching_off_ends_a_pulse_early_and_once() {
    let fixture = Fixture::up(plan()).await;
    let output = &fixture.started.outputs[0];
    output.pulse(Duration::from_millis(50)).await.unwrap();
    output.set(false).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    assert_eq!(*fixture.board.seen.borrow(), then(&[Wrote(0, true), Wrote(0, false)]));
}

#[tokio::test]
async fn a_pulse_beyond_the_limit_is_refused() {
    let fixture = Fixture::up(plan()).await;
    for length in [Duration::ZERO, Duration::from_millis(2001)] {
        let refused = fixture.started.outputs[0].pulse(length).await.unwrap_err();
        assert!(matches!(refused, DeviceError::Unsupported { .. }), "{refused}");
        assert!(!refused.may_have_acted());
    }
    assert_eq!(*fixture.board.seen.borrow(), SAFE);
}

#[tokio::test]
async fn a_pulse_that_comes_too_late_is_not_done() {
    let mut plan = plan();
    plan.timing.deliver_within_ms = 20;
    let fixture = Fixture::up(plan).await;
    let board = &fixture.board;
    board.gated.store(true, Ordering::SeqCst);
    sleep(Duration::from_millis(20)).await; // the task is held in its next poll
    let opener = async {
        sleep(Duration::from_millis(60)).await;
        board.gated.store(false, Ordering::SeqCst);
        board.gate.add_permits(1);
    };
    let (late, ()) = tokio::join!(fixture.started.outputs[0].pulse(Duration::from_millis(50)), opener);
    let late = late.unwrap_err();
    assert!(matches!(late, DeviceError::Timeout { sent: false, .. }), "{late}");
    assert!(!late.may_have_acted());
    fixture.started.outputs[1].set(true).await.unwrap();
    assert_eq!(*board.seen.borrow(), then(&[Wrote(1, false)]), "it was not done later either");
}

#[tokio::test]
async fn an_end_is_never_too_late_and_all_outputs_may_be_ended_at_once() {
    let mut plan = plan();
    plan.timing.deliver_within_ms = 20;
    let line = plan.outputs[0].clone();
    plan.outputs = (0..16).map(|n| OutputLine { id: format!("lock-{n}"), channel: n, ..line.clone() }).collect();
    let fixture = Fixture::up(plan).await;
    let board = &fixture.board;
    for output in &fixture.started.outputs {
        output.set(true).await.unwrap();
    }
    board.gated.store(true, Ordering::SeqCst);
    sleep(Duration::from_millis(20)).await; // the task is held in its next poll
    let opener = async {
        sleep(Duration::from_millis(60)).await;
        board.gated.store(false, Ordering::SeqCst);
        board.gate.add_permits(1);
    };
    let locked = futures_util::future::join_all(fixture.started.outputs.iter().map(|output| output.set(false)));
    let (locked, ()) = tokio::join!(locked, opener);
    assert!(locked.iter().all(Result::is_ok), "{locked:?}");
    assert!(fixture.started.outputs.iter().all(|output| output.state() == Some(false)));
}

#[tokio::test]
async fn a_caller_that_gives_up_before_anything_was_sent_gets_nothing_done() {
    let fixture = Fixture::up(plan()).await;
    let board = &fixture.board;
    board.gated.store(true, Ordering::SeqCst);
    sleep(Duration::from_millis(20)).await;
    let impatient = timeout(Duration::from_millis(20), fixture.started.outputs[0].pulse(Duration::from_millis(50)));
    assert!(impatient.await.is_err());
    board.gated.store(false, Ordering::SeqCst);
    board.gate.add_permits(1);
    fixture.started.outputs[1].set(true).await.unwrap();
    assert_eq!(*board.seen.borrow(), then(&[Wrote(1, false)]));
}

#[tokio::test]
async fn a_board_lost_in_a_pulse_comes_back_safe_and_forgets_the_pulse() {
    let fixture = Fixture::up(plan()).await;
    let (board, output) = (&fixture.board, &fixture.started.outputs[0]);
    output.pulse(Duration::from_millis(150)).await.unwrap();
    board.broken.store(true, Ordering::SeqCst);
    fixture.until_health(|health| matches!(health, Health::Down { .. })).await;
    assert_eq!(output.state(), None);
    let refused = output.pulse(Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(&refused, DeviceError::Unreachable { sent: false, .. }), "{refused}");
    assert!(refused.to_string().contains("it was unplugged"), "{refused}");
    board.broken.store(false, Ordering::SeqCst);
    fixture.until_health(Health::is_up).await;
    let expected = [&SAFE[..], &[Wrote(0, true)], &SAFE[..]].concat();
    assert_eq!(*board.seen.borrow(), expected);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(*board.seen.borrow(), expected, "neither the end of the old pulse nor the refused one was kept");
}

#[tokio::test]
async fn inputs_follow_count_their_rises_and_become_unknown() {
    let fixture = Fixture::up(plan()).await;
    let (board, inputs) = (&fixture.board, &fixture.started.inputs);
    assert!(!inputs[0].read().await.unwrap());
    assert!(!inputs[1].read().await.unwrap(), "active low: a high level is false");
    assert_eq!(inputs[1].watch().borrow().rises, 0);
    for _ in 0..2 {
        board.set_level(1, false);
        fixture.until_reading(1, Some(true)).await;
        board.set_level(1, true);
        fixture.until_reading(1, Some(false)).await;
    }
    assert_eq!(inputs[1].watch().borrow().rises, 2);
    board.broken.store(true, Ordering::SeqCst);
    fixture.until_reading(1, None).await;
    let unknown = inputs[1].read().await.unwrap_err();
    assert!(matches!(unknown, DeviceError::Unreachable { .. }), "{unknown}");
    board.set_level(0, true);
    board.broken.store(false, Ordering::SeqCst);
    let back = fixture.until_reading(0, Some(true)).await;
    assert_eq!(back.rises, 0, "from unknown to true is no press");
}

#[tokio::test]
async fn a_board_that_is_not_there_at_the_start_is_taken_up_later() {
    let board = FakeBoard::new(&[false, false]);
    board.broken.store(true, Ordering::SeqCst);
    let started = start(plan(), Arc::new(FakeDriver(board.clone())), CancellationToken::new());
    assert_eq!(*started.health.borrow(), Health::Starting);
    assert!(started.outputs[0].set(true).await.is_err());
    board.broken.store(false, Ordering::SeqCst);
    let mut health = started.health.clone();
    timeout(PATIENCE, health.wait_for(Health::is_up)).await.expect("up").unwrap();
    assert_eq!(*board.seen.borrow(), SAFE);
}
