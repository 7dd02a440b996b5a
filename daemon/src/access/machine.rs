//! One face for the two machines: the task feeds inputs and orders without asking whether it is a barrier or a door.

use cardea_access::barrier::{self, Barrier};
use cardea_access::door::{self, Door};
use cardea_access::machine::{Command, GrantId, State};
use cardea_access::time::Monotonic;

/// What a configured input means to its access point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    /// The loop under the boom.
    Loop,
    /// The loop outside the boom.
    ApproachLoop,
    /// The loop inside it.
    DepartureLoop,
    /// The photocell under the boom; true while it is interrupted.
    Photocell,
    /// The boom's upper limit switch.
    OpenLimit,
    /// The boom's lower limit switch.
    ClosedLimit,
    /// The door contact; true when the door is shut.
    Contact,
    /// The button that stops the boom; true while pressed.
    StopButton,
    /// The button inside.
    ExitButton,
    /// The fire alarm; true in a fire.
    Fire,
}

impl Role {
    /// The role that a key of `[[access_point]]` names.
    pub(crate) fn of_key(key: &str) -> Option<Self> {
        Some(match key {
            "loop" => Self::Loop,
            "approach_loop" => Self::ApproachLoop,
            "departure_loop" => Self::DepartureLoop,
            "photocell" => Self::Photocell,
            "open_limit" => Self::OpenLimit,
            "closed_limit" => Self::ClosedLimit,
            "contact" => Self::Contact,
            "stop_button" => Self::StopButton,
            "exit_button" => Self::ExitButton,
            "fire" => Self::Fire,
            _ => return None,
        })
    }
}

/// What happens at an access point, whichever kind it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    /// A decision admitted someone.
    Granted(GrantId),
    /// Hold open, until `EndHold`.
    Hold(GrantId),
    /// End a hold.
    EndHold,
    /// Close, whatever opened it.
    Close,
    /// The exit button was pressed.
    ExitPressed,
    /// An input has this level; `None` while it is not known.
    Input(Role, Option<bool>),
    /// The board did not carry out `command` in time.
    ActuationFailed { command: Command, may_have_acted: bool },
    /// A board does not answer.
    BoardLost,
    /// The boards of its outputs answer again, while another does not yet.
    RelaysRestored,
    /// All boards answer again.
    BoardRestored,
    /// The time the machine asked for has come.
    Tick,
}

/// A barrier or a door.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a handful of them, made once")]
pub(crate) enum Machine {
    /// With a boom.
    Barrier(Barrier),
    /// With a lock.
    Door(Door),
}

impl Machine {
    /// Takes what happened at `now` and says what to do. What means nothing to this kind of machine changes nothing.
    pub(crate) fn handle(&mut self, what: Happening, now: Monotonic) -> Vec<Command> {
        match self {
            Self::Barrier(barrier) => barrier_event(what).map(|event| barrier.handle(event, now)).unwrap_or_default(),
            Self::Door(door) => door_event(what).map(|event| door.handle(event, now)).unwrap_or_default(),
        }
    }

    /// When it wants a [`Happening::Tick`].
    pub(crate) fn next_deadline(&self) -> Option<Monotonic> {
        match self {
            Self::Barrier(barrier) => barrier.next_deadline(),
            Self::Door(door) => door.next_deadline(),
        }
    }

    /// Its state.
    pub(crate) fn state(&self) -> State {
        match self {
            Self::Barrier(barrier) => barrier.state(),
            Self::Door(door) => door.state(),
        }
    }

    /// Whether it keeps a lock released.
    pub(crate) fn is_released(&self) -> bool {
        matches!(self, Self::Door(door) if door.is_released())
    }

    /// Whether an opening would be begun.
    pub(crate) fn accepts_openings(&self) -> bool {
        match self {
            Self::Barrier(barrier) => barrier.accepts_openings(),
            Self::Door(door) => door.accepts_openings(),
        }
    }
}

