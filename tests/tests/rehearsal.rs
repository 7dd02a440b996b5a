//! The real machine of a barrier against the simulated lane, without wires or clocks: an evening takes a moment.
//!
//! The shell between the two is the least there can be: it looks every 20 ms, grants whoever is in view and on the loop once,
//! and carries out what the machine commands. While the board is lost it can do neither.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cardea_access::barrier::{Barrier, BarrierConfig, Event};
use cardea_access::machine::{Command, GrantId, Incident, Report};
use cardea_access::request::Direction;
use cardea_access::time::Monotonic;
use cardea_hardware::sim::Fault;
use cardea_hardware::sim::physics::{
    COIL_CLOSE, COIL_OPEN, COIL_STOP, Happening, HouseConfig, INPUT_APPROACH, INPUT_CLOSED_LIMIT, INPUT_DEPARTURE,
    INPUT_LOOP, INPUT_OPEN_LIMIT, INPUT_PHOTOCELL, What,
};
use cardea_hardware::sim::scene::{Beyond, Rehearsal, Scene};
use cardea_tests::site::house::{shipped_scene, shipped_scenes};
use proptest::prelude::*;

const LOOK_MS: u64 = 20;
/// An evening ends after so long, whoever still waits.
const LONGEST_MS: u64 = 600_000;

struct Evening {
    rehearsal: Rehearsal,
    barrier: Barrier,
    board_lost: bool,
    /// The inputs as the machine was last told.
    told: BTreeMap<usize, bool>,
    /// When each coil goes off.
    pulses: BTreeMap<usize, u64>,
    granted: BTreeSet<String>,
    incidents: Vec<Incident>,
}

impl Evening {
    fn new(scene: &Scene) -> Self {
        let config = BarrierConfig {
            travel_ms: 4_000,
            lane: Some(Direction::Entry),
            photocell_fitted: true,
            lane_loops_fitted: true,
            ..BarrierConfig::default()
        };
        Self {
            rehearsal: Rehearsal::new(scene, &HouseConfig::default()),
            barrier: Barrier::new(config),
            board_lost: false,
            told: BTreeMap::new(),
            pulses: BTreeMap::new(),
            granted: BTreeSet::new(),
            incidents: Vec::new(),
        }
    }

    /// Plays it until everybody is gone and the boom has had time to come down; what happened.
    fn play(mut self) -> (Vec<Happening>, Vec<Incident>, bool) {
        let (mut now, mut end) = (0, LONGEST_MS);
        while now < end {
            now += LOOK_MS;
            self.look(now);
            if self.rehearsal.is_done() {
                end = end.min(now + 30_000);
            }
        }
        let done = self.rehearsal.is_done();
        (self.rehearsal.house.happenings(0, Duration::from_millis(now)), self.incidents, done)
    }

    fn look(&mut self, now: u64) {
        for (_, beyond) in self.rehearsal.advance(Duration::from_millis(now)) {
            if let Beyond::Fault(part, fault) = beyond
                && part == "io"
            {
                self.board(fault != Fault::None, now);
            }
        }
        if !self.board_lost {
            self.pulses.retain(|coil, off_at| {
                let on = *off_at > now;
                if !on {
                    self.rehearsal.house.write_coil(*coil, false, Duration::from_millis(now));
                }
                on
            });
            self.tell(now);
            self.recognise(now);
        }
        if self.barrier.next_deadline().is_some_and(|due| due.0 <= now) {
            self.handle(Event::Tick, now);
        }
    }

    fn board(&mut self, lost: bool, now: u64) {
        self.board_lost = lost;
        if lost {
            self.told.clear();
            self.handle(Event::BoardLost, now);
        } else {
            // Safe states come first when a board is back.
            for coil in [COIL_OPEN, COIL_CLOSE, COIL_STOP] {
                self.rehearsal.house.write_coil(coil, false, Duration::from_millis(now));
            }
            self.pulses.clear();
            self.handle(Event::BoardRestored, now);
        }
    }

    /// Tells the machine of each input that is news.
    fn tell(&mut self, now: u64) {
        let inputs = self.rehearsal.house.inputs(Duration::from_millis(now));
        for channel in
            [INPUT_LOOP, INPUT_PHOTOCELL, INPUT_APPROACH, INPUT_DEPARTURE, INPUT_OPEN_LIMIT, INPUT_CLOSED_LIMIT]
        {
            let on = inputs[channel];
            if self.told.insert(channel, on) == Some(on) {
                continue;
            }
            self.handle(
                match channel {
                    INPUT_LOOP if on => Event::LoopOccupied,
                    INPUT_LOOP => Event::LoopClear,
                    INPUT_PHOTOCELL if on => Event::PhotocellBlocked,
                    INPUT_PHOTOCELL => Event::PhotocellClear,
                    INPUT_APPROACH => Event::ApproachLoop(Some(on)),
                    INPUT_DEPARTURE => Event::DepartureLoop(Some(on)),
                    INPUT_OPEN_LIMIT => Event::OpenLimit(on),
                    _ => Event::ClosedLimit(on),
                },
                now,
            );
        }
    }

    /// Whoever has a plate to show, and stands on the loop, is granted once.
    fn recognise(&mut self, now: u64) {
        let at = Duration::from_millis(now);
        let on_the_loop = self.rehearsal.house.inputs(at)[INPUT_LOOP];
        if let Some(car) = self.rehearsal.house.view(at).car.filter(|_| on_the_loop)
            && !["stranger", "tailgater", "intruder"].contains(&car.as_str())
            && self.granted.insert(car)
        {
            self.handle(Event::OpenGranted { grant: GrantId(self.granted.len() as u64) }, now);
        }
    }

