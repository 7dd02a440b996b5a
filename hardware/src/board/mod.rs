//! Boards: what every driver of relays and inputs has in common.
//!
//! A driver is two small traits: [`Driver`] makes a connection, [`Bus`] is one. Everything that must be the same for each
//! board (safe states, deadlines, the end of pulses, debouncing, reconnecting, health) is in the one task of [`task`].

mod debounce;
mod handles;
mod task;
#[cfg(test)]
mod tests;

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{sync::watch, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    DeviceError, Health,
    config::{Bias, Timing},
};
pub(crate) use handles::{BoardInput, BoardOutput};

/// Makes connections to one board.
#[async_trait]
pub(crate) trait Driver: Send + Sync {
    /// Connects. The board task bounds the time.
    async fn connect(&self, plan: &Plan) -> Result<Box<dyn Bus>, DeviceError>;
}

/// A live connection to a board. Levels are electrical: `active_low` is dealt with by the caller. After an error that
/// ends a connection the bus is dropped, so it need not be usable any more.
#[async_trait]
pub(crate) trait Bus: Send {
    /// Drives one output and returns when the board has acknowledged it, as far as the bus has acknowledgements.
    async fn write(&mut self, channel: u32, high: bool) -> Result<(), DeviceError>;

    /// Reads all inputs of the plan, in its order, into `levels`. Called also for a board without inputs: then it makes
    /// sure that the board is still there.
    async fn poll(&mut self, levels: &mut [bool]) -> Result<(), DeviceError>;
}

/// What a board is used for.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Names the board in errors, with its address: `board "io1" (modbus-tcp 192.0.2.7:502)`.
    pub(crate) device: String,
    pub(crate) outputs: Vec<OutputLine>,
    pub(crate) inputs: Vec<InputLine>,
    pub(crate) timing: Timing,
}

/// One output of a plan.
#[derive(Debug, Clone)]
pub(crate) struct OutputLine {
    pub(crate) id: String,
    pub(crate) channel: u32,
    pub(crate) active_low: bool,
    pub(crate) safe: bool,
    pub(crate) max_pulse: Duration,
}

impl OutputLine {
    /// The electrical level for a logical one.
    pub(crate) fn electrical(&self, on: bool) -> bool {
        on != self.active_low
    }
}

/// One input of a plan.
#[derive(Debug, Clone)]
pub(crate) struct InputLine {
    pub(crate) id: String,
    pub(crate) channel: u32,
    pub(crate) active_low: bool,
    pub(crate) debounce: Duration,
    pub(crate) bias: Bias,
}

impl Plan {
    /// Bounds one exchange with the board.
    async fn within<T>(
        &self,
        limit: Duration,
        action: &str,
        work: impl Future<Output = Result<T, DeviceError>>,
    ) -> Result<T, DeviceError> {
        timeout(limit, work).await.unwrap_or_else(|_| {
            Err(DeviceError::Timeout {
                device: self.device.clone(),
                action: action.into(),
                after_ms: limit.as_millis() as u64,
                sent: true,
            })
        })
    }
}

/// A board that was started: its task and the handles on its lines, in the plan's order.
pub(crate) struct Started {
    pub(crate) outputs: Vec<BoardOutput>,
    pub(crate) inputs: Vec<BoardInput>,
    pub(crate) health: watch::Receiver<Health>,
    pub(crate) task: JoinHandle<()>,
}

/// Starts the task of one board. It ends, with its outputs in their safe state, when `shutdown` is cancelled.
pub(crate) fn start(plan: Plan, driver: Arc<dyn Driver>, shutdown: CancellationToken) -> Started {
    task::start(Arc::new(plan), driver, shutdown)
}
