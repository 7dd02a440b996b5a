//! What a barrier is told: how it is built, and what happens at it.

use crate::machine::GrantId;

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
    /// Whether a boom found standing open after a start may be closed when the way is clear.
    pub close_standing_open: bool,
    /// A loop under the boom is fitted.
    pub loop_fitted: bool,
    /// A photocell under the boom is fitted.
    pub photocell_fitted: bool,
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
            close_standing_open: false,
            loop_fitted: true,
            photocell_fitted: false,
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
    /// By order: open and stay open.
    Hold {
        /// The shell's number for it.
        grant: GrantId,
    },
    /// By order: end a hold, and close as soon as the way is clear.
    Close,
    /// By order: stop where it is and stay so until told otherwise.
    Stop,
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
    /// The upper limit switch: whether the boom is fully up.
    OpenLimit(bool),
    /// The lower limit switch: whether the boom is fully down.
    ClosedLimit(bool),
    /// A pulse could not be delivered in time.
    ActuationFailed,
    /// A board this barrier needs does not answer. All inputs become unknown.
    BoardLost,
    /// All its boards answer again.
    BoardRestored,
    /// [`super::Barrier::next_deadline`] has come.
    Tick,
}
