//! Convoys, tailgating, the wrong direction, and openings nobody used.

use super::*;
use crate::request::Direction;

fn with_lane_loops(lane: Option<Direction>) -> BarrierConfig {
    BarrierConfig { lane_loops_fitted: true, lane, ..BarrierConfig::default() }
}

impl Site {
    fn up(config: BarrierConfig) -> Self {
        let mut site = Self::closed(config);
        site.all([Event::ApproachLoop(Some(false)), Event::DepartureLoop(Some(false))]);
        site.grant(1);
        site.wait(3_000);
        site.all([Event::ClosedLimit(false), Event::OpenLimit(true)]);
        site
    }

    fn grant(&mut self, n: u64) -> Vec<Command> {
        self.on(Event::OpenGranted { grant: GrantId(n) })
    }

    /// A vehicle crosses all loops, with half a second from edge to edge.
    fn crosses(&mut self, way: Direction) -> Vec<Command> {
        type Side = fn(Option<bool>) -> Event;
        let (first, last): (Side, Side) = match way {
            Direction::Entry => (Event::ApproachLoop, Event::DepartureLoop),
            Direction::Exit => (Event::DepartureLoop, Event::ApproachLoop),
        };
        let edges = [first(Some(true)), Event::LoopOccupied, first(Some(false)), last(Some(true)), Event::LoopClear];
        let mut said = self.slowly(edges);
        said.extend(self.slowly([Event::Tick, last(Some(false))]));
        said
    }

    fn slowly<const N: usize>(&mut self, events: [Event; N]) -> Vec<Command> {
        let mut said = Vec::new();
        for event in events {
            said.extend(self.on(event));
            self.wait(500);
        }
        said
    }

    /// The boom comes down.
    fn comes_down(&mut self) -> Vec<Command> {
        let mut said = self.until(State::Closing);
        said.extend(self.all([Event::OpenLimit(false), Event::ClosedLimit(true)]));
        assert_eq!(self.barrier.state(), State::Closed);
        said
    }
}

#[test]
fn a_convoy_keeps_the_boom_up_until_all_have_passed() {
    let mut site = Site::open();
    site.on(Event::OpenGranted { grant: GrantId(2) });
    assert_eq!(site.car_passes(), []);
    site.wait(15_000);
    assert_eq!(site.on(Event::Tick), [], "the second one may come yet");
    assert_eq!(site.car_passes(), [], "and is no tailgater");
    assert_eq!(site.barrier.next_deadline(), Some(site.now.plus_ms(1_250)), "all are through");
    assert!(!site.comes_down().contains(&incident(Incident::NoEntry)));
}

#[test]
fn a_convoy_waits_no_longer_than_the_timeout_for_the_rest() {
    let mut site = Site::open();
    site.on(Event::OpenGranted { grant: GrantId(2) });
    site.car_passes();
    assert_eq!(site.barrier.next_deadline(), Some(site.now.plus_ms(20_000)));
    assert!(site.comes_down().contains(&incident(Incident::NoEntry)), "one of the two did not drive in");
}

#[test]
fn a_car_beyond_those_admitted_is_a_tailgater_each_time() {
    let mut site = Site::open();
    assert_eq!(site.car_passes(), []);
    assert_eq!(site.car_passes(), [incident(Incident::Tailgating)]);
    assert_eq!(site.car_passes(), [incident(Incident::Tailgating)]);
    site.comes_down();
    site.on(Event::OpenGranted { grant: GrantId(2) });
    site.all([Event::ClosedLimit(false), Event::OpenLimit(true)]);
    assert_eq!(site.car_passes(), [], "the next opening counts anew");
}

#[test]
fn a_tailgater_that_turns_the_boom_round_is_one() {
    let mut site = Site::closing();
    site.on(Event::OpenLimit(false));
    assert!(site.on(Event::LoopOccupied).contains(&reverse()));
    site.on(Event::OpenLimit(true));
    site.wait(1_000);
    site.on(Event::LoopClear);
    site.wait(250);
    assert_eq!(site.on(Event::Tick), [incident(Incident::Tailgating)]);
}

#[test]
fn a_trailer_behind_a_short_gap_belongs_to_its_car() {
    let mut site = Site::open();
    site.on(Event::LoopOccupied);
    site.wait(1_000);
    site.on(Event::LoopClear);
    site.wait(249);
    assert_eq!(site.on(Event::LoopOccupied), []);
    site.wait(1_000);
    site.on(Event::LoopClear);
    site.wait(250);
    assert_eq!(site.on(Event::Tick), []);
}

