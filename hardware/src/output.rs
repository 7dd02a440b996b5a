//! Outputs: relays and locks.

use std::time::Duration;

use async_trait::async_trait;
use tokio::{sync::watch, time::Instant};

use crate::{DeviceError, Health};

/// The board acknowledged the new level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actuated {
    /// When the acknowledgement arrived (monotonic).
    pub at: Instant,
}

/// One relay or lock. "On" is the logical level: actuating, whatever the wiring (`active_low`) makes of it.
///
/// An error means *not done, and it will not be done later*, unless [`DeviceError::may_have_acted`] says that the request
/// was already on its way; then the board's connection is made anew, which begins with the safe state.
#[async_trait]
pub trait Output: Send + Sync {
    /// The logical name from the configuration.
    fn id(&self) -> &str;

    /// Switches on or off until told otherwise, the connection is lost, or the process ends. Ends a running pulse.
    async fn set(&self, on: bool) -> Result<Actuated, DeviceError>;

    /// Switches on, and off again after `on_for`. Returns as soon as *on* is acknowledged; the board's task switches off,
    /// also when the caller is gone. A pulse longer than the output's `max_pulse_ms` is refused.
    async fn pulse(&self, on_for: Duration) -> Result<Actuated, DeviceError>;

    /// The last acknowledged level; `None` while the board is not reachable.
    fn state(&self) -> Option<bool>;

    /// The health of the board it sits on.
    fn health(&self) -> watch::Receiver<Health>;
}
