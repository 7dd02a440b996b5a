//! Accounts: who may call.

pub(super) mod give_sites;
pub(super) mod list;
pub(super) mod redirect_uri;
pub(super) mod register;
pub(super) mod revoke;
