//! How old is a picture? What a stream's own clock says about that, pure, with time as input.
//!
//! RTP timestamps count in the camera's time from an unknown zero. The frame that came through fastest ties them to this
//! machine's clock; whatever comes later than its timestamp says was waiting somewhere, in the camera, a switch or a socket,
//! and is that much older than its arrival. So a backlog is recognised for what it is, also when it is the first that comes:
//! while frames arrive faster than they were taken, none is taken for a present one.
//!
//! What no receiver can see is a delay that every frame has: a second of buffering in the camera is the installer's to avoid.

use std::time::Duration;

use tokio::time::Instant;

/// How long frames must have come at the pace of their timestamps before they count as present.
const SETTLE_MS: i64 = 300;
/// Frames that come earlier than the fastest so far by no more than this are no news: networks jitter.
const JITTER_US: i64 = 20_000;
/// A frame that comes later than the fastest by more than this, before any counts as present, says that this machine was busy:
/// what follows may be a backlog that nobody had the time to fetch.
const HELD_UP_US: i64 = 150_000;
/// How fast the camera's clock may run slow against ours, in microseconds per second: quartz keeps within a tenth of it.
const DRIFT_US_PER_S: i64 = 500;

/// Ties one stream's timestamps to this machine's clock.
#[derive(Debug, Default)]
pub(crate) struct RtpClock {
    start: Option<(Instant, i64)>,
    /// The least of arrival less timestamp, in microseconds since the start; it may rise by the drift.
    fastest_us: i64,
    /// When a frame last came in, for the drift.
    last_us: i64,
    settled_at_us: i64,
    /// A frame has counted as present since.
    settled: bool,
}

impl RtpClock {
    /// When the frame with this timestamp, in microseconds, was taken, if it arrived at `arrived`. `None` as long as it may
    /// be a part of a backlog.
    pub(crate) fn captured(&mut self, timestamp_us: i64, arrived: Instant) -> Option<Instant> {
        let (start, first_us) = *self.start.get_or_insert((arrived, timestamp_us));
        let now_us = arrived.saturating_duration_since(start).as_micros() as i64;
        let elapsed_us = timestamp_us.saturating_sub(first_us);
        if now_us == 0 && elapsed_us == 0 {
            self.settled_at_us = SETTLE_MS * 1_000;
        }
        let delay_us = now_us.saturating_sub(elapsed_us);
        let drift_us = (now_us - self.last_us).max(0) / 1_000 * DRIFT_US_PER_S / 1_000;
        self.fastest_us = self.fastest_us.saturating_add(drift_us);
        self.last_us = now_us;
        let held_up = !self.settled && delay_us > self.fastest_us.saturating_add(HELD_UP_US);
        if held_up {
            // What came before the pause says nothing about what comes after it.
            self.fastest_us = delay_us;
        }
        if held_up || delay_us < self.fastest_us.saturating_sub(JITTER_US) {
            (self.settled, self.settled_at_us) = (false, now_us + SETTLE_MS * 1_000);
        }
        self.fastest_us = self.fastest_us.min(delay_us);
        if now_us < self.settled_at_us {
            return None;
        }
        self.settled = true;
        let late_us = delay_us.saturating_sub(self.fastest_us);
        arrived.checked_sub(Duration::from_micros(late_us.max(0) as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME_US: i64 = 40_000;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_live_stream_settles_and_is_as_old_as_it_is() {
        let (mut clock, start) = (RtpClock::default(), Instant::now());
        for i in 0..7 {
            assert_eq!(clock.captured(i * FRAME_US, start + ms(i as u64 * 40)), None, "{i}");
        }
        for i in 8..200 {
            let jitter = if i % 3 == 0 { 15 } else { 0 };
            let taken = start + ms(i as u64 * 40);
            let found = clock.captured(i * FRAME_US, taken + ms(jitter)).unwrap();
            assert!(found <= taken + ms(1) && found + ms(21) > taken, "{i}");
        }
    }

    #[test]
    fn a_backlog_at_the_start_is_never_taken_for_new() {
        let (mut clock, start) = (RtpClock::default(), Instant::now());
        // Five seconds of old frames within 250 ms, and then live ones.
        for i in 0..125 {
            assert_eq!(clock.captured(i * FRAME_US, start + ms(i as u64 * 2)), None, "{i}");
        }
        for i in 125..140 {
            let found = clock.captured(i * FRAME_US, start + ms(250 + (i as u64 - 125) * 40));
            assert_eq!(found.is_some(), i >= 133, "{i}: 300 ms after the last that came too fast");
        }
    }

    #[test]
    fn a_backlog_fetched_by_a_busy_machine_is_never_taken_for_new() {
        let (mut clock, start) = (RtpClock::default(), Instant::now());
        // Five seconds of old frames, a few at a time, with pauses longer than the time to settle.
        for i in 0..125_i64 {
            let pauses = i as u64 / 5 * 400;
            assert_eq!(clock.captured(i * FRAME_US, start + ms(i as u64 * 2 + pauses)), None, "{i}");
        }
        let arrived = |i: i64| start + ms(250 + 9_600 + (i as u64 - 125) * 40);
        let present = (125..160).find(|i| clock.captured(i * FRAME_US, arrived(*i)).is_some());
        assert!(present.is_some_and(|i| i >= 132), "{present:?}");
    }

    #[test]
    fn frames_that_were_held_up_are_as_old_as_their_timestamps_say() {
        let (mut clock, start) = (RtpClock::default(), Instant::now());
        for i in 0..50 {
            clock.captured(i * FRAME_US, start + ms(i as u64 * 40));
        }
        // The link hangs for three seconds and then delivers everything at once.
        let delivered = start + ms(50 * 40 + 3_000);
        for i in 50..125 {
            let found = clock.captured(i * FRAME_US, delivered).unwrap();
            let age = (delivered - found).as_millis() as i64;
            let real = 3_000 + 2_000 - i * 40;
            assert!((age - real).abs() <= 5, "frame {i}: {age} instead of {real}");
        }
    }

    #[test]
    fn a_slow_clock_does_not_make_frames_old() {
        let (mut clock, start) = (RtpClock::default(), Instant::now());
        let mut oldest = Duration::ZERO;
        for i in 0..90_000 {
            // 50 parts per million slow, for an hour
            let arrived = start + Duration::from_micros((i as f64 * 40_002.0) as u64);
            if let Some(found) = clock.captured(i * FRAME_US, arrived) {
                oldest = oldest.max(arrived - found);
            }
        }
        assert!(oldest < ms(50), "{oldest:?}");
    }

    #[test]
    fn any_timestamps_are_borne() {
        let (mut clock, start) = (RtpClock::default(), Instant::now());
        for (i, stamp) in [0, i64::MAX, i64::MIN, -1, i64::MAX, 7].into_iter().enumerate() {
            clock.captured(stamp, start + ms(i as u64 * 400));
        }
    }
}
