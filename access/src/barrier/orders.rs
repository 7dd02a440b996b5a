//! Orders: openings, holds, closing, stopping, and the fire alarm, which is an order of its own.

use super::{Barrier, Phase};
use crate::machine::{Alarm, Command, Fault, GrantId, NotDone, Report};
use crate::time::Monotonic;

impl Barrier {
    pub(super) fn open(&mut self, grant: GrantId, hold: bool, now: Monotonic, out: &mut Vec<Command>) {
        let refusal = self.hindrance().or_else(|| (!self.pending.push(grant)).then_some(NotDone::Busy));
        if let Some(why) = refusal {
            out.push(Command::Report(Report::Refused { grant, why }));
            return;
        }
        out.push(Command::Report(Report::Accepted { grant }));
        let held_already = hold && self.hold && self.phase == Phase::Held;
        self.begin_opening();
        self.hold |= hold;
        if !hold {
            self.lane.admit();
        }
        if self.is_up() {
            self.arrive_up(now, out);
        } else if held_already && !self.config.limits_fitted {
            self.pending.fail(NotDone::NoSensor, out);
        } else if !matches!(self.phase, Phase::Opening { .. }) {
            self.pulse_open(now, out);
        }
    }

    /// Counts anew, unless this prolongs an opening that is under way.
    fn begin_opening(&mut self) {
        let under_way =
            matches!(self.phase, Phase::Opening { .. } | Phase::Open { .. } | Phase::Closing { .. } | Phase::Held);
        if !(self.granted && under_way) {
            self.lane.begin();
            self.was_up = false;
        }
        (self.granted, self.ordered_close) = (true, false);
    }

    pub(super) fn order_close(&mut self, now: Monotonic, out: &mut Vec<Command>) {
        self.hold = false;
        let down = matches!(self.phase, Phase::Closed | Phase::Closing { .. });
        if down || self.fire || self.hindrance().is_some() {
            return;
        }
        if !self.granted {
            self.lane.begin();
        }
        (self.granted, self.ordered_close) = (true, true);
        if !matches!(self.phase, Phase::Opening { .. } | Phase::Open { .. }) {
            self.leave_fault(out);
            self.phase = Phase::Open { since: now };
        }
    }

    pub(super) fn stop(&mut self, out: &mut Vec<Command>) {
        out.push(Command::Stop);
        self.pending.fail(NotDone::Stopped, out);
        (self.granted, self.hold, self.ordered_close) = (false, false, false);
        self.calling_back = None;
        if self.blocking_fault().is_none() && self.phase != Phase::Closed {
            self.leave_fault(out);
            self.phase = Phase::Stopped;
        }
    }

    pub(super) fn stop_button(&mut self, pressed: Option<bool>, now: Monotonic, out: &mut Vec<Command>) {
        // An unknown button stays as it was last known: a hand may be on it. But people who have to get out of a fire do not wait
        // until somebody can tell.
        self.stop_unknown = pressed.is_none();
        match (self.stop_pressed, pressed) {
            (true, None) if self.fire => self.open_for_fire(now, out),
            (false, Some(true)) => {
                self.stop_pressed = true;
                self.stop(out);
            }
            (true, Some(false)) => {
                self.stop_pressed = false;
                if self.fire {
                    self.open_for_fire(now, out);
                }
            }
            _ => {}
        }
    }

    pub(super) fn sense_fire(&mut self, alarm: Option<bool>, now: Monotonic, out: &mut Vec<Command>) {
        match alarm {
            Some(true) => {
                let known = std::mem::replace(&mut self.fire, true);
                self.alarms.raise(Alarm::Fire, out);
                let under_way = matches!(self.phase, Phase::Held | Phase::Stopped | Phase::Opening { .. });
                // An opening that was under way before may not have been delivered, and was not repeated.
                if !(known && under_way) {
                    self.open_for_fire(now, out);
                }
            }
            Some(false) => {
                self.fire = false;
                self.alarms.end(Alarm::Fire, out);
                if self.phase == Phase::Held && !self.hold {
                    self.phase = Phase::Open { since: now };
                }
            }
            // A line that burns through does not end the fire, and a lost board does not begin one.
            None => {}
        }
    }

    pub(super) fn open_for_fire(&mut self, now: Monotonic, out: &mut Vec<Command>) {
        if self.stop_blocks() {
            return;
        }
        if self.phase == Phase::Fault(Fault::BoardLost) {
            // The board that is lost may be another than the relay's; the attempt costs nothing.
            self.tell_open(now, out);
            return;
        }
        self.begin_opening();
        if self.is_up() {
            self.arrive_up(now, out);
        } else {
            self.pulse_open(now, out);
        }
    }

    /// Whether the stop button keeps the boom where it is.
    pub(super) fn stop_blocks(&self) -> bool {
        self.stop_pressed && !(self.fire && self.stop_unknown)
    }
}
