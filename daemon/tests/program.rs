//! The whole program but its command line: started before a simulated house, asked how it is, checked, ended.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cardea_daemon::check::{self, Finding, Verdict};
use cardea_daemon::config::Config;
use cardea_daemon::local::{self, Answer, CloudStatus, LocalOrder, PostureOrder, Status};
use cardea_daemon::supervisor::{self, RunError};
use cardea_hardware::sim::physics::INPUT_EXIT_BUTTON;
use cardea_hardware::sim::{Fault, SimHandle};
use cardea_protocol::clock::{SharedClock, SystemClock};
use cardea_protocol::id::AccessPointId;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use support::pictures::recognition;
use support::{PATIENCE, Wish, config, house};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Installed {
    sim: SimHandle,
    folder: TempDir,
    config: Config,
}

impl Installed {
    async fn new(wish: Wish) -> Self {
        let sim = house(true).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cardead.toml");
        std::fs::write(&file, config(&sim, &wish)).unwrap();
        let config = Config::load(&file).unwrap();
        Self { sim, folder, config }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("cardead.toml")
    }

    fn run(&self) -> (JoinHandle<Result<(), RunError>>, CancellationToken) {
        let cancel = CancellationToken::new();
        let running = supervisor::run(self.config.clone(), clock(), StdRng::seed_from_u64(1), cancel.clone());
        (tokio::spawn(running), cancel)
    }

