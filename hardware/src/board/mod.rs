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
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
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

    /// Starts a pulse: drives the output like [`Bus::write`], and where the board can time it, has the board end it, in case
    /// nobody is left to do so. The board's task ends it in any case.
    async fn pulse(&mut self, channel: u32, high: bool, on_for: Duration) -> Result<(), DeviceError> {
        let _ = on_for;
        self.write(channel, high).await
    }

    /// Waits for an input to change, where the bus is told; puts the new level into `levels` and answers when it changed.
    /// Must be cancel safe. Other buses wait for ever: they are polled.
    async fn changed(&mut self, levels: &mut [bool]) -> Result<Instant, DeviceError> {
        let _ = levels;
        std::future::pending().await
    }

    /// Whether the levels it tells have been debounced already.
    fn debounced(&self) -> bool {
        false
    }

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
    /// How long an exchange may have to wait for its turn on a line that is shared.
    pub(crate) waits: Duration,
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
        timeout(limit + self.waits, work).await.unwrap_or_else(|_| {
            Err(DeviceError::Timeout {
                device: self.device.clone(),
                action: action.into(),
                after_ms: limit.as_millis() as u64,
                sent: true,
            })
        })
    }
}

/// Writes every output's safe state, trying for as long as `limit`; the last error if it could not be done. For a board that
/// nobody else drives.
pub(crate) async fn secure(driver: &dyn Driver, plan: &Plan, limit: Duration) -> Result<(), DeviceError> {
    let end = Instant::now() + limit;
    loop {
        let done = task::connect_safe(driver, plan).await;
        if done.is_ok() || Instant::now() + RETRY >= end {
            return done.map(drop);
        }
        sleep_until(Instant::now() + RETRY).await;
    }
}

/// The wait between two attempts of [`secure`].
const RETRY: Duration = Duration::from_millis(200);

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
