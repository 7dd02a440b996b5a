mod orders;
mod passing;
mod self_closing;

use super::*;
use crate::machine::{Alarm, GrantId, Incident};

const GRANT: GrantId = GrantId(1);

/// A barrier with a clock, the events it got and what it said last.
struct Site {
    barrier: Barrier,
    now: Monotonic,
}

impl Site {
    fn new(config: BarrierConfig) -> Self {
        Self { barrier: Barrier::new(config), now: Monotonic(1_000_000) }
    }

    /// Shut, with the loop clear.
    fn closed(config: BarrierConfig) -> Self {
        let mut site = Self::new(config);
        site.all([Event::LoopClear, Event::PhotocellClear, Event::OpenLimit(false), Event::ClosedLimit(true)]);
        assert_eq!(site.barrier.state(), State::Closed);
        site
    }

    /// Up after a grant, with the loop clear and nobody through yet.
    fn open() -> Self {
        let mut site = Self::closed(BarrierConfig::default());
        site.on(Event::OpenGranted { grant: GRANT });
        site.wait(3_000);
        site.all([Event::ClosedLimit(false), Event::OpenLimit(true)]);
        assert_eq!(site.barrier.state(), State::Open);
        site
    }

    /// On its way down after a car passed.
    fn closing() -> Self {
        let mut site = Self::open();
        site.car_passes();
        assert_eq!(site.until(State::Closing), [pulse_close(), state(State::Closing)]);
        site
    }

    fn on(&mut self, event: Event) -> Vec<Command> {
        self.barrier.handle(event, self.now)
    }

    fn all<const N: usize>(&mut self, events: [Event; N]) -> Vec<Command> {
        events.into_iter().flat_map(|e| self.on(e)).collect()
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
    }

    /// A car drives over the loop, and the gap after it is long enough to be one.
    fn car_passes(&mut self) -> Vec<Command> {
        let mut said = self.on(Event::LoopOccupied);
        self.wait(1_200);
        said.extend(self.on(Event::LoopClear));
        self.wait(250);
        said.extend(self.on(Event::Tick));
        said
    }

    /// Follows the deadlines until the state is `wanted`.
    fn at_deadline(&mut self) -> Vec<Command> {
        self.now = self.barrier.next_deadline().expect("a deadline");
        self.on(Event::Tick)
    }

    fn until(&mut self, wanted: State) -> Vec<Command> {
        let mut said = Vec::new();
        for _ in 0..10 {
            if self.barrier.state() == wanted {
                return said;
            }
            self.now = self.barrier.next_deadline().expect("a deadline");
            said.extend(self.on(Event::Tick));
        }
        panic!("never {wanted:?}: {said:?}");
    }
}

fn report(report: Report) -> Command {
    Command::Report(report)
}

fn state(state: State) -> Command {
    report(Report::State(state))
}

fn pulse_open() -> Command {
    Command::PulseOpen { ms: 500 }
}

fn reverse() -> Command {
    Command::Reverse { ms: 500 }
}

fn incident(incident: Incident) -> Command {
    report(Report::Incident(incident))
}

fn pulse_close() -> Command {
    Command::PulseClose { ms: 500 }
}

#[test]
fn a_car_passes() {
    let mut site = Site::closed(BarrierConfig::default());
    assert_eq!(
        site.on(Event::OpenGranted { grant: GRANT }),
        [report(Report::Accepted { grant: GRANT }), pulse_open(), state(State::Opening)]
    );
    site.wait(2_000);
    assert_eq!(
        site.all([Event::ClosedLimit(false), Event::OpenLimit(true)]),
        [report(Report::Confirmed { grant: GRANT }), state(State::Open)]
    );
    assert_eq!(site.on(Event::LoopOccupied), []);
    site.wait(60_000);
    assert_eq!(site.on(Event::Tick), [], "a car may stand under the boom for as long as it likes");
    assert_eq!(site.on(Event::LoopClear), []);
    site.wait(250);
    assert_eq!(site.on(Event::Tick), [], "it has passed");
    site.wait(1_249);
    assert_eq!(site.on(Event::Tick), []);
    site.wait(1);
    assert_eq!(site.on(Event::Tick), [pulse_close(), state(State::Closing)]);
    assert_eq!(site.all([Event::OpenLimit(false), Event::ClosedLimit(true)]), [state(State::Closed)]);
    assert_eq!(site.barrier.next_deadline(), None);
}

