//! What a barrier is told: how it is built, and what happens at it.

use crate::machine::{Command, GrantId};
use crate::request::Direction;

/// What is fitted, and how long things take. Times are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierConfig {
    /// Length of a relay pulse.
    pub pulse_ms: u64,
    /// The longest the boom may travel from one limit to the other.
    pub travel_ms: u64,
    /// How long the way must have been clear before the boom comes down.
    pub clear_ms: u64,
    /// How long the boom stays up for a car that never drives in.
    pub open_timeout_ms: u64,
    /// A vehicle that leaves the way clear for less than this, such as between a car and its trailer, is still the same.
    pub gap_ms: u64,
    /// Whether a boom found standing open after a start may be closed when the way is clear.
    pub close_standing_open: bool,
    /// The drive brings the boom down by itself: there is no *close* relay, and none is commanded.
    pub self_closing: bool,
    /// Which way the lane is meant to be driven; `None` for both. What goes against it is reported, where loops can tell.
    pub lane: Option<Direction>,
    /// A loop under the boom is fitted.
    pub loop_fitted: bool,
    /// A photocell under the boom is fitted.
    pub photocell_fitted: bool,
    /// A loop outside the boom and one inside are fitted besides: they tell which way a vehicle went.
    pub lane_loops_fitted: bool,
    /// Limit switches are fitted. Without them nothing is ever confirmed, and positions follow from time.
    pub limits_fitted: bool,
}

/// A common boom of three metres with a loop and limit switches.
impl Default for BarrierConfig {
    fn default() -> Self {
        Self {
            pulse_ms: 500,
            travel_ms: 8_000,
            clear_ms: 1_500,
            open_timeout_ms: 20_000,
            gap_ms: 250,
            close_standing_open: false,
            self_closing: false,
            lane: None,
            loop_fitted: true,
            photocell_fitted: false,
            lane_loops_fitted: false,
            limits_fitted: true,
        }
    }
}

/// What happens at a barrier. Inputs of sensors that are not fitted are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A decision admitted someone.
    OpenGranted {
        /// The shell's number for it.
        grant: GrantId,
    },
    /// By order: open and stay open until [`Event::EndHold`] or [`Event::Close`], or until a board is lost, the boom is stopped, or
    /// it is down again, by hand or because it never rose. A second one changes nothing.
    Hold {
        /// The shell's number for it.
        grant: GrantId,
    },
    /// The order to hold open is over: close as soon as the way is clear. Where the hold has ended before, by the stop button or
    /// by hand, it changes nothing: nobody stands there and expects the boom to move.
    EndHold,
    /// By order: end a hold, and close as soon as the way is clear.
    Close,
    /// By order: stop where it is and stay so until the next opening, or order to close.
    Stop,
    /// The stop button; `None` while it is not known. Pressed, it stops the boom, and nothing moves it until it is let go.
    StopButton(Option<bool>),
    /// The fire alarm; `None` while it is not known. It opens and holds from the moment it is known to be true until it is
    /// known to be false.
    Fire(Option<bool>),
    /// A vehicle is on the loop.
    LoopOccupied,
    /// None is.
    LoopClear,
    /// The loop does not answer.
    LoopUnknown,
    /// Something interrupts the photocell.
    PhotocellBlocked,
    /// Nothing does.
    PhotocellClear,
    /// The photocell does not answer.
    PhotocellUnknown,
    /// The loop outside the boom: whether a vehicle is there; `None` while it is not known.
    ApproachLoop(Option<bool>),
    /// The loop inside the boom.
    DepartureLoop(Option<bool>),
    /// The upper limit switch: whether the boom is fully up.
    OpenLimit(bool),
    /// The lower limit switch: whether the boom is fully down.
    ClosedLimit(bool),
    /// A command could not be delivered in time.
    ActuationFailed {
        /// Which.
        command: Command,
        /// It may have been carried out all the same.
        may_have_acted: bool,
    },
    /// A board this barrier needs does not answer. All inputs become unknown.
    BoardLost,
    /// The boards of its relays answer again, and have opened all contacts, while another board is still lost.
    RelaysRestored,
    /// All its boards answer again.
    BoardRestored,
    /// [`super::Barrier::next_deadline`] has come.
    Tick,
}
