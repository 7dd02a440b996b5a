//! Every mistake is named; what is right survives being printed.

use std::path::Path;

use super::super::EXAMPLE;
use super::*;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("/etc/cardea/cardead.toml")).map_err(|error| error.to_string())
}

const LISTS: &str = r#"
[posture]
lockdown = "door-exit"
[[schedule]]
id = "office"
time_zone = "Europe/Moscow"
hours = ["mon-fri 08:00-20:00"]
holidays = ["public"]
[[holidays]]
id = "public"
days = [{ from = "01-01", to = "01-08" }, { from = "2026-12-31", hours = ["09:00-14:00"] }]
[[area]]
id = "house"
anti_passback = "timed"
within_min = 5
"#;

/// The example, whose last entry is the door, with rules for it.
fn with(rules: &str) -> String {
    format!("{EXAMPLE}\n[access_point.rules]\n{rules}\n{LISTS}")
}

#[test]
fn rules_survive_being_printed() {
    let text = with(
        "area = \"house\"\nschedule = \"office\"\nschedules = { remote = \"office\" }\nlockdown = \"door-exit\"\n\
         free_hours = \"office\"\nfree_after_first = true\nfree_access = \"barrier-up\"",
    );
    let config = parse(&text).unwrap();
    let rules = config.access_points[1].rules();
    assert_eq!(rules.schedule_of(Credential::Face), Some("office"));
    assert_eq!(config.area("house").unwrap().passback(), Passback::Timed { within_ms: 300_000 });
    assert_eq!(parse(&config.effective().unwrap()).unwrap(), config);
    let (open, shut) = (1_798_534_800_000, 1_798_880_400_000);
    let schedule = config.schedule("office");
    assert!(schedule.allows(cardea_access::Timestamp(open)), "Tuesday 29 December 2026, 12:00");
    assert!(!schedule.allows(cardea_access::Timestamp(shut)), "Saturday 2 January 2027");
    assert!(!config.schedule("nothing").allows(cardea_access::Timestamp(open)));
}

#[test]
fn an_order_to_open_is_bound_only_where_it_is_named() {
    let config = parse(&with("schedule = \"office\"")).unwrap();
    assert_eq!(config.access_points[1].rules().schedule_of(Credential::Remote), None);
}

#[test]
fn every_name_that_leads_nowhere_is_told() {
    let text = with("area = \"yard\"\nschedule = \"x\"\nfree_hours = \"y\"\nlockdown = \"z\"\nfree_access = \"w\"")
        .replace("holidays = [\"public\"]", "holidays = [\"private\"]")
        .replace("lockdown = \"door-exit\"", "lockdown = \"panic\"");
    let error = parse(&text).unwrap_err();
    for name in ["yard", "\"x\"", "\"y\"", "\"z\"", "\"w\"", "private", "panic"] {
        assert!(error.contains(name), "{name} in {error}");
    }
}

#[test]
fn a_second_factor_that_cannot_work_is_told() {
    for (factor, part) in [
        ("{ first = \"face\", second = \"face\" }", "the same"),
        ("{ first = \"face\", second = \"remote\" }", "stands for both"),
        ("{ first = \"plate\", second = \"face\" }", "add it there"),
        ("{ first = \"plate\", second = \"face\", within_s = 1 }", "5 to 600"),
        ("{ first = \"plate\", second = \"remote\" }", "would open nothing"),
        ("{ first = \"plate\", second = \"face\", withins = 1 }", "withins"),
    ] {
        let error = parse(&with(&format!("second_factor = {factor}"))).unwrap_err();
        assert!(error.contains(part), "{part} in {error}");
    }
}

#[test]
fn a_hard_area_needs_a_way_out() {
    let hard = |rules: &str| with(rules).replace("\"timed\"\nwithin_min = 5", "\"hard\"");
    assert!(parse(&hard("area = \"house\"")).unwrap_err().contains("never again"));
    assert!(parse(&hard("area = \"house\"\ndirection = \"exit\"")).is_ok(), "it leads out only");
    let without = with("").replace("within_min = 5", "");
    assert!(parse(&without).unwrap_err().contains("needs within_min"));
}

#[test]
fn orders_have_a_socket_of_their_own() {
    let text = EXAMPLE.replacen("[local]\n", "[local]\norders = \"/run/cardea/local.sock\"\n", 1);
    assert!(parse(&text).unwrap_err().contains("the same file"));
    let text = EXAMPLE.replacen("[local]\n", "[local]\norders = \"/run/cardea-orders/orders.sock\"\n", 1);
    assert!(parse(&text).is_ok());
}
