//! Schedules against two computations that are not theirs: Python's zoneinfo for local time, and a count of minutes for
//! the hours of the week.

use cardea_access::Timestamp;
use cardea_access::schedule::{DAY_MIN, Days, Holiday, Hours, Schedule, Span, Weekday, Zone};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Made by `data/local_times.py` with the tzdata of [`Zone::DATABASE`].
const LOCAL_TIMES: &str = include_str!("data/local_times.csv");

#[test]
fn local_time_is_what_python_says() {
    let mut zones = std::collections::BTreeSet::new();
    for line in LOCAL_TIMES.lines().skip(1) {
        let [name, unix_s, local]: [&str; 3] = line.split(',').collect::<Vec<_>>().try_into().expect("three columns");
        let at = Timestamp(unix_s.parse::<i64>().expect("a number") * 1_000);
        let (date, minute) = Zone::named(name).expect("a zone").local(at).expect("within the calendar");
        assert_eq!(format!("{date}T{:02}:{:02}", minute / 60, minute % 60), local, "{line}");
        zones.insert(name);
    }
    assert!(zones.len() >= 25, "{zones:?}");
}

const MINUTES: i64 = 7 * DAY_MIN as i64;
/// Monday 4 January 2027, 00:00 UTC.
const MONDAY_MIN: i64 = 1_799_020_800 / 60;

fn span() -> impl Strategy<Value = Span> {
    (0..DAY_MIN, 0..=DAY_MIN).prop_map(|(from_min, to_min)| Span { from_min, to_min })
}

fn hours() -> impl Strategy<Value = Hours> {
    (0..7usize, span()).prop_map(|(day, s)| Hours { day: Weekday::ALL[day], from_min: s.from_min, to_min: s.to_min })
}

/// Marks every open minute of a week that repeats, by counting them up.
fn painted(ranges: &[(usize, Span)]) -> Vec<bool> {
    let mut open = vec![false; MINUTES as usize];
    for (day, span) in ranges {
        let mut minute = *span;
        let length = if minute.from_min < minute.to_min {
            minute.to_min - minute.from_min
        } else {
            DAY_MIN - minute.from_min + minute.to_min
        };
        for _ in 0..length {
            let at = (*day * usize::from(DAY_MIN) + usize::from(minute.from_min)) % open.len();
            open[at] = true;
            minute.from_min += 1;
        }
    }
    open
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn every_minute_of_the_week_is_as_painted(
        hours in prop::collection::vec(hours(), 0..6),
        offset in -720..=840i16,
        holiday in prop::option::of((0..7i64, prop::collection::vec(span(), 0..3))),
        minutes in prop::collection::vec(0..MINUTES, 200),
    ) {
        let mut ranges: Vec<(usize, Span)> = hours
            .iter()
            .map(|h| (h.day as usize, Span { from_min: h.from_min, to_min: h.to_min }))
            .collect();
        let zone = Zone::fixed(offset).expect("a possible offset");
        let mut holidays = Vec::new();
        if let Some((day, own)) = holiday {
            // 4 January 2027 is a Monday; the week before it and after it have the same hours, but for the holiday.
            let date = format!("2027-01-{:02}", 11 + day);
            holidays.push(Holiday::new(Days::parse(&date, &date).expect("a date"), own.clone()).expect("a holiday"));
            ranges.retain(|(began, _)| *began as i64 != day);
            ranges.extend(own.into_iter().map(|span| (day as usize, span)));
        }
        let open = painted(&ranges);
        let schedule = Schedule::in_zone(zone, hours, holidays).expect("possible hours");
        for minute in minutes {
            // The night from Sunday to the Monday of the week looked at belongs to an ordinary Sunday.
            let monday = MINUTES + minute;
            let at = Timestamp((MONDAY_MIN + monday - i64::from(offset)) * 60_000 + 59_999);
            let into_monday = minute < i64::from(DAY_MIN);
            if !into_monday {
                prop_assert_eq!(schedule.allows(at), open[minute as usize], "minute {}", minute);
            }
        }
    }

    #[test]
    fn no_instant_and_no_zone_is_too_odd(at in any::<i64>(), near in -4_000_000_000_000..4_000_000_000_000i64, name in 0..4usize) {
        let name = ["Europe/Moscow", "Australia/Lord_Howe", "Antarctica/Troll", "Pacific/Apia"][name];
        let always = Weekday::ALL.map(|day| Hours { day, from_min: 0, to_min: DAY_MIN }).to_vec();
        let schedule = Schedule::in_zone(Zone::named(name).expect("a zone"), always, vec![]).expect("possible hours");
        prop_assert!(schedule.allows(Timestamp(near)), "every minute is some day's");
        schedule.allows(Timestamp(at));
    }
}
