//! Client certificates: which count no longer.

pub(super) mod revoke;
