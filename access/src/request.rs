//! A request for access: who stands where, with what, since when.

use crate::credential::Evidence;
use crate::id::AccessPointId;
use crate::time::{Monotonic, Timestamp};

/// Which way the person or vehicle goes (EN 60839-11-1: an access point may have a reader on either side).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// Into the protected area.
    #[default]
    Entry,
    /// Out of it. Nobody is kept in.
    Exit,
}

impl Direction {
    /// The stable name for events and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Exit => "exit",
        }
    }
}

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessRequest {
    /// Where.
    pub access_point: AccessPointId,
    /// Which way.
    pub direction: Direction,
    /// With what.
    pub evidence: Evidence,
    /// When the last of the evidence was captured, wall clock: for the record.
    pub at: Timestamp,
    /// The same moment on the monotonic clock: tells whether the decision still matters.
    pub mono: Monotonic,
}
