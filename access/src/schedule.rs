//! Weekly hours: when a grant counts, when an access point takes a credential, when it stands open.
//!
//! Hours are local to the site. A [`Zone`] turns an instant into the local date and minute, and that is all a schedule asks:
//! an instant has exactly one local time, so neither of the two oddities of daylight saving needs a choice. In the night
//! when clocks are put forward, hours inside the gap do not occur; when they are put back, hours inside the overlap last
//! twice as long.
//!
//! A range belongs to the day it begins on. One that runs past midnight ends where it says, also if the next day is a
//! holiday; a holiday's own hours may run past midnight too. See [`holiday`].

pub mod holiday;
mod text;
pub mod zone;

use std::sync::Arc;

use jiff::civil::Date;

pub use holiday::{Days, Holiday, HolidayError, MonthDay};
pub use zone::{UnknownZone, Zone};

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
pub struct Span {
    /// First minute, 0..=1439.
    pub from_min: u16,
    /// The minute after the last, 0..=1440.
    pub to_min: u16,
}

impl Span {
    /// Whether a clock shows both ends.
    pub const fn is_possible(self) -> bool {
        self.from_min < DAY_MIN && self.to_min <= DAY_MIN
    }

    /// Whether `minute` of the day it begins on lies in it.
    const fn today(self, minute: u16) -> bool {
        minute >= self.from_min && (self.from_min >= self.to_min || minute < self.to_min)
    }

    /// Whether `minute` of the day after lies in it.
    const fn tomorrow(self, minute: u16) -> bool {
        self.from_min >= self.to_min && minute < self.to_min
    }
}

/// A [`Span`] of one day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// The day the range begins on, local.
    pub day: Weekday,
    /// First minute, 0..=1439.
    pub from_min: u16,
    /// The minute after the last, 0..=1440.
    pub to_min: u16,
}

impl Hours {
    const fn span(self) -> Span {
        Span { from_min: self.from_min, to_min: self.to_min }
    }
}

/// Which hours count, week by week, and on which days others do. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Arc<Table>);

#[derive(Debug, PartialEq, Eq)]
struct Table {
    zone: Zone,
    hours: Vec<Hours>,
    holidays: Vec<Holiday>,
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
    /// A schedule of these hours, at a fixed offset from UTC in minutes. With no hours it never counts.
    pub fn new(utc_offset_min: i16, hours: Vec<Hours>) -> Result<Self, ScheduleError> {
        let zone = Zone::fixed(utc_offset_min).ok_or(ScheduleError::Offset(utc_offset_min))?;
        Self::in_zone(zone, hours, Vec::new())
    }

    /// A schedule of these hours in the local time of `zone`; on the days of `holidays`, theirs count instead. Where a day is
    /// in more than one of them, each must allow.
    pub fn in_zone(zone: Zone, hours: Vec<Hours>, holidays: Vec<Holiday>) -> Result<Self, ScheduleError> {
        if let Some(i) = hours.iter().position(|h| !h.span().is_possible()) {
            return Err(ScheduleError::Minute(i));
        }
        Ok(Self(Arc::new(Table { zone, hours, holidays })))
    }

    /// A schedule that is never open.
    pub fn never() -> Self {
        Self(Arc::new(Table { zone: Zone::utc(), hours: Vec::new(), holidays: Vec::new() }))
    }

    /// Whether the schedule is open at `at`. A time outside the years that the calendar knows (-9999 to 9999) is closed.
    pub fn allows(&self, at: Timestamp) -> bool {
        let Some((today, minute)) = self.0.zone.local(at) else { return false };
        self.0.day_allows(today, |span| span.today(minute))
            || today.yesterday().is_ok_and(|day| self.0.day_allows(day, |span| span.tomorrow(minute)))
    }
}

impl Table {
    /// Whether a range that begins on `day` fulfils `holds`.
    fn day_allows(&self, day: Date, holds: impl Fn(Span) -> bool) -> bool {
        let mut special = self.holidays.iter().filter(|holiday| holiday.days().contains(day)).peekable();
        if special.peek().is_some() {
            return special.all(|holiday| holiday.hours().iter().any(|span| holds(*span)));
        }
        let weekday = day.weekday().to_monday_zero_offset() as usize;
        self.hours.iter().any(|hours| hours.day.index() == weekday && holds(hours.span()))
    }
}

#[cfg(test)]
mod tests;
