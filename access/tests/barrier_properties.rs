//! The barrier under random events at random times, against what it promises.

use cardea_access::barrier::{Barrier, BarrierConfig, Event};
use cardea_access::machine::{Command, GrantId, Incident, Report, State};
use cardea_access::request::Direction;
use cardea_access::time::Monotonic;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::collections::BTreeMap;

/// A level that may be unknown.
fn known() -> impl Strategy<Value = Option<bool>> {
    prop_oneof![3 => any::<bool>().prop_map(Some), 1 => Just(None)]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..4u64).prop_map(|g| Event::OpenGranted { grant: GrantId(g) }),
        1 => (0..4u64).prop_map(|g| Event::Hold { grant: GrantId(g) }),
        1 => Just(Event::Close),
        1 => Just(Event::Stop),
        1 => known().prop_map(Event::StopButton),
        2 => known().prop_map(Event::Fire),
        2 => known().prop_map(Event::ApproachLoop),
        2 => known().prop_map(Event::DepartureLoop),
        3 => Just(Event::LoopOccupied),
        4 => Just(Event::LoopClear),
        1 => Just(Event::LoopUnknown),
        2 => Just(Event::PhotocellBlocked),
        3 => Just(Event::PhotocellClear),
        1 => Just(Event::PhotocellUnknown),
        4 => any::<bool>().prop_map(Event::OpenLimit),
        4 => any::<bool>().prop_map(Event::ClosedLimit),
        1 => Just(Event::EndHold),
        2 => failed(),
        1 => Just(Event::RelaysRestored),
        1 => Just(Event::BoardLost),
        2 => Just(Event::BoardRestored),
        4 => Just(Event::Tick),
    ]
}

fn failed() -> impl Strategy<Value = Event> {
    let command = prop_oneof![
        Just(Command::PulseOpen { ms: 500 }),
        Just(Command::Reverse { ms: 500 }),
        Just(Command::PulseClose { ms: 500 }),
        Just(Command::Stop),
    ];
    (command, any::<bool>()).prop_map(|(command, may_have_acted)| Event::ActuationFailed { command, may_have_acted })
}

/// Short waits, long ones (a clock that jumped, a machine that slept), and "until the machine's own deadline".
fn wait() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![2 => (0..2_000u64).prop_map(Some), 1 => (0..60_000u64).prop_map(Some),
        1 => (0..86_400_000u64).prop_map(Some), 6 => Just(None)]
}

fn config() -> impl Strategy<Value = BarrierConfig> {
    let fitted = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let kind = (any::<bool>(), prop::bool::weighted(0.2), prop_oneof![Just(500u64), Just(6_000)], 0..3u8);
    (fitted, kind).prop_map(|((sensor, photo, lane, limits), (standing, self_closing, pulse_ms, way))| BarrierConfig {
        close_standing_open: standing,
        self_closing,
        pulse_ms,
        lane: [None, Some(Direction::Entry), Some(Direction::Exit)][usize::from(way)],
        lane_loops_fitted: lane,
        loop_fitted: sensor,
        photocell_fitted: photo,
        limits_fitted: limits,
        ..BarrierConfig::default()
    })
}

/// How much later than commanded a pulse may end at its board, in milliseconds.
const LATE_RELAY_MS: u64 = 1_000;

/// What an observer beside the barrier knows.
#[derive(Default)]
struct Observer {
    loop_clear_since: Option<Monotonic>,
    photocell_clear_since: Option<Monotonic>,
    open_limit: bool,
    board_lost: bool,
    /// A grant, an order to close or a fire has come since the start or since the board came back.
    ordered: bool,
    /// A hold by order stands.
    hold: bool,
    /// The fire alarm is known to be true, and not known to be false since.
    fire: bool,
    stop_pressed: bool,
    /// Whether it still is, nobody knows.
    stop_unknown: bool,
    /// Until when a boom that was falling is turned round.
    calling_back: Monotonic,
    /// Until when the *close* contact may be closed if the last reversal was not delivered.
    reversed_from: Monotonic,
    /// It was told that a command was not delivered, and has not repeated it since.
    failed: bool,
    /// Until when the contacts may be closed: a board may begin a second late.
    open_until: Monotonic,
    close_until: Monotonic,
    /// Accepted openings that have not been answered, by grant.
    unanswered: BTreeMap<GrantId, u32>,
}

