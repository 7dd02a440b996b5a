//! The sensors under the boom: what is there, and who passed.

use super::{Barrier, Phase, lane::Passage};
use crate::machine::{Alarm, Command, Incident, Report};
use crate::time::Monotonic;

impl Barrier {
    pub(super) fn sense_loop(&mut self, occupied: Option<bool>, now: Monotonic, out: &mut Vec<Command>) {
        if self.config.loop_fitted {
            self.loop_occupied = occupied;
            self.sensors_changed(now, out);
        }
    }

    pub(super) fn sense_photocell(&mut self, blocked: Option<bool>, now: Monotonic, out: &mut Vec<Command>) {
        if self.config.photocell_fitted {
            self.photocell_blocked = blocked;
            self.sensors_changed(now, out);
        }
    }

    fn sensors_changed(&mut self, now: Monotonic, out: &mut Vec<Command>) {
        let clear = self.is_clear();
        self.clear_since = clear.then(|| self.clear_since.unwrap_or(now));
        let under = if self.occupied() { Some(true) } else { clear.then_some(false) };
        self.lane.sense_under(under, self.held(), now);
        if self.is_falling(now) && !clear && self.may_call_back() {
            self.alarms.raise(Alarm::Obstructed, out);
            self.call_back(now, out);
        }
    }

    /// Whether a falling boom is ours to turn round. A drive that closes by itself looks after itself where nobody here opened
    /// it, and where there are no limit switches to say when it falls. Under the hand that stops it nothing moves.
    pub(super) fn may_call_back(&self) -> bool {
        !self.stop_pressed && (!self.config.self_closing || self.granted && self.config.limits_fitted)
    }

    /// A sensor under the boom is fitted.
    pub(super) fn is_watched(&self) -> bool {
        self.config.loop_fitted || self.config.photocell_fitted
    }

    /// Every fitted sensor says clear, and there is one.
    pub(super) fn is_clear(&self) -> bool {
        let (c, clear) = (&self.config, Some(false));
        self.is_watched()
            && (!c.loop_fitted || self.loop_occupied == clear)
            && (!c.photocell_fitted || self.photocell_blocked == clear)
    }

    /// A sensor says that something is there.
    fn occupied(&self) -> bool {
        self.loop_occupied == Some(true) || self.photocell_blocked == Some(true)
    }

    /// Something was under the boom and is gone.
    pub(super) fn passed(&mut self, passage: Passage, now: Monotonic, out: &mut Vec<Command>) {
        let Passage::Through { way, free } = passage else { return };
        if !self.granted {
            return;
        }
        if free {
            self.lane.count_free();
            return;
        }
        if way.zip(self.config.lane).is_some_and(|(way, lane)| way != lane) {
            out.push(Command::Report(Report::Incident(Incident::WrongDirection)));
            return;
        }
        if self.lane.count() {
            out.push(Command::Report(Report::Incident(Incident::Tailgating)));
        }
        if let Phase::Open { since } = &mut self.phase {
            *since = now;
        }
    }
}
