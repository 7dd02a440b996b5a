//! The limit switches: where the boom is.

use super::{Barrier, Phase};
use crate::machine::{Alarm, Command, Fault, Incident, Report};
use crate::time::Monotonic;

impl Barrier {
    /// `left_top`: the upper limit switch has just opened.
    pub(super) fn limits_changed(&mut self, left_top: bool, now: Monotonic, out: &mut Vec<Command>) {
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
            Phase::Open { .. } | Phase::Held if left_top && !down => self.left_top(now, out),
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

    /// A boom that was up leaves its upper limit, and nobody here told it to.
    fn left_top(&mut self, now: Monotonic, out: &mut Vec<Command>) {
        if !self.config.self_closing {
            self.moved_by_hand(out);
        } else if self.is_watched() && !self.is_clear() && self.may_call_back() {
            self.alarms.raise(Alarm::Obstructed, out);
            self.call_back(now, out);
        } else if self.held() && !self.stop_blocks() {
            self.pulse_open(now, out);
        } else {
            self.phase = Phase::Closing { deadline: now.plus_ms(self.config.travel_ms) };
        }
    }

    fn moved_by_hand(&mut self, out: &mut Vec<Command>) {
        self.alarms.raise(Alarm::Forced, out);
        self.phase = Phase::Forced;
    }

    /// Known to be up. Time alone does not tell: the drive may have brought the boom down by itself meanwhile.
    pub(super) fn is_up(&self) -> bool {
        self.config.limits_fitted
            && self.open_limit == Some(true)
            && self.closed_limit != Some(true)
            && !matches!(self.phase, Phase::Closing { .. })
    }

    pub(super) fn arrive_up(&mut self, now: Monotonic, out: &mut Vec<Command>) {
        self.phase = if self.held() { Phase::Held } else { Phase::Open { since: now } };
        (self.was_up, self.calling_back) = (true, None);
        self.pending.confirm(out);
        self.alarms.clear(out);
    }

    pub(super) fn arrive_down(&mut self, out: &mut Vec<Command>) {
        self.leave_fault(out);
        if self.config.limits_fitted {
            self.relays.came_down();
        }
        if self.granted && self.was_up && self.lane.someone_missing() {
            out.push(Command::Report(Report::Incident(Incident::NoEntry)));
        }
        self.phase = Phase::Closed;
        (self.granted, self.was_up, self.hold, self.ordered_close) = (false, false, false, false);
        self.calling_back = None;
        self.lane.begin();
        self.alarms.clear(out);
    }
}
