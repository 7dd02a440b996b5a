//! When a camera says that something was, and how late that came. Pure, with time as input.
//!
//! A camera whose network was away may send, at once, what has gathered: an event that is over must not pass for one of now. Its
//! own date tells, if its clock can be compared with ours. What a camera sends at its own pace comes with the same difference
//! between its clock and ours each time; what has waited comes with a greater one. So the difference that two messages had, some
//! time apart, ties the two clocks; later messages are as late as their difference is greater. That also holds for a clock
//! that is simply wrong.

use std::time::Duration;

use time::{Date as Day, Month, PrimitiveDateTime, Time};
use tokio::time::Instant;

/// Dates are full seconds, and networks jitter.
const SAME_MS: i64 = 2_000;
/// How far apart two messages must come to tie the clocks: what has gathered is sent as fast as the line carries it.
const APART: Duration = Duration::from_secs(10);
/// How far two clocks may drift apart, in milliseconds per second (quartz keeps within a tenth of it).
const DRIFT: f64 = 0.5;
/// Before 2020, a clock was never set.
const NEVER_SET_MS: i64 = 1_577_836_800_000;

/// What a camera's clock said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Date {
    /// Milliseconds since the Unix epoch; without a zone, as if it were UTC.
    ms: i64,
    /// Whether it says its zone.
    zoned: bool,
}

impl Date {
    /// A date as XML writes it (`xs:dateTime`), and as cameras do: the zone may be missing, or have an hour of one digit.
    /// `None` for what is none, and for a clock that was never set.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (day, rest) = text.trim().split_once(['T', ' '])?;
        let mut fields = day.splitn(3, '-');
        let year = fields.next()?.parse().ok()?;
        let month = Month::try_from(fields.next()?.parse::<u8>().ok()?).ok()?;
        let day = Day::from_calendar_date(year, month, fields.next()?.parse().ok()?).ok()?;
        let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
        let (clock, zone) = rest.split_at(zone_at);
        let mut fields = clock.split('.').next()?.splitn(3, ':').map(str::parse::<u8>);
        let mut field = || fields.next()?.ok();
        let time = Time::from_hms(field()?, field()?, field()?).ok()?;
        let local_s = PrimitiveDateTime::new(day, time).assume_utc().unix_timestamp();
        let offset_s = match zone.split_at_checked(1) {
            None | Some(("Z" | "z", "")) => 0,
            Some((sign, offset)) => {
                let (hours, minutes) = offset.split_once(':').or_else(|| offset.split_at_checked(2))?;
                let seconds = hours.parse::<u8>().ok().filter(|h| *h < 15).map(i64::from)? * 3_600
                    + minutes.parse::<u8>().ok().filter(|m| *m < 60).map(i64::from)? * 60;
                if sign == "-" { -seconds } else { seconds }
            }
        };
        Self::from_unix_ms((local_s - offset_s) * 1_000, !zone.is_empty())
    }

    /// Seconds since the Unix epoch.
    pub(crate) fn from_unix_s(text: &str) -> Option<Self> {
        Self::from_unix_ms(text.parse::<i64>().ok()?.checked_mul(1_000)?, true)
    }

    fn from_unix_ms(ms: i64, zoned: bool) -> Option<Self> {
        (ms >= NEVER_SET_MS).then_some(Self { ms, zoned })
    }
}

/// What is known of when an event was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dated {
    /// What the camera's clock said, in milliseconds since the Unix epoch; `None` if it does not say, or not in which zone.
    pub unix_ms: Option<i64>,
    /// How much later than others of this camera it came, in milliseconds; `None` as long as its clock is not tied to ours.
    pub late_ms: Option<u64>,
}

/// Our time less the camera's, from an arbitrary zero, when a message came.
#[derive(Debug, Clone, Copy)]
struct Seen {
    ms: i64,
    at: Instant,
}

impl Seen {
    /// How much greater the difference is now, less what the clocks may have drifted.
    fn late_ms(self, now: Self) -> i64 {
        let drift_ms = (now.at.saturating_duration_since(self.at).as_secs_f64() * DRIFT) as i64;
        let more = now.ms.saturating_sub(self.ms);
        more.signum() * (more.abs() - drift_ms).max(0)
    }

    fn is_same(self, now: Self) -> bool {
        self.late_ms(now).abs() <= SAME_MS
    }
}

/// Ties one camera's clock to ours.
#[derive(Debug, Default)]
pub(crate) struct CameraClock {
    start: Option<Instant>,
    tied: Option<Seen>,
    /// What would tie them anew, if it comes again.
    candidate: Option<Seen>,
}

