//! Tells the access task that an input, a board or a camera has news. The news itself is read from the device, so that it
//! is always the latest; a signal that waits is never out of date.

use cardea_hardware::Hardware;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::machine::Role;
use super::point::Point;
use super::postures::Postures;

/// Signals that may wait; senders wait for room, and lose nothing, because they carry no values.
const WAITING: usize = 64;

/// Something has news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// An input of an access point (by index).
    Input(usize, Role),
    /// An input of postures (by index).
    Switch(usize),
    /// The card reader of an access point (by index).
    Card(usize),
    /// A board or camera of an access point (by index).
    Equipment(usize),
    /// A board, camera or reader, by its configured name, whether any access point uses it or not.
    Device(String),
}

/// The forwarders; they end when this is dropped.
pub(crate) struct Signals {
    /// Where the signals come out.
    pub(crate) receiver: mpsc::Receiver<Signal>,
    _forwarders: JoinSet<()>,
}

impl Signals {
    /// Follows everything that belongs to `points`, and all boards, cameras and readers.
    pub(crate) fn start(points: &[Point], postures: &Postures, hardware: &Hardware) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let mut forwarders = JoinSet::new();
        for (i, point) in points.iter().enumerate() {
            for (role, reading) in &point.inputs {
                forwarders.spawn(forward(reading.clone(), sender.clone(), Signal::Input(i, *role)));
            }
            if let Some(reader) = &point.reader {
                forwarders.spawn(forward(reader.reads.clone(), sender.clone(), Signal::Card(i)));
                forwarders.spawn(forward(reader.tamper.clone(), sender.clone(), Signal::Card(i)));
            }
            for health in point.board_health.iter().chain(&point.camera_health) {
                forwarders.spawn(forward(health.clone(), sender.clone(), Signal::Equipment(i)));
            }
        }
        for (n, reading) in postures.readings().enumerate() {
            forwarders.spawn(forward(reading, sender.clone(), Signal::Switch(n)));
        }
        for (name, health) in hardware.health() {
            forwarders.spawn(forward(health, sender.clone(), Signal::Device(name.to_owned())));
        }
        Self { receiver, _forwarders: forwarders }
    }
}

/// Sends `signal` at once, for the present value, and after each change.
async fn forward<T>(mut watched: watch::Receiver<T>, sender: mpsc::Sender<Signal>, signal: Signal) {
    watched.mark_changed();
    while watched.changed().await.is_ok() {
        if sender.send(signal.clone()).await.is_err() {
            return;
        }
    }
}
