//! The machine of a barrier: a boom with an *open* and a *close* relay, limit switches, a loop and a photocell.
//!
//! What it promises, and property tests hold it to:
//!
//! - **It never closes on a car.** A close pulse needs every fitted sensor to *say* clear, for `clear_ms`; a sensor that has
//!   not spoken counts as occupied, and with none fitted the machine never closes (the boom's own drive may). If something
//!   comes under the boom on its way down, it goes up again.
//! - **It never moves by itself.** After a start, or when the board comes back, its state is unknown and it waits for a
//!   fresh grant or for the limit switches to tell. A boom found standing open is reported; it is closed only where
//!   `close_standing_open` says so.
//! - **It never acts late.** A deadline that was slept through is not made up for: the wait begins again.
//! - **Accepted is not confirmed.** `Confirmed` means that the upper limit switch closed.
//!
//! The shell feeds every input's present value after the start and after `BoardRestored`, and each change from then on.
//! An opening for the second car while the first still passes keeps the boom up until the loop is clear.
//!
//! ```text
//!            grant            upper limit           clear, or nobody came
//!  Closed ----------> Opening ------------> Open -------------------------> Closing ---> Closed
//!     | moved by hand    | too late          | hold    ^ end of hold          | occupied: back to Opening
//!     v                  v                   v         |                      | too late: Fault
//!  Forced              Fault                Held ------+
//! ```

mod interface;

pub use interface::{BarrierConfig, Event};

use crate::machine::{Alarm, Alarms, Command, Fault, GrantId, NotDone, Pending, Report, State, earlier};
use crate::time::Monotonic;

/// How long both limit switches may be closed at once, in milliseconds: one input may be read before the other.
const LIMIT_SETTLE_MS: u64 = 1_000;

/// How late a close pulse may come, in milliseconds. Later, the machine slept, and what it knew of the sensors with it.
const LATE_MS: u64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Unknown,
    Closed,
    Opening { deadline: Monotonic },
    Open { since: Monotonic },
    Closing { deadline: Monotonic },
    Held,
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
    /// `None` until the sensor speaks.
    loop_occupied: Option<bool>,
    photocell_blocked: Option<bool>,
    open_limit: Option<bool>,
    closed_limit: Option<bool>,
    /// Since when every fitted sensor says clear.
    clear_since: Option<Monotonic>,
    contradict_since: Option<Monotonic>,
    /// The boom is up, or on its way, because of a grant or order of this run.
    granted: bool,
    /// It stays up by order.
    hold: bool,
    /// Someone drove in, or an order to close was given: no need to wait any longer than for a clear way.
    close_when_clear: bool,
}

impl Barrier {
    /// A barrier about which nothing is known yet.
    pub fn new(config: BarrierConfig) -> Self {
        Self {
            config,
            phase: Phase::Unknown,
            pending: Pending::default(),
            alarms: Alarms::default(),
            loop_occupied: None,
            photocell_blocked: None,
            open_limit: None,
            closed_limit: None,
            clear_since: None,
            contradict_since: None,
            granted: false,
            hold: false,
            close_when_clear: false,
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
            Phase::Held => State::Held,
            Phase::Forced => State::Forced,
            Phase::Fault(_) => State::Fault,
        }
    }

    /// Whether an opening would be begun: false while the board is lost or the limit switches contradict each other.
    /// After a missed limit switch it is true, because a fresh opening is what may free the boom.
    pub fn accepts_openings(&self) -> bool {
        self.blocking_fault().is_none()
    }

