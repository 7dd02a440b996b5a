//! Postures: lockdown and free access, and what decides between them.
//!
//! An access point is locked down or held open by an order at the controller, by an input (a panic button, a key switch) or
//! by the hours of a schedule. [`Posture`] takes each of these as an event and says which [`Mode`] results:
//!
//! 1. **Lockdown** beats everything: nobody enters, everybody may leave, a standing free access ends, and an order for one is
//!    void: after the lockdown it would open by itself. A fire input is not
//!    hindered by it, because it opens at the machine itself.
//! 2. **Free access**, unless locked down.
//! 3. **Normal** otherwise.
//!
//! What is not known is judged by what it would cost. A lockdown input that has not spoken since the start counts as a
//! lockdown, and one that falls silent stays what it was; a free access input counts only while it says so. So nothing opens
//! by itself after a restart, unless an input or a schedule says so *then*: an order for free access is not kept, one for a
//! lockdown is (by the shell).

use crate::rules::Mode;

/// What an order at the controller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Order {
    /// Nothing: inputs and hours alone count.
    #[default]
    Normal,
    /// Nobody enters.
    Lockdown,
    /// Hold open.
    FreeAccess,
}

/// Why a mode is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Nothing asks for anything else.
    Rest,
    /// An order at the controller.
    Order,
    /// An input.
    Input,
    /// A lockdown input that has not spoken since the start.
    InputUnknown,
    /// The hours of a schedule.
    Hours,
}

impl Cause {
    /// The stable name for events and the status.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rest => "normal",
            Self::Order => "local",
            Self::Input => "input",
            Self::InputUnknown => "input-unknown",
            Self::Hours => "hours",
        }
    }
}

/// What can ask for a posture here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fitted {
    /// Inputs that lock down.
    pub lockdown_inputs: usize,
    /// Inputs that hold open.
    pub free_access_inputs: usize,
    /// Whether hours of free access begin only once somebody has been admitted in them: a door does not stand open before
    /// the first one has come to work.
    pub after_first: bool,
}

/// Something that may change the posture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An order at the controller.
    Ordered(Order),
    /// The lockdown input of this number has this level; `None` while it is not known.
    LockdownInput(usize, Option<bool>),
    /// The same of a free access input.
    FreeAccessInput(usize, Option<bool>),
    /// Whether the schedule of free access is open.
    Hours(bool),
    /// Somebody was admitted by a credential.
    Admitted,
    /// The equipment was lost: an order to hold open has ended with the opening.
    EquipmentLost,
}

/// The posture of one access point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posture {
    order: Order,
    /// The last level that was known.
    lockdown: Vec<Option<bool>>,
    /// The present level.
    free_access: Vec<Option<bool>>,
    hours: bool,
    after_first: bool,
    /// Somebody was admitted within the present hours.
    admitted: bool,
}

impl Posture {
    /// The posture after a start. A lockdown by `order` was kept; an order for free access never is.
    pub fn new(fitted: Fitted, locked_down: bool) -> Self {
        Self {
            order: if locked_down { Order::Lockdown } else { Order::Normal },
            lockdown: vec![None; fitted.lockdown_inputs],
            free_access: vec![None; fitted.free_access_inputs],
            hours: false,
            after_first: fitted.after_first,
            admitted: false,
        }
    }

    /// Takes what happened.
    pub fn handle(&mut self, event: Event) {
        self.apply(event);
        // After the lockdown it would open by itself.
        if self.order == Order::FreeAccess && self.lockdown.iter().any(|level| *level != Some(false)) {
            self.order = Order::Normal;
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            // A lockdown is ended by an order to end it, never by one to hold open.
            Event::Ordered(Order::FreeAccess) if self.mode().0 == Mode::LockedDown => {}
            Event::Ordered(order) => self.order = order,
            Event::LockdownInput(n, level) => {
                if let Some(last) = self.lockdown.get_mut(n) {
                    *last = level.or(*last);
                }
            }
            Event::FreeAccessInput(n, level) => {
                if let Some(present) = self.free_access.get_mut(n) {
                    *present = level;
                }
            }
            Event::Hours(open) => {
                self.hours = open;
                self.admitted &= open;
            }
            Event::Admitted => self.admitted |= self.hours,
            Event::EquipmentLost => {
                if self.order == Order::FreeAccess {
                    self.order = Order::Normal;
                }
            }
        }
    }

    /// The order in force.
    pub const fn order(&self) -> Order {
        self.order
    }

