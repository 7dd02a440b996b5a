//! The judge: it sees the world as it is and every command, and counts what must not be.

use std::collections::BTreeMap;

use cardea_access::barrier::{BarrierConfig, Event};
use cardea_access::machine::{Command, Fault, GrantId, Incident, Report, State};
use cardea_access::time::Monotonic;
use serde::Serialize;

use super::cabinet::{Faults, answers};
use super::world::{Contacts, STEP_MS, UNDER, World};

/// How long it may take until the machine knows what the loop sees, in milliseconds: read in one step, told in the next.
const TOLD_WITHIN_MS: u64 = 3 * STEP_MS;
/// How long a boom may go on falling towards a vehicle: until it is told, and a slow board has acted.
const TURNED_WITHIN_MS: u64 = TOLD_WITHIN_MS + 900 + 2 * STEP_MS;

/// How soon what was not delivered is given again, in milliseconds.
const REPEATED_WITHIN_MS: u64 = 500 + 2 * STEP_MS;

/// How much longer than it may travel a boom counts as falling, in milliseconds: a tick may be late.
const ONE_MORE_SECOND_MS: u64 = 1_000;

/// Unsafe states, by kind. Each must be zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unsafe {
    /// A close pulse was commanded while a vehicle was on the loop.
    pub closed_on_a_car: u64,
    /// The boom went on falling towards a vehicle although the controller could have turned it round.
    pub kept_falling: u64,
    /// Both relays were energised.
    pub both_ways: u64,
    /// The boom was told to open with no grant, no fire and nothing to turn round for.
    pub opened_for_nobody: u64,
    /// It was told to close after a start or a lost board, and nobody had opened it since.
    pub closed_for_nobody: u64,
    /// It was told to close in a fire, or to move while the stop button was pressed.
    pub against_orders: u64,
    /// A grant was answered twice, or never accepted.
    pub answered_wrongly: u64,
    /// A fire was known, the relays answered, and the boom was not up in time.
    pub shut_in_a_fire: u64,
    /// The stop button was pressed, the relays answered, and the boom went on.
    pub moved_when_stopped: u64,
}

impl Unsafe {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.closed_on_a_car
            + self.kept_falling
            + self.both_ways
            + self.opened_for_nobody
            + self.closed_for_nobody
            + self.against_orders
            + self.answered_wrongly
            + self.shut_in_a_fire
            + self.moved_when_stopped
    }
}

/// What the machine reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reported {
    /// One too many passed.
    pub tailgating: u64,
    /// One passed against the lane's direction.
    pub wrong_direction: u64,
    /// An opening was not used.
    pub no_entry: u64,
    /// Faults of the equipment.
    pub faults: u64,
    /// Openings that the upper limit switch confirmed.
    pub confirmed: u64,
}

/// The judge.
#[derive(Debug, Default)]
pub struct Checker {
    /// The verdict so far.
    pub found: Unsafe,
    /// What the machine said.
    pub reported: Reported,
    /// Falls towards a vehicle that nobody but the drive's own safety edge could stop: the board or the program was gone, the
    /// clock jumped, a limit switch lied, or a drive that closes by itself closed what the controller had not opened.
    pub left_to_the_drive: u64,
    /// How long the boom could have been on its way up in a fire, and could have been stopped.
    fire_ms: u64,
    stop_ms: u64,
    /// Someone ordered a stop in this fire, and knows why.
    stop_ordered: bool,
    on_loop_ms: u64,
    fell_on_car_ms: u64,
    judged: bool,
    /// The present fall is out of the controller's hands.
    orphaned: bool,
    told_under: [Option<bool>; 2],
    closing_since: Option<Monotonic>,
    /// Until when a boom that was to turn round may be told so again.
    turning_until: Option<Monotonic>,
    ordered: bool,
    hold: bool,
    /// The same, as the order has it, whatever became of the boom.
    hold_ordered: bool,
    asked_to_hold: Option<GrantId>,
    fire: bool,
    stop: bool,
    lost: bool,
    /// The machine says that the limit switches contradict each other.
    contradicts: bool,
    /// It says that the boom was moved by hand.
    forced: bool,
    unanswered: BTreeMap<GrantId, u32>,
}

