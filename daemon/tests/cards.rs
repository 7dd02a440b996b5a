//! Cards from a simulated reader to the lock: registered, unknown, removed, tried, and while a board is lost; and the reader itself,
//! opened and gone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::path::Path;
use std::time::Duration;

use cardea_access::card::CardNumber;
use cardea_hardware::sim::physics::What;
use cardea_hardware::sim::{Fault, IO_PART, LINE_READER_PART, Sim, SimConfig, SimHandle, WIEGAND_PART};
use cardea_hardware::{Hardware, HardwareConfig};
use cardea_protocol::card::CardHash;
use cardea_protocol::event::{AccessDecision, EventKind};
use cardea_protocol::id::CardId;
use cardea_protocol::message::{CardEntry, Change, Validity};
use support::{Site, Wish};

/// The site with a reader at its door; the reader's wires are a second house's.
async fn site() -> (Site, SimHandle, tempfile::TempDir) {
    site_with("").await
}

async fn site_with(sections: &str) -> (Site, SimHandle, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("wires.sock");
    let reader = Sim::start(SimConfig { wiegand: Some(socket.clone()), ..SimConfig::default() }).await.unwrap();
    let sections = on_wires(&socket) + sections;
    let wish = Wish { sections, door: "reader = \"door-reader\"".into(), ..Wish::default() };
    (Site::start(wish).await, reader, folder)
}

fn on_wires(socket: &Path) -> String {
    let socket = socket.display();
    format!("[[reader]]\nid = \"door-reader\"\ndriver = \"wiegand-sim\"\nsocket = '{socket}'\n")
}

fn admitted(id: &str, number: &str) -> Change {
    let hash = CardHash::of(&CardNumber::parse(number).unwrap());
    Change::CardAdmitted(CardEntry {
        card_id: CardId::new(id).unwrap(),
        hash,
        subject: None,
        validity: Validity::ALWAYS,
    })
}

