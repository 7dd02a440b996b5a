//! The house, millisecond by millisecond.

use proptest::prelude::*;

use super::*;

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn house() -> House {
    House::new(&HouseConfig {
        barrier: BarrierConfig { travel_ms: 1000, reaction_ms: 200 },
        door: DoorConfig { auto_push: true, push_ms: 300, walk_ms: 1500 },
        ..HouseConfig::default()
    })
}

fn pulse(house: &mut House, channel: usize, from: u64) {
    house.write_coil(channel, true, at(from));
    house.write_coil(channel, false, at(from + 100));
}

/// `(at_ms, name, on)` of the inputs' edges.
fn input_edges(house: &mut House, now: u64) -> Vec<(f64, String, bool)> {
    let edges = house.history(0, at(now)).into_iter().filter(|edge| edge.line == Line::Input);
    edges.map(|edge| (edge.at_ms, edge.name, edge.on)).collect()
}

#[test]
fn the_boom_opens_closes_and_its_limits_switch_on_time_even_if_nobody_looks() {
    let mut house = house();
    assert!(house.inputs(at(0))[INPUT_CLOSED_LIMIT] && !house.inputs(at(0))[INPUT_OPEN_LIMIT]);
    pulse(&mut house, COIL_OPEN, 100);
    pulse(&mut house, COIL_CLOSE, 5000);
    let edges = input_edges(&mut house, 10_000);
    let expected = [
        (100.0, "closed-limit", false),
        (1100.0, "open-limit", true),
        (5000.0, "open-limit", false),
        (6000.0, "closed-limit", true),
    ];
    // A switch opens as soon as the boom has moved at all, which is seen at the next look.
    let times: Vec<_> = edges.iter().map(|(_, name, on)| (name.as_str(), *on)).collect();
    assert_eq!(times, expected.map(|(_, name, on)| (name, on)));
    assert_eq!((edges[1].0, edges[3].0), (1100.0, 6000.0));
    assert!(!house.state(at(10_000)).barrier.struck);
}

#[test]
fn a_boom_that_reverses_in_time_does_not_strike() {
    let mut house = house();
    pulse(&mut house, COIL_OPEN, 0);
    pulse(&mut house, COIL_CLOSE, 2000);
    house.set_input(INPUT_LOOP, Some(true), at(2300));
    pulse(&mut house, COIL_OPEN, 2450);
    let state = house.state(at(4000));
    assert!(!state.barrier.struck && state.inputs[INPUT_OPEN_LIMIT]);
}

#[test]
fn a_boom_that_comes_down_on_a_car_says_so() {
    let mut late = house();
    pulse(&mut late, COIL_OPEN, 0);
    late.set_input(INPUT_LOOP, Some(true), at(1500));
    pulse(&mut late, COIL_CLOSE, 2000);
    assert!(!late.state(at(2200)).barrier.struck);
    assert!(late.state(at(2201)).barrier.struck, "lowering on a car for longer than the reaction time");
    late.set_input(INPUT_LOOP, None, at(9000));
    assert!(late.state(at(9000)).barrier.struck, "it stays told");

    let mut bottom = house();
    pulse(&mut bottom, COIL_OPEN, 0);
    pulse(&mut bottom, COIL_CLOSE, 2000);
    bottom.set_input(INPUT_LOOP, Some(true), at(2900));
    assert!(bottom.state(at(3000)).barrier.struck, "reaching the bottom on a car");

    let mut waiting = house();
    waiting.set_input(INPUT_LOOP, Some(true), at(0));
    assert!(!waiting.state(at(9000)).barrier.struck, "a car before a closed boom");
}

#[test]
fn stop_leaves_the_boom_where_it_is() {
    let mut house = house();
    pulse(&mut house, COIL_OPEN, 0);
    pulse(&mut house, COIL_STOP, 400);
    let barrier = house.state(at(5000)).barrier;
    assert_eq!((barrier.position, barrier.motion), (0.4, Motion::Stopped));
}

#[test]
fn a_stuck_limit_switch_hides_the_boom() {
    let mut house = house();
    house.set_input(INPUT_OPEN_LIMIT, Some(false), at(0));
    pulse(&mut house, COIL_OPEN, 0);
    let state = house.state(at(2000));
    assert!(!state.inputs[INPUT_OPEN_LIMIT] && state.barrier.position >= 1.0);
    house.set_input(INPUT_OPEN_LIMIT, None, at(2001));
    assert!(house.inputs(at(2001))[INPUT_OPEN_LIMIT]);
}

#[test]
fn a_person_walks_through_a_released_door_and_it_falls_shut() {
    let mut house = house();
    house.set_person(true, at(0));
    assert!(house.inputs(at(5000))[INPUT_CONTACT], "locked: they wait");
    house.write_coil(COIL_LOCK, true, at(5000));
    house.write_coil(COIL_LOCK, false, at(5400));
    let edges = input_edges(&mut house, 20_000);
    assert_eq!(edges, [(5300.0, "contact".into(), false), (6800.0, "contact".into(), true)]);
    assert!(!house.state(at(20_000)).door.person);
}

#[test]
fn a_release_that_is_too_short_opens_nothing() {
    let mut house = house();
    house.set_person(true, at(0));
    house.write_coil(COIL_LOCK, true, at(100));
    house.write_coil(COIL_LOCK, false, at(350));
    assert_eq!(input_edges(&mut house, 9000), []);
    let mut nobody = self::house();
    nobody.write_coil(COIL_LOCK, true, at(0));
    assert_eq!(input_edges(&mut nobody, 9000), []);
}

#[test]
fn the_door_can_be_forced() {
    let mut house = house();
    house.set_input(INPUT_CONTACT, Some(false), at(10));
    assert!(house.state(at(9000)).door.open && !house.state(at(9000)).door.released);
    house.set_input(INPUT_CONTACT, Some(true), at(9001));
    assert!(!house.state(at(9001)).door.open);
}

#[test]
fn channels_that_do_not_exist_are_ignored() {
    let mut house = house();
    house.write_coil(CHANNELS, true, at(0));
    house.set_input(CHANNELS, Some(true), at(0));
    assert_eq!(house.history(0, at(0)), []);
}

proptest! {
    /// Looking more often must not change what happens.
    #[test]
    fn the_outcome_does_not_depend_on_who_looks(
        steps in prop::collection::vec((0u64..700, 0usize..6, any::<bool>()), 1..30),
        looks in prop::collection::vec(0u64..20_000, 0..40),
    ) {
        let (mut seen, mut unseen) = (house(), house());
        let mut now = 0;
        for (wait, what, on) in steps {
            for look in looks.iter().filter(|look| (now..now + wait).contains(look)) {
                seen.inputs(at(*look));
            }
            now += wait;
            for house in [&mut seen, &mut unseen] {
                match what {
                    0 | 1 | 2 | 4 => house.write_coil(what, on, at(now)),
                    3 => house.set_input(INPUT_LOOP, Some(on), at(now)),
                    _ => house.set_person(on, at(now)),
                }
            }
        }
        prop_assert_eq!(seen.state(at(now + 5000)), unseen.state(at(now + 5000)));
        let relays = |house: &mut House| -> Vec<(f64, usize, bool)> {
            let edges = house.history(0, at(now + 5000)).into_iter();
            edges.filter(|edge| edge.line == Line::Relay).map(|edge| (edge.at_ms, edge.channel, edge.on)).collect()
        };
        prop_assert_eq!(relays(&mut seen), relays(&mut unseen));
    }
}
