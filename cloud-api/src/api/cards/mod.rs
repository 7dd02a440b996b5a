//! Cards.

pub(super) mod admit;
pub(super) mod change;
pub(super) mod list;
pub(super) mod read;
pub(super) mod remove;
