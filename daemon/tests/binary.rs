//! `cardead` as systemd runs it: a process that is told to end, or killed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use cardea_daemon::config::Config;
use cardea_daemon::local::{self, Status};
use cardea_hardware::sim::physics::{COIL_LOCK, INPUT_EXIT_BUTTON, Line};
use cardea_hardware::sim::{Fault, SimHandle};
use rustix::process::{Pid, Signal, kill_process};
use support::{PATIENCE, Wish, config, house};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

struct Machine {
    sim: SimHandle,
    config: Config,
    folder: TempDir,
}

impl Machine {
    async fn new() -> Self {
        let sim = house(false).await;
        let folder = tempfile::tempdir().unwrap();
        // The lock stays released for long, so that only an end of the program can lock it within the test.
        let text = config(&sim, &Wish::default()).replace("release_ms = 1000", "release_ms = 60000");
        let file = folder.path().join("cardead.toml");
        std::fs::write(&file, text).unwrap();
        Self { sim, config: Config::load(&file).unwrap(), folder }
    }

    /// Starts the program and waits until it answers and its boards are up.
    async fn start(&self) -> Child {
        let child = cardead(&self.folder.path().join("cardead.toml"));
        let ready = async {
            while !status(&self.config).await.is_some_and(|s| s.access_points.iter().any(|point| point.reachable)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, ready).await.expect("it did not come up");
        child
    }

    async fn until_lock(&self, released: bool) {
        let waiting = async {
            while self.sim.state().relays[COIL_LOCK] != released {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, waiting).await.expect("the lock did not follow");
    }
}

fn cardead(file: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_cardead"))
        .args(["run", "--config"])
        .arg(file)
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn status(config: &Config) -> Option<Status> {
    local::ask(&config.local.socket).await.ok()
}

async fn end(mut child: Child, signal: Signal) -> ExitStatus {
    let pid = Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
    kill_process(pid, signal).unwrap();
    timeout(PATIENCE, child.wait()).await.expect("it did not end").unwrap()
}

#[tokio::test]
async fn told_to_end_it_locks_the_door_and_says_success() {
    let machine = Machine::new().await;
    let child = machine.start().await;
    machine.sim.set_input(INPUT_EXIT_BUTTON, Some(true)).unwrap();
    machine.until_lock(true).await;
    assert!(end(child, Signal::TERM).await.success());
    assert_eq!(machine.sim.state().relays, [false; 16]);
}

/// How long an output stays on after the program was killed, with a board that answers.
const DEAD_BOUND: Duration = Duration::from_secs(2);
/// The same for a program that hangs: 5 s without a sign of life come first.
const HUNG_BOUND: Duration = Duration::from_secs(8);

/// Lets somebody out, does something to the program, and answers how long the lock stayed released after that.
async fn released_after(machine: &Machine, child: &Child, signal: Signal) -> Duration {
    machine.sim.set_input(INPUT_EXIT_BUTTON, Some(true)).unwrap();
    machine.until_lock(true).await;
    machine.sim.set_input(INPUT_EXIT_BUTTON, Some(false)).unwrap();
    let struck = machine.sim.state().now_ms;
    kill_process(Pid::from_raw(child.id().unwrap().cast_signed()).unwrap(), signal).unwrap();
    machine.until_lock(false).await;
    let history = machine.sim.history(0);
    let locked = history.iter().find(|edge| edge.name == "lock" && !edge.on).unwrap();
    Duration::from_secs_f64((locked.at_ms - struck).max(0.0) / 1e3)
}

fn switched_on(machine: &Machine) -> Vec<String> {
    let edges = machine.sim.history(0).into_iter();
    edges.filter(|edge| edge.line == Line::Relay && edge.on).map(|edge| edge.name).collect()
}

#[tokio::test]
async fn killed_outright_its_guardian_locks_the_door() {
    let machine = Machine::new().await;
    let mut child = machine.start().await;
    let took = released_after(&machine, &child, Signal::KILL).await;
    assert!(took < DEAD_BOUND, "{took:?}");
    child.wait().await.unwrap();
    assert_eq!(switched_on(&machine), ["lock"], "nothing was switched on by its end");
}

#[tokio::test]
async fn hanging_it_is_killed_and_its_guardian_locks_the_door() {
    let machine = Machine::new().await;
    let mut child = machine.start().await;
    let took = released_after(&machine, &child, Signal::STOP).await;
    assert!(took < HUNG_BOUND, "{took:?}");
    let ended = timeout(PATIENCE, child.wait()).await.expect("it was not killed").unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(Signal::KILL.as_raw()));
    assert_eq!(switched_on(&machine), ["lock"]);
}

#[tokio::test]
async fn the_outputs_are_made_safe_by_order_but_never_under_a_living_controller() {
    let machine = Machine::new().await;
    let file = machine.folder.path().join("cardead.toml");
    let safe = || Command::new(env!("CARGO_BIN_EXE_cardead")).args(["safe", "--config"]).arg(&file).output();
    let nobody_yet = safe().await.unwrap();
    assert!(nobody_yet.status.success(), "{nobody_yet:?}");
    let child = machine.start().await;
    machine.sim.set_input(INPUT_EXIT_BUTTON, Some(true)).unwrap();
    machine.until_lock(true).await;
    let refused = safe().await.unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("another cardead drives the outputs"), "{refused:?}");
    assert!(machine.sim.state().relays[COIL_LOCK], "it kept its hands off");
    assert!(end(child, Signal::TERM).await.success());
    machine.sim.set_fault("io", Fault::Dead).unwrap();
    let begun = tokio::time::Instant::now();
    let unreachable = safe().await.unwrap();
    assert!(!unreachable.status.success() && begun.elapsed() < PATIENCE, "its tries are bounded");
    assert!(String::from_utf8_lossy(&unreachable.stdout).contains("io1: not reached"), "{unreachable:?}");
}

#[tokio::test]
async fn killed_it_locks_the_door_at_the_next_start_and_opens_nothing() {
    let machine = Machine::new().await;
    let child = machine.start().await;
    machine.sim.set_input(INPUT_EXIT_BUTTON, Some(true)).unwrap();
    machine.until_lock(true).await;
    assert!(!end(child, Signal::KILL).await.success());
    machine.sim.set_input(INPUT_EXIT_BUTTON, Some(false)).unwrap();
    let child = machine.start().await;
    machine.until_lock(false).await;
    let pulses = |name: &str| machine.sim.history(0).iter().filter(|edge| edge.name == name && edge.on).count();
    assert_eq!((pulses("open"), pulses("close"), pulses("lock")), (0, 0, 1));
    let devices = status(&machine.config).await.unwrap().devices;
    assert_eq!(devices.get("io1"), Some(&Some(true)));
    assert!(end(child, Signal::INT).await.success());
}