fn barrier_event(what: Happening) -> Option<barrier::Event> {
    use barrier::Event;
    Some(match what {
        Happening::Granted(grant) => Event::OpenGranted { grant },
        Happening::Hold(grant) => Event::Hold { grant },
        Happening::EndHold => Event::EndHold,
        Happening::Close => Event::Close,
        Happening::Input(Role::Loop, Some(true)) => Event::LoopOccupied,
        Happening::Input(Role::Loop, Some(false)) => Event::LoopClear,
        Happening::Input(Role::Loop, None) => Event::LoopUnknown,
        Happening::Input(Role::Photocell, Some(true)) => Event::PhotocellBlocked,
        Happening::Input(Role::Photocell, Some(false)) => Event::PhotocellClear,
        Happening::Input(Role::Photocell, None) => Event::PhotocellUnknown,
        Happening::Input(Role::ApproachLoop, lit) => Event::ApproachLoop(lit),
        Happening::Input(Role::DepartureLoop, lit) => Event::DepartureLoop(lit),
        Happening::Input(Role::StopButton, pressed) => Event::StopButton(pressed),
        Happening::Input(Role::Fire, alarm) => Event::Fire(alarm),
        Happening::Input(Role::OpenLimit, Some(on)) => Event::OpenLimit(on),
        Happening::Input(Role::ClosedLimit, Some(on)) => Event::ClosedLimit(on),
        // An unknown limit switch comes with the loss of its board, which says more.
        Happening::Input(..) | Happening::ExitPressed => return None,
        Happening::ActuationFailed { command, may_have_acted } => Event::ActuationFailed { command, may_have_acted },
        Happening::BoardLost => Event::BoardLost,
        Happening::RelaysRestored => Event::RelaysRestored,
        Happening::BoardRestored => Event::BoardRestored,
        Happening::Tick => Event::Tick,
    })
}

fn door_event(what: Happening) -> Option<door::Event> {
    use door::Event;
    Some(match what {
        Happening::Granted(grant) => Event::OpenGranted { grant },
        Happening::Hold(grant) => Event::Hold { grant },
        Happening::EndHold => Event::EndHold,
        Happening::Close => Event::Close,
        Happening::ExitPressed => Event::ExitPressed,
        Happening::Input(Role::Contact, Some(true)) => Event::ContactClosed,
        Happening::Input(Role::Contact, Some(false)) => Event::ContactOpened,
        Happening::Input(Role::Fire, alarm) => Event::Fire(alarm),
        Happening::Input(..) => return None,
        Happening::ActuationFailed { command, may_have_acted } => Event::ActuationFailed { command, may_have_acted },
        Happening::BoardLost => Event::BoardLost,
        Happening::RelaysRestored => Event::RelaysRestored,
        Happening::BoardRestored => Event::BoardRestored,
        Happening::Tick => Event::Tick,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_access::barrier::BarrierConfig;
    use cardea_access::door::DoorConfig;

    #[test]
    fn a_door_knows_no_loop_and_a_barrier_no_exit_button() {
        let mut door = Machine::Door(Door::new(DoorConfig::default()));
        assert!(door.handle(Happening::Input(Role::Loop, Some(true)), Monotonic(0)).is_empty());
        let mut barrier = Machine::Barrier(Barrier::new(BarrierConfig::default()));
        assert!(barrier.handle(Happening::ExitPressed, Monotonic(0)).is_empty());
    }

    #[test]
    fn a_contact_that_is_true_is_a_shut_door() {
        let mut door = Machine::Door(Door::new(DoorConfig::default()));
        door.handle(Happening::Input(Role::Contact, Some(true)), Monotonic(0));
        assert_eq!(door.state(), State::Closed);
        door.handle(Happening::Input(Role::Contact, None), Monotonic(1));
        assert_eq!(door.state(), State::Closed, "only the loss of the board makes it unknown");
        door.handle(Happening::Input(Role::Contact, Some(false)), Monotonic(2));
        assert_eq!(door.state(), State::Forced);
    }

    #[test]
    fn a_fire_opens_both_and_a_stop_button_only_stops_a_boom() {
        let fire = Happening::Input(Role::Fire, Some(true));
        let mut door = Machine::Door(Door::new(DoorConfig::default()));
        assert!(door.handle(fire, Monotonic(0)).contains(&Command::Release));
        assert!(door.is_released());
        let mut barrier = Machine::Barrier(Barrier::new(BarrierConfig::default()));
        assert!(barrier.handle(fire, Monotonic(0)).contains(&Command::PulseOpen { ms: 500 }));
        let stop = Happening::Input(Role::StopButton, Some(true));
        assert!(barrier.handle(stop, Monotonic(1)).contains(&Command::Stop));
        assert!(door.handle(stop, Monotonic(1)).is_empty());
    }

    #[test]
    fn a_lost_board_accepts_no_opening_and_a_grant_moves_the_boom() {
        let mut barrier = Machine::Barrier(Barrier::new(BarrierConfig::default()));
        barrier.handle(Happening::BoardLost, Monotonic(0));
        assert!(!barrier.accepts_openings());
        barrier.handle(Happening::BoardRestored, Monotonic(1));
        let commands = barrier.handle(Happening::Granted(GrantId(1)), Monotonic(2));
        assert!(commands.contains(&Command::PulseOpen { ms: 500 }), "{commands:?}");
        assert!(barrier.next_deadline().is_some());
    }
}
