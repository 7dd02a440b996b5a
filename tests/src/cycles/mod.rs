//! The barrier's machine against a small model of the world, with faults: cars that tailgate, back out and stop under the
//! boom; boards lost, slow and deaf; limit switches stuck or contradicting; a program killed while the boom moves; clocks that
//! jump. A judge that sees the world as it is counts unsafe states, of which there must be none.
//!
//! Everything is drawn from one seed: the same seed is the same run. One cycle is a boom that has left its lower end and come
//! back to it. [`world`] is physics and knows no controller, [`cabinet`] is the board and the program around the machine,
//! [`checker`] the judge. A [`Controller`] that is not the real machine shows that the judge can condemn: see the tests.
//!
//! What the model leaves to the drive's own safety edge, and counts apart: a boom that falls while the board is lost, the
//! program gone or a limit switch lies, or as the clock jumps without time passing; and a drive that closes by itself what the
//! controller did not open, or has reported to be moved by hand.

pub mod cabinet;
pub mod checker;
pub mod world;

use cardea_access::barrier::{Barrier, BarrierConfig, Event};
use cardea_access::machine::Command;
use cardea_access::request::Direction;
use cardea_access::time::Monotonic;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde::Serialize;

use cabinet::{Cabinet, Faults, Order};
use checker::{Checker, Reported, Unsafe};
use world::{Car, Mind, STEP_MS, World};

/// A machine under trial.
pub trait Controller {
    /// Takes an event; see [`Barrier::handle`].
    fn handle(&mut self, event: Event, now: Monotonic) -> Vec<Command>;
    /// See [`Barrier::next_deadline`].
    fn next_deadline(&self) -> Option<Monotonic>;
}

impl Controller for Barrier {
    fn handle(&mut self, event: Event, now: Monotonic) -> Vec<Command> {
        self.handle(event, now)
    }

    fn next_deadline(&self) -> Option<Monotonic> {
        self.next_deadline()
    }
}

/// The share of scenes with faults in the tests and the benchmark.
pub const SHARE_WITH_FAULTS: f64 = 0.6;

/// Makes a fresh machine, as a start of the program does.
pub type Make<'a> = &'a dyn Fn(BarrierConfig) -> Box<dyn Controller>;

/// The real machine.
pub fn real(config: BarrierConfig) -> Box<dyn Controller> {
    Box::new(Barrier::new(config))
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Booms that left their lower end and came back.
    pub cycles: u64,
    /// Faults that began.
    pub faults: u64,
    /// Vehicles that came.
    pub cars: u64,
    /// Those of them that got through.
    pub passed: u64,
    /// Unsafe states.
    pub unsafe_states: Unsafe,
    /// What the machine reported.
    pub reported: Reported,
    /// Falls towards a vehicle that only the drive's own safety edge could stop.
    pub left_to_the_drive: u64,
    /// How often that edge touched one.
    pub touched: u64,
    /// Scenes after which someone had to bring the boom down by hand or by order.
    pub helped: u64,
    /// The same after scenes without a fault, where there is no excuse.
    pub helped_without_fault: u64,
}

/// The sites, one after the other: what is fitted.
fn sites() -> [BarrierConfig; 6] {
    let plain = BarrierConfig { travel_ms: 6_000, ..BarrierConfig::default() };
    [
        plain,
        BarrierConfig { photocell_fitted: true, ..plain },
        BarrierConfig { lane_loops_fitted: true, lane: Some(Direction::Entry), ..plain },
        BarrierConfig { limits_fitted: false, ..plain },
        BarrierConfig { self_closing: true, photocell_fitted: true, ..plain },
        BarrierConfig { close_standing_open: true, pulse_ms: 2_000, lane_loops_fitted: true, ..plain },
    ]
}

/// Runs at least `cycles` cycles, `share` of whose scenes have faults (0 to 1).
pub fn run(cycles: u64, seed: u64, share: f64, make: Make<'_>) -> Tally {
    let mut total = Tally::default();
    let mut rng = StdRng::seed_from_u64(seed);
    let scenes_per_site = (cycles / 60).clamp(5, 500);
    'all: loop {
        for config in sites() {
            let mut site = Site::new(config, make, rng.random_range(0..1_000_000));
            for _ in 0..scenes_per_site {
                site.scene(&mut rng, share);
                if total.cycles + site.tally.cycles >= cycles {
                    total.add(&site);
                    break 'all;
                }
            }
            total.add(&site);
        }
    }
    total
}

