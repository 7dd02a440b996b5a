//! Who this controller is.
pub mod files;
