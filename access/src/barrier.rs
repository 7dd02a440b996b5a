//! The machine of a barrier: a boom with an *open* and a *close* relay, limit switches, a loop and a photocell.
//!
//! What it promises, and property tests hold it to:
//!
//! - **It never closes on a car.** A close pulse needs every fitted sensor to *say* clear, for `clear_ms`; a sensor that has
//!   not spoken counts as occupied, and with none fitted the machine never closes (the boom's own drive may). If something
//!   comes under the boom on its way down, it goes up again.
//! - **It never moves by itself.** After a start, or when the board comes back, its state is unknown and it waits for a
//!   fresh grant or for the limit switches to tell. A boom found standing open is reported; it is closed only where
//!   `close_standing_open` says so. Of itself it opens for one thing only: a fire alarm that is known to be true.
//! - **It never drives both ways at once.** A close pulse waits until the open pulse is over; the other way round, where
//!   waiting could cost a car, [`Command::Reverse`] ends the one before it begins the other.
//! - **It never acts late.** A deadline that was slept through is not made up for: the wait begins again.
//! - **What must be is commanded again.** What the boards did not take of a stop, of an opening in a fire or for a hold, or of
//!   a boom that was to turn round, is repeated twice a second while that is still so.
//! - **Accepted is not confirmed.** `Confirmed` means that the upper limit switch closed.
//!
//! The shell feeds every input's present value after the start and after `BoardRestored`, and each change from then on.
//!
//! ```text
//!            grant            upper limit           clear, or nobody came
//!  Closed ----------> Opening ------------> Open -------------------------> Closing ---> Closed
//!     | moved by hand    | too late          | hold    ^ end of hold          | occupied: back to Opening
//!     v                  v                   v  fire   |  or of fire            | too late: Fault
//!  Forced              Fault                Held ------+
//!                                            ^
//!            any, on stop -------------------+  until the next opening, or order to close
//! ```
//!
//! **Who passed** is counted by [`lane`](self::lane): each opening admits one vehicle. A convoy keeps the boom up until as
//! many have passed as were admitted, or until nobody came for `open_timeout_ms` after the last. One more than that is
//! reported as tailgating, one against the lane's direction as such, and an opening that nobody used as *no entry*.
//!
//! **A drive that closes by itself** (`self_closing`) is never told to close; the limit switches, or without them the time,
//! say what it did. While a hold or a fire lasts it is told to open again each time it leaves its upper limit, which takes
//! limit switches.
//!
//! **To extend:** an input is an [`Event`], what it changes in the file of its kind (`sensors`, `limits`, `orders`); what
//! moves the boom is in `movement` alone.

mod interface;
mod lane;
mod limits;
mod movement;
mod orders;
mod sensors;

pub use interface::{BarrierConfig, Event};

use self::lane::Lane;
use self::movement::Relays;
use crate::machine::{Alarms, Command, Fault, NotDone, Pending, Report, State, earlier};
use crate::time::Monotonic;

/// How long both limit switches may be closed at once, in milliseconds: one input may be read before the other.
const LIMIT_SETTLE_MS: u64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Unknown,
    Closed,
    Opening { deadline: Monotonic },
    Open { since: Monotonic },
    Closing { deadline: Monotonic },
    Held,
    Stopped,
    Forced,
    Fault(Fault),
}

