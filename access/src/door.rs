//! The machine of a door: a lock (strike or magnet), a door contact, an exit button.
//!
//! What it promises, and property tests hold it to:
//!
//! - **Someone inside gets out.** The exit button releases in every state, also while a board is reported lost: the attempt
//!   costs nothing. (Where a fire code asks for it, the button is wired to the lock directly as well.)
//! - **In a fire it is open.** A fire alarm that is known to be true releases and holds, also while a board is lost, until it
//!   is known to be false: a line that burns through does not lock the door again. One that was never known to be true
//!   releases nothing: a lost board is no fire. (Free egress in a fire is the hardware's: the panel cuts the lock's current.)
//! - **A lock, a hold and a fire last.** What the boards did not take of them is commanded again twice a second, until they have
//!   or until it is no longer so.
//! - **Every release ends** in a lock: when the door has been opened, after `release_ms`, when a hold ends, or when the
//!   board is lost. Only a hold by order and a fire last.
//! - **It never releases by itself**: not after a start, not when the board comes back.
//! - **Accepted is not confirmed.** `Confirmed` means that the door contact opened.
//!
//! ```text
//!           grant, exit button          contact opens              contact closes
//!  Closed ---------------------> Opening -------------> Open -----------------------> Closed
//!     |                            | release_ms passed     | held_open_s passed: alarm open-too-long
//!     | contact opens              v                       |
//!     v                       Closed, no entry             |    hold, fire, from any state: Held
//!  Forced -- contact closes --> Closed                     +--- end of both: lock; Open or Closed as the contact says
//! ```
//!
//! Someone who was let in and did not open the door is reported as *no entry*; with an exit press nobody was let in.
//!
//! The shell feeds the contact's present value after the start and after `BoardRestored`, and each change from then on.
//!
//! Source of the alarms: ONVIF Door Control service, `DoorAlarmState` (forced open, open too long); EN 60839-11-1 (access
//! point interface and its alarms).

use crate::machine::{
    Alarm, Alarms, Command, Fault, GrantId, Incident, NotDone, Pending, REPEAT_MS, Report, State, earlier,
};
use crate::time::Monotonic;

/// A door that opens this soon after it was locked again, in milliseconds, was being opened already: the contact is
/// debounced, and a leaf bounces.
const RELOCK_GRACE_MS: u64 = 500;

/// What a lock does without current.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockKind {
    /// Without current it is open: magnets. People get out when the power fails.
    FailSafe,
    /// Without current it is shut: most strikes. There must be a way out by hand.
    FailSecure,
}

impl LockKind {
    /// Whether the lock needs current to be in this condition.
    pub const fn energised(self, locked: bool) -> bool {
        match self {
            Self::FailSafe => locked,
            Self::FailSecure => !locked,
        }
    }
}

/// What is fitted, and how long things take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoorConfig {
    /// How long the lock stays released for someone to open the door, in milliseconds.
    pub release_ms: u64,
    /// How long the door may stay open before someone should look, in seconds.
    pub held_open_s: u64,
    /// A door contact is fitted. Without it nothing is ever confirmed and no alarm is raised.
    pub contact_fitted: bool,
}

/// Five seconds to open, half a minute to pass.
impl Default for DoorConfig {
    fn default() -> Self {
        Self { release_ms: 5_000, held_open_s: 30, contact_fitted: true }
    }
}

/// What happens at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A decision admitted someone.
    OpenGranted {
        /// The shell's number for it.
        grant: GrantId,
    },
    /// By order: release and stay released until [`Event::EndHold`] or [`Event::Close`]. Confirmed when the door is first opened; a second one
    /// changes nothing and is answered at once.
    Hold {
        /// The shell's number for it.
        grant: GrantId,
    },
    /// The order to hold open is over. Where the hold has ended before, it changes nothing.
    EndHold,
    /// By order: end a hold, or a release under way, and lock.
    Close,
    /// The button inside was pressed.
    ExitPressed,
    /// The fire alarm; `None` while it is not known.
    Fire(Option<bool>),
    /// The contact says the door is open.
    ContactOpened,
    /// The contact says it is shut.
    ContactClosed,
    /// A command could not be delivered in time.
    ActuationFailed {
        /// Which.
        command: Command,
        /// It may have been carried out all the same.
        may_have_acted: bool,
    },
    /// A board this door needs does not answer. The contact becomes unknown.
    BoardLost,
    /// The board of its lock answers again, with the lock in its safe state, while another board is still lost.
    RelaysRestored,
    /// All its boards answer again.
    BoardRestored,
    /// [`Door::next_deadline`] has come.
    Tick,
}

