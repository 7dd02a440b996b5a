//! Stop, hold, fire, and the interlock of the two directions.

use super::*;

#[test]
fn after_a_stop_the_next_car_is_let_in_and_the_boom_comes_down_behind_it() {
    let mut site = Site::closing();
    site.on(Event::OpenLimit(false));
    assert_eq!(site.on(Event::Stop), [Command::Stop, state(State::Held)]);
    assert_eq!(site.on(Event::LoopOccupied), [], "a stopped boom is not moved");
    site.on(Event::LoopClear);
    site.wait(3_600_000);
    assert_eq!((site.on(Event::Tick), site.barrier.next_deadline()), (vec![], None));
    assert!(site.on(Event::OpenGranted { grant: GrantId(2) }).contains(&reverse()), "the stop may not have been done");
    site.on(Event::OpenLimit(true));
    assert_eq!(site.barrier.state(), State::Open);
    site.car_passes();
    site.until(State::Closing);
}

#[test]
fn a_stopped_boom_is_closed_by_order() {
    let mut site = Site::open();
    site.on(Event::Stop);
    let mut said = site.on(Event::Close);
    said.extend(site.until(State::Closing));
    assert!(said.contains(&pulse_close()), "{said:?}");
}

#[test]
fn while_the_stop_button_is_pressed_nothing_moves_the_boom() {
    let mut site = Site::open();
    assert_eq!(site.on(Event::StopButton(Some(true))), [Command::Stop, state(State::Held)]);
    assert_eq!(site.on(Event::StopButton(Some(true))), [], "pressed is pressed");
    assert!(!site.barrier.accepts_openings());
    let refused = Report::Refused { grant: GrantId(2), why: NotDone::Stopped };
    assert_eq!(site.on(Event::OpenGranted { grant: GrantId(2) }), [report(refused)]);
    assert_eq!(site.on(Event::Close), []);
    assert_eq!(site.on(Event::StopButton(None)), [], "unknown is not let go");
    assert!(!site.barrier.accepts_openings());
    site.on(Event::StopButton(Some(true)));
    assert_eq!(site.on(Event::Fire(Some(true))), [report(Report::Alarm(Alarm::Fire))]);
    site.on(Event::OpenLimit(false));
    let said = site.on(Event::StopButton(Some(false)));
    assert!(said.contains(&pulse_open()), "the fire goes on: {said:?}");
}

#[test]
fn a_stop_button_that_is_let_go_does_not_set_the_boom_moving() {
    let mut site = Site::closed(BarrierConfig::default());
    site.on(Event::OpenGranted { grant: GRANT });
    site.on(Event::StopButton(Some(true)));
    assert_eq!(site.on(Event::StopButton(Some(false))), []);
    assert_eq!(site.barrier.next_deadline(), None);
    assert!(site.barrier.accepts_openings());
}

#[test]
fn a_second_hold_changes_nothing_and_one_close_ends_both() {
    let mut site = Site::open();
    site.on(Event::Hold { grant: GrantId(2) });
    for n in 3..40 {
        let grant = GrantId(n);
        let said = site.on(Event::Hold { grant });
        assert_eq!(said, [report(Report::Accepted { grant }), report(Report::Confirmed { grant })]);
    }
    site.wait(60_000);
    assert_eq!(site.on(Event::Close), [state(State::Open)]);
    assert!(site.until(State::Closing).contains(&pulse_close()));
}

#[test]
fn a_second_hold_without_limit_switches_does_not_pulse_again() {
    let mut site = Site::new(BarrierConfig { limits_fitted: false, ..BarrierConfig::default() });
    site.on(Event::LoopClear);
    site.on(Event::Hold { grant: GRANT });
    site.until(State::Held);
    let said = site.on(Event::Hold { grant: GrantId(2) });
    let unconfirmed = Report::NotConfirmed { grant: GrantId(2), why: NotDone::NoSensor };
    assert_eq!(said, [report(Report::Accepted { grant: GrantId(2) }), report(unconfirmed)]);
}