impl Observer {
    fn see(&mut self, event: Event, now: Monotonic) {
        self.failed |= matches!(event, Event::ActuationFailed { .. });
        if matches!(event, Event::ActuationFailed { command: Command::Reverse { .. }, .. }) {
            self.close_until = self.close_until.max(self.reversed_from);
        }
        match event {
            Event::LoopClear => self.loop_clear_since = self.loop_clear_since.or(Some(now)),
            Event::LoopOccupied | Event::LoopUnknown => self.loop_clear_since = None,
            Event::PhotocellClear => self.photocell_clear_since = self.photocell_clear_since.or(Some(now)),
            Event::PhotocellBlocked | Event::PhotocellUnknown => self.photocell_clear_since = None,
            Event::OpenLimit(on) => self.open_limit = on,
            Event::BoardLost => {
                *self = Self {
                    board_lost: true,
                    unanswered: self.unanswered.clone(),
                    fire: self.fire,
                    stop_pressed: self.stop_pressed,
                    stop_unknown: self.stop_unknown,
                    calling_back: self.calling_back,
                    reversed_from: self.reversed_from,
                    failed: self.failed,
                    open_until: self.open_until,
                    close_until: self.close_until,
                    ..Self::default()
                }
            }
            Event::BoardRestored => self.board_lost = false,
            Event::OpenGranted { .. } | Event::Hold { .. } | Event::Close | Event::EndHold => {
                self.ordered |= !self.board_lost && (event != Event::EndHold || self.hold);
                self.hold = match event {
                    Event::Hold { .. } => !self.board_lost,
                    Event::Close | Event::EndHold => false,
                    _ => self.hold,
                };
            }
            Event::Fire(Some(on)) => {
                self.fire = on;
                self.ordered |= on;
            }
            Event::StopButton(Some(on)) => (self.stop_pressed, self.stop_unknown) = (on, false),
            Event::StopButton(None) => self.stop_unknown = true,
            Event::ClosedLimit(_)
            | Event::Stop
            | Event::Fire(None)
            | Event::ApproachLoop(_)
            | Event::DepartureLoop(_)
            | Event::ActuationFailed { .. }
            | Event::RelaysRestored
            | Event::Tick => {}
        }
    }

    fn clear_for(&self, config: &BarrierConfig, now: Monotonic) -> Option<u64> {
        let fitted =
            [(config.loop_fitted, self.loop_clear_since), (config.photocell_fitted, self.photocell_clear_since)];
        let since: Option<Vec<_>> = fitted.into_iter().filter(|(fitted, _)| *fitted).map(|(_, since)| since).collect();
        since?.into_iter().max().map(|since| now.since_ms(since))
    }

