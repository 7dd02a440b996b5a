//! Cars on the lane and people at the door, with whoever moves the boom.

use proptest::prelude::*;

use super::*;

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn house() -> House {
    House::new(&HouseConfig {
        barrier: BarrierConfig { travel_ms: 1000, reaction_ms: 400 },
        door: DoorConfig { auto_push: true, push_ms: 300, walk_ms: 1500 },
        lane: LaneConfig::default(),
    })
}

fn car(name: &str) -> CarPlan {
    // 2 m in a second.
    CarPlan { name: name.into(), speed_kmh: 7.2, length_m: 4.0, ..CarPlan::default() }
}

fn person(name: &str) -> PersonPlan {
    PersonPlan { name: name.into(), from: Side::Outside, errand: Errand::WalksThrough, waits: None }
}

fn pulse(house: &mut House, channel: usize, from: u64) {
    house.write_coil(channel, true, at(from));
    house.write_coil(channel, false, at(from + 100));
}

/// `(at_ms, what, who)` of all that happened.
fn told(house: &mut House, now: u64) -> Vec<(f64, What, String)> {
    house.happenings(0, at(now)).into_iter().map(|it| (it.at_ms, it.what, it.who)).collect()
}

fn saw(house: &mut House, now: u64, what: What) -> Vec<f64> {
    told(house, now).into_iter().filter(|it| it.1 == what).map(|it| it.0).collect()
}

fn edges(house: &mut House, now: u64, name: &str) -> Vec<(f64, bool)> {
    let edges = house.history(0, at(now)).into_iter().filter(|edge| edge.line == Line::Input && edge.name == name);
    edges.map(|edge| (edge.at_ms, edge.on)).collect()
}

#[test]
fn a_car_waits_for_the_boom_and_every_sensor_follows_it() {
    let mut house = house();
    house.car_arrives(car("a"), at(0));
    // From 14 m away to 1.5 m before the boom.
    assert_eq!(saw(&mut house, 30_000, What::CarWaits), [6250.0]);
    pulse(&mut house, COIL_OPEN, 30_000);
    house.state(at(60_000));
    // The boom is up at 31 s; from then on the nose is at -1.5 m + 2 m/s, the tail 4 m behind.
    let passage = [
        ("approach-loop", 3500.0, 31_750.0),
        ("loop", 6000.0, 34_750.0),
        ("photocell", 31_600.0, 33_900.0),
        ("departure-loop", 33_750.0, 37_250.0),
    ];
    for (name, on, off) in passage {
        assert_eq!(edges(&mut house, 60_000, name), [(on, true), (off, false)], "{name}");
    }
    assert_eq!(saw(&mut house, 60_000, What::CarPasses), [33_800.0]);
    let state = house.state(at(60_000));
    assert_eq!((state.passages, state.cars.len(), state.barrier.strikes), (1, 0, 0));
}

#[test]
fn a_car_that_comes_out_passes_the_sensors_the_other_way_round() {
    let mut house = house();
    pulse(&mut house, COIL_OPEN, 0);
    house.car_arrives(CarPlan { from: Side::Inside, ..car("a") }, at(2000));
    house.state(at(60_000));
    let first_on = |house: &mut House, name: &str| edges(house, 60_000, name)[0].0;
    let order = ["departure-loop", "loop", "photocell", "approach-loop"].map(|name| first_on(&mut house, name));
    assert!(order.is_sorted(), "{order:?}");
    assert!(saw(&mut house, 60_000, What::CarWaits).is_empty(), "the boom was up");
    assert_eq!(house.state(at(60_000)).passages, 1);
}

