//! `[[schedule]]` and `[[holidays]]`: hours of the week in local time, and days on which others count.
//!
//! ```toml
//! [[schedule]]
//! id = "office"
//! time_zone = "Europe/Moscow"             # an IANA name
//! hours = ["mon-fri 08:00-20:00", "sat 10:00-16:00", "sun 22:00-02:00"]   # 22:00-02:00 runs into Monday
//! holidays = ["public"]
//!
//! [[holidays]]
//! id = "public"
//! days = [
//!     { from = "01-01", to = "01-08" },                                   # every year; closed
//!     { from = "2026-12-31", hours = ["09:00-14:00"] },                   # one day, with hours of its own
//! ]
//! ```

use cardea_access::schedule::{Days, Holiday, Hours, Schedule, Span, Zone};
use serde::{Deserialize, Serialize};

/// Hours of the week.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleConfig {
    /// What others call it.
    pub id: String,
    /// Where the hours are local: a name of the IANA time zone database.
    pub time_zone: String,
    /// `DAY[-DAY] HH:MM-HH:MM`. With none it is never open, but for holidays with hours of their own.
    pub hours: Vec<String>,
    /// `[[holidays]]` on whose days these hours do not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holidays: Vec<String>,
}

/// A list of holidays.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HolidaysConfig {
    /// What schedules call it.
    pub id: String,
    /// The days.
    pub days: Vec<HolidayConfig>,
}

/// A day, or several in a row.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HolidayConfig {
    /// The first: `YYYY-MM-DD`, or `MM-DD` for every year.
    pub from: String,
    /// The last; the same day if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// `HH:MM-HH:MM`; closed all day if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hours: Vec<String>,
}

impl ScheduleConfig {
    /// The schedule, with what is wrong in a sentence for each mistake.
    pub(super) fn build(&self, lists: &[HolidaysConfig]) -> Result<Schedule, Vec<String>> {
        let entry = format!("schedule {:?}", self.id);
        let mut problems = Vec::new();
        let mut note = |problem: String| problems.push(format!("{entry}: {problem}"));
        let zone = Zone::named(&self.time_zone).map_err(|error| note(format!("time_zone: {error}"))).ok();
        let mut hours = Vec::new();
        for text in &self.hours {
            match Hours::parse(text) {
                Some(some) => hours.extend(some),
                None => note(format!("hours: {text:?} is not understood: write \"mon-fri 08:00-20:00\"")),
            }
        }
        let mut holidays = Vec::new();
        for name in &self.holidays {
            match lists.iter().find(|list| list.id == *name) {
                // What is wrong inside the list is told once, where the list stands.
                Some(list) => holidays.extend(list.days.iter().filter_map(|day| day.build().ok())),
                None => note(format!("holidays names {name:?}, which is no [[holidays]]: add one with this id")),
            }
        }
        let schedule = zone
            .and_then(|zone| Schedule::in_zone(zone, hours, holidays).map_err(|error| note(error.to_string())).ok());
        schedule.filter(|_| problems.is_empty()).ok_or(problems)
    }
}

impl HolidaysConfig {
    pub(super) fn problems(&self) -> Vec<String> {
        let wrong = self.days.iter().filter_map(|day| day.build().err());
        wrong.map(|problem| format!("holidays {:?}: {problem}", self.id)).collect()
    }
}

impl HolidayConfig {
    fn build(&self) -> Result<Holiday, String> {
        let days = Days::parse(&self.from, self.to.as_ref().unwrap_or(&self.from)).map_err(|e| e.to_string())?;
        let mut hours = Vec::new();
        for text in &self.hours {
            hours.push(
                Span::parse(text).ok_or_else(|| format!("hours: {text:?} is not understood: write \"09:00-14:00\""))?,
            );
        }
        Holiday::new(days, hours).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_of_a_schedule_is_named() {
        let schedule = ScheduleConfig {
            id: "office".into(),
            time_zone: "Moscow".into(),
            hours: vec!["always".into()],
            holidays: vec!["none".into()],
        };
        let problems = schedule.build(&[]).unwrap_err().join("\n");
        for part in ["schedule \"office\"", "\"Moscow\"", "\"always\"", "\"none\""] {
            assert!(problems.contains(part), "{part} in {problems}");
        }
    }
}
