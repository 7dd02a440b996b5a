//! The door under random events at random times, against what it promises.

use cardea_access::door::{Door, DoorConfig, Event};
use cardea_access::machine::{Alarm, Command, GrantId, Incident, Report, State};
use cardea_access::time::Monotonic;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::collections::BTreeMap;

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..4u64).prop_map(|g| Event::OpenGranted { grant: GrantId(g) }),
        1 => (0..4u64).prop_map(|g| Event::Hold { grant: GrantId(g) }),
        1 => Just(Event::Close),
        2 => Just(Event::ExitPressed),
        2 => prop_oneof![Just(Some(true)), Just(Some(false)), Just(None)].prop_map(Event::Fire),
        3 => Just(Event::ContactOpened),
        3 => Just(Event::ContactClosed),
        1 => Just(Event::EndHold),
        2 => failed(),
        1 => Just(Event::RelaysRestored),
        1 => Just(Event::BoardLost),
        2 => Just(Event::BoardRestored),
        3 => Just(Event::Tick),
    ]
}

fn failed() -> impl Strategy<Value = Event> {
    let command = prop_oneof![Just(Command::Release), Just(Command::Lock)];
    (command, any::<bool>()).prop_map(|(command, may_have_acted)| Event::ActuationFailed { command, may_have_acted })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn keeps_its_promises_under_any_events(
        contact_fitted in any::<bool>(),
        steps in prop::collection::vec((event(), prop_oneof![0..1_000u64, 0..40_000u64]), 1..80),
    ) {
        let config = DoorConfig { contact_fitted, ..DoorConfig::default() };
        let mut door = Door::new(config);
        let (mut now, mut released, mut held, mut fire) = (Monotonic(0), false, false, false);
        let mut unanswered = BTreeMap::<GrantId, i32>::new();
        let rest = std::iter::repeat_n((Event::Tick, 60_000), 3);
        for (event, ms) in steps.into_iter().chain(rest) {
            now = now.plus_ms(ms);
            let (available, was_released, due) = (door.accepts_openings(), released, door.next_deadline());
            let said = door.handle(event, now);
            for command in &said {
                match command {
                    Command::Release => {
                        let asked = matches!(event, Event::OpenGranted { .. } | Event::Hold { .. });
                        let leaving = fire || held || matches!(event, Event::ExitPressed | Event::Fire(Some(true)));
                        prop_assert!(leaving || asked && available, "releases by itself on {event:?}");
                        released = true;
                    }
                    Command::Lock => {
                        prop_assert!(!fire || event == Event::Fire(Some(false)), "locks in a fire on {event:?}");
                        released = false;
                    }
                    Command::Report(Report::Incident(incident)) => {
                        prop_assert!(contact_fitted && *incident == Incident::NoEntry);
                        prop_assert!(unanswered.values().any(|n| *n > 0), "nobody was let in");
                    }
                    Command::Report(Report::Accepted { grant }) => *unanswered.entry(*grant).or_default() += 1,
                    Command::Report(Report::Confirmed { grant } | Report::NotConfirmed { grant, .. }) => {
                        *unanswered.entry(*grant).or_default() -= 1;
                    }
                    Command::Report(Report::Alarm(Alarm::Forced)) => {
                        prop_assert!(!was_released && event == Event::ContactOpened, "an alarm for someone let through");
                    }
                    Command::PulseOpen { .. }
                    | Command::Reverse { .. }
                    | Command::PulseClose { .. }
                    | Command::Stop => {
                        prop_assert!(false, "a door has no boom");
                    }
                    Command::Report(_) => {}
                }
            }
            if event == Event::ExitPressed {
                prop_assert!(said.contains(&Command::Release), "someone is locked in");
            }
            prop_assert_eq!(door.is_released(), released, "the machine knows its lock");
            held = match event {
                Event::Hold { .. } if available => true,
                Event::Close | Event::EndHold | Event::BoardLost => false,
                _ => held,
            };
            fire = match event {
                Event::Fire(Some(on)) => on,
                _ => fire,
            };
            prop_assert!(!fire || released, "someone is locked in by a fire");
            prop_assert!(held || fire || !released || door.next_deadline().is_some(), "a release without an end");
            prop_assert!(due.is_none_or(|at| at > now) || door.next_deadline() != due, "a deadline that stays due");
            prop_assert!(unanswered.values().all(|n| *n >= 0), "answered twice");
        }
        prop_assert_eq!(released, held || fire, "after a minute only a hold or a fire keeps the lock released");
        prop_assert!(held || fire || unanswered.values().all(|n| *n == 0), "someone waits for ever");
    }

    #[test]
    fn never_releases_without_being_asked(
        steps in prop::collection::vec((event(), 0..40_000u64), 1..80),
    ) {
        let mut door = Door::new(DoorConfig::default());
        let mut now = Monotonic(0);
        for (event, ms) in steps {
            let asks = matches!(event, Event::OpenGranted { .. } | Event::Hold { .. } | Event::ExitPressed);
            if asks || event == Event::Fire(Some(true)) {
                continue;
            }
            now = now.plus_ms(ms);
            prop_assert!(!door.handle(event, now).contains(&Command::Release), "{event:?}");
            prop_assert_ne!(door.state(), State::Opening);
        }
    }
}
