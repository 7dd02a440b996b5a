//! What moves the boom, and the time it may take. Pulses come from here and from nowhere else.

use super::{Barrier, LIMIT_SETTLE_MS, Phase};
use crate::machine::{Command, Fault, NotDone, REPEAT_MS};
use crate::time::Monotonic;

/// How late a close pulse may come, in milliseconds. Later, the machine slept, and what it knew of the sensors with it.
const LATE_MS: u64 = 1_000;

/// How much later than commanded a pulse may end, in milliseconds: a board has a second to begin it and half of one to end it.
const RELAY_SLACK_MS: u64 = 1_500;

/// Until when the contacts may be closed. A stop ends nothing here: it may not have been delivered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Relays {
    open_until: Option<Monotonic>,
    /// Kept beyond that time until the boom is seen to be down: clocks jump, and pulses do not end because of it.
    close_until: Option<Monotonic>,
    came_down: bool,
}

impl Relays {
    /// Closes the *open* relay's contact, and ends before what the other one may still be doing. That it was ended nobody knows
    /// here, so the next opening ends it again.
    fn open(&mut self, ms: u64, now: Monotonic) -> Command {
        let falling = self.close_until.is_some_and(|until| now < until || !self.came_down);
        self.open_until = Some(now.plus_ms(ms).plus_ms(RELAY_SLACK_MS));
        if falling { Command::Reverse { ms } } else { Command::PulseOpen { ms } }
    }

    fn close(&mut self, ms: u64, now: Monotonic) -> Command {
        self.close_until = Some(now.plus_ms(ms).plus_ms(RELAY_SLACK_MS));
        self.came_down = false;
        Command::PulseClose { ms }
    }

    /// The lower limit switch says that the boom is down, which took it longer than a pulse.
    pub(super) fn came_down(&mut self) {
        self.came_down = true;
    }
}

impl Barrier {
    pub(super) fn pulse_open(&mut self, now: Monotonic, out: &mut Vec<Command>) {
        self.leave_fault(out);
        self.tell_open(now, out);
        self.phase = Phase::Opening { deadline: now.plus_ms(self.config.travel_ms) };
    }

    /// Turns a falling boom round.
    pub(super) fn call_back(&mut self, now: Monotonic, out: &mut Vec<Command>) {
        self.pulse_open(now, out);
        self.calling_back = Some(now.plus_ms(self.config.travel_ms).plus_ms(LATE_MS));
    }

    /// Wherever the boom is: nothing is to be repeated then.
    pub(super) fn tell_open(&mut self, now: Monotonic, out: &mut Vec<Command>) {
        self.repeat_at = None;
        out.push(self.relays.open(self.config.pulse_ms, now));
    }

    /// When the boom that is up since `since` may come down, as things stand; a drive that closes by itself, is assumed to.
    pub(super) fn close_at(&self, since: Monotonic) -> Option<Monotonic> {
        let (c, mine) = (&self.config, self.granted || self.config.close_standing_open);
        if !mine || self.held() || self.stop_pressed || c.self_closing && c.limits_fitted {
            return None;
        }
        let clear = match self.clear_since {
            Some(since) => since.plus_ms(c.clear_ms),
            None if c.self_closing && !self.is_watched() => since,
            None => return None,
        };
        let in_a_hurry = self.ordered_close || self.lane.all_passed();
        let waited = if in_a_hurry { clear } else { since.plus_ms(c.open_timeout_ms) };
        Some(clear.max(waited).max(self.relays.open_until.unwrap_or_default()))
    }

    /// The boom is on its way down. Long after its deadline it is down, or stands: what comes then is the next one, whom nobody
    /// admitted.
    pub(super) fn is_falling(&self, now: Monotonic) -> bool {
        matches!(self.phase, Phase::Closing { deadline } if now <= deadline.plus_ms(LATE_MS))
    }

    /// A command did not reach its relay in time.
    pub(super) fn not_delivered(
        &mut self,
        command: Command,
        may_have_acted: bool,
        now: Monotonic,
        out: &mut Vec<Command>,
    ) {
        match command {
            Command::PulseOpen { .. } | Command::Reverse { .. } => {
                self.pending.fail(NotDone::ActuationFailed, out);
                self.lane.doubt();
                if self.must_rise(now) && !self.is_stopped() {
                    self.repeat_at = Some(now.plus_ms(REPEAT_MS));
                }
            }
            // Only a boom that is certainly still up: one that may be falling is turned round for whatever comes under it.
            Command::PulseClose { .. } if !may_have_acted && matches!(self.phase, Phase::Closing { .. }) => {
                self.calling_back = None;
                self.phase = Phase::Open { since: now };
                self.clear_since = self.clear_since.map(|_| now);
            }
            Command::Stop if self.is_stopped() => self.repeat_at = Some(now.plus_ms(REPEAT_MS)),
            _ => {}
        }
    }

    /// A fire, a hold, or something under a boom that falls: it is to be up, whatever the boards do.
    fn must_rise(&self, now: Monotonic) -> bool {
        self.held() || self.calling_back.is_some_and(|until| now <= until)
    }

    /// By the button or by order, and by nothing since.
    fn is_stopped(&self) -> bool {
        self.stop_blocks() || self.phase == Phase::Stopped
    }

    fn repeat(&mut self, now: Monotonic, out: &mut Vec<Command>) {
        if self.repeat_at.take_if(|at| now >= *at).is_none() {
            return;
        }
        if self.is_stopped() {
            out.push(Command::Stop);
        } else if self.must_rise(now) {
            if !self.is_up() {
                self.tell_open(now, out);
            }
            if let Phase::Opening { deadline } = &mut self.phase {
                *deadline = now.plus_ms(self.config.travel_ms);
            }
        }
    }

    pub(super) fn expire(&mut self, now: Monotonic, out: &mut Vec<Command>) {
        self.repeat(now, out);
        let contradict = self.contradict_since.is_some_and(|since| now >= since.plus_ms(LIMIT_SETTLE_MS));
        if contradict && self.blocking_fault().is_none() {
            self.pending.fail(NotDone::LimitsContradict, out);
            self.enter_fault(Fault::LimitsContradict, out);
        }
        if let Some(passage) = self.lane.expire(now) {
            self.passed(passage, now, out);
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
            Phase::Open { since } => self.close_when_due(since, now, out),
            _ => {}
        }
    }

    fn close_when_due(&mut self, since: Monotonic, now: Monotonic, out: &mut Vec<Command>) {
        let Some(at) = self.close_at(since).filter(|at| now >= *at) else { return };
        if self.config.self_closing {
            self.phase = Phase::Closing { deadline: now.plus_ms(self.config.travel_ms) };
        } else if now > at.plus_ms(LATE_MS) {
            self.clear_since = Some(now);
        } else {
            out.push(self.relays.close(self.config.pulse_ms, now));
            self.phase = Phase::Closing { deadline: now.plus_ms(self.config.travel_ms) };
        }
    }
}