#[test]
fn an_opening_that_nobody_used_is_told_when_the_boom_is_down() {
    let mut site = Site::open();
    let said = site.comes_down();
    assert!(said.contains(&incident(Incident::NoEntry)), "{said:?}");
    assert_eq!(said.iter().filter(|c| matches!(c, Command::Report(Report::Incident(_)))).count(), 1);
}

#[test]
fn without_a_sensor_or_with_one_that_was_unknown_nothing_is_claimed() {
    let mut site = Site::open();
    site.all([Event::LoopUnknown, Event::LoopClear]);
    assert!(!site.comes_down().contains(&incident(Incident::NoEntry)));

    let mut site = Site::open();
    site.all([Event::LoopUnknown, Event::LoopClear]);
    site.car_passes();
    assert_eq!(site.car_passes(), [], "one of them may have been seen twice");

    let mut site = Site::closed(BarrierConfig::default());
    site.on(Event::OpenGranted { grant: GRANT });
    site.on(Event::ActuationFailed { command: Command::PulseOpen { ms: 500 }, may_have_acted: true });
    site.all([Event::ClosedLimit(false), Event::OpenLimit(true)]);
    assert!(!site.comes_down().contains(&incident(Incident::NoEntry)), "it may not have been opened at all");
}

#[test]
fn who_drives_out_through_an_entry_goes_the_wrong_way() {
    let mut site = Site::up(with_lane_loops(Some(Direction::Entry)));
    assert_eq!(site.crosses(Direction::Exit), [incident(Incident::WrongDirection)]);
    assert_eq!(site.barrier.state(), State::Open, "the one who was admitted waits");
    assert_eq!(site.crosses(Direction::Entry), [], "and uses the opening");
    assert!(!site.comes_down().contains(&incident(Incident::NoEntry)));

    let mut site = Site::up(with_lane_loops(Some(Direction::Exit)));
    assert_eq!(site.crosses(Direction::Entry), [incident(Incident::WrongDirection)]);
    let mut site = Site::up(with_lane_loops(None));
    assert_eq!(site.crosses(Direction::Exit), [], "a lane for both directions knows no wrong one");
}

#[test]
fn a_car_that_backs_out_has_not_passed() {
    let mut site = Site::up(with_lane_loops(Some(Direction::Entry)));
    let outer = |on| Event::ApproachLoop(Some(on));
    let said = site.slowly([outer(true), Event::LoopOccupied, Event::LoopClear, outer(false)]);
    assert_eq!(said, []);
    let said =
        site.slowly([outer(true), Event::LoopOccupied, outer(false), outer(true), Event::LoopClear, outer(false)]);
    assert_eq!(said, [], "nor one that had left the outer loop already");
    assert!(site.comes_down().contains(&incident(Incident::NoEntry)));
}

#[test]
fn a_follower_on_the_outer_loop_does_not_make_the_first_one_turn_back() {
    let mut site = Site::up(with_lane_loops(Some(Direction::Entry)));
    let (outer, inner) = (|on| Event::ApproachLoop(Some(on)), |on| Event::DepartureLoop(Some(on)));
    site.slowly([outer(true), Event::LoopOccupied, outer(false), inner(true), outer(true), Event::LoopClear]);
    assert_eq!(site.slowly([inner(false)]), []);
    let said = site.slowly([Event::LoopOccupied, outer(false), inner(true), Event::LoopClear, Event::Tick]);
    assert_eq!(said, [incident(Incident::Tailgating)]);
}

#[test]
fn a_loop_beside_the_boom_that_is_unknown_accuses_nobody() {
    let mut site = Site::up(with_lane_loops(Some(Direction::Entry)));
    site.on(Event::ApproachLoop(None));
    let inner = |on| Event::DepartureLoop(Some(on));
    let said = site.slowly([inner(true), Event::LoopOccupied, inner(false), Event::LoopClear, Event::Tick]);
    assert_eq!(said, [], "counted, without a direction");
    assert!(!site.comes_down().contains(&incident(Incident::NoEntry)));
}

#[test]
fn nobody_is_counted_while_the_boom_is_held() {
    let mut site = Site::open();
    site.on(Event::Hold { grant: GrantId(2) });
    assert_eq!([site.car_passes(), site.car_passes(), site.car_passes()].concat(), []);
    site.on(Event::LoopOccupied);
    assert_eq!(site.on(Event::Close), [state(State::Open)]);
    site.wait(1_000);
    site.on(Event::LoopClear);
    site.wait(250);
    assert_eq!(site.on(Event::Tick), [], "it was under the boom when the hold ended");
    assert!(!site.comes_down().contains(&incident(Incident::NoEntry)), "the one admitted may have been among them");
}