    fn handle(&mut self, event: Event, now: u64) {
        for command in self.barrier.handle(event, Monotonic(now)) {
            let (off, on) = match command {
                Command::PulseOpen { ms } | Command::Reverse { ms } => (COIL_CLOSE, Some((COIL_OPEN, ms))),
                Command::PulseClose { ms } => (COIL_OPEN, Some((COIL_CLOSE, ms))),
                Command::Stop => (COIL_OPEN, Some((COIL_STOP, 500))),
                Command::Report(Report::Incident(incident)) => {
                    self.incidents.push(incident);
                    continue;
                }
                _ => continue,
            };
            if self.board_lost {
                self.handle(Event::ActuationFailed { command, may_have_acted: false }, now);
                continue;
            }
            let at = Duration::from_millis(now);
            self.pulses.remove(&off);
            self.rehearsal.house.write_coil(off, false, at);
            if let Some((coil, ms)) = on {
                self.rehearsal.house.write_coil(coil, true, at);
                self.pulses.insert(coil, now + ms);
            }
        }
    }
}

fn told(happenings: &[Happening]) -> String {
    happenings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn never(what: What, happenings: &[Happening]) -> bool {
    !happenings.iter().any(|happening| happening.what == what)
}

#[test]
fn the_machine_harms_nobody_in_any_shipped_scene_and_tells_who_cheats() {
    let mut scenes = 0;
    for entry in std::fs::read_dir(shipped_scenes()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let scene = Scene::parse(&shipped_scene(&name).unwrap()).unwrap();
        let (happenings, incidents, done) = Evening::new(&scene).play();
        for harm in [What::Collision, What::CarHitsBoom] {
            assert!(never(harm, &happenings), "{name}:\n{}", told(&happenings));
        }
        let cheats = |what| incidents.iter().filter(|incident| **incident == what).count();
        let (tailgating, wrong) = (cheats(Incident::Tailgating), cheats(Incident::WrongDirection));
        if !["a-card", "at-the-door", "resident"].contains(&name.as_str()) {
            assert!(done, "{name} does not end:\n{}", told(&happenings));
        }
        let expected = match name.as_str() {
            "tailgater" => (1, 0),
            // Of the two that drive out in the rush, one cannot be told from those who wait on the other side.
            "wrong-way" | "evening-rush" => (0, 1),
            _ => (0, 0),
        };
        assert_eq!((tailgating, wrong), expected, "{name}: {incidents:?}\n{}", told(&happenings));
        scenes += 1;
    }
    assert!(scenes > 5);
}

/// A step of an evening: a car, or something that breaks.
fn any_step() -> impl Strategy<Value = String> {
    let car = (0u64..120_000, 3.0..30.0f64, 2.0..12.0f64, 0.3..3.0f64, any::<bool>(), 0u64..6000, 0u64..4).prop_map(
        |(at, speed, length, gap, inside, stands, mind)| {
            let from = if inside { "inside" } else { "outside" };
            let more = match mind {
                0 => format!(", stands = \"{stands}ms\""),
                1 => format!(", stands = \"{stands}ms\", backs_out = true"),
                _ => String::new(),
            };
            format!(
                "[[step]]\nat = \"{at}ms\"\ncar = {{ from = \"{from}\", speed_kmh = {speed:.1}, length_m = {length:.1}, \
                 gap_m = {gap:.1}, waits = \"30s\"{more} }}\n"
            )
        },
    );
    let lost = (0u64..3000, 100u64..9000, prop::sample::select(vec!["boom-raising", "boom-lowering", "boom-up", "car-drives-in"]))
        .prop_map(|(at, ms, when)| {
            format!(
                "[[step]]\nwhen = \"{when}\"\nat = \"{at}ms\"\nfault = {{ part = \"io\", kind = \"dead\", for = \"{ms}ms\" }}\n"
            )
        });
    // One of two sensors may be blind; that both are is more than a machine can know.
    let stuck = (
        0u64..120_000,
        100u64..20_000,
        prop::sample::select(vec![
            ("loop", false),
            ("photocell", true),
            ("open-limit", false),
            ("closed-limit", false),
        ]),
    )
        .prop_map(|(at, ms, (name, on))| {
            format!("[[step]]\nat = \"{at}ms\"\ninput = {{ name = \"{name}\", on = {on}, for = \"{ms}ms\" }}\n")
        });
    prop_oneof![6 => car, 1 => lost, 1 => stuck]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// Careful drivers, at any speed and in any order, a board that comes and goes, and sensors that stick: the boom comes
    /// down on no car, and no car meets the boom. A loop that is blind is made up for by the photocell, as far as it can be.
    #[test]
    fn the_machine_harms_nobody_in_any_evening(steps in prop::collection::vec(any_step(), 1..14)) {
        let scene = Scene::parse(&steps.concat()).unwrap();
        let (happenings, ..) = Evening::new(&scene).play();
        prop_assert!(never(What::Collision, &happenings), "{}\n{}", steps.concat(), told(&happenings));
        // A photocell sees a car too late for one that is past the stop line already when the boom begins to fall.
        let blind = steps.iter().any(|step| step.contains("name = \"loop\", on = false"));
        prop_assert!(blind || never(What::CarHitsBoom, &happenings), "{}\n{}", steps.concat(), told(&happenings));
    }
}