impl Tally {
    fn add(&mut self, site: &Site<'_>) {
        let (tally, checker) = (&site.tally, &site.checker);
        self.cycles += tally.cycles;
        self.faults += tally.faults;
        self.cars += tally.cars;
        self.passed += site.world.passed;
        self.touched += site.world.touched;
        self.helped += tally.helped;
        self.helped_without_fault += tally.helped_without_fault;
        self.left_to_the_drive += checker.left_to_the_drive;
        let (found, new) = (&mut self.unsafe_states, checker.found);
        found.closed_on_a_car += new.closed_on_a_car;
        found.kept_falling += new.kept_falling;
        found.both_ways += new.both_ways;
        found.opened_for_nobody += new.opened_for_nobody;
        found.closed_for_nobody += new.closed_for_nobody;
        found.against_orders += new.against_orders;
        found.answered_wrongly += new.answered_wrongly;
        found.shut_in_a_fire += new.shut_in_a_fire;
        found.moved_when_stopped += new.moved_when_stopped;
        let (told, new) = (&mut self.reported, checker.reported);
        told.tailgating += new.tailgating;
        told.wrong_direction += new.wrong_direction;
        told.no_entry += new.no_entry;
        told.faults += new.faults;
        told.confirmed += new.confirmed;
    }
}

/// Longest scene, in steps; and how long a boom may take to come down when all have left.
const SCENE_STEPS: u32 = 4_000;
const SETTLE_STEPS: u32 = 3_000;
/// How long it must have been down to be at rest.
const REST_STEPS: u32 = 40;

struct Site<'a> {
    config: BarrierConfig,
    make: Make<'a>,
    world: World,
    cabinet: Cabinet,
    checker: Checker,
    faults: Faults,
    tally: Tally,
    was_up: bool,
    /// Someone gave orders in this scene.
    ordered: bool,
    /// Steps until the relays switch again, while another fault lasts.
    relays_mend: Option<u32>,
}

impl<'a> Site<'a> {
    fn new(config: BarrierConfig, make: Make<'a>, clock: u64) -> Self {
        let mut world = World::default();
        world.boom.closes_itself = config.self_closing;
        Self {
            config,
            make,
            world,
            cabinet: Cabinet::new(config, make(config), Monotonic(clock)),
            checker: Checker::default(),
            faults: Faults::default(),
            tally: Tally::default(),
            was_up: false,
            ordered: false,
            relays_mend: None,
        }
    }

    /// Some cars come, some things break, and at the end everything is whole again and the boom comes down.
    fn scene(&mut self, rng: &mut StdRng, share: f64) {
        let faulty = rng.random_bool(share);
        let mut cars = rng.random_range(1..=3);
        let mut next_car = 0_u32;
        let mut fault: Option<(u32, u32)> = faulty.then(|| (rng.random_range(0..500), rng.random_range(4..400)));
        for step in 0..SCENE_STEPS {
            if cars > 0 && step >= next_car {
                cars -= 1;
                next_car = step + rng.random_range(20..300);
                self.tally.cars += 1;
                self.world.cars.push(car(rng));
            }
            match fault {
                Some((at, _)) if step == at => self.begin_fault(rng),
                Some((at, lasts)) if step >= at + lasts => {
                    self.end_fault();
                    // Troubles do not come alone.
                    fault = rng.random_bool(0.4).then(|| (step + rng.random_range(1..80), rng.random_range(4..200)));
                }
                _ => {}
            }
            let mut orders = self.admissions();
            if faulty && rng.random_bool(0.001) {
                self.ordered = true;
                orders.push([Order::Hold, Order::Close, Order::EndHold, Order::Stop][rng.random_range(0..4)]);
            }
            self.step(&orders);
            if cars == 0 && fault.is_none() && self.world.cars.is_empty() {
                break;
            }
        }
        self.end_fault();
        self.settle(faulty);
    }