#[test]
fn the_camera_sees_the_foremost_car_until_it_is_in() {
    let mut house = house();
    let view = |house: &mut House, ms| house.view(at(ms)).car;
    house.car_arrives(car("a"), at(0));
    house.car_arrives(car("b"), at(0));
    assert_eq!(view(&mut house, 1000), None);
    assert_eq!(view(&mut house, 6500).as_deref(), Some("a"));
    pulse(&mut house, COIL_OPEN, 7000);
    // "a" is under the boom, "b" close behind.
    assert_eq!(view(&mut house, 9000).as_deref(), Some("b"));
    assert_eq!(view(&mut house, 30_000), None);
    // Who drives out shows the camera its back.
    house.car_arrives(CarPlan { from: Side::Inside, ..car("c") }, at(30_000));
    assert_eq!(view(&mut house, 37_000), None);
    assert_eq!(view(&mut house, 40_000).as_deref(), Some("c"));
}

#[test]
fn a_boom_lowered_on_a_standing_car_is_a_collision_with_its_name() {
    let mut house = house();
    pulse(&mut house, COIL_OPEN, 0);
    house.car_arrives(CarPlan { stands: Some(at(60_000)), ..car("a") }, at(1000));
    assert_eq!(saw(&mut house, 20_000, What::CarStands), [9000.0]);
    pulse(&mut house, COIL_CLOSE, 20_000);
    let collisions: Vec<_> = told(&mut house, 30_000).into_iter().filter(|it| it.1.is_unsafe()).collect();
    assert_eq!(collisions.len(), 1);
    // After the reaction time, and not a second time at the bottom.
    assert!((20_400.0..20_401.0).contains(&collisions[0].0) && collisions[0].2 == "a", "{collisions:?}");
    assert_eq!(house.state(at(30_000)).barrier.strikes, 1);
}

#[test]
fn a_car_that_waits_before_a_falling_boom_is_not_struck() {
    let mut house = house();
    pulse(&mut house, COIL_OPEN, 0);
    house.car_arrives(car("a"), at(1000));
    pulse(&mut house, COIL_CLOSE, 6900);
    assert_eq!(saw(&mut house, 20_000, What::CarWaits), [7250.0]);
    assert_eq!(house.state(at(20_000)).barrier.strikes, 0);
}

#[test]
fn a_hasty_driver_goes_as_soon_as_it_fits_and_a_careful_one_when_the_boom_is_up() {
    for (hasty, expected) in [(true, 20_700.0), (false, 21_000.0)] {
        let mut house = house();
        house.car_arrives(CarPlan { hasty, ..car("a") }, at(0));
        pulse(&mut house, COIL_OPEN, 20_000);
        assert_eq!(saw(&mut house, 40_000, What::CarDrivesIn), [expected]);
        assert!(saw(&mut house, 40_000, What::CarHitsBoom).is_empty());
    }
}

#[test]
fn a_boom_that_comes_down_before_a_car_that_cannot_stop_is_hit() {
    let mut house = house();
    pulse(&mut house, COIL_OPEN, 0);
    house.car_arrives(car("a"), at(1000));
    // Past the stop line at 7.25 s, under the boom at 7.95 s.
    pulse(&mut house, COIL_CLOSE, 7300);
    assert_eq!(saw(&mut house, 20_000, What::CarHitsBoom).len(), 1);
    assert_eq!(house.state(at(20_000)).barrier.strikes, 1);
}

#[test]
fn a_tailgater_keeps_the_loop_occupied() {
    let mut house = house();
    house.car_arrives(car("a"), at(0));
    house.car_arrives(CarPlan { gap_m: 0.5, ..car("b") }, at(100));
    pulse(&mut house, COIL_OPEN, 20_000);
    assert_eq!(house.state(at(60_000)).passages, 2);
    assert_eq!(edges(&mut house, 60_000, "loop").len(), 2, "on once, off once");
}

