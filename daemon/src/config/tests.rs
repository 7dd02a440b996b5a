//! The example parses and survives being printed; mistakes are named, all at once.

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/cardea/cardead.toml"))
}

fn problems(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn the_example_can_work_and_survives_being_printed() {
    let example = parse(EXAMPLE).unwrap();
    assert!(example.access_points.len() >= 2);
    let printed = example.effective().unwrap();
    assert_eq!(parse(&printed).unwrap(), example);
}

/// The fenced blocks of TOML in `page`, each with the line it begins at.
fn examples(page: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut inside = false;
    for (number, line) in page.lines().enumerate() {
        match line.trim() {
            "```toml" => {
                inside = true;
                found.push((number + 1, String::new()));
            }
            "```" => inside = false,
            _ if inside => {
                if let Some((_, text)) = found.last_mut() {
                    text.push_str(line);
                    text.push('\n');
                }
            }
            _ => {}
        }
    }
    found
}

#[test]
fn every_example_of_the_hardware_guide_can_work() {
    for (line, text) in examples(include_str!("../../../docs/guide/hardware.md")) {
        if let Err(error) = parse(&format!("state_dir = \"/var/lib/cardea\"\n{text}")) {
            panic!("docs/guide/hardware.md, line {line}: {error}");
        }
    }
}

#[test]
fn an_example_is_what_stands_between_the_fences() {
    let page = "text\n```toml\na = 1\n```\n```bash\nls\n```\n```toml\nb = 2\n```\n";
    assert_eq!(examples(page), [(2, "a = 1\n".to_owned()), (8, "b = 2\n".to_owned())]);
}

#[test]
fn an_unknown_key_is_refused_in_every_section() {
    for (place, key) in [
        ("state_dir = \"/var/lib/cardea\"", "unknown_key"),
        ("[cloud]", "unknown_key"),
        ("[recognition]", "unknown_key"),
        ("[biometrics]", "max_stalenes_s"),
        ("[plates]", "unknown_key"),
        ("[events]", "unknown_key"),
        ("[local]", "unknown_key"),
        ("[[board]]", "unknown_key"),
        ("[[output]]", "unknown_key"),
        ("[[input]]", "unknown_key"),
        ("[[camera]]", "unknown_key"),
        ("[[access_point]]", "unknown_key"),
    ] {
        assert!(EXAMPLE.contains(place), "the example has no {place}");
        let text = EXAMPLE.replacen(place, &format!("{place}\n{key} = 1"), 1);
        let error = problems(&text);
        assert!(error.contains(key), "{place}: {error}");
    }
}

#[test]
fn passwords_are_not_printed() {
    let text = format!(
        "{EXAMPLE}\n[[camera]]\nid = \"secret-cam\"\ndriver = \"http-snapshot\"\nurl = \"http://192.0.2.9/\"\n\
         username = \"viewer\"\npassword = \"correct horse\"\n"
    );
    let config = parse(&text).unwrap();
    let printed = config.effective().unwrap();
    assert!(printed.contains("password = \"…\"") && !printed.contains("correct horse"));
    assert!(!format!("{config:?}").contains("correct horse"));
}

#[test]
fn all_mistakes_are_named_together() {
    let text = r#"
        state_dir = "/var/lib/cardea"
        [biometrics]
        max_staleness_s = 0
        [[access_point]]
        kind = "barrier"
        id = "gate"
        credentials = ["plate"]
        open = "up"
        close = "down"
        zone = [[0.0, 0.0], [1.0, 1.0]]
    "#;
    let error = problems(text);
    for part in ["max_staleness_s", "\"up\"", "\"down\"", "camera", "[recognition]", "three corners", "photocell"] {
        assert!(error.contains(part), "{part} in {error}");
    }
}

#[test]
fn a_camera_that_posts_its_events_needs_a_loop() {
    let text = r#"
        state_dir = "/var/lib/cardea"
        [[anpr]]
        id = "lane-1"
        driver = "hikvision-push"
        listen = "192.0.2.1:8090"
        allow_from = ["192.0.2.20"]
        token = "0123456789abcdefghijklmnop"
        accept_text_only = true
        [[board]]
        id = "io1"
        driver = "modbus-tcp"
        address = "192.0.2.7:502"
        [[output]]
        id = "up"
        board = "io1"
        channel = 0
        [[input]]
        id = "car"
        board = "io1"
        channel = 0
        [[access_point]]
        kind = "barrier"
        id = "gate"
        credentials = ["plate"]
        anpr = "lane-1"
        open = "up"
        loop = "car"
    "#;
    parse(text).unwrap();
    assert!(problems(&text.replace("loop = \"car\"", "")).contains("wire a loop"));
}

#[test]
fn a_lock_must_rest_as_its_mode_says() {
    let text = EXAMPLE.replacen("mode = \"fail-secure\"", "mode = \"fail-safe\"", 1);
    assert!(problems(&text).contains("safe = true"));
}

#[test]
fn relative_paths_start_at_the_file() {
    let config = parse("state_dir = \"state\"\n[local]\nsocket = \"run/local.sock\"").unwrap();
    assert_eq!(config.state_dir, Path::new("/etc/cardea/state"));
    assert_eq!(config.local.socket, Path::new("/etc/cardea/run/local.sock"));
}

#[test]
fn a_missing_file_says_which() {
    let error = Config::load(Path::new("/nonexistent/cardead.toml")).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/cardead.toml"));
}

#[test]
fn a_direction_takes_two_loops_besides_the_one_under_the_boom() {
    let with = |key: &str| EXAMPLE.replacen("loop = \"barrier-loop\"", &format!("loop = \"barrier-loop\"\n{key}"), 1);
    assert!(problems(&with("approach_loop = \"door-exit\"")).contains("departure_loop"));
    let loops = "approach_loop = \"door-exit\"\ndeparture_loop = \"door-contact\"\nlane = \"exit\"";
    assert!(problems(&with(loops)).contains("make them agree"), "driven outwards, judged as a way in");
    let both = &format!("{loops}\nrules = {{ direction = \"exit\" }}");
    let config = parse(&with(both)).unwrap();
    let AccessPointConfig::Barrier(barrier) = &config.access_points[0] else {
        panic!("the example begins with a barrier")
    };
    assert_eq!(barrier.waiting_loop(), Some(("departure_loop", "door-contact")), "who drives out waits inside");
    assert!(barrier.machine().lane_loops_fitted);
    let alone = with(both).replacen("loop = \"barrier-loop\"\n", "", 1).replacen("close = \"barrier-close\"\n", "", 1);
    assert!(problems(&alone).contains("wire one of these"));
}

#[test]
fn a_barrier_without_a_close_output_closes_by_itself() {
    let config = parse(&EXAMPLE.replacen("close = \"barrier-close\"\n", "", 1)).unwrap();
    let AccessPointConfig::Barrier(barrier) = &config.access_points[0] else {
        panic!("the example begins with a barrier")
    };
    assert!(barrier.machine().self_closing);
}

#[test]
fn cards_may_be_bound_to_the_clouds_word_like_plates() {
    let with = |value: &str| format!("{EXAMPLE}\n[cards]\nmax_staleness_s = {value}\n");
    assert_eq!(parse(&with("60")).unwrap().cards.max_staleness_s, Some(60));
    assert_eq!(parse(EXAMPLE).unwrap().cards.max_staleness_s, None);
    assert!(problems(&with("0")).contains("[cards]: max_staleness_s"));
}
