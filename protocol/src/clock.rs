//! Time as a parameter: the only module that reads the machine's clocks.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use cardea_access::time::{Monotonic, Timestamp};

/// A source of time. Programs use [`SystemClock`], tests a [`ManualClock`].
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// UTC wall-clock time.
    fn now(&self) -> Timestamp;

    /// Monotonic time that also counts while the machine is suspended, so that a staleness limit cannot be slept away.
    fn monotonic(&self) -> Monotonic;

    /// Whether something that knows the time has set the wall clock since the machine started: a time server, or a hardware
    /// clock with a battery. False means that nobody knows of any; a board without a battery starts with the time of its last
    /// shutdown.
    fn is_set(&self) -> bool;
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

    fn is_set(&self) -> bool {
        Path::new(BY_TIME_SERVER).exists() || set_by_hardware_clock(Path::new(HARDWARE_CLOCKS), self.now())
    }
}

/// Touched by systemd-timesyncd each time it has set the clock (systemd-timesyncd.service(8)).
const BY_TIME_SERVER: &str = "/run/systemd/timesync/synchronized";
/// Of the hardware clocks, the one from which the kernel took the time at its start says 1 in `hctosys`, and its time in
/// `since_epoch`, in seconds (Documentation/ABI/testing/rtc-cdev of the kernel, `sysfs-class-rtc`).
const HARDWARE_CLOCKS: &str = "/sys/class/rtc";
/// A clock that lost its time is set right by the operating system only on this side; it then differs from the wall clock.
const AGREES_WITHIN_MS: u64 = 120_000;

/// Whether the wall clock, at `now`, was taken from a hardware clock that kept its time.
fn set_by_hardware_clock(clocks: &Path, now: Timestamp) -> bool {
    let Ok(clocks) = std::fs::read_dir(clocks) else { return false };
    clocks.flatten().any(|clock| {
        let said = |file| std::fs::read_to_string(clock.path().join(file)).unwrap_or_default();
        let tells = said("since_epoch").trim().parse::<i64>().ok().map(|s| s.saturating_mul(1_000));
        said("hctosys").trim() == "1" && tells.is_some_and(|ms| ms.abs_diff(now.0) <= AGREES_WITHIN_MS)
    })
}

/// A clock that moves only when told to.
#[derive(Debug, Default)]
pub struct ManualClock {
    wall_ms: AtomicI64,
    monotonic_ms: AtomicU64,
    unset: AtomicBool,
}

impl ManualClock {
    /// A clock that stands at `now`, with monotonic time zero.
    pub fn at(now: Timestamp) -> Arc<Self> {
        let (wall_ms, monotonic_ms) = (AtomicI64::new(now.0), AtomicU64::new(0));
        Arc::new(Self { wall_ms, monotonic_ms, unset: AtomicBool::new(false) })
    }

    /// Whether anything has set it since the start: [`Clock::is_set`].
    pub fn say_set(&self, set: bool) {
        self.unset.store(!set, Ordering::SeqCst);
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

    fn is_set(&self) -> bool {
        !self.unset.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hardware_clock_that_the_kernel_took_the_time_from_has_set_it() {
        let folder = tempfile::tempdir().unwrap();
        let is_set = |at_s: i64| set_by_hardware_clock(folder.path(), Timestamp(at_s * 1_000));
        assert!(!is_set(1_000), "no clock");
        assert!(!set_by_hardware_clock(&folder.path().join("nothing"), Timestamp(0)));
        for (name, said) in [("rtc0", "0\n"), ("rtc1", "nonsense")] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("hctosys"), said).unwrap();
            std::fs::write(folder.path().join(name).join("since_epoch"), "1000\n").unwrap();
        }
        assert!(!is_set(1_000));
        std::fs::write(folder.path().join("rtc1/hctosys"), "1\n").unwrap();
        assert!(is_set(1_000) && is_set(1_100) && is_set(900));
        assert!(!is_set(2_000), "it had lost its time, and the operating system has made something up");
    }
}