#[test]
fn a_fire_opens_and_holds_until_it_is_known_to_be_over() {
    let mut site = Site::closed(BarrierConfig::default());
    assert_eq!(
        site.on(Event::Fire(Some(true))),
        [report(Report::Alarm(Alarm::Fire)), pulse_open(), state(State::Opening)]
    );
    assert_eq!(site.on(Event::Fire(Some(true))), [], "told twice");
    assert_eq!(site.all([Event::ClosedLimit(false), Event::OpenLimit(true)]), [state(State::Held)]);
    assert_eq!(site.on(Event::Close), [], "no order closes it");
    assert_eq!(site.on(Event::Fire(None)), [], "a line that burns through does not end it");
    site.wait(3_600_000);
    assert_eq!((site.on(Event::Tick), site.barrier.next_deadline()), (vec![], None));
    site.car_passes();
    assert_eq!(site.on(Event::Fire(Some(false))), [report(Report::AlarmCleared(Alarm::Fire)), state(State::Open)]);
    let over = site.now;
    assert!(site.until(State::Closing).contains(&pulse_close()));
    assert_eq!(site.now, over.plus_ms(20_000));
}

#[test]
fn a_fire_does_not_end_a_hold_and_a_hold_not_a_fire() {
    let mut site = Site::open();
    site.on(Event::Hold { grant: GrantId(2) });
    site.all([Event::Fire(Some(true)), Event::Fire(Some(false))]);
    assert_eq!(site.barrier.state(), State::Held);
    site.all([Event::Fire(Some(true)), Event::Close]);
    assert_eq!(site.barrier.state(), State::Held);
    assert!(site.on(Event::Fire(Some(false))).contains(&state(State::Open)));
}

#[test]
fn an_unknown_fire_opens_nothing() {
    let mut site = Site::closed(BarrierConfig::default());
    assert_eq!(site.on(Event::Fire(None)), []);
    site.all([Event::BoardLost, Event::Fire(None), Event::BoardRestored]);
    assert_eq!(site.on(Event::ClosedLimit(true)), [state(State::Closed)]);
    assert_eq!(site.all([Event::Fire(Some(false)), Event::Tick]), []);
}

#[test]
fn a_fire_tries_to_open_while_another_board_is_lost_and_again_when_it_is_back() {
    let mut site = Site::closed(BarrierConfig::default());
    site.on(Event::BoardLost);
    assert_eq!(site.on(Event::Fire(Some(true))), [report(Report::Alarm(Alarm::Fire)), pulse_open()]);
    assert_eq!(site.barrier.state(), State::Fault);
    site.wait(30_000);
    let said = site.on(Event::BoardRestored);
    assert!(!said.contains(&pulse_open()), "not before the input has spoken again: {said:?}");
    site.on(Event::ClosedLimit(true));
    assert!(site.on(Event::Fire(Some(true))).contains(&pulse_open()));
}

#[test]
fn a_close_pulse_waits_for_the_end_of_the_open_pulse() {
    let config = BarrierConfig { pulse_ms: 5_000, ..BarrierConfig::default() };
    let mut site = Site::closed(config);
    site.on(Event::OpenGranted { grant: GRANT });
    let pulsed = site.now;
    site.wait(1_000);
    site.all([Event::ClosedLimit(false), Event::OpenLimit(true)]);
    site.car_passes();
    assert!(site.until(State::Closing).contains(&Command::PulseClose { ms: 5_000 }));
    assert!(site.now >= pulsed.plus_ms(5_000 + 1_500), "with some time for a board that is slow");
}

#[test]
fn a_boom_that_was_told_to_close_is_reversed_until_it_was_seen_down_whatever_the_clock_says() {
    let mut site = Site::closing();
    site.on(Event::OpenLimit(false));
    site.wait(3_600_000);
    site.on(Event::Tick);
    assert_eq!(site.barrier.state(), State::Fault);
    assert!(site.on(Event::OpenGranted { grant: GrantId(2) }).contains(&reverse()), "a clock that jumps ends no pulse");

    let mut site = Site::closing();
    site.on(Event::OpenLimit(false));
    site.wait(3_000);
    site.on(Event::ClosedLimit(true));
    assert!(site.on(Event::OpenGranted { grant: GrantId(2) }).contains(&pulse_open()));
}

#[test]
fn a_stop_during_a_fault_outlasts_it() {
    let mut site = Site::open();
    site.on(Event::ClosedLimit(true));
    site.until(State::Fault);
    assert_eq!(site.on(Event::Stop), [Command::Stop]);
    site.on(Event::ClosedLimit(false));
    site.wait(60_000);
    assert_eq!((site.on(Event::Tick), site.barrier.next_deadline()), (vec![], None), "nobody has told it to go on");
}