    async fn status(&self, wanted: impl Fn(&Status) -> bool) -> Status {
        let asking = async {
            loop {
                match local::ask(&self.config.local.socket).await {
                    Ok(status) if wanted(&status) => return status,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("no such status in time")
    }
}

fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

async fn checked(file: &Path) -> Vec<Finding> {
    check::run(file, &clock()).await
}

fn verdict(findings: &[Finding], name: &str) -> Option<Verdict> {
    findings.iter().filter(|finding| finding.check == name).map(|finding| finding.verdict).max()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_how_it_is_and_ends_with_its_outputs_safe() {
    let site = Installed::new(Wish::default()).await;
    let (running, cancel) = site.run();
    let status = site.status(|status| status.access_points.iter().any(|point| point.reachable)).await;
    assert_eq!(status.cloud, CloudStatus::Unclaimed);
    assert!(status.rss_bytes.is_some());
    assert_eq!((status.holdings.cursor, status.holdings.templates), (0, 0));
    site.sim.set_input(INPUT_EXIT_BUTTON, Some(true)).unwrap();
    let status = site.status(|status| !status.recent.is_empty()).await;
    assert_eq!(status.recent[0].reason, "exit-button");
    cancel.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(site.sim.state().relays, [false; 16]);
    assert!(!site.config.local.socket.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lockdown_by_order_stays_across_a_restart_and_a_free_access_does_not() {
    let site = Installed::new(Wish::default()).await;
    let socket = site.config.local.orders.clone().unwrap();
    let order = |at: Option<&str>, posture| {
        let access_point = at.map(|id| AccessPointId::new(id).unwrap());
        let (socket, order) = (socket.clone(), LocalOrder::Posture { access_point, posture });
        async move { local::order(&socket, &order).await.unwrap() }
    };
    let posture = |status: &Status, id: &str| status.postures[&AccessPointId::new(id).unwrap()].posture.clone();
    let (running, cancel) = site.run();
    site.status(|status| status.access_points.iter().filter(|point| point.reachable).count() == 2).await;
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&socket).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o660, "its group is the people who may order");
    let Answer::Done { stored: true, postures, .. } = order(Some("barrier-1"), PostureOrder::Lockdown).await else {
        panic!("not locked down")
    };
    assert_eq!(postures[&AccessPointId::new("barrier-1").unwrap()].cause, "local");
    assert!(matches!(order(Some("door-1"), PostureOrder::FreeAccess).await, Answer::Done { .. }));
    assert!(matches!(order(Some("door-9"), PostureOrder::Normal).await, Answer::Refused { .. }));
    let status = site.status(|status| status.access_points.iter().any(|point| point.state == "held")).await;
    assert_eq!((posture(&status, "barrier-1"), posture(&status, "door-1")), ("locked-down".into(), "held-open".into()));
    cancel.cancel();
    running.await.unwrap().unwrap();
    assert!(!socket.exists());

    let before = site.sim.history(0).len();
    let (running, cancel) = site.run();
    let status = site.status(|status| status.access_points.iter().filter(|point| point.reachable).count() == 2).await;
    assert_eq!((posture(&status, "barrier-1"), posture(&status, "door-1")), ("locked-down".into(), "normal".into()));
    assert!(
        !site.sim.history(0)[before..].iter().any(|edge| edge.name == "lock" && edge.on),
        "nothing opens by itself"
    );
    assert!(matches!(order(None, PostureOrder::Normal).await, Answer::Done { stored: true, .. }));
    cancel.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_one_is_refused_before_it_touches_anything() {
    let site = Installed::new(Wish::default()).await;
    let (running, cancel) = site.run();
    site.status(|status| status.access_points.iter().any(|point| point.reachable)).await;
    site.sim.set_input(INPUT_EXIT_BUTTON, Some(true)).unwrap();
    site.status(|status| !status.recent.is_empty()).await;
    let (second, _) = site.run();
    let refused = second.await.unwrap().unwrap_err();
    assert!(refused.to_string().contains("already answers"), "{refused}");
    // The door that is released stays so: the second one made nothing safe.
    assert_eq!(site.sim.history(0).iter().filter(|edge| edge.name == "lock" && !edge.on).count(), 0);
    cancel.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_is_wrong_and_what_to_do() {
    let site = Installed::new(Wish { recognition: Some(recognition()), ..Wish::default() }).await;
    let findings = checked(&site.file()).await;
    for name in ["configuration", "clock", "ONNX Runtime", "model pack", "board", "camera"] {
        assert_eq!(verdict(&findings, name), Some(Verdict::Ok), "{name}: {findings:#?}");
    }
    assert_eq!(verdict(&findings, "state folder"), Some(Verdict::Failure), "it does not exist");
    assert_eq!(verdict(&findings, "identity"), Some(Verdict::Failure), "not claimed");
    assert_eq!(verdict(&findings, "daemon"), Some(Verdict::Warning));
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Ok || finding.todo.is_some()));

    site.sim.set_fault("io", Fault::Dead).unwrap();
    site.sim.set_fault("plate-cam", Fault::Garbage).unwrap();
    let findings = checked(&site.file()).await;
    assert_eq!(verdict(&findings, "board"), Some(Verdict::Failure));
    assert_eq!(verdict(&findings, "camera"), Some(Verdict::Failure));
    site.sim.set_fault("io", Fault::None).unwrap();
    site.sim.set_fault("plate-cam", Fault::None).unwrap();

    let (running, cancel) = site.run();
    site.status(|status| status.devices.get("io1") == Some(&Some(true))).await;
    let findings = checked(&site.file()).await;
    assert_eq!(verdict(&findings, "daemon"), Some(Verdict::Ok));
    assert_eq!(verdict(&findings, "state folder"), Some(Verdict::Ok), "{findings:#?}");
    assert_eq!(verdict(&findings, "board"), Some(Verdict::Ok));
    cancel.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn check_of_an_unknown_key_says_where() {
    let site = Installed::new(Wish::default()).await;
    let text = std::fs::read_to_string(site.file()).unwrap();
    std::fs::write(site.file(), text.replace("state_dir", "state_folder = 1\nstate_dir")).unwrap();
    let findings = checked(&site.file()).await;
    assert_eq!((findings.len(), findings[0].verdict), (1, Verdict::Failure));
    assert!(findings[0].found.contains("state_folder"), "{findings:?}");
}

#[tokio::test]
async fn check_of_a_pack_with_a_wrong_hash_names_the_model() {
    let (pack, library) = recognition();
    let copy = tempfile::tempdir().unwrap();
    let mut last = None;
    for entry in std::fs::read_dir(&pack).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_file() {
            continue;
        }
        let to = copy.path().join(path.file_name().unwrap());
        std::fs::copy(&path, &to).unwrap();
        if to.extension().is_some_and(|kind| kind == "onnx") {
            last = Some(to);
        }
    }
    let spoilt = last.unwrap();
    let mut bytes = std::fs::read(&spoilt).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&spoilt, bytes).unwrap();
    let site = Installed::new(Wish { recognition: Some((copy.path().into(), library)), ..Wish::default() }).await;
    let findings = checked(&site.file()).await;
    assert_eq!(verdict(&findings, "model pack"), Some(Verdict::Failure));
    assert!(findings.iter().any(|finding| finding.found.contains("SHA-256")), "{findings:#?}");
}
