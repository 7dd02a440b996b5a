//! Property sales (S12).

pub(super) mod read;
pub(super) mod sell;
