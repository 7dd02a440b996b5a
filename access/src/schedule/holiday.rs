//! Holidays: days on which the hours of the week do not count.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;

use super::Span;

/// Days with hours of their own, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holiday {
    days: Days,
    hours: Vec<Span>,
}

/// Which days, first and last included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Days {
    /// In one year, or over several.
    Dates {
        /// The first.
        from: Date,
        /// The last.
        to: Date,
    },
    /// Every year. Where `to` is before `from`, over the turn of the year.
    Yearly {
        /// The first.
        from: MonthDay,
        /// The last.
        to: MonthDay,
    },
}

/// A day of every year, such as `05-09`. 29 February occurs in leap years only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonthDay {
    month: i8,
    day: i8,
}

/// Why days are no holiday.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HolidayError {
    /// The last day comes before the first.
    #[error("the holiday ends before it begins: exchange the two dates")]
    Backwards,
    /// Hours that no clock shows.
    #[error("the holiday's hours need from_min in 0..=1439 and to_min in 0..=1440")]
    Minute,
    /// No date.
    #[error("{0:?} is no date: write \"2027-05-10\", or \"05-09\" for every year")]
    Date(String),
    /// A range from a date of one year to a day of every year, or the other way round.
    #[error("a holiday begins and ends either with a year or without one")]
    Mixed,
}

impl Holiday {
    /// `days` with these hours; closed all day with none.
    pub fn new(days: Days, hours: Vec<Span>) -> Result<Self, HolidayError> {
        if matches!(days, Days::Dates { from, to } if to < from) {
            return Err(HolidayError::Backwards);
        }
        if hours.iter().any(|span| !span.is_possible()) {
            return Err(HolidayError::Minute);
        }
        Ok(Self { days, hours })
    }

    /// Its days.
    pub const fn days(&self) -> Days {
        self.days
    }

    /// Its hours; none if it is closed.
    pub fn hours(&self) -> &[Span] {
        &self.hours
    }
}

impl Days {
    /// From `from` to `to`, each a date (`2027-05-10`) or a day of every year (`05-09`).
    pub fn parse(from: &str, to: &str) -> Result<Self, HolidayError> {
        match (day(from)?, day(to)?) {
            (Day::Date(from), Day::Date(to)) => Ok(Self::Dates { from, to }),
            (Day::Yearly(from), Day::Yearly(to)) => Ok(Self::Yearly { from, to }),
            _ => Err(HolidayError::Mixed),
        }
    }

    /// Whether `date` is one of them.
    pub fn contains(self, date: Date) -> bool {
        match self {
            Self::Dates { from, to } => (from..=to).contains(&date),
            Self::Yearly { from, to } => {
                let at = MonthDay { month: date.month(), day: date.day() };
                if from <= to { (from..=to).contains(&at) } else { at >= from || at <= to }
            }
        }
    }
}

enum Day {
    Date(Date),
    Yearly(MonthDay),
}

/// `YYYY-MM-DD` or `MM-DD`, nothing else: the calendar's own parser would also take forms with a time.
fn day(text: &str) -> Result<Day, HolidayError> {
    let wrong = || HolidayError::Date(text.to_owned());
    let plain = text.bytes().all(|c| c.is_ascii_digit() || c == b'-');
    match text.len() {
        10 if plain => Date::from_str(text).map(Day::Date).map_err(|_| wrong()),
        5 if plain => {
            // Any leap year tells whether the day occurs.
            let date = Date::from_str(&format!("2024-{text}")).map_err(|_| wrong())?;
            Ok(Day::Yearly(MonthDay { month: date.month(), day: date.day() }))
        }
        _ => Err(wrong()),
    }
}

impl fmt::Display for MonthDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}-{:02}", self.month, self.day)
    }
}