#[test]
fn the_boom_comes_down_when_nobody_drives_in() {
    let mut site = Site::open();
    site.wait(19_999);
    assert_eq!(site.on(Event::Tick), []);
    site.wait(1);
    assert_eq!(site.on(Event::Tick), [pulse_close(), state(State::Closing)]);
}

#[test]
fn a_car_waiting_on_the_loop_counts_as_driving_in() {
    let mut site = Site::closed(BarrierConfig::default());
    site.on(Event::LoopOccupied);
    site.on(Event::OpenGranted { grant: GRANT });
    site.wait(3_000);
    site.all([Event::ClosedLimit(false), Event::OpenLimit(true), Event::LoopClear]);
    let clear_at = site.now;
    site.until(State::Closing);
    assert_eq!(site.now, clear_at.plus_ms(1_500));
}

#[test]
fn something_under_a_falling_boom_sends_it_up_again() {
    for unclear in [Event::LoopOccupied, Event::LoopUnknown] {
        let mut site = Site::closing();
        site.on(Event::OpenLimit(false));
        assert_eq!(site.on(unclear), [report(Report::Alarm(Alarm::Obstructed)), reverse(), state(State::Opening)]);
        assert_eq!(
            site.on(Event::OpenLimit(true)),
            [report(Report::AlarmCleared(Alarm::Obstructed)), state(State::Open)]
        );
    }
}

#[test]
fn a_boom_called_back_before_it_left_the_upper_switch_is_up() {
    let mut site = Site::closing();
    site.on(Event::LoopOccupied);
    assert_eq!(site.until(State::Open).last(), Some(&state(State::Open)));
}

#[test]
fn a_boom_that_turns_round_by_itself_is_open_and_waits_again() {
    let mut site = Site::closing();
    site.on(Event::OpenLimit(false));
    site.wait(2_000);
    let said = site.on(Event::OpenLimit(true));
    assert_eq!(said, [report(Report::Alarm(Alarm::Obstructed)), state(State::Open)]);
    assert_eq!(site.barrier.next_deadline(), Some(site.now.plus_ms(1_500)));
}

#[test]
fn a_car_seen_at_the_very_deadline_beats_it() {
    let mut site = Site::open();
    site.car_passes();
    site.wait(1_250);
    assert_eq!(site.barrier.next_deadline(), Some(site.now));
    assert_eq!(site.on(Event::LoopOccupied), []);
    assert_eq!(site.barrier.state(), State::Open);
}

#[test]
fn an_unknown_loop_is_an_occupied_loop() {
    let mut site = Site::new(BarrierConfig::default());
    site.all([Event::ClosedLimit(true), Event::OpenGranted { grant: GRANT }]);
    site.all([Event::ClosedLimit(false), Event::OpenLimit(true)]);
    assert_eq!(site.barrier.next_deadline(), None, "a loop that never spoke");
    let mut site = Site::open();
    site.on(Event::LoopUnknown);
    site.wait(3_600_000);
    assert_eq!(site.on(Event::Tick), []);
}

#[test]
fn every_fitted_sensor_must_say_clear_and_one_must_be_fitted() {
    let both = BarrierConfig { photocell_fitted: true, ..BarrierConfig::default() };
    let mut site = Site::closed(both);
    site.on(Event::OpenGranted { grant: GRANT });
    site.all([Event::ClosedLimit(false), Event::OpenLimit(true), Event::PhotocellBlocked]);
    site.wait(3_600_000);
    assert_eq!(site.on(Event::Tick), []);
    site.on(Event::PhotocellClear);
    let clear_at = site.now;
    site.until(State::Closing);
    assert_eq!(site.now, clear_at.plus_ms(1_500));

    let none = BarrierConfig { loop_fitted: false, ..BarrierConfig::default() };
    let mut site = Site::closed(none);
    site.on(Event::OpenGranted { grant: GRANT });
    site.all([Event::ClosedLimit(false), Event::OpenLimit(true), Event::LoopClear, Event::Close]);
    assert_eq!(site.barrier.next_deadline(), None);
}

