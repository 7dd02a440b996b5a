//! Modbus RTU: one unit on a serial line, which it may share with others.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio_modbus::prelude::Request;

use super::{
    Exchange, ModbusBus, device_error,
    line::{Line, Work},
    wire::{Answer, CallError},
};
use crate::{
    DeviceError,
    board::{Bus, Driver, Plan},
    config::ModbusRtuConfig,
};

/// One unit on a line.
pub(crate) struct ModbusRtu {
    pub(crate) config: ModbusRtuConfig,
    pub(crate) line: Arc<Line>,
}

#[async_trait]
impl Driver for ModbusRtu {
    async fn connect(&self, plan: &Plan) -> Result<Box<dyn Bus>, DeviceError> {
        let limit = plan.timing.request_timeout();
        let unit = Unit { line: Arc::clone(&self.line), unit: self.config.unit, limit, opening: 0 };
        let opened = unit.turn(Work::Open, false).await;
        let (_, opening) = opened.map_err(|error| device_error(&plan.device, "open the serial port", error))?;
        Ok(Box::new(ModbusBus::new(plan, self.config.register_map(), Unit { opening, ..unit })?))
    }
}

struct Unit {
    line: Arc<Line>,
    unit: u8,
    limit: Duration,
    /// Which opening of the port this connection belongs to: after another one the outputs must be made safe first.
    opening: u64,
}

impl Unit {
    async fn turn(&self, work: Work, urgent: bool) -> Result<(Option<Answer>, u64), CallError> {
        self.line.turn(self.unit, work, self.limit, urgent).await
    }
}

#[async_trait]
impl Exchange for Unit {
    async fn exchange(&mut self, request: Request<'static>, urgent: bool) -> Result<Answer, CallError> {
        let (answer, _) = self.turn(Work::Exchange { opening: self.opening, request }, urgent).await?;
        answer.ok_or_else(|| CallError::Nonsense("the line gave no answer".into()))
    }

    fn tries(&self) -> usize {
        2
    }
}