    fn check(
        &mut self,
        config: &BarrierConfig,
        event: Event,
        before: State,
        said: &[Command],
        now: Monotonic,
    ) -> Result<(), TestCaseError> {
        let opening = matches!(event, Event::OpenGranted { .. } | Event::Hold { .. });
        for command in said {
            match command {
                Command::PulseClose { .. } => {
                    let clear = self.clear_for(config, now);
                    prop_assert!(
                        clear.is_some_and(|ms| ms >= config.clear_ms),
                        "closes with the way clear for {clear:?}"
                    );
                    prop_assert!(self.ordered || config.close_standing_open, "closes a boom nobody opened");
                    prop_assert!(!self.board_lost, "pulses a lost board");
                    prop_assert!(!self.fire, "closes in a fire");
                    prop_assert!(!self.stop_pressed, "moves under the hand that stops it");
                    prop_assert!(!config.self_closing, "there is no close relay");
                    prop_assert!(now >= self.open_until, "drives both ways");
                    self.close_until = now.plus_ms(config.pulse_ms + LATE_RELAY_MS);
                }
                Command::PulseOpen { .. } | Command::Reverse { .. } => {
                    let kept_up = config.self_closing && before == State::Held && (self.hold || self.fire);
                    let told = matches!(event, Event::StopButton(_) | Event::RelaysRestored);
                    let fire = event == Event::Fire(Some(true)) || self.fire && (self.failed || told);
                    let again = self.failed && (self.hold || now <= self.calling_back);
                    let called_back = before == State::Closing || config.self_closing && before == State::Open;
                    let asked = opening || fire || called_back || kept_up || again;
                    prop_assert!(asked, "opens in {before:?} on {event:?}");
                    // The relay may hang on another board than the one that was just lost.
                    let unseen = event == Event::BoardLost && before == State::Closing;
                    prop_assert!(!self.board_lost || fire || unseen || again, "pulses a lost board");
                    let stopped = self.stop_pressed && !(self.fire && self.stop_unknown);
                    prop_assert!(!stopped, "moves under the hand that stops it");
                    if called_back || unseen {
                        self.calling_back = now.plus_ms(config.travel_ms + 1_000);
                        // What it has turned round itself it may bring down.
                        self.ordered |= unseen;
                    }
                    let reverses = matches!(command, Command::Reverse { .. });
                    prop_assert!(reverses || now >= self.close_until, "drives both ways");
                    self.reversed_from = self.close_until;
                    (self.close_until, self.open_until) = (now, now.plus_ms(config.pulse_ms + LATE_RELAY_MS));
                }
                Command::Stop => {
                    let pressed = matches!(event, Event::Stop | Event::StopButton(Some(true)));
                    prop_assert!(pressed || self.failed, "stops by itself on {event:?}");
                    self.calling_back = now;
                }
                Command::Release | Command::Lock => prop_assert!(false, "a barrier has no lock"),
                Command::Report(Report::Accepted { grant }) => *self.unanswered.entry(*grant).or_default() += 1,
                Command::Report(Report::Refused { .. }) => prop_assert!(opening),
                Command::Report(Report::Confirmed { grant }) => {
                    prop_assert!(config.limits_fitted && self.open_limit, "confirmed without the limit switch");
                    self.answered(*grant)?;
                }
                Command::Report(Report::NotConfirmed { grant, .. }) => self.answered(*grant)?,
                Command::Report(Report::Incident(incident)) => {
                    let watched = config.loop_fitted || config.photocell_fitted;
                    prop_assert!(watched && self.ordered, "{incident:?} at a boom that nobody watches or opened");
                    let told = config.lane_loops_fitted && config.lane.is_some();
                    prop_assert!(told || *incident != Incident::WrongDirection, "a direction without the loops for it");
                }
                Command::Report(_) => {}
            }
        }
        let pulses = said
            .iter()
            .filter(|c| matches!(c, Command::PulseOpen { .. } | Command::Reverse { .. } | Command::PulseClose { .. }))
            .count();
        prop_assert!(pulses <= 1, "one pulse for one event");
        // What was not delivered was given again.
        self.failed &= pulses == 0 && !said.contains(&Command::Stop);
        Ok(())
    }

