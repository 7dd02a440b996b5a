//! The words the machines at the access point speak: what they command and what they report.
//!
//! A machine ([`crate::barrier::Barrier`], [`crate::door::Door`]) takes events with the time and returns [`Command`]s. It
//! never waits: [`crate::barrier::Barrier::next_deadline`] says when it wants a `Tick`. The shell carries commands out at
//! once or not at all; one it could not deliver is answered with `ActuationFailed`, never queued and never retried by the shell.
//! What must be so in the end (a lock that is to be shut, a boom that is to stop, the way out in a fire) the machine commands
//! again twice a second for as long as it is still true.
//!
//! A grant passes three stages, which are different things: the decision *admitted*, the machine *accepted* (the relay
//! was told), and the mechanics *confirmed* (a limit switch or a contact says so) or not.

use crate::time::Monotonic;

/// After what time a command that was not delivered and must be is given again, in milliseconds.
pub(crate) const REPEAT_MS: u64 = 500;

/// Ties an opening to what was decided: the shell's own number for the decision or remote command behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId(pub u64);

/// What the shell is to do, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Barrier: close the contact of the *open* relay for `ms` milliseconds. The *close* relay is at rest.
    PulseOpen {
        /// Length in milliseconds.
        ms: u64,
    },
    /// Barrier: the same while the *close* relay's contact may still be closed: that one is opened first, and only when it has
    /// been acknowledged to be open is the *open* relay's closed.
    Reverse {
        /// Length in milliseconds.
        ms: u64,
    },
    /// Barrier: close the contact of the *close* relay for `ms` milliseconds. The *open* relay is at rest.
    PulseClose {
        /// Length in milliseconds.
        ms: u64,
    },
    /// Barrier: open the contacts of both directions, and stop the drive where it is, if there is a relay for it.
    Stop,
    /// Door: release the lock.
    Release,
    /// Door: lock.
    Lock,
    /// Tell whoever wants to know: the event outbox, the one who asked for an opening.
    Report(Report),
}

/// What a machine tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The opening is under way.
    Accepted {
        /// Which.
        grant: GrantId,
    },
    /// The opening has happened: the boom is up, the door was opened.
    Confirmed {
        /// Which.
        grant: GrantId,
    },
    /// The opening was accepted but cannot be confirmed.
    NotConfirmed {
        /// Which.
        grant: GrantId,
        /// Why.
        why: NotDone,
    },
    /// The opening was not begun, and will not be.
    Refused {
        /// Which.
        grant: GrantId,
        /// Why.
        why: NotDone,
    },
    /// The machine is now in this state.
    State(State),
    /// Something happened that someone may want to know of; it does not last, so it is never cleared.
    Incident(Incident),
    /// Someone should look.
    Alarm(Alarm),
    /// The cause of the alarm is gone.
    AlarmCleared(Alarm),
    /// The equipment does not do its part.
    Fault(Fault),
    /// The fault is gone by itself.
    FaultCleared(Fault),
}

/// The state of a machine (ONVIF Door Control: `DoorPhysicalState`, `DoorMode`; the same words for barriers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Not known since the start or since the board came back.
    Unknown,
    /// Shut.
    Closed,
    /// Boom rising; door released and not yet opened.
    Opening,
    /// Up; door open.
    Open,
    /// Boom falling.
    Closing,
    /// Kept open by order.
    Held,
    /// Opened or moved without a grant.
    Forced,
    /// The equipment does not do its part.
    Fault,
}

/// Why an opening was not done, or not seen to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotDone {
    /// The board does not answer.
    BoardLost,
    /// The relay could not be switched in time.
    ActuationFailed,
    /// The boom did not reach its upper limit in time.
    LimitNotReached,
    /// The limit switches contradict each other.
    LimitsContradict,
    /// The drive was stopped by order, or the stop button is pressed.
    Stopped,
    /// Nobody opened the door while it was released.
    NoEntry,
    /// Nothing is fitted that could confirm.
    NoSensor,
    /// Too many openings wait for the same movement.
    Busy,
}

/// Something that happened at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Incident {
    /// A vehicle passed while the boom was up, beyond those that were admitted.
    Tailgating,
    /// A vehicle passed against the direction of the lane while the boom was up for someone else.
    WrongDirection,
    /// Someone was admitted, the way was opened, and nobody passed.
    NoEntry,
}

