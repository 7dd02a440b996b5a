//! Hours of the week in which something is admitted, as they travel and are stored: text, which both sides read alike.

use cardea_access::schedule::{Hours, Schedule, ScheduleError, UnknownZone, Zone};
use serde::{Deserialize, Serialize};

/// No week needs more lines.
pub const MAX_LINES: usize = 50;

/// Weekly hours, local to a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeeklySchedule {
    /// Where the hours are local: a name of the IANA time zone database.
    pub time_zone: String,
    /// `DAY[-DAY] HH:MM-HH:MM`, up to [`MAX_LINES`]. With none it never counts.
    pub hours: Vec<String>,
}

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeeklyScheduleError {
    /// The zone.
    #[error(transparent)]
    Zone(#[from] UnknownZone),
    /// A line; counted from zero.
    #[error("line {0} of hours (counted from 0) is not understood: write \"mon-fri 08:00-20:00\"")]
    Line(usize),
    /// Too long.
    #[error("there are more than {MAX_LINES} lines of hours")]
    TooMany,
    /// Hours that are none.
    #[error(transparent)]
    Hours(#[from] ScheduleError),
}

impl WeeklySchedule {
    /// What it means.
    pub fn build(&self) -> Result<Schedule, WeeklyScheduleError> {
        let zone = Zone::named(&self.time_zone)?;
        if self.hours.len() > MAX_LINES {
            return Err(WeeklyScheduleError::TooMany);
        }
        let mut hours = Vec::new();
        for (line, text) in self.hours.iter().enumerate() {
            hours.extend(Hours::parse(text).ok_or(WeeklyScheduleError::Line(line))?);
        }
        Ok(Schedule::in_zone(zone, hours, Vec::new())?)
    }

    /// The one encoding that is stored and digested.
    pub fn encode(&self) -> String {
        let quote = |text: &String| serde_json::Value::String(text.clone()).to_string();
        let hours: Vec<String> = self.hours.iter().map(quote).collect();
        format!(r#"{{"time_zone":{},"hours":[{}]}}"#, quote(&self.time_zone), hours.join(","))
    }

    /// Reads [`Self::encode`]'s.
    pub fn decode(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn weekly(time_zone: &str, hours: &[&str]) -> WeeklySchedule {
        WeeklySchedule { time_zone: time_zone.to_owned(), hours: hours.iter().map(|&line| line.to_owned()).collect() }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(weekly("Europe/Moscow", &["mon-fri 08:00-20:00", "sat 10:00-16:00"]).build().is_ok());
        assert!(matches!(weekly("Moscow", &[]).build(), Err(WeeklyScheduleError::Zone(_))));
        let wrong = weekly("UTC", &["mon 08:00-20:00", "always"]).build();
        assert_eq!(wrong, Err(WeeklyScheduleError::Line(1)));
        assert_eq!(weekly("UTC", &["mon 08:00-20:00"; 51]).build(), Err(WeeklyScheduleError::TooMany));
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_read_back(time_zone in ".*", hours in proptest::collection::vec(".*", 0..4)) {
            let schedule = WeeklySchedule { time_zone, hours };
            prop_assert_eq!(WeeklySchedule::decode(&schedule.encode()), Some(schedule));
        }
    }
}
