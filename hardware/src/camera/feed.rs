//! What every camera with a stream shares: the newest frame, its health, and how it comes back.
//!
//! ```text
//! keep_open: open -> read … lost -> wait (backoff, jitter) -> open        one task per camera
//!                      |
//!                 Feed::show  not older than the last?  not frozen?  -> newest frame, health up
//!                                                                            |
//!                                                              Feed::frame <-+- one consumer
//! ```

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    Camera, Frame, ImageKind,
    backoff::{Dice, Kept, keep_open},
    frozen::Frozen,
};
use crate::{DeviceError, Health, config::CameraConfig};

/// One camera's stream, between the task that reads it and who looks at it.
pub(crate) struct Feed {
    pub(crate) id: String,
    /// Names the camera in errors.
    pub(crate) device: String,
    /// How long a frame may be waited for.
    pub(crate) limit: Duration,
    /// How long a request takes to fail while the camera is down.
    pause: Duration,
    health: watch::Sender<Health>,
    newest: watch::Sender<Option<Frame>>,
    /// Why the camera is down.
    fault: Mutex<Option<DeviceError>>,
    frozen: Mutex<Frozen>,
    /// Frames made so far.
    sequence: AtomicU64,
    /// The sequence number of the last frame handed out.
    handed_out: AtomicU64,
    last: Mutex<Option<Instant>>,
    wanted: AtomicBool,
    asked: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Feed {
    pub(crate) fn new(config: &CameraConfig) -> Arc<Self> {
        let frozen_after_s = config.frozen_after_s();
        Arc::new(Self {
            id: config.id().into(),
            device: config.describe(),
            limit: config.timeout(),
            pause: config.min_interval(),
            health: watch::Sender::new(Health::Starting),
            newest: watch::Sender::new(None),
            fault: Mutex::default(),
            frozen: Mutex::new(Frozen::new((frozen_after_s > 0).then(|| Duration::from_secs(frozen_after_s)))),
            sequence: AtomicU64::new(0),
            handed_out: AtomicU64::new(0),
            last: Mutex::default(),
            wanted: AtomicBool::new(false),
            asked: Notify::new(),
        })
    }

    /// Starts reading, as [`keep_open`] does, until `shutdown`. The camera is this feed.
    pub(crate) fn start<F, Reading>(
        self: Arc<Self>,
        dice: Dice,
        shutdown: CancellationToken,
        open: F,
    ) -> (Arc<dyn Camera>, JoinHandle<()>)
    where
        F: Fn(Arc<Self>) -> Reading + Send + 'static,
        Reading: Future<Output = DeviceError> + Send + 'static,
    {
        let keeping = keep_open(self.clone(), dice, open);
        let task = tokio::spawn(async move {
            shutdown.run_until_cancelled_owned(keeping).await;
        });
        (self, task)
    }

    pub(crate) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    pub(crate) fn is_up(&self) -> bool {
        self.health.borrow().is_up()
    }

    /// Waits until somebody wants a frame; at once if somebody does.
    pub(crate) async fn until_wanted(&self) {
        while !self.wanted.load(Ordering::Acquire) {
            self.asked.notified().await;
        }
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    /// A picture from the camera. One that is older than the last shown is dropped; one that is the same for too long makes
    /// the camera a faulty one, until it changes.
    pub(crate) fn show(&self, bytes: Bytes, kind: ImageKind, captured_at: Instant) {
        {
            let mut last = lock(&self.last);
            if last.is_some_and(|last| captured_at < last) {
                return;
            }
            *last = Some(captured_at);
        }
        if let Some(same) = lock(&self.frozen).look(&bytes, captured_at) {
            self.lost(&DeviceError::Frozen { device: self.device.clone(), for_s: same.as_secs() });
            return;
        }
        let sequence = self.sequence.fetch_add(1, Ordering::AcqRel) + 1;
        self.wanted.store(false, Ordering::Release);
        *lock(&self.fault) = None;
        self.newest.send_replace(Some(Frame { bytes, kind, captured_at, sequence }));
        self.report(Health::Up);
    }

    /// The same for an encoded picture; an error if it is none.
    pub(crate) fn show_encoded(&self, bytes: Bytes, captured_at: Instant) -> Result<(), DeviceError> {
        let kind = ImageKind::sniff(&bytes)
            .ok_or_else(|| DeviceError::protocol(&self.device, "stream", "what it sends is neither JPEG nor PNG"))?;
        self.show(bytes, kind, captured_at);
        Ok(())
    }

    fn report(&self, health: Health) {
        self.health.send_if_modified(|known| {
            if *known == health {
                return false;
            }
            match &health {
                Health::Down { reason } if !matches!(known, Health::Down { .. }) => warn!(%reason, "camera down"),
                Health::Up => info!(device = %self.device, "camera up"),
                Health::Down { .. } | Health::Starting => {}
            }
            *known = health;
            true
        });
    }

    /// [`crate::Camera::frame`].
    pub(crate) async fn frame(&self) -> Result<Frame, DeviceError> {
        let (mut newest, mut health) = (self.newest.subscribe(), self.health.subscribe());
        let known = self.handed_out.load(Ordering::Acquire);
        self.wanted.store(true, Ordering::Release);
        self.asked.notify_one();
        let fresh = async {
            let frame = newest.wait_for(|frame| frame.as_ref().is_some_and(|frame| frame.sequence > known)).await;
            frame.ok().and_then(|frame| frame.clone())
        };
        let went_down = health.wait_for(|health| matches!(health, Health::Down { .. }));
        let waited = timeout(self.limit, async {
            tokio::select! {
                biased;
                frame = fresh => frame,
                _ = went_down => None,
            }
        });
        match waited.await {
            Ok(Some(frame)) => {
                self.handed_out.fetch_max(frame.sequence, Ordering::AcqRel);
                Ok(frame)
            }
            Ok(None) => {
                // Whoever asks in a loop is slowed to the pace of a camera.
                sleep(self.pause).await;
                let fault = lock(&self.fault).clone();
                Err(fault.unwrap_or_else(|| {
                    DeviceError::unreachable(&self.device, "give a picture", "it was closed", false)
                }))
            }
            Err(_) => Err(self.silent("give a picture")),
        }
    }

    /// The error for a camera that says nothing.
    pub(crate) fn silent(&self, action: &str) -> DeviceError {
        let after_ms = self.limit.as_millis() as u64;
        DeviceError::Timeout { device: self.device.clone(), action: action.into(), after_ms, sent: true }
    }

    pub(crate) fn protocol(&self, reason: impl ToString) -> DeviceError {
        DeviceError::protocol(&self.device, "stream", reason)
    }

    pub(crate) fn unreachable(&self, reason: impl ToString) -> DeviceError {
        DeviceError::unreachable(&self.device, "stream", reason, true)
    }
}

impl Kept for Feed {
    fn device(&self) -> &str {
        &self.device
    }

    fn of_use(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    /// The camera is of no use until the next [`Feed::show`]. A frame of a stream that is gone is not the newest view of
    /// anything.
    fn lost(&self, error: &DeviceError) {
        *lock(&self.fault) = Some(error.clone());
        self.newest.send_replace(None);
        self.report(Health::Down { reason: error.to_string() });
    }
}

/// A camera that is nothing but its stream.
#[async_trait]
impl Camera for Feed {
    fn id(&self) -> &str {
        &self.id
    }

    async fn frame(&self) -> Result<Frame, DeviceError> {
        self.frame().await
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.health()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(frozen_after_s: u64) -> Arc<Feed> {
        let config = format!(
            "driver = \"http-mjpeg\"\nid = \"yard\"\nurl = \"http://127.0.0.1/\"\ntimeout_ms = 500\nmin_interval_ms = 0\n\
             frozen_after_s = {frozen_after_s}"
        );
        Feed::new(&toml::from_str(&config).unwrap())
    }

    fn png(mark: u8) -> Bytes {
        Bytes::from([b"\x89PNG\r\n\x1a\n".as_slice(), &[mark]].concat())
    }

    #[tokio::test(start_paused = true)]
    async fn frames_are_handed_out_once_newest_first_and_never_back_in_time() {
        let feed = feed(0);
        let now = Instant::now();
        feed.show_encoded(png(1), now).unwrap();
        feed.show_encoded(png(2), now + Duration::from_millis(40)).unwrap();
        feed.show_encoded(png(3), now + Duration::from_millis(20)).unwrap();
        let frame = feed.frame().await.unwrap();
        assert_eq!((frame.bytes, frame.captured_at), (png(2), now + Duration::from_millis(40)));
        assert!(matches!(feed.frame().await, Err(DeviceError::Timeout { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_frozen_picture_is_a_fault_until_it_moves() {
        let feed = feed(10);
        let start = Instant::now();
        for s in 0..10 {
            feed.show_encoded(png(1), start + Duration::from_secs(s)).unwrap();
            assert!(feed.frame().await.is_ok());
        }
        feed.show_encoded(png(1), start + Duration::from_secs(10)).unwrap();
        let told = feed.frame().await.unwrap_err();
        assert!(matches!(told, DeviceError::Frozen { for_s: 10, .. }), "{told}");
        assert!(matches!(&*feed.health().borrow(), Health::Down { reason } if reason.contains("frozen")));
        feed.show_encoded(png(2), start + Duration::from_secs(11)).unwrap();
        assert!(feed.frame().await.is_ok() && feed.is_up());
    }

    #[tokio::test(start_paused = true)]
    async fn a_driver_that_panics_is_one_lost_stream() {
        let feed = feed(0);
        let opened = Arc::new(AtomicU64::new(0));
        let count = opened.clone();
        let keeping = tokio::spawn(keep_open(feed.clone(), Arc::new(|| 1.0), move |feed| {
            let turn = count.fetch_add(1, Ordering::AcqRel);
            async move {
                assert!(turn > 2, "nonsense from a camera");
                feed.show_encoded(png(1), Instant::now()).unwrap();
                std::future::pending().await
            }
        }));
        feed.health()
            .wait_for(|health| matches!(health, Health::Down { reason } if reason.contains("driver")))
            .await
            .unwrap();
        feed.health().wait_for(Health::is_up).await.unwrap();
        assert_eq!(opened.load(Ordering::Acquire), 4);
        keeping.abort();
    }
}