impl CameraClock {
    /// A message with this date has come, an event or a heartbeat.
    pub(crate) fn heard(&mut self, date: Date, arrived: Instant) -> Dated {
        let start = *self.start.get_or_insert(arrived);
        let since = arrived.saturating_duration_since(start).as_millis() as i64;
        let now = Seen { ms: since.saturating_sub(date.ms), at: arrived };
        match (self.tied, self.candidate) {
            (Some(tied), _) if tied.late_ms(now) <= SAME_MS => {
                // What comes earlier than ever has not waited. What comes a little later moves nothing: a queue may grow slowly.
                if tied.late_ms(now) <= 0 {
                    self.tied = Some(now);
                }
                self.candidate = None;
            }
            (_, Some(first)) if first.is_same(now) => {
                if arrived.saturating_duration_since(first.at) >= APART {
                    (self.tied, self.candidate) = (Some(now), None);
                }
            }
            _ => self.candidate = Some(now),
        }
        let late_ms = self.tied.map(|tied| tied.late_ms(now).max(0) as u64);
        Dated { unix_ms: date.zoned.then_some(date.ms), late_ms }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOON: i64 = 1_777_896_000;

    fn date(s: i64) -> Date {
        Date::from_unix_s(&s.to_string()).unwrap()
    }

    #[test]
    fn dates_are_read_as_cameras_write_them() {
        let unix = |text: &str| Date::parse(text).map(|date| (date.ms / 1_000, date.zoned));
        for (text, expected) in [
            ("2026-05-04T12:00:00Z", (NOON, true)),
            ("2026-05-04T15:00:00+03:00", (NOON, true)),
            ("2026-05-04T15:00:00.250+0300", (NOON, true)),
            ("2026-05-04T04:00:00-8:00", (NOON, true)),
            ("2026-05-04T12:00:00", (NOON, false)),
            (" 2026-05-04 12:00:00 ", (NOON, false)),
        ] {
            assert_eq!(unix(text), Some(expected), "{text}");
        }
        for none in
            ["", "noon", "2026-05-04", "2026-13-04T12:00:00Z", "1970-01-01T00:01:00Z", "2026-05-04T12:00:00+99:00"]
        {
            assert_eq!(unix(none), None, "{none}");
        }
        assert_eq!(Date::from_unix_s("0"), None, "a clock that was never set");
        assert_eq!(Date::from_unix_s("9223372036854775807"), None);
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[0-9TZ:+. -]{0,30}|.{0,40}") {
            let _ = Date::parse(&text);
        }

        /// Whatever the camera's clock says: at its own pace, nothing is late; what has waited is, by as much.
        #[test]
        fn lateness_does_not_depend_on_the_clock_being_right(off in -190_000_000..400_000_000_i64, waited in 4..40_000_u64) {
            let (start, mut clock) = (Instant::now(), CameraClock::default());
            let sent = |s: u64, late: u64| (date(NOON + off + s as i64), start + Duration::from_secs(s + late));
            for s in [0, 12, 24] {
                let (date, at) = sent(s, 0);
                prop_assert_eq!(clock.heard(date, at).late_ms, (s > 0).then_some(0));
            }
            let (date, at) = sent(30, waited);
            let late_ms = clock.heard(date, at).late_ms.unwrap();
            prop_assert!(late_ms.abs_diff(waited * 1_000) <= waited + 10, "{late_ms}");
        }
    }

    #[test]
    fn what_has_gathered_ties_nothing() {
        let (start, mut clock) = (Instant::now(), CameraClock::default());
        // Ten minutes of events, a minute apart, sent within a second.
        for i in 0..10 {
            let told = clock.heard(date(NOON + i * 60), start + Duration::from_millis(i as u64 * 100));
            assert_eq!(told.late_ms, None);
        }
    }

    #[test]
    fn a_clock_that_is_set_is_followed() {
        let (start, mut clock) = (Instant::now(), CameraClock::default());
        let mut at = |s: u64, date_s: i64| clock.heard(date(date_s), start + Duration::from_secs(s)).late_ms;
        assert_eq!((at(0, NOON), at(10, NOON + 10)), (None, Some(0)));
        assert_eq!(at(20, NOON + 3_620), Some(0), "set forward: at once");
        assert!(at(30, NOON + 30).unwrap() > 3_500_000, "set back: nobody can tell from waiting");
        assert!(at(35, NOON + 35).unwrap() > 3_500_000);
        assert_eq!(at(40, NOON + 40), Some(0), "until it has come again");
    }
}