/// One barrier.
#[derive(Clone, Debug)]
pub struct Barrier {
    config: BarrierConfig,
    phase: Phase,
    /// Openings that wait for the upper limit.
    pending: Pending,
    alarms: Alarms,
    lane: Lane,
    relays: Relays,
    /// `None` until the sensor speaks.
    loop_occupied: Option<bool>,
    photocell_blocked: Option<bool>,
    open_limit: Option<bool>,
    closed_limit: Option<bool>,
    /// Since when every fitted sensor says clear.
    clear_since: Option<Monotonic>,
    contradict_since: Option<Monotonic>,
    /// The boom is up, or on its way, because of a grant, an order or a fire of this run.
    granted: bool,
    /// It has been up since it was last down.
    was_up: bool,
    /// It stays up by order.
    hold: bool,
    /// It stays up because of a fire: known to be true, and not known to be false since.
    fire: bool,
    /// The stop button is known to be pressed, and not known to be let go since.
    stop_pressed: bool,
    /// Whether it still is, nobody knows: its board is lost.
    stop_unknown: bool,
    /// An order to close was given: no need to wait any longer than for a clear way.
    ordered_close: bool,
    /// When what was not delivered and must be is commanded again.
    repeat_at: Option<Monotonic>,
    /// Until when a boom that was falling is turned round: longer it cannot fall.
    calling_back: Option<Monotonic>,
}

impl Barrier {
    /// A barrier about which nothing is known yet.
    pub fn new(config: BarrierConfig) -> Self {
        Self {
            config,
            phase: Phase::Unknown,
            pending: Pending::default(),
            alarms: Alarms::default(),
            lane: Lane::new(config.lane_loops_fitted, config.gap_ms),
            relays: Relays::default(),
            loop_occupied: None,
            photocell_blocked: None,
            open_limit: None,
            closed_limit: None,
            clear_since: None,
            contradict_since: None,
            granted: false,
            was_up: false,
            hold: false,
            fire: false,
            stop_pressed: false,
            stop_unknown: false,
            ordered_close: false,
            repeat_at: None,
            calling_back: None,
        }
    }

