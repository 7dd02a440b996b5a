//! Hours as people write them: `mon-fri 08:00-20:00`.

use super::{DAY_MIN, Hours, Span, Weekday};

impl Hours {
    /// Reads `DAY[-DAY] HH:MM-HH:MM`: one range for each of the days; `sat-mon` runs over the end of the week. `None` for
    /// anything else.
    pub fn parse(text: &str) -> Option<Vec<Self>> {
        let (days, span) = text.trim().split_once(' ')?;
        let span = Span::parse(span)?;
        let (first, last) = days.split_once('-').unwrap_or((days, days));
        let (first, last) = (day_of(first)?, day_of(last)?);
        let count = (last + 7 - first) % 7 + 1;
        let hours = |n| Self { day: Weekday::ALL[(first + n) % 7], from_min: span.from_min, to_min: span.to_min };
        Some((0..count).map(hours).collect())
    }
}

impl Span {
    /// Reads `HH:MM-HH:MM`, up to `24:00`. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.trim().split_once('-')?;
        let span = Self { from_min: minute_of(from)?, to_min: minute_of(to)? };
        span.is_possible().then_some(span)
    }
}

fn day_of(text: &str) -> Option<usize> {
    ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].iter().position(|day| *day == text)
}

fn minute_of(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|c| c.is_ascii_digit());
    if !two_digits(hour) || !two_digits(minute) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let total = hour * 60 + minute;
    (minute < 60 && total <= DAY_MIN).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_read_as_people_write_them() {
        let hours = Hours::parse("fri-mon 22:00-06:00").unwrap();
        assert_eq!(hours.iter().map(|h| h.day as usize).collect::<Vec<_>>(), [4, 5, 6, 0]);
        assert_eq!((hours[0].from_min, hours[0].to_min), (1320, 360));
        assert_eq!(Hours::parse("sun 00:00-24:00").unwrap()[0].to_min, 1440);
        for text in [
            "",
            "mon",
            "mon 8-20",
            "mon 08:00",
            "mon 08:60-09:00",
            "mon 24:00-01:00",
            "mo 08:00-09:00",
            "mon-x 08:00-09:00",
            "mon 08:00-25:00",
            "mon 0é:00-09:00",
        ] {
            assert!(Hours::parse(text).is_none(), "{text}");
        }
    }
}