#[test]
fn who_loses_patience_backs_out_and_so_does_who_changes_their_mind() {
    let mut house = house();
    house.car_arrives(CarPlan { waits: Some(at(5000)), ..car("a") }, at(0));
    assert_eq!(saw(&mut house, 60_000, What::CarBacksOut), [11_250.0]);
    assert_eq!(saw(&mut house, 60_000, What::CarLeaves)[0].round(), 17_500.0);

    let mut other = self::house();
    pulse(&mut other, COIL_OPEN, 0);
    other.car_arrives(CarPlan { backs_out: true, stands: Some(at(2000)), ..car("b") }, at(1000));
    let state = other.state(at(60_000));
    assert_eq!((state.passages, state.cars.len()), (0, 0));
    let whats: Vec<What> = told(&mut other, 60_000).into_iter().filter(|it| it.2 == "b").map(|it| it.1).collect();
    assert_eq!(
        whats,
        [What::CarArrives, What::CarInView, What::CarDrivesIn, What::CarStands, What::CarBacksOut, What::CarLeaves]
    );
    let photocell = edges(&mut other, 60_000, "photocell");
    assert_eq!(photocell.len(), 2, "{photocell:?}");
}

#[test]
fn a_stuck_sensor_says_what_it_says_and_the_car_is_where_it_is() {
    let mut house = house();
    house.set_input(INPUT_LOOP, Some(false), at(0));
    pulse(&mut house, COIL_OPEN, 0);
    house.car_arrives(CarPlan { stands: Some(at(60_000)), ..car("a") }, at(1000));
    assert!(!house.inputs(at(20_000))[INPUT_LOOP] && house.inputs(at(20_000))[INPUT_PHOTOCELL]);
    pulse(&mut house, COIL_CLOSE, 20_000);
    assert_eq!(house.state(at(30_000)).barrier.strikes, 1, "the boom knows better");
}

#[test]
fn people_walk_through_hold_the_door_force_it_or_go_away() {
    let mut house = house();
    house.person_arrives(person("a"), at(0));
    house.person_arrives(PersonPlan { errand: Errand::HoldsOpen(at(5000)), ..person("b") }, at(100));
    house.person_arrives(PersonPlan { errand: Errand::Forces, ..person("c") }, at(200));
    house.person_arrives(PersonPlan { waits: Some(at(3000)), ..person("d") }, at(300));
    house.write_coil(COIL_LOCK, true, at(1000));
    house.write_coil(COIL_LOCK, false, at(3500));
    let all: Vec<_> = told(&mut house, 60_000).into_iter().skip(4).collect();
    let expected = [
        (1300.0, What::DoorOpens, ""),
        (2800.0, What::PersonPasses, "a"),
        (2800.0, What::DoorCloses, ""),
        (3100.0, What::DoorOpens, ""),
        (3100.0, What::DoorHeld, "b"),
        (9600.0, What::PersonPasses, "b"),
        (9600.0, What::DoorCloses, ""),
        (9900.0, What::DoorForced, "c"),
        (11_400.0, What::PersonPasses, "c"),
        (11_400.0, What::DoorCloses, ""),
        (14_400.0, What::PersonLeaves, "d"),
    ];
    assert_eq!(all, expected.map(|(ms, what, who)| (ms, what, who.to_owned())));
    assert!(!house.state(at(60_000)).door.person && house.population(at(60_000)) == 0);
}

#[test]
fn who_comes_from_inside_presses_the_button() {
    let mut house = house();
    house.person_arrives(PersonPlan { from: Side::Inside, ..person("a") }, at(1000));
    assert_eq!(edges(&mut house, 9000, "exit-button"), [(1000.0, true), (1500.0, false)]);
    assert_eq!(house.view(at(1200)).person, None);
}

/// A driver among any.
fn any_car() -> impl Strategy<Value = CarPlan> {
    let mind = (any::<bool>(), prop::option::of(0u64..4000), any::<bool>(), prop::option::of(0u64..20_000));
    (any::<bool>(), 3.0..40.0f64, 2.0..12.0f64, 0.2..3.0f64, mind).prop_map(
        |(out, speed_kmh, length_m, gap_m, (hasty, stands, backs_out, waits))| CarPlan {
            name: "a".into(),
            from: if out { Side::Inside } else { Side::Outside },
            speed_kmh,
            length_m,
            gap_m,
            hasty,
            waits: waits.map(at),
            stands: stands.map(at),
            backs_out,
        },
    )
}

