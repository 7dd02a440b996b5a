//! What has come from one camera: each event once, to whoever takes it now.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc, watch},
    time::Instant,
};
use tracing::{debug, info, warn};

use super::{
    PlateCamera, PlateEvent, Told, Wanted,
    date::{CameraClock, Date},
    mark::Mark,
};
use crate::{DeviceError, Health, camera::backoff::Kept};

/// Events that may wait: more mean that nobody looks.
const WAITING: usize = 4;
/// Events that are remembered, to know them when they come again.
const REMEMBERED: usize = 256;

/// One camera's events.
pub(crate) struct Inbox {
    id: String,
    /// Names the camera in errors.
    pub(super) device: String,
    health: watch::Sender<Health>,
    refused: watch::Sender<u64>,
    sender: mpsc::Sender<PlateEvent>,
    receiver: AsyncMutex<mpsc::Receiver<PlateEvent>>,
    wanted: Wanted,
    seen: Mutex<VecDeque<Mark>>,
    clock: Mutex<CameraClock>,
    /// Parts that were understood.
    parts: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inbox {
    pub(crate) fn new(id: &str, device: String, wanted: Wanted) -> Arc<Self> {
        let (sender, receiver) = mpsc::channel(WAITING);
        Arc::new(Self {
            id: id.into(),
            device,
            health: watch::Sender::new(Health::Starting),
            refused: watch::Sender::new(0),
            sender,
            receiver: AsyncMutex::new(receiver),
            wanted,
            seen: Mutex::default(),
            clock: Mutex::default(),
            parts: AtomicU64::new(0),
        })
    }

    /// A part of a stream was understood.
    pub(super) fn heard(&self) {
        self.parts.fetch_add(1, Ordering::AcqRel);
    }

    /// A heartbeat has come.
    pub(super) fn beat(&self, date: Option<Date>, arrived: Instant) {
        if let Some(date) = date {
            lock(&self.clock).heard(date, arrived);
        }
    }

    /// An event has come. It is dropped if it has come before, is a retransmission or about another lane, or nobody takes
    /// events.
    pub(super) fn deliver(&self, told: &Told, mut event: PlateEvent) {
        let device = &self.device;
        if told.again {
            info!(%device, "an event was dropped: the camera says that it was sent before, or kept back");
            return;
        }
        if !self.is_new(told.mark) {
            debug!(%device, "an event was dropped: it came before");
            return;
        }
        // Also one that does not count tells what the camera's clock is.
        if let Some(date) = told.date {
            event.dated = lock(&self.clock).heard(date, event.arrived_at);
        }
        if told.text.is_empty() || !self.wanted.takes(told) {
            debug!(%device, "an event was dropped: no plate was read, or it is about another channel, lane or direction");
        } else if self.sender.try_send(event).is_err() {
            warn!(%device, "an event was dropped: too many are waiting");
        }
    }

    fn is_new(&self, mark: Option<Mark>) -> bool {
        // What has no mark cannot be told from others; its picture and the vehicle's presence still count.
        let Some(mark) = mark else { return true };
        let mut seen = lock(&self.seen);
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

impl Kept for Inbox {
    fn device(&self) -> &str {
        &self.device
    }

    fn of_use(&self) -> u64 {
        self.parts.load(Ordering::Acquire)
    }

    fn lost(&self, error: &DeviceError) {
        self.report(Health::Down { reason: error.to_string() });
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
    use std::time::Duration;

    use super::*;
    use crate::anpr::{Course, Dated};

    fn inbox(course: Option<Course>) -> Arc<Inbox> {
        Inbox::new("lane", "camera".into(), Wanted { channel: 1, lane: None, course })
    }

    fn event(text: &str) -> PlateEvent {
        let (confidence, arrived_at) = (None, Instant::now());
        PlateEvent { text: text.into(), confidence, pictures: Vec::new(), arrived_at, dated: Dated::default() }
    }

    fn told(text: &str, mark: &str) -> Told {
        Told { text: text.into(), mark: Mark::of(&[mark]), ..Told::default() }
    }

    #[tokio::test]
    async fn an_event_that_comes_twice_is_one_and_nothing_waits_without_end() {
        let inbox = inbox(None);
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
    async fn what_drives_away_is_not_told_where_that_matters() {
        let inbox = inbox(Some(Course::Approach));
        inbox.deliver(&Told { course: Some(Course::Leave), ..told("A1", "m1") }, event("A1"));
        inbox.deliver(&told("B2", "m2"), event("B2"));
        assert_eq!(inbox.event().await.text, "B2", "what does not say is not turned away");
    }

    #[tokio::test]
    async fn heartbeats_tell_how_late_an_event_came() {
        let (inbox, start) = (inbox(None), Instant::now());
        let date = |s: u64| Date::from_unix_s(&(1_700_000_000 + s).to_string());
        for s in [0, 10, 20] {
            inbox.beat(date(s), start + Duration::from_secs(s));
        }
        let late = PlateEvent { arrived_at: start + Duration::from_secs(80), ..event("A1") };
        inbox.deliver(&Told { date: date(20), ..told("A1", "m1") }, late);
        let late_ms = inbox.event().await.dated.late_ms.unwrap();
        assert!(late_ms.abs_diff(60_000) < 100, "{late_ms}");
    }
}