    /// When the machine next wants a [`Event::Tick`], if nothing happens before.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let phase = match self.phase {
            Phase::Opening { deadline } | Phase::Closing { deadline } => Some(deadline),
            Phase::Open { since } => self.close_at(since),
            _ => None,
        };
        let settle = self.contradict_since.filter(|_| self.blocking_fault().is_none());
        earlier(phase, settle.map(|t| t.plus_ms(LIMIT_SETTLE_MS)))
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
            Event::Close => self.order_close(now, out),
            Event::Stop => self.stop(out),
            Event::LoopOccupied => self.sense_loop(Some(true), now, out),
            Event::LoopClear => self.sense_loop(Some(false), now, out),
            Event::LoopUnknown => self.sense_loop(None, now, out),
            Event::PhotocellBlocked => self.sense_photocell(Some(true), now, out),
            Event::PhotocellClear => self.sense_photocell(Some(false), now, out),
            Event::PhotocellUnknown => self.sense_photocell(None, now, out),
            Event::OpenLimit(on) if self.config.limits_fitted && self.open_limit != Some(on) => {
                self.open_limit = Some(on);
                self.limits_changed(!on, now, out);
            }
            Event::ClosedLimit(on) if self.config.limits_fitted && self.closed_limit != Some(on) => {
                self.closed_limit = Some(on);
                self.limits_changed(false, now, out);
            }
            Event::ActuationFailed => self.pending.fail(NotDone::ActuationFailed, out),
            Event::BoardLost => self.board_lost(out),
            Event::BoardRestored if self.phase == Phase::Fault(Fault::BoardLost) => self.leave_fault(out),
            Event::OpenLimit(_) | Event::ClosedLimit(_) | Event::BoardRestored | Event::Tick => {}
        }
    }

    // === orders ===

    fn open(&mut self, grant: GrantId, hold: bool, now: Monotonic, out: &mut Vec<Command>) {
        let refusal = self.blocking_fault().or_else(|| (!self.pending.push(grant)).then_some(NotDone::Busy));
        if let Some(why) = refusal {
            out.push(Command::Report(Report::Refused { grant, why }));
            return;
        }
        out.push(Command::Report(Report::Accepted { grant }));
        self.granted = true;
        self.hold |= hold;
        self.close_when_clear = self.occupied();
        if self.is_up() {
            self.arrive_up(now, out);
        } else if !matches!(self.phase, Phase::Opening { .. }) {
            self.pulse_open(now, out);
        }
    }

    fn order_close(&mut self, now: Monotonic, out: &mut Vec<Command>) {
        self.hold = false;
        if self.blocking_fault().is_some() || matches!(self.phase, Phase::Closed | Phase::Closing { .. }) {
            return;
        }
        self.granted = true;
        self.close_when_clear = true;
        if !matches!(self.phase, Phase::Opening { .. } | Phase::Open { .. }) {
            self.leave_fault(out);
            self.phase = Phase::Open { since: now };
        }
    }

    fn stop(&mut self, out: &mut Vec<Command>) {
        out.push(Command::Stop);
        self.pending.fail(NotDone::Stopped, out);
        if self.blocking_fault().is_none() && self.phase != Phase::Closed {
            self.leave_fault(out);
            self.hold = true;
            self.phase = Phase::Held;
        }
    }

    // === sensors under the boom ===

    fn sense_loop(&mut self, occupied: Option<bool>, now: Monotonic, out: &mut Vec<Command>) {
        if self.config.loop_fitted {
            self.loop_occupied = occupied;
            self.sensors_changed(now, out);
        }
    }

    fn sense_photocell(&mut self, blocked: Option<bool>, now: Monotonic, out: &mut Vec<Command>) {
        if self.config.photocell_fitted {
            self.photocell_blocked = blocked;
            self.sensors_changed(now, out);
        }
    }

    fn sensors_changed(&mut self, now: Monotonic, out: &mut Vec<Command>) {
        self.clear_since = self.is_clear().then(|| self.clear_since.unwrap_or(now));
        self.close_when_clear |= self.granted && self.occupied();
        if matches!(self.phase, Phase::Closing { .. }) && !self.is_clear() {
            self.alarms.raise(Alarm::Obstructed, out);
            self.pulse_open(now, out);
        }
    }

    /// Every fitted sensor says clear, and there is one.
    fn is_clear(&self) -> bool {
        let (c, clear) = (&self.config, Some(false));
        (c.loop_fitted || c.photocell_fitted)
            && (!c.loop_fitted || self.loop_occupied == clear)
            && (!c.photocell_fitted || self.photocell_blocked == clear)
    }

    /// A sensor says that something is there.
    fn occupied(&self) -> bool {
        self.loop_occupied == Some(true) || self.photocell_blocked == Some(true)
    }

    // === limit switches ===

    /// `left_top`: the upper limit switch has just opened.
    fn limits_changed(&mut self, left_top: bool, now: Monotonic, out: &mut Vec<Command>) {
        let (up, down) = (self.open_limit == Some(true), self.closed_limit == Some(true));
        if up && down {
            self.contradict_since.get_or_insert(now);
            return;
        }
        self.contradict_since = None;
        if self.phase == Phase::Fault(Fault::LimitsContradict) {
            self.leave_fault(out);
        }
        match self.phase {
            Phase::Opening { .. } if up => self.arrive_up(now, out),
            Phase::Opening { .. } | Phase::Fault(Fault::BoardLost) => {}
            Phase::Closed if !down => self.moved_by_hand(out),
            Phase::Open { .. } | Phase::Held if left_top && !down => self.moved_by_hand(out),
            _ if down => self.arrive_down(out),
            Phase::Closing { .. } if up => {
                // The drive turned round by itself, as drives do that feel an obstacle.
                self.alarms.raise(Alarm::Obstructed, out);
                self.phase = Phase::Open { since: now };
            }
            Phase::Unknown if up && !self.granted => {
                self.alarms.raise(Alarm::StandingOpen, out);
                self.phase = Phase::Open { since: now };
            }
            Phase::Unknown | Phase::Forced | Phase::Fault(_) if up && self.granted => {
                self.leave_fault(out);
                self.arrive_up(now, out);
            }
            _ => {}
        }
    }

    fn moved_by_hand(&mut self, out: &mut Vec<Command>) {
        self.alarms.raise(Alarm::Forced, out);
        self.phase = Phase::Forced;
    }

    /// Known to be up. Time alone does not tell: the drive may have brought the boom down by itself meanwhile.
    fn is_up(&self) -> bool {
        self.config.limits_fitted
            && self.open_limit == Some(true)
            && self.closed_limit != Some(true)
            && !matches!(self.phase, Phase::Closing { .. })
    }

    fn arrive_up(&mut self, now: Monotonic, out: &mut Vec<Command>) {
        self.phase = if self.hold { Phase::Held } else { Phase::Open { since: now } };
        self.pending.confirm(out);
        self.alarms.clear(out);
    }

    fn arrive_down(&mut self, out: &mut Vec<Command>) {
        self.leave_fault(out);
        self.phase = Phase::Closed;
        (self.granted, self.hold, self.close_when_clear) = (false, false, false);
        self.alarms.clear(out);
    }

    // === movement and time ===

    fn pulse_open(&mut self, now: Monotonic, out: &mut Vec<Command>) {
        self.leave_fault(out);
        out.push(Command::PulseOpen { ms: self.config.pulse_ms });
        self.phase = Phase::Opening { deadline: now.plus_ms(self.config.travel_ms) };
    }

    /// When the boom that is up since `since` may come down, as things stand.
    fn close_at(&self, since: Monotonic) -> Option<Monotonic> {
        if !(self.granted || self.config.close_standing_open) {
            return None;
        }
        let clear = self.clear_since?.plus_ms(self.config.clear_ms);
        let waited = if self.close_when_clear { clear } else { since.plus_ms(self.config.open_timeout_ms) };
        Some(clear.max(waited))
    }

    fn expire(&mut self, now: Monotonic, out: &mut Vec<Command>) {
        let contradict = self.contradict_since.is_some_and(|since| now >= since.plus_ms(LIMIT_SETTLE_MS));
        if contradict && self.blocking_fault().is_none() {
            self.pending.fail(NotDone::LimitsContradict, out);
            self.enter_fault(Fault::LimitsContradict, out);
        }
        match self.phase {
            Phase::Opening { deadline } if now >= deadline => {
                if self.open_limit == Some(true) && self.contradict_since.is_none() {
                    // It was called back so soon that it never left the switch.
                    self.arrive_up(now, out);
                } else if self.config.limits_fitted {
                    self.pending.fail(NotDone::LimitNotReached, out);
                    self.enter_fault(Fault::OpenLimitNotReached, out);
                } else {
                    self.pending.fail(NotDone::NoSensor, out);
                    self.arrive_up(now, out);
                }
            }
            Phase::Closing { deadline } if now >= deadline => {
                if self.config.limits_fitted {
                    self.enter_fault(Fault::ClosedLimitNotReached, out);
                } else {
                    self.arrive_down(out);
                }
            }
            Phase::Open { since } => match self.close_at(since) {
                Some(at) if now > at.plus_ms(LATE_MS) => self.clear_since = Some(now),
                Some(at) if now >= at => {
                    out.push(Command::PulseClose { ms: self.config.pulse_ms });
                    self.phase = Phase::Closing { deadline: now.plus_ms(self.config.travel_ms) };
                }
                _ => {}
            },
            _ => {}
        }
    }

    // === faults ===

    fn board_lost(&mut self, out: &mut Vec<Command>) {
        self.pending.fail(NotDone::BoardLost, out);
        (self.loop_occupied, self.photocell_blocked, self.clear_since) = (None, None, None);
        (self.open_limit, self.closed_limit, self.contradict_since) = (None, None, None);
        (self.granted, self.hold, self.close_when_clear) = (false, false, false);
        if self.phase != Phase::Fault(Fault::BoardLost) {
            self.enter_fault(Fault::BoardLost, out);
        }
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
