//! What is installed beside the program fits it: units, users, folders, device rules, the example configuration.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cardea_daemon::cli::Cli;
use cardea_daemon::config::Config;
use clap::Parser as _;

fn read(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../systemd").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Lines that say something.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

type Unit = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// systemd.syntax(7), as far as these units use it.
fn unit(name: &str) -> Unit {
    let text = read(name);
    let mut unit = Unit::new();
    let mut section = None;
    for line in lines(&text) {
        if let Some(title) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            assert!(["Unit", "Service", "Install"].contains(&title), "{name}: [{title}]");
            section = Some(title.to_owned());
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{name}: {line:?} is no assignment"));
        assert!(key.chars().all(|c| c.is_ascii_alphanumeric()), "{name}: {key:?} is no key");
        let section = section.clone().unwrap_or_else(|| panic!("{name}: {line:?} is in no section"));
        unit.entry(section).or_default().entry(key.to_owned()).or_default().push(value.to_owned());
    }
    unit
}

fn value<'a>(unit: &'a Unit, section: &str, key: &str) -> &'a str {
    let values = unit.get(section).and_then(|section| section.get(key));
    match values.map(Vec::as_slice) {
        Some([value]) => value,
        other => panic!("[{section}] {key}: {other:?}"),
    }
}

/// What each driver opens must be allowed, or the hardware guide promises what the unit forbids.
#[test]
fn the_unit_allows_what_the_drivers_open() {
    let unit = unit("cardead.service");
    let allowed = &unit["Service"]["DeviceAllow"];
    for device in ["char-gpiochip rw", "/dev/gpiomem rw", "char-ttyUSB rw", "char-ttyACM rw", "char-video4linux rw"] {
        assert!(allowed.iter().any(|entry| entry == device), "{device}");
    }
    let groups = value(&unit, "Service", "SupplementaryGroups");
    assert!(["gpio", "dialout", "video"].iter().all(|group| groups.split_whitespace().any(|g| g == *group)));
}

#[test]
fn the_unit_starts_the_program_as_its_command_line_wants_it() {
    let unit = unit("cardead.service");
    let command: Vec<&str> = value(&unit, "Service", "ExecStart").split_whitespace().collect();
    assert!(command[0].ends_with("/cardead"));
    Cli::try_parse_from(command).unwrap();
    let after: Vec<&str> = value(&unit, "Service", "ExecStopPost").trim_start_matches('-').split_whitespace().collect();
    Cli::try_parse_from(after).unwrap();
    assert_eq!(value(&unit, "Install", "WantedBy"), "multi-user.target");
}

#[test]
fn units_are_hardened() {
    for name in ["cardead.service", "cardea-cloud.service"] {
        let unit = unit(name);
        for (key, expected) in [
            ("NoNewPrivileges", "yes"),
            ("CapabilityBoundingSet", ""),
            ("ProtectSystem", "strict"),
            ("ProtectHome", "yes"),
            ("LimitCORE", "0"),
            ("SystemCallFilter", "@system-service"),
            ("StateDirectoryMode", "0700"),
            ("Restart", "always"),
        ] {
            assert_eq!(value(&unit, "Service", key), expected, "{name}: {key}");
        }
        assert!(!unit["Service"].contains_key("WatchdogSec"), "{name}: the program does not notify a watchdog");
    }
}

#[test]
fn users_and_groups_of_units_and_device_rules_exist() {
    for (service, users) in
        [("cardead.service", "cardea.sysusers.conf"), ("cardea-cloud.service", "cardea-cloud.sysusers.conf")]
    {
        let unit = unit(service);
        let text = read(users);
        let entries: Vec<Vec<&str>> = lines(&text).map(|line| line.split_whitespace().collect()).collect();
        assert!(entries.iter().all(|entry| entry.len() >= 3 && ["u", "g", "m"].contains(&entry[0])), "{users}");
        let user = value(&unit, "Service", "User");
        assert!(entries.iter().any(|entry| entry[..2] == ["u", user]), "{users}: {user}");
        let groups = unit["Service"].get("SupplementaryGroups").map_or("", |groups| groups[0].as_str());
        for group in groups.split_whitespace() {
            assert!(entries.iter().any(|entry| entry[..2] == ["g", group]), "{users}: {group}");
            assert!(entries.iter().any(|entry| entry[..3] == ["m", user, group]), "{users}: {user} in {group}");
        }
    }
    let groups = read("cardea.sysusers.conf");
    for rule in lines(&read("60-cardea.rules")) {
        for part in rule.split(", ") {
            let (key, rest) = part.split_once('=').unwrap();
            let quoted = rest.trim_start_matches('=');
            assert!(["SUBSYSTEM", "KERNEL", "GROUP", "MODE"].contains(&key), "{rule}");
            assert!(quoted.len() > 2 && quoted.starts_with('"') && quoted.ends_with('"'), "{rule}");
            if key == "GROUP" {
                assert!(groups.contains(&format!("g {} -", quoted.trim_matches('"'))), "{rule}");
            }
        }
    }
}

#[test]
fn the_examples_folders_are_those_the_unit_makes() {
    let unit = unit("cardead.service");
    let config = Config::parse(&read("cardead.example.toml"), Path::new("/etc/cardea/cardead.toml")).unwrap();
    let state = Path::new("/var/lib").join(value(&unit, "Service", "StateDirectory"));
    let run = Path::new("/run").join(value(&unit, "Service", "RuntimeDirectory"));
    assert_eq!(config.state_dir, state);
    assert_eq!(config.local.socket.parent(), Some(run.as_path()));
    let text = read("cardea.tmpfiles.conf");
    for line in lines(&text) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        assert!(fields.len() == 6 && fields[0] == "d" && u32::from_str_radix(fields[2], 8).is_ok(), "{line}");
    }
    for folder in [&state, &run] {
        assert!(lines(&text).any(|line| line.split_whitespace().nth(1) == folder.to_str()), "{}", folder.display());
    }
}