#[test]
fn a_deadline_slept_through_is_not_made_up_for() {
    let mut site = Site::open();
    site.wait(3_600_000);
    assert_eq!(site.on(Event::Tick), []);
    assert_eq!(site.barrier.next_deadline(), Some(site.now.plus_ms(1_500)));
    assert_eq!(site.until(State::Closing), [pulse_close(), state(State::Closing)]);
}

#[test]
fn a_missing_upper_limit_is_a_fault_that_a_fresh_grant_may_cure() {
    let mut site = Site::closed(BarrierConfig::default());
    site.on(Event::OpenGranted { grant: GRANT });
    assert_eq!(
        site.until(State::Fault),
        [
            report(Report::NotConfirmed { grant: GRANT, why: NotDone::LimitNotReached }),
            report(Report::Fault(Fault::OpenLimitNotReached)),
            state(State::Fault)
        ]
    );
    assert_eq!(site.barrier.next_deadline(), None, "nothing is retried");
    assert!(site.barrier.accepts_openings());
    let said = site.on(Event::OpenGranted { grant: GrantId(2) });
    assert!(said.contains(&report(Report::FaultCleared(Fault::OpenLimitNotReached))) && said.contains(&pulse_open()));
    site.all([Event::ClosedLimit(false), Event::OpenLimit(true)]);
    assert_eq!(site.barrier.state(), State::Open);
}

#[test]
fn a_limit_that_comes_late_ends_the_fault_by_itself() {
    let mut site = Site::closed(BarrierConfig::default());
    site.on(Event::OpenGranted { grant: GRANT });
    site.until(State::Fault);
    let said = site.all([Event::ClosedLimit(false), Event::OpenLimit(true)]);
    assert_eq!(said, [report(Report::FaultCleared(Fault::OpenLimitNotReached)), state(State::Open)]);
    assert!(site.barrier.next_deadline().is_some(), "and it will be closed");
}

#[test]
fn a_missing_lower_limit_is_a_fault() {
    let mut site = Site::closing();
    site.on(Event::OpenLimit(false));
    let said = site.until(State::Fault);
    assert_eq!(said, [report(Report::Fault(Fault::ClosedLimitNotReached)), state(State::Fault)]);
    assert_eq!(site.on(Event::LoopOccupied), [], "a boom that has stopped is not moved");
    let said = site.on(Event::ClosedLimit(true));
    assert_eq!(said, [report(Report::FaultCleared(Fault::ClosedLimitNotReached)), state(State::Closed)]);
}

#[test]
fn after_a_start_nothing_moves_and_a_standing_boom_is_reported() {
    let mut site = Site::new(BarrierConfig::default());
    assert_eq!(site.barrier.next_deadline(), None);
    let said = site.all([Event::LoopClear, Event::ClosedLimit(false), Event::OpenLimit(true)]);
    assert_eq!(said, [report(Report::Alarm(Alarm::StandingOpen)), state(State::Open)]);
    assert_eq!(site.barrier.next_deadline(), None);
    let grant = site.on(Event::OpenGranted { grant: GRANT });
    assert_eq!(
        grant,
        [
            report(Report::Accepted { grant: GRANT }),
            report(Report::Confirmed { grant: GRANT }),
            report(Report::AlarmCleared(Alarm::StandingOpen))
        ],
        "it is up already"
    );
    assert!(site.barrier.next_deadline().is_some());
}