impl Checker {
    /// What is to come about in the end, whatever was not delivered at first.
    fn look_for_what_must_be(&mut self, world: &World, faults: Faults, config: &BarrierConfig) {
        let lied_to = faults.open_limit.is_some() || faults.closed_limit.is_some();
        let able = !(faults.board_lost || faults.relays_fail || faults.asleep || lied_to || world.boom.jammed);
        // A drive that closes by itself goes its own ways in between.
        let able = able && faults.slow_ms == 0 && !world.boom.closes_itself;
        let count = |ms: u64, counts: bool| if able && counts { ms + STEP_MS } else { 0 };
        self.fire_ms = count(self.fire_ms, faults.fire && !faults.stop && !self.stop_ordered);
        self.stop_ms = count(self.stop_ms, faults.stop);
        let rise_ms = TOLD_WITHIN_MS + REPEATED_WITHIN_MS + config.travel_ms;
        self.found.shut_in_a_fire += u64::from(self.fire_ms == rise_ms && world.boom.height < 1.0);
        let stop_ms = TOLD_WITHIN_MS + REPEATED_WITHIN_MS;
        self.found.moved_when_stopped += u64::from(self.stop_ms == stop_ms && world.boom.motion != 0);
    }

    /// The world after a step.
    pub(super) fn look(&mut self, world: &World, contacts: Contacts, faults: Faults, config: &BarrierConfig) {
        self.look_for_what_must_be(world, faults, config);
        let under = world.covers(UNDER);
        self.on_loop_ms = if under { self.on_loop_ms + STEP_MS } else { 0 };
        self.found.both_ways += u64::from(contacts.open && contacts.close);
        let falling = world.boom.motion < 0 && !world.boom.jammed;
        let lied_to = faults.open_limit.is_some() || faults.closed_limit.is_some();
        let relays_lost = faults.board_lost && !faults.relays_live;
        let helpless = relays_lost || faults.relays_fail || faults.asleep || faults.stop || lied_to;
        // A drive that closes by itself looks after itself, unless the controller has opened the boom and has not reported since
        // that it was moved without it, which a limit switch that lied earlier may make it believe.
        let its_own = world.boom.closes_itself && (!self.ordered || self.forced);
        self.orphaned = falling && (self.orphaned || helpless || its_own);
        if !(falling && under) {
            (self.fell_on_car_ms, self.judged) = (0, false);
            return;
        }
        self.fell_on_car_ms += STEP_MS;
        if self.fell_on_car_ms > TURNED_WITHIN_MS && !self.judged {
            self.judged = true;
            if self.orphaned {
                self.left_to_the_drive += 1;
            } else {
                self.found.kept_falling += 1;
            }
        }
    }

    /// The controller has forgotten everything: a restart, or a lost board. Whether the stop button is pressed it is told again
    /// after a restart, and knows after a lost board.
    pub(super) fn forgotten(&mut self, faults: Faults) {
        // What it has turned round because a board was lost, the controller may bring down when it is back.
        let turned_round = faults.board_lost && self.turning_until.is_some();
        (self.ordered, self.hold, self.hold_ordered) = (turned_round, false, false);
        self.closing_since = None;
        self.turning_until = self.turning_until.filter(|_| faults.board_lost);
        self.told_under = [None; 2];
        self.orphaned |= !(faults.board_lost && faults.relays_live);
        self.stop &= faults.board_lost;
        self.contradicts = false;
    }

    /// The controller's clock jumped, and no time passed: it takes a boom that falls for one that is down or stuck.
    pub(super) fn clock_jumped(&mut self) {
        self.orphaned = true;
    }

    /// A command could not be delivered.
    pub(super) fn not_delivered(&mut self) {
        self.orphaned = true;
    }

