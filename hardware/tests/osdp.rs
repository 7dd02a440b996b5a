//! OSDP against a reader that is not ours: libosdp, the C library in most products, over a pseudo-terminal.
//!
//! It comes with `make setup`. Where it is missing these tests pass and say so; with `CI` or `CARDEA_REQUIRE_PEERS` set they
//! fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use cardea_hardware::{
    Answer, Hardware, HardwareConfig, Health, Reader,
    reader::osdp::keys::{INSTALL_MODE, begin_install_mode},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

const PATIENCE: Duration = Duration::from_secs(30);
/// How soon a reader that is plugged in again, or answers again, has to be read.
const BACK_WITHIN: Duration = Duration::from_secs(5);
const KEY: [u8; 16] = *b"a key of its own";
/// Facility 12 and number 34567, with its two bits of parity.
const CARD: (&str, &str) = ("864383c0", "w26:12:34567");
/// How often the adapter is pulled out where it is done often.
const REPLUGS: usize = 1_000;

fn python_packages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/python-peers")
}

/// Whether libosdp is here; says so if not.
fn peer_is_here() -> bool {
    if python_packages().join("osdp").is_dir() {
        return true;
    }
    let missing = "libosdp is not in .tools/python-peers; run make setup";
    let required = ["CI", "CARDEA_REQUIRE_PEERS"].iter().any(|name| std::env::var_os(name).is_some());
    assert!(!required, "{missing}");
    eprintln!("SKIPPED: {missing}");
    false
}

/// The reader, as a process that ends with the test, and the folder with its adapter and our key.
struct Peer {
    process: Child,
    orders: ChildStdin,
    told: mpsc::UnboundedReceiver<Value>,
    folder: TempDir,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Peer {
    /// A reader with that key, or as it left the factory.
    async fn start(key: Option<[u8; 16]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (process, orders, told) = power(folder.path(), key);
        let mut peer = Self { process, orders, told, folder };
        peer.plug().await;
        peer
    }

    /// Plugs the adapter in, and waits until it is there.
    async fn plug(&mut self) {
        self.order("plug");
        let there = async {
            while !self.folder.path().join("rs485").exists() {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, there).await.expect("no adapter");
    }

    /// Takes its power and gives it back: it has forgotten its session and what it stored.
    async fn restart(&mut self, key: [u8; 16]) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(self.folder.path().join("rs485"));
        (self.process, self.orders, self.told) = power(self.folder.path(), Some(key));
        self.plug().await;
    }

    fn order(&mut self, line: &str) {
        writeln!(self.orders, "{line}").unwrap();
    }

    /// Waits until the reader tells of `what`.
    async fn tells(&mut self, what: &str) -> Value {
        let waiting = async {
            loop {
                let told = self.told.recv().await.expect("the reader ended");
                if let Some(value) = told.get(what) {
                    return value.clone();
                }
            }
        };
        timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("the reader never told of {what}"))
    }

    fn key_file(&self) -> PathBuf {
        self.folder.path().join("door.key")
    }

    /// Our side, with that key.
    fn open(&self, key: Option<[u8; 16]>) -> Hardware {
        if let Some(key) = key {
            std::fs::write(self.key_file(), key).unwrap();
        }
        let (path, key_file) = (self.folder.path().join("rs485"), self.key_file());
        let config: HardwareConfig = toml::from_str(&format!(
            "[[reader]]\nid = 'door'\ndriver = 'osdp'\npath = {path:?}\naddress = 5\nkey_file = {key_file:?}\npoll_ms = 10\n"
        ))
        .unwrap();
        Hardware::open(&config).unwrap()
    }

    /// Somebody holds the card to the reader again and again until it is read; answers how long that took.
    async fn is_read(&mut self, reader: &dyn Reader) -> Duration {
        let (begun, mut reads) = (Instant::now(), reader.watch());
        let before = reads.borrow_and_update().sequence;
        loop {
            self.order(&format!("card 26 {}", CARD.0));
            let came = timeout(Duration::from_millis(100), reads.wait_for(|reads| reads.sequence > before)).await;
            if let Ok(reads) = came {
                assert_eq!(reads.unwrap().last.as_ref().unwrap().number.expose(), CARD.1);
                return begun.elapsed();
            }
            assert!(begun.elapsed() < PATIENCE, "never read: {:?}", *reader.health().borrow());
        }
    }
}

fn power(folder: &Path, key: Option<[u8; 16]>) -> (Child, ChildStdin, mpsc::UnboundedReceiver<Value>) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peer/reader.py");
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", python_packages()).arg(script).arg("--path").arg(folder.join("rs485"));
    if let Some(key) = key {
        command.args(["--key", &key.map(|byte| format!("{byte:02x}")).concat()]);
    }
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(process.stdout.take().unwrap());
    let (teller, told) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in said.lines().map_while(Result::ok) {
            if teller.send(serde_json::from_str(&line).unwrap()).is_err() {
                return;
            }
        }
    });
    let orders = process.stdin.take().unwrap();
    (process, orders, told)
}

async fn until(hardware: &Hardware, wanted: impl FnMut(&Health) -> bool) {
    let mut health = hardware.readers["door"].health();
    let told = timeout(PATIENCE, health.wait_for(wanted)).await.map(drop);
    assert!(told.is_ok(), "{:?}", *hardware.readers["door"].health().borrow());
}

fn down(health: &Health) -> bool {
    matches!(health, Health::Down { .. })
}

