//! Times as people write them: `"1500ms"`, `"2s"`, `"1m30s"`, and ranges of them.

use std::time::Duration;

use rand::Rng;
use serde::Deserialize;

const SHAPE: &str = "a time is written like \"1500ms\", \"2s\", \"2.5s\" or \"1m30s\"";
/// Nothing in a scene is later or longer.
const LONGEST: Duration = Duration::from_hours(7 * 24);

/// A length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Length(pub(super) Duration);

/// A time, or any time between two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Span {
    from: Duration,
    to: Duration,
}

impl Span {
    /// One of its times.
    pub(super) fn pick(self, chance: &mut impl Rng) -> Duration {
        if self.from == self.to { self.from } else { chance.random_range(self.from..=self.to) }
    }

    pub(super) fn shortest(self) -> Duration {
        self.from
    }
}

impl TryFrom<String> for Length {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse(&text).map(Self)
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (from, to) = match text.split_once("..") {
            Some((from, to)) => (parse(from)?, parse(to)?),
            None => parse(&text).map(|time| (time, time))?,
        };
        if from > to {
            return Err(format!("{text:?} ends before it begins; write the earlier time first"));
        }
        Ok(Self { from, to })
    }
}

fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time; {SHAPE}");
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, unit) = rest.split_at(digits);
        let end = unit.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit.len());
        let (unit, after) = unit.split_at(end);
        let seconds = match unit {
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        let number: f64 = number.parse().map_err(|_| wrong())?;
        // Whole nanoseconds of what people write in milliseconds.
        let part = Duration::try_from_secs_f64((number * seconds * 1e6).round() / 1e6).map_err(|_| wrong())?;
        total = total.saturating_add(part);
        rest = after;
    }
    if total > LONGEST {
        return Err(format!("{text:?} is longer than a week, the longest a scene knows"));
    }
    Ok(total)
}
