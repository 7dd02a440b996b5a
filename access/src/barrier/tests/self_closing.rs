//! A drive that brings the boom down by itself.

use super::*;

fn config() -> BarrierConfig {
    BarrierConfig { self_closing: true, ..BarrierConfig::default() }
}

/// Up after a grant.
fn open() -> Site {
    let mut site = Site::closed(config());
    site.on(Event::OpenGranted { grant: GRANT });
    site.wait(3_000);
    site.all([Event::ClosedLimit(false), Event::OpenLimit(true)]);
    site
}

#[test]
fn is_never_told_to_close_and_raises_no_alarm_when_it_does() {
    let mut site = open();
    site.car_passes();
    assert_eq!(site.barrier.next_deadline(), None, "that is the drive's business");
    site.wait(12_000);
    assert_eq!(site.on(Event::OpenLimit(false)), [state(State::Closing)]);
    site.wait(3_000);
    assert_eq!(site.on(Event::ClosedLimit(true)), [state(State::Closed)]);
}

#[test]
fn tells_when_nobody_drove_in_and_when_it_stays_up_on_its_way() {
    let mut site = open();
    site.on(Event::OpenLimit(false));
    let said = site.on(Event::ClosedLimit(true));
    assert_eq!(said, [incident(Incident::NoEntry), state(State::Closed)]);

    let mut site = open();
    site.car_passes();
    site.on(Event::OpenLimit(false));
    assert!(site.until(State::Fault).contains(&report(Report::Fault(Fault::ClosedLimitNotReached))));
}

#[test]
fn is_called_back_from_a_car() {
    let mut site = open();
    site.on(Event::LoopOccupied);
    let said = site.on(Event::OpenLimit(false));
    assert_eq!(said, [report(Report::Alarm(Alarm::Obstructed)), pulse_open(), state(State::Opening)]);

    let mut site = open();
    site.on(Event::OpenLimit(false));
    assert!(site.on(Event::LoopOccupied).contains(&pulse_open()));
}

#[test]
fn is_kept_up_by_opening_it_again_while_held() {
    for hold in [Event::Hold { grant: GrantId(2) }, Event::Fire(Some(true))] {
        let mut site = open();
        site.on(hold);
        assert_eq!(site.barrier.state(), State::Held);
        site.wait(60_000);
        assert_eq!(site.on(Event::OpenLimit(false)), [pulse_open(), state(State::Opening)]);
        assert_eq!(site.on(Event::OpenLimit(true)), [state(State::Held)]);
    }
}

#[test]
fn a_boom_lifted_by_hand_is_forced_all_the_same() {
    let mut site = Site::closed(config());
    assert_eq!(site.on(Event::ClosedLimit(false)), [report(Report::Alarm(Alarm::Forced)), state(State::Forced)]);
}

#[test]
fn without_limit_switches_time_is_all_there_is() {
    let blind = BarrierConfig { limits_fitted: false, loop_fitted: false, ..config() };
    let mut site = Site::new(blind);
    site.on(Event::OpenGranted { grant: GRANT });
    let mut said = site.until(State::Open);
    said.extend(site.until(State::Closed));
    assert!(!said.iter().any(|c| matches!(c, Command::PulseClose { .. })), "{said:?}");
    assert_eq!(site.barrier.next_deadline(), None);

    let mut site = Site::new(BarrierConfig { limits_fitted: false, ..config() });
    site.on(Event::LoopClear);
    site.on(Event::OpenGranted { grant: GRANT });
    site.until(State::Closing);
    assert_eq!(site.on(Event::LoopOccupied), [], "the next car must not open a boom that may be down already");
}
