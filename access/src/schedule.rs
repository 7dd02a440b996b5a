//! Weekly hours: when a grant counts.
//!
//! Hours are local to the site and given by a fixed offset from UTC in minutes. There is no daylight saving: Russia has
//! had none since 2014, and a site elsewhere is sent a new schedule by the cloud when its clocks change.

use crate::time::Timestamp;

/// Minutes of a day.
pub const DAY_MIN: u16 = 24 * 60;

/// A day of the week, Monday first as in ISO 8601.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Weekday {
    /// Monday to Sunday.
    pub const ALL: [Self; 7] =
        [Self::Monday, Self::Tuesday, Self::Wednesday, Self::Thursday, Self::Friday, Self::Saturday, Self::Sunday];

    /// This day of the days since Monday, 0..7.
    const fn index(self) -> usize {
        self as usize
    }
}

/// From one minute of a day (inclusive) to another (exclusive). Where `to_min` is not after `from_min`, the range runs
/// past midnight into the next day; `to_min` may be 1440 for the day's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// The day the range begins on, local.
    pub day: Weekday,
    /// First minute, 0..=1439.
    pub from_min: u16,
    /// The minute after the last, 0..=1440.
    pub to_min: u16,
}

/// When a grant counts, week by week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    utc_offset_min: i16,
    hours: Vec<Hours>,
}

/// Why hours do not make a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// An offset no place on earth has.
    #[error("the offset of {0} minutes from UTC is not within -720..=840")]
    Offset(i16),
    /// A minute that is not in a day; the range is counted from zero.
    #[error("range {0} of the schedule (counted from 0) needs from_min in 0..=1439 and to_min in 0..=1440")]
    Minute(usize),
}

impl Schedule {
    /// A schedule of these hours. With none, the grant never counts.
    pub fn new(utc_offset_min: i16, hours: Vec<Hours>) -> Result<Self, ScheduleError> {
        if !(-720..=840).contains(&utc_offset_min) {
            return Err(ScheduleError::Offset(utc_offset_min));
        }
        if let Some(i) = hours.iter().position(|h| h.from_min >= DAY_MIN || h.to_min > DAY_MIN) {
            return Err(ScheduleError::Minute(i));
        }
        Ok(Self { utc_offset_min, hours })
    }

    /// Whether the schedule is open at `at`.
    pub fn allows(&self, at: Timestamp) -> bool {
        let local_min = at.0.div_euclid(60_000) + i64::from(self.utc_offset_min);
        let minute = local_min.rem_euclid(i64::from(DAY_MIN)) as u16;
        // 1 January 1970 was a Thursday, the fourth day of the ISO week.
        let today = (local_min.div_euclid(i64::from(DAY_MIN)) + 3).rem_euclid(7) as usize;
        self.hours.iter().any(|h| {
            let began = h.day.index();
            if h.from_min < h.to_min {
                today == began && (h.from_min..h.to_min).contains(&minute)
            } else {
                today == began && minute >= h.from_min || today == (began + 1) % 7 && minute < h.to_min
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: i64 = 60_000;
    /// Monday 5 January 1970, 00:00 UTC.
    const MONDAY: i64 = 4 * 24 * 60 * MINUTE_MS;

    fn at(min: i64) -> Timestamp {
        Timestamp(MONDAY + min * MINUTE_MS)
    }

    fn hours(day: Weekday, from_min: u16, to_min: u16) -> Hours {
        Hours { day, from_min, to_min }
    }

    #[test]
    fn counts_from_the_first_minute_to_before_the_last() {
        let s = Schedule::new(0, vec![hours(Weekday::Monday, 8 * 60, 18 * 60)]).unwrap();
        assert!(!s.allows(at(8 * 60 - 1)) && s.allows(at(8 * 60)));
        assert!(s.allows(at(18 * 60 - 1)) && !s.allows(at(18 * 60)));
        assert!(!s.allows(at(24 * 60 + 9 * 60)), "Tuesday");
    }

    #[test]
    fn uses_local_time() {
        let moscow = Schedule::new(180, vec![hours(Weekday::Monday, 0, 60)]).unwrap();
        assert!(moscow.allows(at(-180)) && !moscow.allows(at(0)));
    }

    #[test]
    fn runs_past_midnight_and_past_sunday() {
        let s = Schedule::new(0, vec![hours(Weekday::Sunday, 22 * 60, 6 * 60)]).unwrap();
        assert!(s.allows(at(-60)) && s.allows(at(5 * 60)) && !s.allows(at(6 * 60)));
        assert!(!s.allows(at(-3 * 60)), "21:00 on Sunday");
        let all_day = Schedule::new(0, vec![hours(Weekday::Monday, 0, DAY_MIN)]).unwrap();
        assert!(all_day.allows(at(0)) && all_day.allows(at(1439)) && !all_day.allows(at(1440)));
    }

    #[test]
    fn knows_days_before_1970() {
        let s = Schedule::new(0, vec![hours(Weekday::Wednesday, 1439, DAY_MIN)]).unwrap();
        assert!(s.allows(Timestamp(-1)), "31 December 1969 was a Wednesday");
    }

    #[test]
    fn refuses_what_no_clock_shows() {
        assert_eq!(Schedule::new(841, vec![]), Err(ScheduleError::Offset(841)));
        assert_eq!(Schedule::new(0, vec![hours(Weekday::Monday, 1440, 0)]), Err(ScheduleError::Minute(0)));
        assert!(!Schedule::new(0, vec![]).unwrap().allows(at(0)));
    }
}
