//! The outermost edge of a controller: a lock, a boom, a reader of cards and a camera that reads plates, in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use cardea_daemon::config::AccessPointConfig;
use cardea_daemon::config::{Config, Credential};
use cardea_hardware::{
    Actuated, Answer, CardNumber, Dated, DeviceError, Hardware, HardwareConfig, Health, Output, PlateCamera,
    PlateEvent, Read, Reader, Reads,
};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::Instant;

use super::disk::Power;

/// Number of the door among the access points.
pub(super) const DOOR: usize = 0;
/// For how long a face, a card and a plate count without word of the cloud.
pub(super) const STALE_S: u64 = 120;

/// The outputs and sensors of one run of a controller.
pub(super) struct House {
    pub(super) hardware: Arc<Hardware>,
    reads: watch::Sender<Reads>,
    plates: mpsc::UnboundedSender<PlateEvent>,
    /// How often something was opened since the house was built.
    pub(super) openings: Arc<AtomicU64>,
}

/// A relay.
struct Relay {
    id: &'static str,
    power: Power,
    on: watch::Sender<bool>,
    health: watch::Receiver<Health>,
    openings: Arc<AtomicU64>,
}

#[async_trait]
impl Output for Relay {
    fn id(&self) -> &str {
        self.id
    }

    async fn set(&self, on: bool) -> Result<Actuated, DeviceError> {
        if self.power.is_off() {
            // A machine without power answers nothing.
            std::future::pending::<()>().await;
        }
        if on && !self.on.send_replace(on) {
            self.openings.fetch_add(1, Ordering::SeqCst);
        }
        self.on.send_replace(on);
        Ok(Actuated { at: Instant::now() })
    }

    async fn pulse(&self, _on_for: Duration) -> Result<Actuated, DeviceError> {
        if self.power.is_off() {
            std::future::pending::<()>().await;
        }
        self.openings.fetch_add(1, Ordering::SeqCst);
        Ok(Actuated { at: Instant::now() })
    }

    fn state(&self) -> Option<bool> {
        Some(*self.on.borrow())
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }
}

struct CardReader {
    reads: watch::Receiver<Reads>,
    tamper: watch::Receiver<Option<bool>>,
    health: watch::Receiver<Health>,
}

impl Reader for CardReader {
    fn id(&self) -> &'static str {
        "reader"
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

    fn answer(&self, _answer: Answer) {}
}

struct LaneCamera {
    events: Mutex<mpsc::UnboundedReceiver<PlateEvent>>,
    health: watch::Receiver<Health>,
    refused: watch::Receiver<u64>,
}

#[async_trait]
impl PlateCamera for LaneCamera {
    fn id(&self) -> &'static str {
        "lane"
    }

    async fn event(&self) -> PlateEvent {
        match self.events.lock().await.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    fn refused(&self) -> watch::Receiver<u64> {
        self.refused.clone()
    }
}

impl House {
    /// One that runs on `power`.
    pub(super) fn new(power: &Power) -> Result<Self> {
        let mut hardware = Hardware::open(&HardwareConfig::default())?;
        let openings = Arc::new(AtomicU64::new(0));
        let (_, health) = watch::channel(Health::Up);
        for id in ["door-lock", "barrier-open", "barrier-close"] {
            // The boom's fall opens nothing.
            let openings = if id == "barrier-close" { Arc::default() } else { openings.clone() };
            let relay =
                Relay { id, power: power.clone(), on: watch::Sender::new(false), health: health.clone(), openings };
            hardware.outputs.insert(id.to_owned(), Arc::new(relay));
        }
        hardware.boards.insert("io".to_owned(), health.clone());
        let (reads, read) = watch::channel(Reads::default());
        let reader = CardReader { reads: read, tamper: watch::channel(None).1, health: health.clone() };
        hardware.readers.insert("reader".to_owned(), Arc::new(reader));
        let (plates, events) = mpsc::unbounded_channel();
        let camera = LaneCamera { events: Mutex::new(events), health, refused: watch::channel(0).1 };
        hardware.anpr.insert("lane".to_owned(), Arc::new(camera));
        Ok(Self { hardware: Arc::new(hardware), reads, plates, openings })
    }

    /// Holds a card to the reader.
    pub(super) fn show_card(&self, uid: [u8; 4]) {
        self.reads.send_modify(|reads| {
            reads.last = Some(Read { number: CardNumber::uid(&uid), at: Instant::now() });
            reads.sequence += 1;
        });
    }

    /// Drives up to the boom.
    pub(super) fn show_plate(&self, plate: &str) {
        let event = PlateEvent {
            text: plate.to_owned(),
            confidence: Some(1.0),
            pictures: Vec::new(),
            arrived_at: Instant::now(),
            dated: Dated::default(),
        };
        let _ = self.plates.send(event);
    }

    /// How often something was opened.
    pub(super) fn opened(&self) -> u64 {
        self.openings.load(Ordering::SeqCst)
    }
}

/// The configuration for that house.
pub(super) fn config(controller: &str) -> Result<Config> {
    let text = format!(
        r#"
state_dir = "state"

[local]
socket = "local.sock"

[biometrics]
max_staleness_s = {STALE_S}
min_frames = 1

[cards]
max_staleness_s = {STALE_S}

[plates]
max_staleness_s = {STALE_S}

[[board]]
id = "io"
driver = "modbus-tcp"
address = "192.0.2.1:502"
unit = 1

[[output]]
id = "door-lock"
board = "io"
channel = 0

[[output]]
id = "barrier-open"
board = "io"
channel = 1

[[output]]
id = "barrier-close"
board = "io"
channel = 2

[[reader]]
id = "reader"
driver = "wiegand-sim"
socket = "none.sock"

[[anpr]]
id = "lane"
driver = "hikvision"
url = "http://192.0.2.2/"
accept_text_only = true

[[access_point]]
kind = "door"
id = "{controller}-door"
credentials = ["card", "remote"]
reader = "reader"
lock = "door-lock"
pad = "off"
release_ms = 1000

[[access_point]]
kind = "barrier"
id = "{controller}-barrier"
credentials = ["plate", "remote"]
anpr = "lane"
open = "barrier-open"
"#
    );
    let mut config = Config::parse(&text, std::path::Path::new("/nowhere/cardead.toml"))?;
    if let Some(AccessPointConfig::Door(door)) = config.access_points.get_mut(DOOR) {
        // Faces are shown to the gate, and no camera sees them.
        door.credentials.push(Credential::Face);
    }
    Ok(config)
}
