//! Controllers: registered, claimed, looked at, ended.

pub(super) mod decommission;
pub(super) mod read;
pub(super) mod register;
pub(super) mod renew_claim;
pub(super) mod revoke;