#[test]
fn a_standing_boom_is_closed_where_configured_and_never_on_a_car() {
    let mut site = Site::new(BarrierConfig { close_standing_open: true, ..BarrierConfig::default() });
    site.all([Event::LoopOccupied, Event::ClosedLimit(false), Event::OpenLimit(true)]);
    assert_eq!(site.barrier.next_deadline(), None);
    site.on(Event::LoopClear);
    assert_eq!(site.until(State::Closing), [pulse_close(), state(State::Closing)]);
}

#[test]
fn power_lost_while_the_boom_is_moving() {
    let mut site = Site::closed(BarrierConfig::default());
    site.on(Event::OpenGranted { grant: GRANT });
    assert_eq!(
        site.on(Event::BoardLost),
        [
            report(Report::NotConfirmed { grant: GRANT, why: NotDone::BoardLost }),
            report(Report::Fault(Fault::BoardLost)),
            state(State::Fault)
        ]
    );
    assert!(!site.barrier.accepts_openings());
    let refused = Report::Refused { grant: GrantId(2), why: NotDone::BoardLost };
    assert_eq!(site.on(Event::OpenGranted { grant: GrantId(2) }), [report(refused)]);
    site.wait(60_000);
    assert_eq!(
        site.on(Event::BoardRestored),
        [report(Report::FaultCleared(Fault::BoardLost)), state(State::Unknown)],
        "and no pulse, neither for the first nor for the second"
    );
    assert_eq!(site.on(Event::ClosedLimit(true)), [state(State::Closed)]);
    assert_eq!(site.barrier.next_deadline(), None);
}

#[test]
fn a_boom_lifted_by_hand_is_forced_until_it_is_down() {
    let mut site = Site::closed(BarrierConfig::default());
    assert_eq!(site.on(Event::ClosedLimit(false)), [report(Report::Alarm(Alarm::Forced)), state(State::Forced)]);
    site.on(Event::OpenLimit(true));
    site.wait(3_600_000);
    assert_eq!(site.on(Event::Tick), []);
    let said = site.all([Event::OpenLimit(false), Event::ClosedLimit(true)]);
    assert_eq!(said, [report(Report::AlarmCleared(Alarm::Forced)), state(State::Closed)]);
}

#[test]
fn contradicting_limits_are_a_fault_only_if_they_stay() {
    let mut site = Site::closed(BarrierConfig::default());
    site.on(Event::OpenGranted { grant: GRANT });
    site.on(Event::OpenLimit(true));
    assert_eq!(site.barrier.state(), State::Opening, "one input is read before the other");
    assert_eq!(site.on(Event::ClosedLimit(false))[0], report(Report::Confirmed { grant: GRANT }));

    site.on(Event::ClosedLimit(true));
    assert_eq!(site.until(State::Fault)[0], report(Report::Fault(Fault::LimitsContradict)));
    assert!(!site.barrier.accepts_openings());
    let said = site.on(Event::ClosedLimit(false));
    assert_eq!(said, [report(Report::FaultCleared(Fault::LimitsContradict)), state(State::Open)]);
}

#[test]
fn held_open_stays_until_told_to_close() {
    let mut site = Site::open();
    site.on(Event::Hold { grant: GrantId(2) });
    assert_eq!(site.barrier.state(), State::Held);
    site.wait(86_400_000);
    assert_eq!(site.on(Event::Tick), []);
    site.on(Event::OpenGranted { grant: GrantId(3) });
    assert_eq!(site.barrier.state(), State::Held, "a car passing does not end a hold");
    assert_eq!(site.on(Event::Close), [state(State::Open)]);
    assert_eq!(site.until(State::Closing), [pulse_close(), state(State::Closing)]);
}

#[test]
fn an_order_to_close_waits_for_a_clear_way() {
    let mut site = Site::open();
    site.all([Event::LoopOccupied, Event::Close]);
    site.wait(3_600_000);
    assert_eq!(site.on(Event::Tick), []);
}