#[test]
fn a_car_that_comes_long_after_a_close_pulse_does_not_open_the_boom() {
    for limits_fitted in [true, false] {
        let mut site = Site::new(BarrierConfig { limits_fitted, ..BarrierConfig::default() });
        site.all([Event::LoopClear, Event::OpenLimit(false), Event::ClosedLimit(true)]);
        site.on(Event::OpenGranted { grant: GRANT });
        site.wait(3_000);
        site.all([Event::ClosedLimit(false), Event::OpenLimit(true)]);
        site.until(State::Closing);
        // The machine sleeps, and the first thing it hears of is the next car.
        site.wait(3_600_000);
        let said = site.on(Event::LoopOccupied);
        assert!(!said.iter().any(|c| matches!(c, Command::PulseOpen { .. } | Command::Reverse { .. })), "{said:?}");
    }
}

fn failed(command: Command, may_have_acted: bool) -> Event {
    Event::ActuationFailed { command, may_have_acted }
}

#[test]
fn a_stop_that_was_not_delivered_is_given_again_while_the_button_is_pressed() {
    let mut site = Site::closing();
    site.on(Event::OpenLimit(false));
    site.on(Event::StopButton(Some(true)));
    for _ in 0..3 {
        let told = site.now;
        assert_eq!(site.on(failed(Command::Stop, true)), []);
        assert_eq!(site.at_deadline(), [Command::Stop]);
        assert_eq!(site.now, told.plus_ms(500));
    }
    assert_eq!(site.barrier.next_deadline(), None, "delivered");
}

#[test]
fn after_a_stop_that_may_not_have_been_delivered_the_other_direction_is_ended_first() {
    let mut site = Site::closing();
    site.all([Event::OpenLimit(false), Event::Stop, failed(Command::Stop, false)]);
    let said = site.on(Event::OpenGranted { grant: GrantId(2) });
    assert!(said.contains(&Command::Reverse { ms: 500 }), "{said:?}");
    let mut site = Site::closed(BarrierConfig { pulse_ms: 5_000, ..BarrierConfig::default() });
    site.on(Event::OpenGranted { grant: GRANT });
    let ends = site.now.plus_ms(5_000);
    site.all([Event::Stop, failed(Command::Stop, false), Event::Close]);
    site.until(State::Closing);
    assert!(site.now >= ends, "the open pulse may still last");
}

#[test]
fn a_hold_that_the_stop_button_ended_is_not_ended_again_by_its_order() {
    let mut site = Site::open();
    site.on(Event::Hold { grant: GrantId(2) });
    site.all([Event::StopButton(Some(true)), Event::StopButton(Some(false))]);
    assert_eq!(site.on(Event::EndHold), []);
    assert_eq!((site.barrier.state(), site.barrier.next_deadline()), (State::Held, None), "nobody expects it to move");
    site.on(Event::Hold { grant: GrantId(3) });
    let mut said = site.on(Event::EndHold);
    said.extend(site.until(State::Closing));
    assert!(said.contains(&pulse_close()), "{said:?}");
}

#[test]
fn a_boom_that_falls_when_a_board_is_lost_goes_up_again() {
    let mut site = Site::closing();
    site.on(Event::OpenLimit(false));
    let said = site.on(Event::BoardLost);
    assert_eq!(said, [reverse(), report(Report::Fault(Fault::BoardLost)), state(State::Fault)]);
    assert!(!site.on(Event::BoardLost).contains(&reverse()), "once");
    site.all([Event::BoardRestored, Event::LoopClear, Event::ClosedLimit(false), Event::OpenLimit(true)]);
    assert!(site.until(State::Closing).contains(&pulse_close()), "it does not stand open for nobody");
    let mut site = Site::open();
    assert_eq!(site.on(Event::BoardLost), [report(Report::Fault(Fault::BoardLost)), state(State::Fault)]);
}

#[test]
fn a_stop_button_stays_pressed_while_its_board_is_lost() {
    let mut site = Site::open();
    site.all([Event::StopButton(Some(true)), Event::BoardLost, Event::StopButton(None), Event::BoardRestored]);
    assert!(!site.barrier.accepts_openings());
    site.on(Event::StopButton(Some(false)));
    assert!(site.barrier.accepts_openings());
}

