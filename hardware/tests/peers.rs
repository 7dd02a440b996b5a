//! Every profile against a board that is not ours: pymodbus, over TCP, and over RTU through a pair of pseudo-terminals that
//! socat joins.
//!
//! They come with `make setup`. Where they are missing these tests pass and say so; with `CI` or `CARDEA_REQUIRE_PEERS` set they
//! fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use cardea_hardware::{Hardware, HardwareConfig, Health, make_safe};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(30);

/// A process that ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The board, and the wire to it.
struct Peer {
    config: HardwareConfig,
    relays: Arc<Mutex<Vec<(u32, bool)>>>,
    inputs: ChildStdin,
    board: Ends,
    _wire: Option<Ends>,
    _folder: TempDir,
}

fn python_packages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/python-peers")
}

/// Whether the peers are here; says what is missing.
fn peers() -> bool {
    let python = python_packages().join("pymodbus").is_dir();
    let socat = Command::new("socat").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if python && socat {
        return true;
    }
    let missing = if python { "socat" } else { "pymodbus in .tools/python-peers" };
    let required = ["CI", "CARDEA_REQUIRE_PEERS"].iter().any(|name| std::env::var_os(name).is_some());
    assert!(!required, "the peer is missing: {missing}; run make setup");
    eprintln!("SKIPPED: the peer is missing: {missing}; run make setup");
    false
}

impl Peer {
    async fn start(profile: &str, serial: bool, first: u32, inputs: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peer/board.py");
        let mut board = Command::new("python3");
        board.env("PYTHONPATH", python_packages()).arg(script).args(["--like", profile, "--unit", "5"]);
        let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
        let (wire, reached) = if serial {
            board.arg("--serial").arg(&theirs);
            let end = |path: &Path| format!("pty,raw,echo=0,link={}", path.display());
            let wire = Ends(Command::new("socat").arg(end(&ours)).arg(end(&theirs)).spawn().unwrap());
            let made = async {
                while !(ours.exists() && theirs.exists()) {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(PATIENCE, made).await.expect("socat made no pseudo-terminals");
            (Some(wire), format!("driver = 'modbus-rtu'\npath = '{}'", ours.display()))
        } else {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            board.args(["--tcp", &port.to_string()]);
            (None, format!("driver = 'modbus-tcp'\naddress = '127.0.0.1:{port}'"))
        };
        let mut board = board.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let relays = Arc::<Mutex<Vec<_>>>::default();
        let (seen, said) = (Arc::clone(&relays), BufReader::new(board.stdout.take().unwrap()));
        std::thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                let edge: serde_json::Value = serde_json::from_str(&line).unwrap();
                seen.lock().unwrap().push((edge["relay"].as_u64().unwrap() as u32, edge["on"].as_bool().unwrap()));
            }
        });
        let mut text = format!(
            "[[board]]\nid = 'peer'\n{reached}\nunit = 5\nprofile = '{profile}'\ntiming = {{ poll_ms = 20, reconnect_max_ms = 200 }}\n\
             [[output]]\nid = 'lock'\nboard = 'peer'\nchannel = {}\n",
            first + 3
        );
        if inputs {
            text += &format!("[[input]]\nid = 'contact'\nboard = 'peer'\nchannel = {}\ndebounce_ms = 0\n", first + 6);
        }
        let inputs = board.stdin.take().unwrap();
        Self {
            config: toml::from_str(&text).unwrap(),
            relays,
            inputs,
            board: Ends(board),
            _wire: wire,
            _folder: folder,
        }
    }

    async fn seen(&self, expected: &[(u32, bool)]) {
        let waiting = async {
            while *self.relays.lock().unwrap() != expected {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let came = timeout(PATIENCE, waiting).await.is_ok();
        assert!(came, "the board saw {:?}", self.relays.lock().unwrap());
    }
}

async fn up(hardware: &Hardware) {
    let mut health = hardware.boards["peer"].clone();
    let is_up = timeout(PATIENCE, health.wait_for(Health::is_up)).await.map(drop);
    assert!(is_up.is_ok(), "{:?}", *hardware.boards["peer"].borrow());
}

/// Holds, pulses, reads, ends in order, and is made safe after an end that was not.
async fn works_with(profile: &str, serial: bool, first: u32, inputs: bool) {
    if !peers() {
        return;
    }
    let mut peer = Peer::start(profile, serial, first, inputs).await;
    let hardware = Hardware::open(&peer.config).unwrap();
    up(&hardware).await;
    let (lock, relay) = (&hardware.outputs["lock"], first + 3);
    assert_eq!(*peer.relays.lock().unwrap(), [], "connecting switches nothing on");
    lock.set(true).await.unwrap();
    lock.set(false).await.unwrap();
    lock.pulse(Duration::from_millis(150)).await.unwrap();
    let twice = [(relay, true), (relay, false), (relay, true), (relay, false)];
    peer.seen(&twice).await;
    if inputs {
        let mut reading = hardware.inputs["contact"].watch();
        for level in [true, false] {
            writeln!(peer.inputs, "input {} {}", first + 6, u8::from(level)).unwrap();
            let follows = timeout(PATIENCE, reading.wait_for(|reading| reading.value == Some(level))).await.map(drop);
            assert!(follows.is_ok(), "input {level}");
        }
    }
    lock.set(true).await.unwrap();
    hardware.shutdown().await;
    let thrice = [&twice[..], &[(relay, true), (relay, false)]].concat();
    peer.seen(&thrice).await;
    assert!(make_safe(&peer.config, PATIENCE).await.unwrap().is_empty());
    assert_eq!(*peer.relays.lock().unwrap(), thrice, "what is safe stays so");
    assert!(peer.board.0.try_wait().unwrap().is_none(), "the board is still there");
}

#[tokio::test]
async fn plain_over_tcp() {
    works_with("plain", false, 0, true).await;
}

#[tokio::test]
async fn plain_over_rtu() {
    works_with("plain", true, 0, true).await;
}

#[tokio::test]
async fn waveshare_over_tcp() {
    works_with("waveshare-relay", false, 1, true).await;
}

#[tokio::test]
async fn waveshare_over_rtu() {
    works_with("waveshare-relay", true, 1, true).await;
}

#[tokio::test]
async fn eletechsup_over_rtu() {
    works_with("eletechsup", true, 1, false).await;
}

#[tokio::test]
async fn adam_over_tcp() {
    works_with("adam-6000", false, 0, true).await;
}

#[tokio::test]
async fn icp_das_over_tcp() {
    works_with("icp-das", false, 0, true).await;
}