    /// The state, in the words all machines share.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Unknown => State::Unknown,
            Phase::Closed => State::Closed,
            Phase::Opening { .. } => State::Opening,
            Phase::Open { .. } => State::Open,
            Phase::Closing { .. } => State::Closing,
            Phase::Held | Phase::Stopped => State::Held,
            Phase::Forced => State::Forced,
            Phase::Fault(_) => State::Fault,
        }
    }

    /// Whether an opening would be begun: false while the board is lost, the limit switches contradict each other, or the stop
    /// button is pressed. After a missed limit switch it is true, because a fresh opening is what may free the boom.
    pub fn accepts_openings(&self) -> bool {
        self.hindrance().is_none()
    }

    /// When the machine next wants a [`Event::Tick`], if nothing happens before.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let phase = match self.phase {
            Phase::Opening { deadline } | Phase::Closing { deadline } => Some(deadline),
            Phase::Open { since } => self.close_at(since),
            _ => None,
        };
        let settle = self.contradict_since.filter(|_| self.blocking_fault().is_none());
        let settled = settle.map(|t| t.plus_ms(LIMIT_SETTLE_MS));
        earlier(earlier(phase, self.lane.next_deadline()), earlier(settled, self.repeat_at))
    }

    /// Takes an event at `now` and says what to do.
    pub fn handle(&mut self, event: Event, now: Monotonic) -> Vec<Command> {
        let (before, mut out) = (self.state(), Vec::new());
        // What the event says comes before what the time says: a car seen just now beats a deadline just passed.
        self.apply(event, now, &mut out);
        self.expire(now, &mut out);
        if self.state() != before {
            out.push(Command::Report(Report::State(self.state())));
        }
        out
    }

    fn apply(&mut self, event: Event, now: Monotonic, out: &mut Vec<Command>) {
        match event {
            Event::OpenGranted { grant } => self.open(grant, false, now, out),
            Event::Hold { grant } => self.open(grant, true, now, out),
            Event::EndHold if self.hold => self.order_close(now, out),
            Event::Close => self.order_close(now, out),
            Event::Stop => self.stop(out),
            Event::StopButton(pressed) => self.stop_button(pressed, now, out),
            Event::Fire(alarm) => self.sense_fire(alarm, now, out),
            Event::LoopOccupied => self.sense_loop(Some(true), now, out),
            Event::LoopClear => self.sense_loop(Some(false), now, out),
            Event::LoopUnknown => self.sense_loop(None, now, out),
            Event::PhotocellBlocked => self.sense_photocell(Some(true), now, out),
            Event::PhotocellClear => self.sense_photocell(Some(false), now, out),
            Event::PhotocellUnknown => self.sense_photocell(None, now, out),
            Event::ApproachLoop(lit) => self.lane.sense_outer(lit, now),
            Event::DepartureLoop(lit) => self.lane.sense_inner(lit, now),
            Event::OpenLimit(on) if self.config.limits_fitted && self.open_limit != Some(on) => {
                self.open_limit = Some(on);
                self.limits_changed(!on, now, out);
            }
            Event::ClosedLimit(on) if self.config.limits_fitted && self.closed_limit != Some(on) => {
                self.closed_limit = Some(on);
                self.limits_changed(false, now, out);
            }
            Event::ActuationFailed { command, may_have_acted } => self.not_delivered(command, may_have_acted, now, out),
            Event::BoardLost => self.board_lost(now, out),
            Event::RelaysRestored if self.fire && self.phase == Phase::Fault(Fault::BoardLost) => {
                self.open_for_fire(now, out);
            }
            Event::BoardRestored if self.phase == Phase::Fault(Fault::BoardLost) => {
                self.leave_fault(out);
                // By now it is down, or up, or the sensors will tell: a late opening is for nobody.
                self.calling_back = None;
                if self.granted && !self.config.limits_fitted {
                    // Turned round when the board was lost, and nothing but time tells where it is.
                    self.phase = Phase::Opening { deadline: now.plus_ms(self.config.travel_ms) };
                }
            }
            Event::EndHold
            | Event::OpenLimit(_)
            | Event::ClosedLimit(_)
            | Event::RelaysRestored
            | Event::BoardRestored
            | Event::Tick => {}
        }
    }

    /// It stays up until told otherwise.
    fn held(&self) -> bool {
        self.hold || self.fire
    }

    // === faults ===

    fn board_lost(&mut self, now: Monotonic, out: &mut Vec<Command>) {
        self.pending.fail(NotDone::BoardLost, out);
        // Nobody sees any more what is under it. The relays may hang on other boards than the one that is lost.
        let turned_round = self.is_falling(now) && self.may_call_back();
        if turned_round {
            self.call_back(now, out);
        }
        (self.loop_occupied, self.photocell_blocked, self.clear_since) = (None, None, None);
        (self.open_limit, self.closed_limit, self.contradict_since) = (None, None, None);
        // What this machine has turned round it brings down again, once the sensors have spoken.
        let told_again = self.phase == Phase::Fault(Fault::BoardLost) && self.granted;
        self.granted = turned_round || told_again;
        self.was_up = self.granted;
        (self.hold, self.ordered_close) = (false, false);
        self.lane.lose();
        if self.phase != Phase::Fault(Fault::BoardLost) {
            self.enter_fault(Fault::BoardLost, out);
        }
    }

    /// What makes an opening pointless, if anything does.
    fn hindrance(&self) -> Option<NotDone> {
        self.blocking_fault().or_else(|| self.stop_pressed.then_some(NotDone::Stopped))
    }

    /// The fault, if any, that makes an opening pointless.
    fn blocking_fault(&self) -> Option<NotDone> {
        match self.phase {
            Phase::Fault(Fault::BoardLost) => Some(NotDone::BoardLost),
            Phase::Fault(Fault::LimitsContradict) => Some(NotDone::LimitsContradict),
            _ => None,
        }
    }

    fn enter_fault(&mut self, fault: Fault, out: &mut Vec<Command>) {
        self.leave_fault(out);
        self.phase = Phase::Fault(fault);
        out.push(Command::Report(Report::Fault(fault)));
    }

    /// Reports the end of a fault, if there is one; the state is unknown then.
    fn leave_fault(&mut self, out: &mut Vec<Command>) {
        if let Phase::Fault(fault) = self.phase {
            self.phase = Phase::Unknown;
            out.push(Command::Report(Report::FaultCleared(fault)));
        }
    }
}

#[cfg(test)]
mod tests;