/// One door.
#[derive(Clone, Debug)]
pub struct Door {
    config: DoorConfig,
    /// Openings that wait for the contact.
    pending: Pending,
    alarms: Alarms,
    board_lost: bool,
    /// Kept released by order.
    hold: bool,
    /// Kept released because of a fire: known to be true, and not known to be false since.
    fire: bool,
    /// When the present release ends.
    released_until: Option<Monotonic>,
    /// When the lock was last locked again.
    locked_at: Option<Monotonic>,
    /// `None` until the contact speaks.
    contact_open: Option<bool>,
    /// From when on the time the door may stay open is counted.
    open_since: Option<Monotonic>,
    /// When a lock, or a release in a fire, that was not delivered is commanded again.
    repeat_at: Option<Monotonic>,
}

impl Door {
    /// A door about which nothing is known yet. Its lock is in the safe state of its output.
    pub fn new(config: DoorConfig) -> Self {
        Self {
            config,
            pending: Pending::default(),
            alarms: Alarms::default(),
            board_lost: false,
            hold: false,
            fire: false,
            released_until: None,
            locked_at: None,
            contact_open: None,
            open_since: None,
            repeat_at: None,
        }
    }

    /// The state, in the words all machines share. A door without a contact counts as shut.
    pub fn state(&self) -> State {
        let closed = if self.config.contact_fitted { State::Unknown } else { State::Closed };
        match self.contact_open {
            _ if self.board_lost => State::Fault,
            _ if self.held() => State::Held,
            Some(true) if self.alarms.stands(Alarm::Forced) => State::Forced,
            Some(true) => State::Open,
            _ if self.released_until.is_some() => State::Opening,
            Some(false) => State::Closed,
            None => closed,
        }
    }

    /// Whether the lock is released, as far as the machine commanded it.
    pub fn is_released(&self) -> bool {
        self.held() || self.released_until.is_some()
    }

    /// Whether an opening would be begun: false while the board is lost.
    pub fn accepts_openings(&self) -> bool {
        !self.board_lost
    }

