//! Time as a parameter: the only module that reads the machine's clocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use cardea_access::time::{Monotonic, Timestamp};

/// A source of time. Programs use [`SystemClock`], tests a [`ManualClock`].
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// UTC wall-clock time.
    fn now(&self) -> Timestamp;

    /// Monotonic time that also counts while the machine is suspended, so that a staleness limit cannot be slept away.
    fn monotonic(&self) -> Monotonic;
}

/// A clock that is shared between tasks.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's own clocks: `CLOCK_REALTIME` and `CLOCK_BOOTTIME`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place where wall-clock time enters")]
    fn now(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Monotonic {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Monotonic(t.tv_sec.unsigned_abs() * 1_000 + t.tv_nsec.unsigned_abs() / 1_000_000)
    }
}

/// A clock that moves only when told to.
#[derive(Debug, Default)]
pub struct ManualClock {
    wall_ms: AtomicI64,
    monotonic_ms: AtomicU64,
}

impl ManualClock {
    /// A clock that stands at `now`, with monotonic time zero.
    pub fn at(now: Timestamp) -> Arc<Self> {
        Arc::new(Self { wall_ms: AtomicI64::new(now.0), monotonic_ms: AtomicU64::new(0) })
    }

    /// Moves both clocks forward.
    pub fn advance_ms(&self, ms: u32) {
        self.wall_ms.fetch_add(i64::from(ms), Ordering::SeqCst);
        self.monotonic_ms.fetch_add(u64::from(ms), Ordering::SeqCst);
    }

    /// Sets the wall clock alone, as an operator or a bad NTP server would.
    pub fn set_wall(&self, now: Timestamp) {
        self.wall_ms.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.wall_ms.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(self.monotonic_ms.load(Ordering::SeqCst))
    }
}