#[test]
fn a_close_pulse_that_was_withheld_leaves_the_boom_up_and_is_tried_again() {
    for limits_fitted in [true, false] {
        let mut site = Site::new(BarrierConfig { limits_fitted, ..BarrierConfig::default() });
        site.all([Event::LoopClear, Event::OpenLimit(false), Event::ClosedLimit(true)]);
        site.on(Event::OpenGranted { grant: GRANT });
        if limits_fitted {
            site.all([Event::ClosedLimit(false), Event::OpenLimit(true)]);
        }
        site.until(State::Closing);
        let close = Command::PulseClose { ms: 500 };
        assert_eq!(site.on(failed(close, false)), [state(State::Open)]);
        assert!(site.until(State::Closing).contains(&close));
        assert_eq!(site.on(failed(close, true)), [], "it may be falling, and is turned round for a car");
        assert!(site.on(Event::LoopOccupied).contains(&Command::Reverse { ms: 500 }));
    }
}

#[test]
fn an_opening_in_a_fire_that_was_not_delivered_is_given_again() {
    let mut site = Site::closed(BarrierConfig::default());
    site.on(Event::Fire(Some(true)));
    for _ in 0..40 {
        site.on(failed(pulse_open(), false));
        site.wait(500);
        assert!(site.on(Event::Tick).contains(&pulse_open()));
        assert_eq!(site.barrier.state(), State::Opening);
    }
    site.all([Event::BoardLost, failed(pulse_open(), false)]);
    site.wait(1_000);
    assert_eq!(site.on(Event::Tick), [pulse_open()], "the relay may hang on another board");
    assert_eq!(site.on(Event::RelaysRestored), [pulse_open()]);
    site.all([failed(pulse_open(), false), Event::Fire(Some(false))]);
    site.wait(1_000);
    assert_eq!(site.on(Event::Tick), [], "the fire is over");
}

#[test]
fn a_boom_that_is_to_turn_round_is_told_so_until_it_was_delivered_or_cannot_fall_any_longer() {
    let mut site = Site::closing();
    site.on(Event::OpenLimit(false));
    assert!(site.on(Event::LoopOccupied).contains(&reverse()));
    for _ in 0..3 {
        site.on(failed(reverse(), false));
        assert!(site.at_deadline().contains(&reverse()), "the close relay may still be on");
        assert_eq!(site.barrier.state(), State::Opening);
    }
    site.on(Event::OpenLimit(true));
    site.on(failed(reverse(), false));
    site.wait(1_000);
    assert!(!site.on(Event::Tick).contains(&reverse()), "it is up");

    let mut site = Site::closing();
    site.all([Event::OpenLimit(false), Event::BoardLost, failed(reverse(), false)]);
    assert_eq!(site.at_deadline(), [reverse()], "the relays may hang on boards that answer");
    site.wait(10_000);
    site.on(failed(reverse(), false));
    assert_eq!(site.barrier.next_deadline(), None, "it is down by now");
}

#[test]
fn a_fire_does_not_rely_on_an_opening_that_was_under_way() {
    let mut site = Site::closed(BarrierConfig::default());
    site.all([Event::OpenGranted { grant: GRANT }, failed(pulse_open(), false)]);
    assert!(site.on(Event::Fire(Some(true))).contains(&pulse_open()));
}

#[test]
fn a_stop_button_that_is_not_known_any_more_keeps_nobody_in_a_fire() {
    let mut site = Site::closed(BarrierConfig::default());
    site.all([Event::StopButton(Some(true)), Event::BoardLost, Event::StopButton(None)]);
    assert!(site.on(Event::Fire(Some(true))).contains(&pulse_open()), "another board's fire");
    let mut site = Site::closed(BarrierConfig::default());
    site.all([Event::StopButton(Some(true)), Event::Fire(Some(true))]);
    assert!(site.on(Event::StopButton(None)).contains(&pulse_open()));
    assert!(!site.barrier.accepts_openings(), "for anybody else it counts as pressed");
}

#[test]
fn a_hold_that_was_not_delivered_is_given_again() {
    let mut site = Site::closed(BarrierConfig::default());
    site.all([Event::Hold { grant: GRANT }, failed(pulse_open(), false)]);
    assert!(site.at_deadline().contains(&pulse_open()));
    site.all([failed(pulse_open(), false), Event::BoardLost]);
    site.wait(500);
    assert_eq!(site.on(Event::Tick), [], "a late opening is nobody's");
}
