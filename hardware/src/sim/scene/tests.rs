//! Scenes: understood, refused with a way out, and those that are shipped, played in no time by an attendant with reflexes.

use proptest::prelude::*;

use super::*;
use crate::sim::physics::{
    BarrierConfig, COIL_CLOSE, COIL_LOCK, COIL_OPEN, Happening, HouseConfig, INPUT_EXIT_BUTTON, INPUT_LOOP,
    INPUT_OPEN_LIMIT, INPUT_PHOTOCELL,
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scenes");

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn refusal(text: &str) -> String {
    Scene::parse(text).unwrap_err().to_string()
}

/// When the acts of a scene are due, if nothing happens.
fn times(scene: &Scene) -> Vec<u64> {
    let mut player = Player::new(scene);
    let mut times = Vec::new();
    while let Some(due) = player.next_due() {
        times.push(u64::try_from(due.as_millis()).unwrap());
        assert!(player.take(due).is_some());
    }
    times
}

#[test]
fn steps_are_due_in_the_order_of_time_with_their_ends_and_repetitions() {
    let scene = Scene::parse(
        r#"
        title = "three"
        [[step]]
        at = "1m0.5s"
        say = "late"
        [[step]]
        at = "1500ms"
        repeat = { times = 3, every = "2s" }
        input = { name = "fire", on = true, for = "1s" }
        [[step]]
        say = "at once"
        "#,
    )
    .unwrap();
    assert_eq!(times(&scene), [0, 1500, 2500, 3500, 4500, 5500, 6500, 60_500]);
    let mut player = Player::new(&scene);
    assert_eq!(player.take(at(0)), Some(Act::Say("at once".into())));
    assert_eq!(player.take(at(1499)), None);
    assert_eq!(player.take(at(1500)), Some(Act::Input(8, Some(true))));
    assert_eq!(player.progress(), Progress { steps: 8, steps_done: 2 });
    // What is broken is mended when the scene is given up.
    assert_eq!(player.abandon(), [(); 3].map(|()| Act::Input(8, None)));
    assert!(player.is_done());
}

#[test]
fn a_step_waits_for_what_it_names() {
    let text =
        "[[step]]\nwhen = \"boom-lowering\"\nat = \"200ms\"\nfault = { part = \"io\", kind = \"dead\", for = \"1s\" }";
    let mut player = Player::new(&Scene::parse(text).unwrap());
    player.notice(What::BoomRaising, at(1000));
    assert!(player.next_due().is_none() && !player.is_done());
    player.notice(What::BoomLowering, at(2000));
    player.notice(What::BoomLowering, at(2100));
    assert_eq!(player.next_due(), Some(at(2200)));
    assert_eq!(player.take(at(2200)), Some(Act::Fault("io".into(), Fault::Dead)));
    assert_eq!(
        (player.next_due(), player.take(at(9000))),
        (Some(at(3200)), Some(Act::Fault("io".into(), Fault::None)))
    );
    assert!(player.is_done());
}

#[test]
fn everybody_has_a_name_of_their_own() {
    let text = "[[step]]\nrepeat = { times = 2, every = \"1s\" }\ncar = {}\n[[step]]\nat = \"5s\"\n\
                repeat = { times = 2, every = \"1s\" }\ncar = { name = \"taxi\" }\n[[step]]\nat = \"9s\"\ncar = { name = \"car 2\" }";
    let mut player = Player::new(&Scene::parse(text).unwrap());
    let names: Vec<String> = std::iter::from_fn(|| player.take(at(60_000)))
        .map(|act| if let Act::Car(plan, _) = act { plan.name } else { String::new() })
        .collect();
    assert_eq!(names, ["car 1", "car 2", "taxi", "taxi 2", "car 2 2"]);
}

#[test]
fn what_makes_no_sense_is_refused_with_the_step_and_the_way_out() {
    let step = |line: &str| refusal(&format!("[[step]]\nsay = \"first\"\n[[step]]\n{line}"));
    for (line, words) in [
        ("car = { speed_kmh = 0 }", &["step 2", "speed_kmh = 0", "from 1 to 100"][..]),
        ("car = { length_m = 400 }", &["step 2", "length_m", "25"]),
        ("car = { colour = \"red\" }", &["colour", "speed_kmh"]),
        ("cars = {}", &["cars", "expected"]),
        ("at = \"soon\"\ncar = {}", &["soon", "1m30s"]),
        ("at = \"9s..2s\"\ncar = {}", &["9s..2s", "earlier time first"]),
        ("at = \"2x\"\ncar = {}", &["2x", "is no time"]),
        ("at = \"900h\"\ncar = {}", &["longer than a week"]),
        ("car = {}\nsay = \"two\"", &["step 2", "car, say", "a step of its own"]),
        ("at = \"1s\"", &["step 2", "does nothing"]),
        ("when = \"doomsday\"\ncar = {}", &["doomsday", "boom-raising"]),
        ("when = \"car-waits\"\nrepeat = { times = 2, every = \"1s\" }\ncar = {}", &["step 2", "`when` and `repeat`"]),
        ("repeat = { times = 0, every = \"1s\" }\ncar = {}", &["step 2", "at least 1"]),
        ("repeat = { times = 2, every = \"0s..1s\" }\ncar = {}", &["step 2", "0s"]),
        (
            "repeat = { times = 2, every = \"1s\" }\ninput = { name = \"fire\", on = true, for = \"2s\" }",
            &["`for`", "`every`"],
        ),
        ("repeat = { times = 4000000000, every = \"1s\" }\ncar = {}", &["more than", "repeat less"]),
        ("input = { name = \"bell\", on = true }", &["step 2", "bell", "exit-button"]),
        ("input = { channel = 99, on = true }", &["step 2", "99", "15"]),
        ("input = { on = true }", &["step 2", "`name` or `channel`"]),
        ("fault = { part = \"io\", kind = \"lazy\" }", &["step 2", "lazy", "silent"]),
        ("fault = { part = \"io\", kind = \"slow\" }", &["step 2", "ms"]),
        ("card = { number = 7 }", &["step 2", "`reader`"]),
        ("person = { does = \"holds-open\" }", &["step 2", "`holds`"]),
        ("person = { holds = \"3s\" }", &["step 2", "holds-open"]),
        ("car = { plate_picture = \"../secret.jpg\" }", &["step 2", "../secret.jpg", "folder of pictures"]),
        ("car = { plate_picture = \"/etc/passwd\" }", &["step 2", "/etc/passwd"]),
    ] {
        let said = step(line);
        for word in words {
            assert!(said.contains(word), "{line:?} is refused without {word:?}: {said}");
        }
    }
    assert!(refusal("tittle = \"x\"").contains("tittle"));
    assert!(refusal("empty = { plate-cam = \"..\" }").contains("folder of pictures"));
}

#[test]
fn a_card_is_the_action_of_its_reader() {
    let scene = Scene::parse("[[step]]\ncard = { reader = \"gate-reader\", number = 4711, facility = 12 }").unwrap();
    let body = serde_json::json!({ "number": 4711, "facility": 12 });
    let expected = Act::Part { part: "gate-reader".into(), action: "card".into(), body };
    assert_eq!(Player::new(&scene).take(at(0)), Some(expected));
    assert_eq!(scene.actions().collect::<Vec<_>>(), [("gate-reader", "card")]);
}

/// Somebody with reflexes and little sense: whoever waits is let in, but for a "stranger" and a "burglar"; the boom comes down
/// on a free loop, never on a car. While the board is broken, nothing can be seen or done.
struct Attendant {
    free_since: u64,
    board_broken: bool,
}

impl Attendant {
    fn look(&mut self, rehearsal: &mut Rehearsal, now: u64) {
        for (_, beyond) in rehearsal.advance(at(now)) {
            if let Beyond::Fault(part, fault) = beyond
                && part == "io"
            {
                self.board_broken = fault != Fault::None;
            }
        }
        if self.board_broken {
            self.free_since = now;
            return;
        }
        let house = &mut rehearsal.house;
        let inputs = house.inputs(at(now));
        let view = house.view(at(now));
        let mut relay = |coil, on| house.write_coil(coil, on, at(now));
        let occupied = inputs[INPUT_LOOP] || inputs[INPUT_PHOTOCELL];
        if occupied {
            self.free_since = now;
        }
        let free = now - self.free_since;
        relay(COIL_CLOSE, !occupied && free >= 1000 && inputs[INPUT_OPEN_LIMIT]);
        let known = view.car.is_none_or(|who| who != "stranger");
        relay(COIL_OPEN, occupied && known && !inputs[INPUT_OPEN_LIMIT]);
        let person = inputs[INPUT_EXIT_BUTTON] || view.person.is_some_and(|who| who != "burglar");
        house.write_coil(COIL_LOCK, person, at(now));
    }
}

/// Plays a scene with the attendant until everybody is gone, for ten minutes at most; all that happened.
fn rehearse(scene: &Scene) -> (bool, Vec<Happening>) {
    let config = HouseConfig {
        barrier: BarrierConfig { travel_ms: 1000, ..BarrierConfig::default() },
        ..HouseConfig::default()
    };
    let mut rehearsal = Rehearsal::new(scene, &config);
    let mut attendant = Attendant { free_since: 0, board_broken: false };
    let (mut now, mut end) = (0, 600_000);
    while now < end {
        now += 20;
        attendant.look(&mut rehearsal, now);
        if rehearsal.is_done() {
            // Time for the boom to come down behind the last.
            end = end.min(now + 5000);
        }
    }
    (rehearsal.is_done(), rehearsal.house.happenings(0, at(now)))
}

/// What must happen in each scene that is shipped, and how often.
const SHIPPED: &[(&str, &[(What, usize)])] = &[
    ("a-card.toml", &[(What::PersonPasses, 1)]),
    ("at-the-door.toml", &[(What::PersonPasses, 4), (What::DoorHeld, 1), (What::DoorForced, 1)]),
    ("backs-out.toml", &[(What::CarPasses, 1), (What::CarBacksOut, 1), (What::CarStands, 1)]),
    ("board-lost.toml", &[(What::CarPasses, 2)]),
    ("bumper-to-bumper.toml", &[(What::CarPasses, 2), (What::BoomLowering, 1)]),
    ("camera-trouble.toml", &[(What::CarPasses, 2)]),
    ("evening-rush.toml", &[(What::CarPasses, 7), (What::PersonPasses, 4)]),
    ("frozen-camera.toml", &[(What::CarPasses, 1)]),
    ("one-car.toml", &[(What::CarPasses, 1), (What::CarStands, 1)]),
    ("resident.toml", &[(What::PersonPasses, 1)]),
    ("stalled.toml", &[(What::CarPasses, 2), (What::CarStands, 1)]),
    ("stuck-loop.toml", &[(What::CarPasses, 1), (What::BoomLowering, 1)]),
    ("tailgater.toml", &[(What::CarPasses, 2), (What::BoomLowering, 1)]),
    ("turned-away.toml", &[(What::CarPasses, 0), (What::CarBacksOut, 1), (What::BoomRaising, 0)]),
    ("wrong-way.toml", &[(What::CarPasses, 2)]),
];

#[test]
fn every_shipped_scene_goes_as_it_says_and_harms_nobody() {
    let mut files: Vec<_> =
        std::fs::read_dir(FOLDER).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, SHIPPED.iter().map(|(file, _)| *file).collect::<Vec<_>>());
    for (file, expected) in SHIPPED {
        let text = std::fs::read_to_string(format!("{FOLDER}/{file}")).unwrap();
        let scene = Scene::parse(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(!scene.title.is_empty() && !scene.about.is_empty(), "{file} does not say what it shows");
        let (done, happenings) = rehearse(&scene);
        let told = || happenings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(done, "{file} does not end:\n{}", told());
        let count = |what| happenings.iter().filter(|happening| happening.what == what).count();
        for (what, times) in *expected {
            assert_eq!(count(*what), *times, "{file}: {what:?}:\n{}", told());
        }
        for harm in [What::Collision, What::CarHitsBoom] {
            assert_eq!(count(harm), 0, "{file}:\n{}", told());
        }
    }
}

#[test]
fn every_scene_in_the_guide_is_understood() {
    let guide = include_str!("../../../../docs/guide/hardware.md");
    let scenes: Vec<&str> =
        guide.split("```toml scene\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect();
    assert!(!scenes.is_empty(), "the guide shows no scene");
    for scene in scenes {
        Scene::parse(scene).unwrap_or_else(|error| panic!("{error}\n{scene}"));
    }
}

#[test]
fn the_guide_names_everything_that_can_happen_and_every_input() {
    let guide = include_str!("../../../../docs/guide/hardware.md");
    // serde lists what there is when it is asked for what there is not.
    let said = refusal("[[step]]\nwhen = \"nothing\"\nsay = \"x\"");
    let names = said.split('`').skip(1).step_by(2).filter(|name| *name != "nothing");
    let names: Vec<String> = names.map(str::to_owned).collect();
    assert!(names.len() > 10, "{said}");
    for name in names.into_iter().chain(crate::sim::physics::input_names().map(str::to_owned)) {
        assert!(guide.contains(&format!("`{name}`")), "the guide does not name {name}");
    }
}

proptest! {
    /// The same seed is the same evening; what chance chooses stays within what the scene says.
    #[test]
    fn chance_keeps_to_its_seed_and_its_range(seed in any::<u64>()) {
        let text = format!(
            "seed = {}\n[[step]]\nat = \"2s..5s\"\nrepeat = {{ times = 9, every = \"100ms..300ms\" }}\ncar = {{}}",
            seed >> 1,
        );
        let scene = Scene::parse(&text).unwrap();
        let all = times(&scene);
        prop_assert_eq!(&all, &times(&scene));
        prop_assert!((2000..=5000).contains(&all[0]));
        prop_assert!(all.windows(2).all(|pair| (99..=301).contains(&(pair[1] - pair[0]))), "{:?}", all);
    }

    /// No text makes the parser do anything but answer.
    #[test]
    fn any_text_is_understood_or_refused(text in "(\\[\\[step\\]\\]|[a-z]{1,6} = |\"[0-9.]{0,8}(ms|s|m|h)?\"|\\{|\\}|\n| |[0-9]{1,12}){0,40}") {
        let _ = Scene::parse(&text);
    }
}
