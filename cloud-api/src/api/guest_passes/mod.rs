//! Passes for guests: a plate for some days, or one opening by order.

pub(super) mod end;
pub(super) mod give;
pub(super) mod list;
pub(super) mod open;
pub(super) mod read;
