//! Clocks that run with the runtime's paused time, and can stand wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use cardea_access::time::{Monotonic, Timestamp};
use cardea_protocol::clock::Clock;
use tokio::time::Instant;

/// Where true time begins: 23 November 2026, noon.
pub(super) const START: Timestamp = Timestamp(1_795_435_200_000);

/// True time, which no part of the system can read.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrueTime(Instant);

impl TrueTime {
    /// Begins now.
    pub(super) fn begin() -> Self {
        Self(Instant::now())
    }

    /// Milliseconds since the beginning.
    pub(super) fn ms(self) -> u64 {
        self.0.elapsed().as_millis() as u64
    }

    /// The true date.
    pub(super) fn date(self) -> Timestamp {
        START.plus_ms(self.ms() as i64)
    }
}

/// The clocks of one machine.
#[derive(Debug)]
pub(super) struct SimClock {
    time: TrueTime,
    /// How far the wall clock is ahead of true time.
    skew_ms: AtomicI64,
    /// True time at which the machine was started.
    booted_ms: AtomicI64,
    set: AtomicBool,
}

impl SimClock {
    /// One that is right, on a machine that starts now.
    pub(super) fn new(time: TrueTime) -> Arc<Self> {
        Arc::new(Self {
            time,
            skew_ms: AtomicI64::new(0),
            booted_ms: AtomicI64::new(time.ms() as i64),
            set: AtomicBool::new(true),
        })
    }

    /// Sets the wall clock, as an operator or a bad time server would.
    pub(super) fn skew(&self, ms: i64) {
        self.skew_ms.store(ms, Ordering::SeqCst);
    }

    /// The wall clock is right again, and known to be.
    pub(super) fn set(&self) {
        self.skew(0);
        self.set.store(true, Ordering::SeqCst);
    }

    /// How far the wall clock is ahead of true time.
    pub(super) fn skewed_by(&self) -> i64 {
        self.skew_ms.load(Ordering::SeqCst)
    }

    /// The machine starts anew: monotonic time begins again, and the wall clock is known to be right or is not.
    pub(super) fn boot(&self, set: bool) {
        self.booted_ms.store(self.time.ms() as i64, Ordering::SeqCst);
        self.set.store(set, Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.time.date().plus_ms(self.skewed_by())
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(self.time.ms().saturating_sub(self.booted_ms.load(Ordering::SeqCst) as u64))
    }

    fn is_set(&self) -> bool {
        self.set.load(Ordering::SeqCst)
    }
}