#[test]
fn stop_stops_and_nothing_moves_until_the_next_order() {
    let mut site = Site::closed(BarrierConfig::default());
    site.on(Event::OpenGranted { grant: GRANT });
    assert_eq!(
        site.on(Event::Stop),
        [Command::Stop, report(Report::NotConfirmed { grant: GRANT, why: NotDone::Stopped }), state(State::Held)]
    );
    site.on(Event::ClosedLimit(false));
    assert_eq!((site.barrier.state(), site.barrier.next_deadline()), (State::Held, None));
    assert!(site.on(Event::OpenGranted { grant: GrantId(2) }).contains(&pulse_open()));
}

#[test]
fn a_pulse_that_was_not_delivered_is_answered_and_not_repeated() {
    let mut site = Site::closed(BarrierConfig::default());
    site.on(Event::OpenGranted { grant: GRANT });
    let failed = Report::NotConfirmed { grant: GRANT, why: NotDone::ActuationFailed };
    assert_eq!(
        site.on(Event::ActuationFailed { command: Command::PulseOpen { ms: 500 }, may_have_acted: true }),
        [report(failed)]
    );
    assert_eq!(site.until(State::Fault), [report(Report::Fault(Fault::OpenLimitNotReached)), state(State::Fault)]);
}

#[test]
fn a_second_opening_while_the_boom_rises_pulses_once_and_both_are_confirmed() {
    let mut site = Site::closed(BarrierConfig::default());
    site.on(Event::OpenGranted { grant: GRANT });
    assert_eq!(site.on(Event::OpenGranted { grant: GrantId(2) }), [report(Report::Accepted { grant: GrantId(2) })]);
    let said = site.all([Event::ClosedLimit(false), Event::OpenLimit(true)]);
    assert!(said.contains(&report(Report::Confirmed { grant: GRANT })));
    assert!(said.contains(&report(Report::Confirmed { grant: GrantId(2) })));
}

#[test]
fn a_flood_of_openings_is_refused() {
    let mut site = Site::closed(BarrierConfig::default());
    for n in 0..16 {
        site.on(Event::OpenGranted { grant: GrantId(n) });
    }
    let refused = Report::Refused { grant: GrantId(16), why: NotDone::Busy };
    assert_eq!(site.on(Event::OpenGranted { grant: GrantId(16) }), [report(refused)]);
}

#[test]
fn without_limit_switches_positions_follow_time_and_nothing_is_confirmed() {
    let mut site = Site::new(BarrierConfig { limits_fitted: false, ..BarrierConfig::default() });
    site.on(Event::LoopClear);
    site.on(Event::OpenGranted { grant: GRANT });
    let unconfirmed = Report::NotConfirmed { grant: GRANT, why: NotDone::NoSensor };
    assert_eq!(site.until(State::Open), [report(unconfirmed), state(State::Open)]);
    site.until(State::Closing);
    assert_eq!(site.until(State::Closed), [incident(Incident::NoEntry), state(State::Closed)]);
}

#[test]
fn a_boom_that_nothing_watches_is_pulsed_for_every_car() {
    let bare = BarrierConfig { loop_fitted: false, limits_fitted: false, ..BarrierConfig::default() };
    let mut site = Site::new(bare);
    for car in 1..=3 {
        let out = site.on(Event::OpenGranted { grant: GrantId(car) });
        assert!(out.contains(&pulse_open()), "its own drive has brought it down meanwhile: {out:?}");
        let out = site.until(State::Open);
        assert!(out.contains(&report(Report::NotConfirmed { grant: GrantId(car), why: NotDone::NoSensor })), "{out:?}");
        site.wait(60_000);
    }
}

#[test]
fn without_limit_switches_an_opening_is_never_confirmed_nor_taken_as_done() {
    let mut site = Site::new(BarrierConfig { limits_fitted: false, ..BarrierConfig::default() });
    site.all([Event::LoopOccupied, Event::OpenGranted { grant: GrantId(1) }]);
    site.until(State::Open);
    let out = site.on(Event::OpenGranted { grant: GrantId(2) });
    assert!(out.contains(&pulse_open()), "up by time is not up: {out:?}");
    let out = site.until(State::Open);
    assert!(out.contains(&report(Report::NotConfirmed { grant: GrantId(2), why: NotDone::NoSensor })), "{out:?}");
}