/// Waits until the reader is refused, for a reason with these words.
async fn refused(hardware: &Hardware, words: &str) {
    until(hardware, |health| matches!(health, Health::Down { reason } if reason.contains(words))).await;
}

#[tokio::test]
async fn a_card_the_housing_and_what_was_decided_go_through_the_secure_channel() {
    if !peer_is_here() {
        return;
    }
    let mut peer = Peer::start(Some(KEY)).await;
    let hardware = peer.open(Some(KEY));
    let reader = &hardware.readers["door"];
    assert_eq!(peer.tells("secure").await, true);
    peer.is_read(&**reader).await;

    for (answer, color, flashes, tones) in [(Answer::Granted, 2, 0, 1), (Answer::Refused, 1, 2, 3)] {
        reader.answer(answer);
        let led = peer.tells("led").await;
        assert_eq!(
            (&led["temporary"], &led["on_color"], &led["off_count"]),
            (&json!(true), &json!(color), &json!(flashes))
        );
        assert_eq!(led["timer_count"], 20);
        let buzzer = peer.tells("buzzer").await;
        assert_eq!((&buzzer["control_code"], &buzzer["rep_count"]), (&json!(2), &json!(tones)));
    }

    let mut tamper = reader.tamper();
    for opened in [true, false] {
        peer.order(&format!("tamper {}", u8::from(opened)));
        timeout(PATIENCE, tamper.wait_for(|known| *known == Some(opened))).await.expect("a word").unwrap();
    }
    assert!(reader.health().borrow().is_up(), "all in one session");
    hardware.shutdown().await;
}

#[tokio::test]
async fn another_key_is_refused_and_so_is_the_default_key_outside_install_mode() {
    if !peer_is_here() {
        return;
    }
    for (theirs, ours) in [(Some(KEY), Some([8; 16])), (Some(KEY), None), (None, None), (None, Some(KEY))] {
        let mut peer = Peer::start(theirs).await;
        let hardware = peer.open(ours);
        peer.order(&format!("card 26 {}", CARD.0));
        refused(&hardware, "reader-install").await;
        assert_eq!(hardware.readers["door"].watch().borrow().sequence, 0);
        assert!(peer.told.try_recv().is_err(), "no session was made");
        hardware.shutdown().await;
    }
}

#[tokio::test]
async fn install_mode_sets_a_key_by_which_the_reader_is_known_from_then_on() {
    if !peer_is_here() {
        return;
    }
    let mut peer = Peer::start(None).await;
    begin_install_mode(&peer.key_file()).unwrap();
    let hardware = peer.open(None);
    let set = peer.tells("key").await;
    peer.is_read(&*hardware.readers["door"]).await;
    let kept: [u8; 16] = std::fs::read(peer.key_file()).unwrap().try_into().unwrap();
    assert!(set == kept.map(|byte| format!("{byte:02x}")).concat(), "the key that was proved is kept");
    assert!(!peer.folder.path().join("door.key.install").exists(), "sooner than after {INSTALL_MODE:?}");
    peer.restart(kept).await;
    peer.is_read(&*hardware.readers["door"]).await;
    hardware.shutdown().await;
}

/// libosdp takes a command that is sent once more for a new one, whose MAC is then wrong: the session ends, and a new one is made.
#[tokio::test]
async fn replies_that_are_lost_damaged_or_forged_cost_at_most_the_session() {
    if !peer_is_here() {
        return;
    }
    let mut peer = Peer::start(Some(KEY)).await;
    let hardware = peer.open(Some(KEY));
    let reader = &hardware.readers["door"];
    peer.is_read(&**reader).await;
    for trouble in ["lose 1", "damage 1", "forge 1", "lose 4"] {
        peer.order(trouble);
        until(&hardware, down).await;
        let back = peer.is_read(&**reader).await;
        assert!(back < BACK_WITHIN, "{trouble}: {back:?}");
    }
    hardware.shutdown().await;
}

/// Pulls the adapter out and plugs it in again, `times` over; the longest time until a card was read again.
async fn replugged(times: usize) -> Duration {
    let mut peer = Peer::start(Some(KEY)).await;
    let hardware = peer.open(Some(KEY));
    let reader = &hardware.readers["door"];
    peer.is_read(&**reader).await;
    let mut longest = Duration::ZERO;
    for _ in 0..times {
        peer.order("unplug");
        until(&hardware, down).await;
        peer.plug().await;
        longest = longest.max(peer.is_read(&**reader).await);
    }
    hardware.shutdown().await;
    longest
}

#[tokio::test]
async fn a_reader_that_is_replugged_or_loses_its_power_is_read_again() {
    if !peer_is_here() {
        return;
    }
    let longest = replugged(5).await;
    assert!(longest < BACK_WITHIN, "{longest:?}");
    let mut peer = Peer::start(Some(KEY)).await;
    let hardware = peer.open(Some(KEY));
    peer.is_read(&*hardware.readers["door"]).await;
    peer.restart(KEY).await;
    let back = peer.is_read(&*hardware.readers["door"]).await;
    assert!(back < BACK_WITHIN, "{back:?}");
    hardware.shutdown().await;
}

#[tokio::test]
#[ignore = "takes minutes: cargo nextest run -p cardea-hardware --run-ignored only thousand --no-capture"]
async fn a_thousand_replugs_of_the_adapter() {
    if !peer_is_here() {
        return;
    }
    let longest = replugged(REPLUGS).await;
    eprintln!("osdp: read again after replugging, the longest of {REPLUGS}: {} ms", longest.as_millis());
    assert!(longest < BACK_WITHIN, "{longest:?}");
}