    /// When the machine next wants a [`Event::Tick`], if nothing happens before.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        earlier(earlier(self.released_until, self.too_long_at()), self.repeat_at)
    }

    /// Takes an event at `now` and says what to do.
    pub fn handle(&mut self, event: Event, now: Monotonic) -> Vec<Command> {
        let (before, mut out) = (self.state(), Vec::new());
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
            Event::EndHold if self.hold => self.close(now, out),
            Event::Close => self.close(now, out),
            Event::ExitPressed => self.release(now, out),
            Event::Fire(alarm) => self.sense_fire(alarm, now, out),
            Event::ContactOpened if self.config.contact_fitted && self.contact_open != Some(true) => {
                self.opened(now, out);
            }
            Event::ContactClosed if self.config.contact_fitted => {
                self.contact_open = Some(false);
                self.open_since = None;
                self.alarms.clear(out);
            }
            Event::ActuationFailed { command, .. } => self.not_delivered(command, now, out),
            Event::BoardLost if !self.board_lost => self.board_lost(out),
            // The lock's safe state may be either: it is told which is meant.
            Event::RelaysRestored => self.tell_lock(out),
            Event::BoardRestored if self.board_lost => {
                self.board_lost = false;
                out.push(Command::Report(Report::FaultCleared(Fault::BoardLost)));
                self.tell_lock(out);
            }
            Event::ContactOpened
            | Event::ContactClosed
            | Event::EndHold
            | Event::BoardLost
            | Event::BoardRestored
            | Event::Tick => {}
        }
    }

    fn open(&mut self, grant: GrantId, hold: bool, now: Monotonic, out: &mut Vec<Command>) {
        let nothing_to_wait_for = self.held() && (!self.config.contact_fitted || self.pending.is_full());
        let answered_at_once = hold && self.hold || nothing_to_wait_for;
        let lost = self.board_lost.then_some(NotDone::BoardLost);
        let busy = || (!answered_at_once && !self.pending.push(grant)).then_some(NotDone::Busy);
        if let Some(why) = lost.or_else(busy) {
            out.push(Command::Report(Report::Refused { grant, why }));
            return;
        }
        out.push(Command::Report(Report::Accepted { grant }));
        if answered_at_once {
            self.hold |= hold;
            let (opened, why) = (self.contact_open == Some(true), self.unconfirmed());
            let answer = if opened { Report::Confirmed { grant } } else { Report::NotConfirmed { grant, why } };
            out.push(Command::Report(answer));
            return;
        }
        self.release(now, out);
        self.hold |= hold;
        if self.contact_open == Some(true) {
            self.pending.confirm(out);
        }
    }

    fn release(&mut self, now: Monotonic, out: &mut Vec<Command>) {
        out.push(Command::Release);
        self.released_until = Some(now.plus_ms(self.config.release_ms));
        // Someone else passes through the open door: the time it may stay open begins again.
        self.open_since = self.open_since.map(|_| now);
    }

    fn close(&mut self, now: Monotonic, out: &mut Vec<Command>) {
        if self.is_released() {
            self.hold = false;
            self.lock_again(now, out);
        }
    }

    fn not_delivered(&mut self, command: Command, now: Monotonic, out: &mut Vec<Command>) {
        match command {
            Command::Release => {
                self.pending.fail(NotDone::ActuationFailed, out);
                if self.held() {
                    self.repeat_at = Some(now.plus_ms(REPEAT_MS));
                }
            }
            Command::Lock if !self.is_released() => self.repeat_at = Some(now.plus_ms(REPEAT_MS)),
            _ => {}
        }
    }

    /// Tells the lock what is to last. A release for someone who may have gone is not given again.
    fn tell_lock(&self, out: &mut Vec<Command>) {
        if self.held() {
            out.push(Command::Release);
        } else if !self.is_released() {
            out.push(Command::Lock);
        }
    }

    fn sense_fire(&mut self, alarm: Option<bool>, now: Monotonic, out: &mut Vec<Command>) {
        match alarm {
            Some(true) => {
                self.fire = true;
                self.alarms.raise(Alarm::Fire, out);
                // Also when it was known before: the lock's board may have come back locked meanwhile.
                out.push(Command::Release);
            }
            Some(false) if self.fire => {
                self.fire = false;
                if !self.is_released() {
                    self.lock_again(now, out);
                }
                // After the openings of the fire have been answered: who passed in it is nobody's guess.
                self.alarms.end(Alarm::Fire, out);
            }
            Some(false) | None => {}
        }
    }

    /// Ends what kept the lock released, unless a fire does.
    fn lock_again(&mut self, now: Monotonic, out: &mut Vec<Command>) {
        if !self.fire {
            self.lock(now, out);
        }
        self.released_until = None;
        self.pending.fail(self.unconfirmed(), out);
        self.open_since = self.open_since.map(|_| now);
    }

    fn held(&self) -> bool {
        self.hold || self.fire
    }

    fn lock(&mut self, now: Monotonic, out: &mut Vec<Command>) {
        out.push(Command::Lock);
        self.released_until = None;
        self.locked_at = Some(now);
    }

    fn opened(&mut self, now: Monotonic, out: &mut Vec<Command>) {
        let was_known = self.contact_open.is_some();
        let just_locked = self.locked_at.is_some_and(|at| now.since_ms(at) <= RELOCK_GRACE_MS);
        self.contact_open = Some(true);
        self.open_since = Some(now);
        if self.is_released() {
            self.pending.confirm(out);
            if !self.held() {
                self.lock(now, out);
            }
        } else if !was_known {
            self.alarms.raise(Alarm::StandingOpen, out);
        } else if !just_locked {
            self.alarms.raise(Alarm::Forced, out);
        }
    }

    fn board_lost(&mut self, out: &mut Vec<Command>) {
        self.pending.fail(NotDone::BoardLost, out);
        // The lock may hang on another board than the one that is lost.
        if self.is_released() && !self.fire {
            out.push(Command::Lock);
        }
        (self.board_lost, self.hold) = (true, false);
        (self.released_until, self.locked_at) = (None, None);
        (self.contact_open, self.open_since) = (None, None);
        out.push(Command::Report(Report::Fault(Fault::BoardLost)));
    }

    fn too_long_at(&self) -> Option<Monotonic> {
        let silent = self.held() || self.alarms.stands(Alarm::OpenTooLong);
        let since = self.open_since.filter(|_| !silent)?;
        Some(since.plus_ms(self.config.held_open_s.saturating_mul(1_000)))
    }

    fn expire(&mut self, now: Monotonic, out: &mut Vec<Command>) {
        if self.repeat_at.take_if(|at| now >= *at).is_some() {
            self.tell_lock(out);
        }
        if self.released_until.is_some_and(|until| now >= until) {
            self.released_until = None;
            if !self.held() {
                self.lock(now, out);
                if self.config.contact_fitted && !self.pending.is_empty() {
                    out.push(Command::Report(Report::Incident(Incident::NoEntry)));
                }
                self.pending.fail(self.unconfirmed(), out);
            }
        }
        if self.too_long_at().is_some_and(|at| now >= at) {
            self.alarms.raise(Alarm::OpenTooLong, out);
        }
    }

    fn unconfirmed(&self) -> NotDone {
        if self.config.contact_fitted { NotDone::NoEntry } else { NotDone::NoSensor }
    }
}

#[cfg(test)]
mod tests;