    /// What is in force, and why.
    pub fn mode(&self) -> (Mode, Cause) {
        if self.order == Order::Lockdown {
            (Mode::LockedDown, Cause::Order)
        } else if self.lockdown.contains(&Some(true)) {
            (Mode::LockedDown, Cause::Input)
        } else if self.lockdown.contains(&None) {
            (Mode::LockedDown, Cause::InputUnknown)
        } else if self.order == Order::FreeAccess {
            (Mode::HeldOpen, Cause::Order)
        } else if self.free_access.contains(&Some(true)) {
            (Mode::HeldOpen, Cause::Input)
        } else if self.hours && (self.admitted || !self.after_first) {
            (Mode::HeldOpen, Cause::Hours)
        } else {
            (Mode::Normal, Cause::Rest)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Fitted = Fitted { lockdown_inputs: 1, free_access_inputs: 1, after_first: false };

    fn after(fitted: Fitted, events: &[Event]) -> (Mode, Cause) {
        let mut posture = Posture::new(fitted, false);
        for event in events {
            posture.handle(*event);
        }
        posture.mode()
    }

    #[test]
    fn lockdown_beats_free_access_and_free_access_beats_normal() {
        use Event::*;
        let calm = LockdownInput(0, Some(false));
        assert_eq!(after(ALL, &[calm]), (Mode::Normal, Cause::Rest));
        assert_eq!(after(ALL, &[calm, Hours(true)]), (Mode::HeldOpen, Cause::Hours));
        assert_eq!(after(ALL, &[calm, Hours(true), Ordered(Order::Lockdown)]), (Mode::LockedDown, Cause::Order));
        let panic = LockdownInput(0, Some(true));
        let switch = FreeAccessInput(0, Some(true));
        assert_eq!(after(ALL, &[panic, switch, Ordered(Order::FreeAccess)]), (Mode::LockedDown, Cause::Input));
        assert_eq!(after(ALL, &[panic, switch, calm]), (Mode::HeldOpen, Cause::Input));
    }

    #[test]
    fn an_ordered_lockdown_outlasts_an_order_to_hold_open() {
        use Event::*;
        let calm = LockdownInput(0, Some(false));
        let (locked, free) = (Ordered(Order::Lockdown), Ordered(Order::FreeAccess));
        assert_eq!(after(ALL, &[calm, locked, free]), (Mode::LockedDown, Cause::Order));
        let panic = LockdownInput(0, Some(true));
        assert_eq!(after(ALL, &[calm, locked, panic, free, calm]), (Mode::LockedDown, Cause::Order));
        assert_eq!(after(ALL, &[calm, locked, Ordered(Order::Normal), free]), (Mode::HeldOpen, Cause::Order));
    }

    #[test]
    fn what_is_not_known_locks_and_never_opens() {
        use Event::*;
        assert_eq!(after(ALL, &[]), (Mode::LockedDown, Cause::InputUnknown));
        let pressed = [LockdownInput(0, Some(true)), LockdownInput(0, None)];
        assert_eq!(after(ALL, &pressed), (Mode::LockedDown, Cause::Input), "it stays what it was");
        let released = [LockdownInput(0, Some(false)), LockdownInput(0, None)];
        assert_eq!(after(ALL, &released), (Mode::Normal, Cause::Rest));
        let free = Fitted { lockdown_inputs: 0, ..ALL };
        assert_eq!(after(free, &[FreeAccessInput(0, Some(true)), FreeAccessInput(0, None)]).0, Mode::Normal);
    }

    #[test]
    fn hours_may_wait_for_the_first_one_each_time() {
        use Event::*;
        let fitted = Fitted { after_first: true, ..Fitted::default() };
        assert_eq!(after(fitted, &[Admitted, Hours(true)]).0, Mode::Normal, "admitted before the hours");
        assert_eq!(after(fitted, &[Hours(true), Admitted]).0, Mode::HeldOpen);
        assert_eq!(after(fitted, &[Hours(true), Admitted, Hours(false)]).0, Mode::Normal);
        assert_eq!(after(fitted, &[Hours(true), Admitted, Hours(false), Hours(true)]).0, Mode::Normal);
    }

    #[test]
    fn an_order_to_hold_open_ends_with_the_equipment_and_a_lockdown_does_not() {
        use Event::*;
        let none = Fitted::default();
        assert_eq!(after(none, &[Ordered(Order::FreeAccess), EquipmentLost]).0, Mode::Normal);
        assert_eq!(after(none, &[Ordered(Order::Lockdown), EquipmentLost]).0, Mode::LockedDown);
        assert_eq!(Posture::new(none, true).mode(), (Mode::LockedDown, Cause::Order));
    }
}