/// Someone should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alarm {
    /// The fire alarm: the boom is up, the door released, for as long as it lasts.
    Fire,
    /// The door opened, or the boom moved, without a grant.
    Forced,
    /// The door has been open for too long.
    OpenTooLong,
    /// A boom or door stands open since the start, and nobody here opened it.
    StandingOpen,
    /// The boom was on its way down and something came under it; it goes up again.
    Obstructed,
}

/// The equipment does not do its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The board does not answer.
    BoardLost,
    /// No upper limit within the travel time.
    OpenLimitNotReached,
    /// No lower limit within the travel time.
    ClosedLimitNotReached,
    /// Upper and lower limit at once.
    LimitsContradict,
}

macro_rules! codes {
    ($($name:ident { $($variant:ident = $code:literal),* $(,)? })*) => { $(
        impl $name {
            /// The stable code, kebab-case.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }
        }
    )* };
}

codes! {
    State {
        Unknown = "unknown", Closed = "closed", Opening = "opening", Open = "open", Closing = "closing",
        Held = "held", Forced = "forced", Fault = "fault",
    }
    NotDone {
        BoardLost = "board-lost", ActuationFailed = "actuation-failed", LimitNotReached = "limit-not-reached",
        LimitsContradict = "limits-contradict", Stopped = "stopped", NoEntry = "no-entry", NoSensor = "no-sensor",
        Busy = "busy",
    }
    Incident {
        Tailgating = "tailgating", WrongDirection = "wrong-direction", NoEntry = "no-entry",
    }
    Alarm {
        Fire = "fire", Forced = "forced", OpenTooLong = "open-too-long", StandingOpen = "standing-open", Obstructed = "obstructed",
    }
    Fault {
        BoardLost = "board-lost", OpenLimitNotReached = "open-limit-not-reached",
        ClosedLimitNotReached = "closed-limit-not-reached", LimitsContradict = "limits-contradict",
    }
}

/// Openings that wait for the same movement to be confirmed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pending(Vec<GrantId>);

impl Pending {
    /// More openings at once than people can cause; beyond, something floods.
    const MAX: usize = 16;

    /// Remembers `grant`; whether there was room.
    pub(crate) fn push(&mut self, grant: GrantId) -> bool {
        let room = !self.is_full();
        if room {
            self.0.push(grant);
        }
        room
    }

    /// Whether no more may wait.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= Self::MAX
    }

    /// Whether none waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reports all as confirmed and forgets them.
    pub(crate) fn confirm(&mut self, out: &mut Vec<Command>) {
        out.extend(self.0.drain(..).map(|grant| Command::Report(Report::Confirmed { grant })));
    }

    /// Reports all as not confirmed and forgets them.
    pub(crate) fn fail(&mut self, why: NotDone, out: &mut Vec<Command>) {
        out.extend(self.0.drain(..).map(|grant| Command::Report(Report::NotConfirmed { grant, why })));
    }
}

/// Alarms that stand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alarms(Vec<Alarm>);

impl Alarms {
    /// Reports `alarm`, unless it stands already.
    pub(crate) fn raise(&mut self, alarm: Alarm, out: &mut Vec<Command>) {
        if !self.0.contains(&alarm) {
            self.0.push(alarm);
            out.push(Command::Report(Report::Alarm(alarm)));
        }
    }

    /// Reports that every standing alarm is over, except for the fire's, which only [`Self::end`] does.
    pub(crate) fn clear(&mut self, out: &mut Vec<Command>) {
        let over = self.0.extract_if(.., |alarm| *alarm != Alarm::Fire);
        out.extend(over.map(|alarm| Command::Report(Report::AlarmCleared(alarm))));
    }

    /// Reports that `alarm` is over, if it stands.
    pub(crate) fn end(&mut self, alarm: Alarm, out: &mut Vec<Command>) {
        if self.stands(alarm) {
            self.0.retain(|other| *other != alarm);
            out.push(Command::Report(Report::AlarmCleared(alarm)));
        }
    }

    pub(crate) fn stands(&self, alarm: Alarm) -> bool {
        self.0.contains(&alarm)
    }
}

/// The earlier of two moments, where either may never come.
pub(crate) fn earlier(a: Option<Monotonic>, b: Option<Monotonic>) -> Option<Monotonic> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}
