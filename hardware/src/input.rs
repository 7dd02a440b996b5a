//! Inputs: induction loops, photocells, limit switches, door contacts, buttons.

use async_trait::async_trait;
use tokio::{sync::watch, time::Instant};

use crate::{DeviceError, Health};

/// What is known about an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The debounced logical level; `None` while it is not known (board not reachable, or not yet read).
    pub value: Option<bool>,
    /// When this level was first seen (before debouncing was over), or when it became unknown.
    pub at: Instant,
    /// How often the level rose from false to true since the program started: a button pressed and let go between two looks
    /// at a watch channel is still counted.
    pub rises: u64,
}

/// One contact or sensor.
#[async_trait]
pub trait Input: Send + Sync {
    /// The logical name from the configuration.
    fn id(&self) -> &str;

    /// The debounced level as of the last poll; an error while it is not known.
    async fn read(&self) -> Result<bool, DeviceError>;

    /// Follows the debounced level. The current reading is there at once.
    fn watch(&self) -> watch::Receiver<Reading>;

    /// The health of the board it sits on.
    fn health(&self) -> watch::Receiver<Health>;
}
