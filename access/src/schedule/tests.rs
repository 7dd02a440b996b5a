//! Hours, zones and holidays by example; `tests/schedule_properties.rs` has the rest.

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

fn instant(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

fn every_day(from_min: u16, to_min: u16) -> Vec<Hours> {
    Weekday::ALL.map(|day| hours(day, from_min, to_min)).to_vec()
}

#[test]
fn hours_in_the_gap_do_not_occur_and_in_the_overlap_last_twice() {
    let berlin = Zone::named("europe/berlin").unwrap();
    let at_two = Schedule::in_zone(berlin, every_day(2 * 60, 3 * 60), vec![]).unwrap();
    let minutes = |from: &str| {
        let from = instant(from);
        (0..24 * 60).filter(|min| at_two.allows(from.plus_ms(min * MINUTE_MS))).count()
    };
    assert_eq!(minutes("2027-03-27T00:00:00Z"), 60);
    assert_eq!(minutes("2027-03-28T00:00:00Z"), 0, "clocks go from 02:00 to 03:00");
    assert_eq!(minutes("2027-10-30T22:00:00Z"), 120, "02:00 to 03:00 comes twice");
    assert!(at_two.allows(instant("2027-10-31T00:30:00Z")) && at_two.allows(instant("2027-10-31T01:30:00Z")));
}

#[test]
fn a_holiday_closes_or_has_hours_of_its_own() {
    let moscow = Zone::named("Europe/Moscow").unwrap();
    let closed = Holiday::new(Days::parse("01-01", "01-08").unwrap(), vec![]).unwrap();
    let short = Span { from_min: 9 * 60, to_min: 14 * 60 };
    let eve = Holiday::new(Days::parse("2026-12-31", "2026-12-31").unwrap(), vec![short]).unwrap();
    let s = Schedule::in_zone(moscow, every_day(8 * 60, 20 * 60), vec![closed, eve]).unwrap();
    assert!(s.allows(instant("2026-12-30T16:59:00Z")), "19:59 on an ordinary day");
    assert!(s.allows(instant("2026-12-31T10:59:00Z")) && !s.allows(instant("2026-12-31T11:00:00Z")));
    assert!(!s.allows(instant("2027-01-01T09:00:00Z")) && !s.allows(instant("2031-01-08T09:00:00Z")));
    assert!(s.allows(instant("2027-01-09T09:00:00Z")));
}

#[test]
fn a_night_that_began_before_a_holiday_ends_when_it_says() {
    let closed = Holiday::new(Days::parse("05-01", "05-01").unwrap(), vec![]).unwrap();
    let s = Schedule::in_zone(Zone::named("UTC").unwrap(), every_day(22 * 60, 6 * 60), vec![closed]).unwrap();
    assert!(s.allows(instant("2027-05-01T05:59:00Z")), "the night of 30 April");
    assert!(!s.allows(instant("2027-05-01T22:00:00Z")) && !s.allows(instant("2027-05-02T05:00:00Z")));
}

#[test]
fn where_two_holidays_meet_both_must_allow() {
    let day = Days::parse("05-09", "05-09").unwrap();
    let morning = Holiday::new(day, vec![Span { from_min: 0, to_min: 720 }]).unwrap();
    let closed = Holiday::new(day, vec![]).unwrap();
    let open = |holidays| {
        let s = Schedule::in_zone(Zone::named("UTC").unwrap(), every_day(0, DAY_MIN), holidays).unwrap();
        s.allows(instant("2027-05-09T08:00:00Z"))
    };
    assert!(open(vec![morning.clone()]));
    assert!(!open(vec![morning.clone(), closed.clone()]) && !open(vec![closed, morning]));
}

#[test]
fn holidays_run_over_the_turn_of_the_year() {
    let days = Days::parse("12-30", "01-02").unwrap();
    let contains = |text: &str| days.contains(text.parse().unwrap());
    assert!(contains("2026-12-30") && contains("2027-01-02") && contains("2027-12-31"));
    assert!(!contains("2026-12-29") && !contains("2027-01-03") && !contains("2027-06-15"));
}

#[test]
fn what_is_no_date_is_refused() {
    for text in
        ["", "2027-02-30", "02-30", "5-9", "2027-05", "2027/05/09", "2027-05-09T00:00", "tomorrow", "20270509-1"]
    {
        assert_eq!(Days::parse(text, text), Err(HolidayError::Date(text.to_owned())), "{text}");
    }
    assert!(Days::parse("02-29", "02-29").is_ok());
    assert_eq!(Days::parse("05-09", "2027-05-09"), Err(HolidayError::Mixed));
    let backwards = Days::parse("2027-05-10", "2027-05-09").unwrap();
    assert_eq!(Holiday::new(backwards, vec![]), Err(HolidayError::Backwards));
    let day = Days::parse("05-09", "05-09").unwrap();
    assert_eq!(Holiday::new(day, vec![Span { from_min: 1440, to_min: 0 }]), Err(HolidayError::Minute));
}

#[test]
fn an_unknown_zone_says_what_to_write() {
    let error = Zone::named("Europe/Mosow").unwrap_err().to_string();
    assert!(error.contains("Europe/Mosow") && error.contains("Europe/Moscow"), "{error}");
    assert!(Zone::fixed(841).is_none() && Zone::fixed(-720).is_some());
}

#[test]
fn beyond_the_calendar_it_is_closed() {
    let s = Schedule::in_zone(Zone::named("Asia/Tokyo").unwrap(), every_day(0, DAY_MIN), vec![]).unwrap();
    assert!(!s.allows(Timestamp(i64::MAX)) && !s.allows(Timestamp(i64::MIN)));
}