/// Cars of one direction that overlap.
fn overlaps(house: &mut House, now: u64) -> Vec<[CarState; 2]> {
    let cars = house.state(at(now)).cars;
    let pairs = cars.iter().enumerate().flat_map(|(n, a)| cars[n + 1..].iter().map(move |b| [a.clone(), b.clone()]));
    // A boom does not stop them, but a car does.
    let apart = |[a, b]: &[CarState; 2]| a.place_m[0] > b.place_m[1] || b.place_m[0] > a.place_m[1];
    pairs.filter(|pair| pair[0].from == pair[1].from && !apart(pair)).collect()
}

proptest! {
    /// Looking more often must not change what happens.
    #[test]
    fn the_record_does_not_depend_on_who_looks(
        arrivals in prop::collection::vec((0u64..9000, any_car()), 1..6),
        coils in prop::collection::vec((0u64..60_000, 0usize..3), 0..12),
        looks in prop::collection::vec(0u64..90_000, 0..60),
    ) {
        let (mut seen, mut unseen) = (house(), house());
        let mut todo: Vec<(u64, Option<CarPlan>, usize)> =
            arrivals.into_iter().map(|(ms, plan)| (ms, Some(plan), 0)).collect();
        todo.extend(coils.into_iter().map(|(ms, coil)| (ms, None, coil)));
        todo.sort_by_key(|(ms, ..)| *ms);
        let mut looks = looks;
        looks.sort_unstable();
        let mut looks = looks.into_iter().peekable();
        for (ms, plan, coil) in todo {
            while let Some(look) = looks.next_if(|look| *look < ms) {
                seen.state(at(look));
            }
            for house in [&mut seen, &mut unseen] {
                match &plan {
                    Some(plan) => house.car_arrives(plan.clone(), at(ms)),
                    None => pulse(house, coil, ms),
                }
            }
        }
        for look in looks {
            seen.state(at(look));
        }
        prop_assert_eq!(told(&mut seen, 200_000), told(&mut unseen, 200_000));
        prop_assert_eq!(seen.state(at(200_000)), unseen.state(at(200_000)));
        prop_assert_eq!(seen.history(0, at(200_000)), unseen.history(0, at(200_000)));
    }

    /// An attendant who looks twenty times a second, lowers the boom only on a free loop and raises it as soon as the loop is
    /// occupied harms nobody, whoever drives; cars never overlap, and each is gone in the end or still waits.
    #[test]
    fn an_attentive_attendant_harms_nobody(arrivals in prop::collection::vec((0u64..30_000, any_car()), 1..8)) {
        let mut house = house();
        let mut arrivals = arrivals;
        arrivals.sort_by_key(|(ms, _)| std::cmp::Reverse(*ms));
        let count = arrivals.len();
        let mut free_since = 0;
        for now in (0..240_000).step_by(50) {
            while let Some((_, plan)) = arrivals.pop_if(|(ms, _)| *ms <= now) {
                house.car_arrives(plan, at(now));
            }
            let inputs = house.inputs(at(now));
            let barrier = house.state(at(now)).barrier;
            if inputs[INPUT_LOOP] {
                free_since = now;
                if barrier.position < 1.0 && barrier.motion != Motion::Raising {
                    pulse(&mut house, COIL_OPEN, now);
                }
            } else if now - free_since > 1000 && inputs[INPUT_OPEN_LIMIT] {
                pulse(&mut house, COIL_CLOSE, now);
            }
            let overlapping = overlaps(&mut house, now);
            prop_assert!(overlapping.is_empty(), "{:?}", overlapping);
        }
        let state = house.state(at(240_000));
        prop_assert_eq!(state.barrier.strikes, 0);
        prop_assert_eq!(saw(&mut house, 240_000, What::CarHitsBoom), Vec::<f64>::new());
        let gone = saw(&mut house, 240_000, What::CarLeaves).len();
        prop_assert_eq!(gone + state.cars.len(), count);
    }
}
