//! Sites, their equipment, and the customers they belong to.

pub(super) mod customer;
pub(super) mod equipment;
pub(super) mod list;
pub(super) mod register;
