//! What has come from one camera: each event once, to whoever takes it now.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};
use tracing::{debug, info, warn};

use super::{PlateCamera, PlateEvent, Told};
use crate::{DeviceError, Health};

/// Events that may wait: more mean that nobody looks.
const WAITING: usize = 4;
/// Events that are remembered, to know them when they come again.
const REMEMBERED: usize = 256;
/// Characters of a mark that are compared: two events alike in so many are taken for one.
const MARK: usize = 128;

/// One camera's events.
pub(crate) struct Inbox {
    id: String,
    /// Names the camera in errors.
    pub(super) device: String,
    health: watch::Sender<Health>,
    refused: watch::Sender<u64>,
    sender: mpsc::Sender<PlateEvent>,
    receiver: AsyncMutex<mpsc::Receiver<PlateEvent>>,
    seen: Mutex<VecDeque<String>>,
}

impl Inbox {
    pub(crate) fn new(id: &str, device: String) -> Arc<Self> {
        let (sender, receiver) = mpsc::channel(WAITING);
        Arc::new(Self {
            id: id.into(),
            device,
            health: watch::Sender::new(Health::Starting),
            refused: watch::Sender::new(0),
            sender,
            receiver: AsyncMutex::new(receiver),
            seen: Mutex::default(),
        })
    }

    /// An event has come. It is dropped if it has come before, is a retransmission, or nobody takes events.
    pub(super) fn deliver(&self, told: &Told, event: PlateEvent) {
        if told.again || told.text.is_empty() || !self.is_new(&told.mark) {
            debug!(device = %self.device, "an event was dropped: it came before, or no plate was read");
            return;
        }
        if self.sender.try_send(event).is_err() {
            warn!(device = %self.device, "an event was dropped: too many are waiting");
        }
    }

    fn is_new(&self, mark: &str) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // What has no mark cannot be told from others; its picture and the vehicle's presence still count.
        if mark.is_empty() {
            return true;
        }
        let mark: String = mark.chars().take(MARK).collect();
        if seen.contains(&mark) {
            return false;
        }
        if seen.len() >= REMEMBERED {
            seen.pop_front();
        }
        seen.push_back(mark);
        true
    }

    /// Somebody who did not show that it is the camera.
    pub(super) fn refuse(&self) {
        self.refused.send_modify(|count| *count += 1);
    }

    pub(super) fn up(&self) {
        self.report(Health::Up);
    }

    pub(super) fn lost(&self, error: &DeviceError) {
        self.report(Health::Down { reason: error.to_string() });
    }

    fn report(&self, health: Health) {
        self.health.send_if_modified(|known| {
            if *known == health {
                return false;
            }
            match &health {
                Health::Down { reason } => warn!(%reason, "plate camera down"),
                Health::Up | Health::Starting => info!(device = %self.device, "plate camera up"),
            }
            *known = health;
            true
        });
    }
}

#[async_trait]
impl PlateCamera for Inbox {
    fn id(&self) -> &str {
        &self.id
    }

    async fn event(&self) -> PlateEvent {
        match self.receiver.lock().await.recv().await {
            Some(event) => event,
            // This holds a sender, so the channel does not close.
            None => std::future::pending().await,
        }
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    fn refused(&self) -> watch::Receiver<u64> {
        self.refused.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn event(text: &str) -> PlateEvent {
        PlateEvent { text: text.into(), confidence: None, pictures: Vec::new(), arrived_at: Instant::now() }
    }

    fn told(text: &str, mark: &str) -> Told {
        Told { text: text.into(), mark: mark.into(), ..Told::default() }
    }

    #[tokio::test]
    async fn an_event_that_comes_twice_is_one_and_nothing_waits_without_end() {
        let inbox = Inbox::new("lane", "camera".into());
        inbox.deliver(&told("A1", "m1"), event("A1"));
        inbox.deliver(&told("A1", "m1"), event("A1"));
        inbox.deliver(&Told { again: true, ..told("B2", "m2") }, event("B2"));
        inbox.deliver(&told("", "m3"), event(""));
        inbox.deliver(&told("C3", "m4"), event("C3"));
        assert_eq!((inbox.event().await.text, inbox.event().await.text), ("A1".into(), "C3".into()));
        for i in 0..1_000 {
            inbox.deliver(&told("D4", &format!("n{i}")), event("D4"));
        }
        assert_eq!(inbox.receiver.lock().await.len(), WAITING);
        assert!(inbox.seen.lock().unwrap().len() <= REMEMBERED);
        assert!(!format!("{:?}", event("A123BC77")).contains("A123"));
    }

    #[tokio::test]
    async fn a_mark_of_any_length_is_known_when_it_comes_again() {
        let inbox = Inbox::new("lane", "camera".into());
        let mark = "é".repeat(MARK * 3);
        inbox.deliver(&told("A1", &mark), event("A1"));
        inbox.deliver(&told("A1", &mark), event("A1"));
        assert_eq!(inbox.receiver.lock().await.len(), 1);
        assert!(inbox.seen.lock().unwrap().iter().all(|mark| mark.chars().count() <= MARK));
    }
}
