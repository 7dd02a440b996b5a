//! The texts that residents consent to (S10).

pub(super) mod list;
pub(super) mod read;
pub(super) mod record;