    fn answered(&mut self, grant: GrantId) -> Result<(), TestCaseError> {
        let open = self.unanswered.get_mut(&grant);
        prop_assert!(open.as_ref().is_some_and(|n| **n > 0), "{grant:?} answered twice or never accepted");
        if let Some(n) = open {
            *n -= 1;
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn keeps_its_promises_under_any_events(
        config in config(),
        steps in prop::collection::vec((event(), wait()), 1..80),
    ) {
        let mut barrier = Barrier::new(config);
        let mut observer = Observer::default();
        let mut now = Monotonic(1_000);
        let mut step = |barrier: &mut Barrier, event, now| {
            let before = barrier.state();
            observer.see(event, now);
            let said = barrier.handle(event, now);
            observer.check(&config, event, before, &said, now)
        };
        for (event, wait) in steps {
            now = match wait {
                Some(ms) => now.plus_ms(ms),
                None => barrier.next_deadline().unwrap_or(now).max(now),
            };
            step(&mut barrier, event, now)?;
        }
        // Left alone, it comes to rest, and everyone who asked has an answer.
        for _ in 0..20 {
            let Some(deadline) = barrier.next_deadline() else { break };
            now = now.max(deadline);
            step(&mut barrier, Event::Tick, now)?;
        }
        prop_assert_eq!(barrier.next_deadline(), None, "never at rest");
        prop_assert!(observer.unanswered.values().all(|n| *n == 0), "someone waits for ever");
    }

    #[test]
    fn never_pulses_without_a_grant(
        config in config(),
        steps in prop::collection::vec((event(), 0..30_000u64), 1..80),
    ) {
        let mut barrier = Barrier::new(BarrierConfig { close_standing_open: false, ..config });
        let mut now = Monotonic(0);
        for (event, ms) in steps {
            if matches!(event, Event::OpenGranted { .. } | Event::Hold { .. } | Event::Close | Event::Fire(Some(true))) {
                continue;
            }
            now = now.plus_ms(ms);
            let said = barrier.handle(event, now);
            let pulsed = said.iter().any(|c| {
                matches!(c, Command::PulseOpen { .. } | Command::Reverse { .. } | Command::PulseClose { .. })
            });
            prop_assert!(!pulsed, "{event:?} made it pulse: {said:?}");
        }
    }
}

/// A boom with mass: it moves after pulses, and its switches follow.
struct Boom {
    /// 0 down, 1 up.
    position: f64,
    /// Change of position in a step.
    speed: f64,
}

const STEP_MS: u64 = 50;
const STEPS_TO_TRAVEL: f64 = 60.0;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    /// Cars come, stand, turn back and drive in at random; the boom does what pulses say. With a car on the loop the boom
    /// never moves down, and when all have gone it is down again.
    #[test]
    fn a_real_boom_never_comes_down_on_a_car(
        cars in prop::collection::vec((0..600u32, 0..400u32, any::<bool>()), 1..8),
    ) {
        let mut barrier = Barrier::new(BarrierConfig::default());
        let mut boom = Boom { position: 0.0, speed: 0.0 };
        let mut now = Monotonic(0);
        let (mut sensed, mut opened) = ((None, None, None), 0);
        // One step with or without a car on the loop, and perhaps a grant.
        let mut step = |occupied: bool, grant: Option<GrantId>| -> Result<State, TestCaseError> {
            now = now.plus_ms(STEP_MS);
            boom.position = (boom.position + boom.speed).clamp(0.0, 1.0);
            let limits = (boom.position >= 1.0, boom.position <= 0.0);
            let mut events = Vec::new();
            if sensed.0.replace(occupied) != Some(occupied) {
                events.push(if occupied { Event::LoopOccupied } else { Event::LoopClear });
            }
            if sensed.1.replace(limits.0) != Some(limits.0) {
                events.push(Event::OpenLimit(limits.0));
            }
            if sensed.2.replace(limits.1) != Some(limits.1) {
                events.push(Event::ClosedLimit(limits.1));
            }
            events.extend(grant.map(|grant| Event::OpenGranted { grant }));
            events.push(Event::Tick);
            for event in events {
                for command in barrier.handle(event, now) {
                    match command {
                        Command::PulseOpen { .. } | Command::Reverse { .. } => boom.speed = 1.0 / STEPS_TO_TRAVEL,
                        Command::PulseClose { .. } => boom.speed = -1.0 / STEPS_TO_TRAVEL,
                        Command::Report(Report::Confirmed { .. }) => opened += 1,
                        Command::Report(Report::Fault(fault)) => prop_assert!(false, "{fault:?}"),
                        _ => {}
                    }
                }
            }
            prop_assert!(!(occupied && boom.speed < 0.0 && boom.position > 0.0), "comes down on a car");
            Ok(barrier.state())
        };
        let mut granted = 0;
        for (n, (gap, stay, admitted)) in cars.iter().enumerate() {
            for _ in 0..*gap {
                step(false, None)?;
            }
            let grant = admitted.then_some(GrantId(n as u64));
            granted += usize::from(*admitted);
            step(true, grant)?;
            for _ in 0..*stay {
                step(true, None)?;
            }
        }
        let mut state = State::Unknown;
        for _ in 0..1_000 {
            state = step(false, None)?;
        }
        prop_assert_eq!(state, State::Closed);
        prop_assert_eq!(opened, granted, "each admitted car was let in");
    }
}