    /// The controller is told this.
    pub(super) fn event(&mut self, event: Event) {
        match event {
            Event::LoopOccupied => self.told_under[0] = Some(true),
            Event::LoopClear => self.told_under[0] = Some(false),
            Event::PhotocellBlocked => self.told_under[1] = Some(true),
            Event::PhotocellClear => self.told_under[1] = Some(false),
            Event::Fire(Some(on)) => (self.fire, self.stop_ordered) = (on, self.stop_ordered && on),
            Event::Stop => self.stop_ordered = self.fire,
            Event::StopButton(Some(on)) => self.stop = on,
            Event::BoardLost => (self.lost, self.told_under) = (true, [None; 2]),
            Event::BoardRestored => self.lost = false,
            // What is ordered of a barrier that cannot move is not done, now or later.
            Event::Close => self.ordered |= !(self.lost || self.stop || self.contradicts),
            Event::EndHold => self.ordered |= self.hold && !(self.lost || self.stop || self.contradicts),
            Event::Hold { grant } => self.asked_to_hold = Some(grant),
            _ => {}
        }
        self.hold_ordered &=
            !matches!(event, Event::Close | Event::EndHold | Event::Stop | Event::StopButton(Some(true)));
        self.hold &= self.hold_ordered;
        self.ordered &= !matches!(event, Event::Stop | Event::StopButton(Some(true)));
        self.ordered |= event == Event::Fire(Some(true));
    }

    /// It commands this.
    pub(super) fn command(&mut self, command: Command, event: Event, now: Monotonic, config: &BarrierConfig) {
        match command {
            Command::PulseOpen { .. } | Command::Reverse { .. } => {
                let asked = matches!(event, Event::OpenGranted { .. } | Event::Hold { .. }) || self.fire;
                let unclear = config.loop_fitted && self.told_under[0] != Some(false)
                    || config.photocell_fitted && self.told_under[1] != Some(false);
                let falls_until = |since: Monotonic| since.plus_ms(config.travel_ms + ONE_MORE_SECOND_MS);
                let falling = self.closing_since.is_some_and(|since| now <= falls_until(since));
                let called_back = unclear && (falling || config.self_closing);
                // A hold, and what the relays did not take of a boom that was to turn round, is given again.
                let turned_round = self.turning_until.is_some_and(|until| now <= until);
                let kept_up = self.hold_ordered || turned_round;
                if called_back {
                    self.turning_until = Some(falls_until(now));
                }
                self.found.opened_for_nobody += u64::from(!(asked || called_back || kept_up));
                self.found.against_orders += u64::from(self.stop);
                self.closing_since = None;
            }
            Command::PulseClose { .. } => {
                self.found.closed_on_a_car += u64::from(self.on_loop_ms >= TOLD_WITHIN_MS || self.lost);
                self.found.closed_for_nobody += u64::from(!self.ordered && !config.close_standing_open);
                self.found.against_orders += u64::from(self.fire || self.stop || self.hold);
                self.closing_since = Some(now);
            }
            Command::Stop => (self.closing_since, self.turning_until) = (None, None),
            Command::Release | Command::Lock | Command::Report(_) => {}
        }
    }

    /// It reports this.
    pub(super) fn report(&mut self, report: Report) {
        let reported = &mut self.reported;
        match report {
            Report::Incident(Incident::Tailgating) => reported.tailgating += 1,
            Report::Incident(Incident::WrongDirection) => reported.wrong_direction += 1,
            Report::Incident(Incident::NoEntry) => reported.no_entry += 1,
            Report::Fault(fault) => {
                reported.faults += 1;
                self.contradicts |= fault == Fault::LimitsContradict;
            }
            Report::FaultCleared(Fault::LimitsContradict) => self.contradicts = false,
            // A boom that is down again, by hand or because it never rose, is held no more.
            Report::State(State::Closed) => (self.hold, self.forced) = (false, false),
            Report::State(state) => self.forced = state == State::Forced,
            Report::Confirmed { .. } => reported.confirmed += 1,
            Report::Accepted { grant } => {
                self.ordered = true;
                let hold = self.asked_to_hold == Some(grant);
                (self.hold, self.hold_ordered) = (self.hold || hold, self.hold_ordered || hold);
                *self.unanswered.entry(grant).or_default() += 1;
            }
            _ => {}
        }
        if let Some(grant) = answers(report) {
            match self.unanswered.get_mut(&grant) {
                Some(open) if *open > 0 => *open -= 1,
                _ => self.found.answered_wrongly += 1,
            }
        }
    }

    /// Forgets the grants that have their answer.
    pub(super) fn grants_answered(&mut self) {
        self.unanswered.retain(|_, open| *open > 0);
    }
}