    fn step(&mut self, orders: &[Order]) {
        self.relays_mend = self.relays_mend.map(|steps| steps.saturating_sub(1));
        if self.relays_mend.take_if(|steps| *steps == 0).is_some() {
            self.faults.relays_fail = false;
        }
        self.cabinet.step(&self.world, self.faults, orders, &mut self.checker);
        self.world.step(self.cabinet.contacts);
        self.checker.look(&self.world, self.cabinet.contacts, self.faults, &self.config);
        let down = self.world.boom.height <= 0.0;
        self.tally.cycles += u64::from(down && self.was_up);
        self.was_up = !down;
    }

    /// Those who have waited for half a second are recognised; and again later, if nothing came of it.
    fn admissions(&self) -> Vec<Order> {
        let due =
            |car: &&Car| car.admitted && car.waits() && (car.waited_ms == 500 || car.waited_ms.is_multiple_of(15_000));
        self.world.cars.iter().filter(due).map(|_| Order::Admit).collect()
    }

    fn begin_fault(&mut self, rng: &mut StdRng) {
        self.tally.faults += 1;
        let f = &mut self.faults;
        match rng.random_range(0..14) {
            kind @ 12..=13 => {
                // Troubles that come together: what was not delivered at first is to come about all the same.
                (f.fire, f.stop, f.relays_fail) = (kind == 12, kind == 13, true);
                self.relays_mend = Some(rng.random_range(1..100));
            }
            0 => (f.board_lost, f.relays_live) = (true, rng.random()),
            1 => f.relays_fail = true,
            2 => f.slow_ms = rng.random_range(1..=18) * STEP_MS,
            3 => f.asleep = true,
            4 => f.open_limit = Some(rng.random()),
            5 => f.closed_limit = Some(rng.random()),
            6 => (f.open_limit, f.closed_limit) = (Some(true), Some(true)),
            7 => f.loop_stuck = true,
            8 => f.fire = true,
            9 => f.stop = true,
            10 => self.world.boom.jammed = true,
            _ if rng.random() => self.cabinet.restart((self.make)(self.config), &mut self.checker),
            _ => {
                self.cabinet.clock = self.cabinet.clock.plus_ms(rng.random_range(100..4_000_000));
                self.checker.clock_jumped();
            }
        }
    }

    fn end_fault(&mut self) {
        (self.faults, self.relays_mend) = (Faults::default(), None);
        self.world.boom.jammed = false;
    }

    /// The last cars leave and the boom comes down; where it does not, someone helps.
    fn settle(&mut self, faulty: bool) {
        if std::mem::take(&mut self.ordered) {
            // Whoever gave orders has the last word.
            self.step(&[Order::Close]);
        }
        let mut rested = 0;
        for _ in 0..SETTLE_STEPS {
            let orders = self.admissions();
            self.step(&orders);
            let down = self.world.cars.is_empty() && self.world.boom.height <= 0.0;
            rested = if down { rested + 1 } else { 0 };
            if rested == REST_STEPS {
                return;
            }
        }
        self.tally.helped += 1;
        self.tally.helped_without_fault += u64::from(!faulty);
        self.world.cars.clear();
        self.step(&[Order::Close]);
        for _ in 0..SETTLE_STEPS {
            self.step(&[]);
            if self.world.boom.height <= 0.0 {
                return;
            }
        }
        self.world.boom.height = 0.0;
        self.world.boom.motion = 0;
        self.step(&[]);
    }
}

fn car(rng: &mut StdRng) -> Car {
    let mind = match rng.random_range(0..10) {
        0 => Mind::Through(rng.random_range(1_000..30_000)),
        1 => Mind::BackOut,
        2 => Mind::Leave,
        _ => Mind::Through(0),
    };
    let outbound = rng.random_bool(0.1);
    let admitted = !outbound && rng.random_bool(0.8);
    let length = if rng.random_bool(0.2) { rng.random_range(8.0..16.0) } else { rng.random_range(2.0..5.0) };
    Car::new(outbound, admitted, mind, length, rng.random_range(0.8..3.0))
}
