//! Thousands of cycles of a barrier with faults, and a judge that condemns machines that deserve it.
//!
//! `CARDEA_CYCLES=100000` runs as many as `make bench` does.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::VecDeque;

use cardea_access::barrier::{Barrier, BarrierConfig, Event};
use cardea_access::machine::Command;
use cardea_access::time::Monotonic;
use cardea_tests::cycles::checker::Unsafe;
use cardea_tests::cycles::{Controller, SHARE_WITH_FAULTS, real, run};

const CYCLES: u64 = 5_000;

#[test]
fn no_cycle_with_faults_ends_in_an_unsafe_state() {
    let cycles = std::env::var("CARDEA_CYCLES").map_or(CYCLES, |n| n.parse().unwrap());
    let tally = run(cycles, 1, SHARE_WITH_FAULTS, &real);
    println!("{tally:#?}");
    assert_eq!(tally.unsafe_states, Unsafe::default());
    assert_eq!(tally.helped_without_fault, 0, "a boom that nothing was wrong with did not come down");
    assert!(tally.cycles >= cycles && tally.faults > cycles / 10 && tally.reported.tailgating > 0);
}

#[test]
fn without_faults_nothing_is_left_to_the_drive_and_nobody_has_to_help() {
    let tally = run(1_500, 2, 0.0, &real);
    println!("{tally:#?}");
    assert_eq!(tally.unsafe_states, Unsafe::default());
    assert_eq!((tally.faults, tally.left_to_the_drive, tally.helped), (0, 0, 0));
    assert!(tally.reported.confirmed > 1_000 && tally.reported.no_entry > 0 && tally.reported.wrong_direction > 0);
}

#[test]
fn the_same_seed_is_the_same_run() {
    assert_eq!(run(100, 7, 1.0, &real), run(100, 7, 1.0, &real));
}

/// The real machine with a vice.
struct Wicked<F>(Barrier, F);

impl<F: FnMut(&mut Barrier, Event, Monotonic) -> Vec<Command>> Controller for Wicked<F> {
    fn handle(&mut self, event: Event, now: Monotonic) -> Vec<Command> {
        (self.1)(&mut self.0, event, now)
    }

    fn next_deadline(&self) -> Option<Monotonic> {
        self.0.next_deadline()
    }
}

/// What the judge finds in a machine whose every event goes through what `vice` makes.
fn condemned<F>(vice: fn() -> F) -> Unsafe
where
    F: FnMut(&mut Barrier, Event, Monotonic) -> Vec<Command> + 'static,
{
    let make = |config: BarrierConfig| Box::new(Wicked(Barrier::new(config), vice())) as Box<dyn Controller>;
    run(300, 3, SHARE_WITH_FAULTS, &make).unsafe_states
}

#[test]
fn a_machine_that_does_not_look_at_its_sensors_is_condemned() {
    let found = condemned(|| {
        |barrier: &mut Barrier, event, now| {
            let event = match event {
                Event::LoopOccupied => Event::LoopClear,
                Event::PhotocellBlocked => Event::PhotocellClear,
                other => other,
            };
            barrier.handle(event, now)
        }
    });
    assert!(found.closed_on_a_car > 0 && found.kept_falling > 0, "{found:?}");
}

#[test]
fn a_machine_that_reverses_without_switching_off_is_condemned() {
    let found = condemned(|| {
        |barrier: &mut Barrier, event, now| {
            let plain = |command| match command {
                Command::Reverse { ms } => Command::PulseOpen { ms },
                other => other,
            };
            barrier.handle(event, now).into_iter().map(plain).collect()
        }
    });
    assert!(found.both_ways > 0, "{found:?}");
}

#[test]
fn a_machine_that_leaves_it_at_one_try_is_condemned() {
    let once = |barrier: &mut Barrier, event, now| match event {
        Event::ActuationFailed { .. } => Vec::new(),
        other => barrier.handle(other, now),
    };
    let make = |config: BarrierConfig| Box::new(Wicked(Barrier::new(config), once)) as Box<dyn Controller>;
    let found = run(1_500, 3, 1.0, &make).unsafe_states;
    assert!(found.shut_in_a_fire > 0 && found.moved_when_stopped > 0, "{found:?}");
}

#[test]
fn a_machine_that_makes_up_for_what_it_could_not_do_is_condemned() {
    let found = condemned(|| {
        let mut missed = VecDeque::new();
        move |barrier: &mut Barrier, event, now| {
            let mut commands = barrier.handle(event, now);
            if event == Event::BoardLost {
                missed.push_back(Command::PulseOpen { ms: 500 });
            }
            if event == Event::BoardRestored {
                commands.extend(missed.drain(..));
            }
            commands
        }
    });
    assert!(found.opened_for_nobody > 0, "{found:?}");
}

#[test]
fn a_machine_that_closes_what_it_finds_open_after_a_start_is_condemned() {
    let make = |config: BarrierConfig| {
        Box::new(Barrier::new(BarrierConfig { close_standing_open: true, ..config })) as Box<dyn Controller>
    };
    let found = run(600, 3, 1.0, &make).unsafe_states;
    assert!(found.closed_for_nobody > 0, "{found:?}");
}

#[test]
fn a_machine_that_ignores_fire_and_stop_is_condemned() {
    let found = condemned(|| {
        |barrier: &mut Barrier, event, now| match event {
            Event::Fire(_) | Event::StopButton(_) => Vec::new(),
            other => barrier.handle(other, now),
        }
    });
    assert!(found.against_orders > 0, "{found:?}");
}
