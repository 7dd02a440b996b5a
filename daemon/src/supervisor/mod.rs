//! Starts the tasks in order, watches them, and leaves the outputs safe however the program ends.
//!
//! ```text
//! hardware (outputs safe) -> store -> models -> capture, access -> sync -> status socket
//! ```
//!
//! A task that ends, in order or by a panic, ends the program: the outputs are made safe, the database is closed, and
//! systemd starts it anew. A program that is killed outright cannot do that; then the next start does, before anything else.

mod gate;
mod tasks;

use std::time::Duration;

pub use gate::{Gate, GateError};
pub use tasks::{Ended, Tasks};

/// How long tasks may take to end in order.
const PATIENCE: Duration = Duration::from_secs(3);