/// Shows a card, once the controller listens.
async fn show(reader: &SimHandle, number: u16) {
    let deadline = tokio::time::Instant::now() + support::PATIENCE;
    while let Err(error) = reader.act(WIEGAND_PART, "card", serde_json::json!({ "facility": 12, "number": number })) {
        assert!(tokio::time::Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Shows a card until it is judged for that reason, after the first `skip` decisions: on a busy machine pulses are late, and a
/// spoilt frame is no card. One that was read is not judged twice for being shown again.
async fn shown_until(site: &Site, reader: &SimHandle, number: u16, skip: usize, reason: &str) -> AccessDecision {
    let deadline = tokio::time::Instant::now() + support::PATIENCE;
    loop {
        show(reader, number).await;
        let judged = tokio::time::timeout(Duration::from_millis(500), site.decision_after(skip, reason)).await;
        if let Ok(decision) = judged {
            return decision;
        }
        assert!(tokio::time::Instant::now() < deadline, "card {number} was not judged {reason}");
    }
}

/// A card that nobody knows is shown, and judged: everything before it has been dealt with by then, and the next card was not
/// left lying on the reader.
async fn show_another(site: &Site, reader: &SimHandle) {
    let before = site.decisions().await.len();
    assert!(!shown_until(site, reader, 60_000, before, "card-unknown").await.granted);
}

/// Waits until an event is told.
async fn told(site: &Site, what: &str, wanted: impl Fn(&EventKind) -> bool) {
    let deadline = tokio::time::Instant::now() + support::PATIENCE;
    while !site.events().await.iter().any(|event| wanted(&event.kind)) {
        assert!(tokio::time::Instant::now() < deadline, "never told: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn alarm(site: &Site, name: &str) {
    told(site, name, |kind| matches!(kind, EventKind::Alarm { alarm } if alarm == name)).await;
}

#[tokio::test]
async fn a_registered_card_opens_until_it_is_removed_and_its_number_is_recorded_nowhere() {
    let (mut site, reader, _folder) = site().await;
    assert!(!shown_until(&site, &reader, 34567, 0, "card-unknown").await.granted);
    assert_eq!(site.pulses("lock"), 0);
    site.apply(admitted("card-1", "w26:12:34567")).await;
    show_another(&site, &reader).await;
    let decision = shown_until(&site, &reader, 34567, 0, "card-admitted").await;
    assert!(decision.granted);
    assert_eq!((decision.credential.as_str(), decision.card_id), ("card", Some(CardId::new("card-1").unwrap())));
    site.until("the lock was released", |site| site.pulses("lock") == 1).await;
    site.apply(Change::CardRemoved { card_id: CardId::new("card-1").unwrap() }).await;
    show_another(&site, &reader).await;
    shown_until(&site, &reader, 34567, 4, "card-unknown").await;
    assert_eq!(site.pulses("lock"), 1);
    let events = serde_json::to_string(&site.events().await).unwrap();
    let hash = CardHash::of(&CardNumber::parse("w26:12:34567").unwrap());
    assert!(!events.contains("34567") && !events.contains(hash.as_str()));
    site.finish().await;
}

#[tokio::test]
async fn a_card_shown_while_the_board_is_lost_opens_nothing_then_or_later() {
    let (mut site, reader, _folder) = site().await;
    site.apply(admitted("card-1", "w26:12:1")).await;
    site.sim.set_fault(IO_PART, Fault::Dead).unwrap();
    site.until("the board is lost", |site| site.state_of("door-1") == "fault").await;
    assert!(!shown_until(&site, &reader, 1, 0, "equipment-fault").await.granted);
    site.sim.set_fault(IO_PART, Fault::None).unwrap();
    site.until("the board is back", |site| site.state_of("door-1") == "closed").await;
    show_another(&site, &reader).await;
    assert_eq!(site.pulses("lock"), 0);
    site.finish().await;
}

#[tokio::test]
async fn past_its_staleness_limit_a_card_opens_nothing_until_the_cloud_has_spoken() {
    let (mut site, reader, _folder) = site_with("[cards]\nmax_staleness_s = 1\n").await;
    site.apply(admitted("card-1", "w26:12:1")).await;
    let stated = site.clock.monotonic();
    while site.clock.monotonic().since_ms(stated) <= 1_000 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!shown_until(&site, &reader, 1, 0, "card-stale").await.granted);
    assert_eq!(site.pulses("lock"), 0);
    site.finish().await;
}

#[tokio::test]
async fn after_a_power_cut_with_the_clock_unset_the_status_says_what_the_door_does() {
    let (mut site, reader, _folder) = site_with("[cards]\nmax_staleness_s = 3600\n").await;
    site.apply(admitted("card-1", "w26:12:1")).await;
    let counts = |site: &Site| site.gate.status.counts_for_ms().get("card").copied();
    site.until("cards count", |site| counts(site) > Some(3_500_000)).await;
    // Five minutes ran before the cut, and the clock came up with one of them.
    site.store.raise_clock_floor(site.clock.now().plus_ms(300_000)).await.unwrap();
    let site = site.power_cut(60_000).await;
    site.until("the gate tells", |site| counts(site).is_some()).await;
    assert_eq!(counts(&site), Some(0));
    assert!(!shown_until(&site, &reader, 1, 0, "card-stale").await.granted);
    site.finish().await;
}

#[tokio::test]
async fn trying_numbers_makes_the_reader_deaf_with_an_alarm() {
    let (mut site, reader, folder) = site().await;
    site.apply(admitted("card-1", "w26:12:99")).await;
    for number in 1..=10 {
        shown_until(&site, &reader, number, usize::from(number) - 1, "card-unknown").await;
    }
    alarm(&site, "cards-tried").await;
    // Somebody else on the same wires sees when the card has been shown.
    let other: HardwareConfig = toml::from_str(&on_wires(&folder.path().join("wires.sock"))).unwrap();
    let other = Hardware::open(&other).unwrap();
    let mut health = other.readers["door-reader"].health();
    tokio::time::timeout(support::PATIENCE, health.wait_for(|health| health.is_up())).await.expect("up").unwrap();
    let mut reads = other.readers["door-reader"].watch();
    while reads.borrow_and_update().sequence == 0 {
        show(&reader, 99).await;
        let _ = tokio::time::timeout(Duration::from_millis(200), reads.changed()).await;
    }
    let outcomes = site.outcomes(site.order("door-1"), true).await;
    assert!(!outcomes.is_empty());
    site.decision("remote-open").await;
    let cards = site.decisions().await.into_iter().filter(|decision| decision.credential == "card").count();
    assert_eq!((cards, site.pulses("lock")), (10, 1), "also a good card is not listened to");
    other.shutdown().await;
    site.until("the lock is on again", |site| site.sim.state().relays == [false; 16]).await;
    site.finish().await;
}

#[tokio::test]
async fn the_shipped_scene_with_a_card_lets_the_resident_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reader");
    let sections =
        format!("[[reader]]\nid = \"door-reader\"\ndriver = \"serial-line\"\npath = {path:?}\nformat = \"hex\"\n");
    let door = "reader = \"door-reader\"".into();
    let wish = Wish { sections, door, auto_push: true, line_reader: Some(path), ..Wish::default() };
    let mut site = Site::start(wish).await;
    site.apply(admitted("card-1", "uid:04A1B2C3")).await;
    let deadline = tokio::time::Instant::now() + support::PATIENCE;
    while site.decisions().await.is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "the reader is never listened to");
        site.sim.act(LINE_READER_PART, "card", serde_json::json!({ "number": "04FFFFFF" })).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    site.sim.play(include_str!("../../hardware/scenes/a-card.toml")).unwrap();
    assert!(site.decision("card-admitted").await.granted);
    site.until("everybody is gone", |site| site.sim.scene().unwrap().done).await;
    let scene = site.sim.scene().unwrap();
    assert!(scene.happenings.iter().any(|happening| happening.what == What::PersonPasses), "{:?}", scene.happenings);
    site.until("the lock is on again", |site| site.sim.state().relays == [false; 16]).await;
    assert_eq!(site.pulses("lock"), 1);
    site.finish().await;
}

/// The reader of `hardware/tests/osdp.rs`, which comes with `make setup`; it ends with the test.
struct OsdpReader(std::process::Child);

impl OsdpReader {
    fn start(path: &Path, key: &str) -> Option<Self> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let packages = repository.join(".tools/python-peers");
        if !packages.join("osdp").is_dir() {
            let required = ["CI", "CARDEA_REQUIRE_PEERS"].iter().any(|name| std::env::var_os(name).is_some());
            assert!(!required, "libosdp is not in .tools/python-peers; run make setup");
            return None;
        }
        let mut command = std::process::Command::new("python3");
        command.env("PYTHONPATH", packages).arg(repository.join("hardware/tests/peer/reader.py"));
        command.arg("--path").arg(path).args(["--key", key]);
        let piped = std::process::Stdio::piped;
        let mut reader = Self(command.stdin(piped()).stdout(piped()).spawn().unwrap());
        reader.order("plug");
        Some(reader)
    }

    fn order(&mut self, line: &str) {
        use std::io::Write as _;
        writeln!(self.0.stdin.as_mut().unwrap(), "{line}").unwrap();
    }
}

impl Drop for OsdpReader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn an_opened_reader_is_an_alarm_at_its_door_and_one_that_is_gone_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (path, key_file) = (folder.path().join("rs485"), folder.path().join("door.key"));
    std::fs::write(&key_file, [7; 16]).unwrap();
    let Some(mut reader) = OsdpReader::start(&path, &"07".repeat(16)) else { return };
    let sections = format!(
        "[[reader]]\nid = \"door-reader\"\ndriver = \"osdp\"\npath = {path:?}\naddress = 5\nkey_file = {key_file:?}\npoll_ms = 20\n"
    );
    let site = Site::start(Wish { sections, door: "reader = \"door-reader\"".into(), ..Wish::default() }).await;
    reader.order("tamper 1");
    alarm(&site, "reader-tampered").await;
    let reachable = |wanted: bool| move |kind: &EventKind| matches!(kind, EventKind::Equipment { equipment, reachable, .. } if equipment == "door-reader" && *reachable == wanted);
    reader.order("unplug");
    told(&site, "the reader is gone", reachable(false)).await;
    reader.order("plug");
    // It says anew how its housing is: closed.
    told(&site, "the reader is back", reachable(true)).await;
    alarm(&site, "reader-tampered-cleared").await;
    let alarms: Vec<_> =
        site.events().await.into_iter().filter(|event| matches!(event.kind, EventKind::Alarm { .. })).collect();
    assert_eq!(alarms.len(), 2, "each once: {alarms:?}");
    assert!(alarms.iter().all(|alarm| alarm.access_point.as_ref().is_some_and(|id| id.as_str() == "door-1")));
    site.finish().await;
}
