//! GPIO through the kernel's character device (`/dev/gpiochipN`), on any board that runs Linux 5.10 or later.
//!
//! The calls are single ioctls of a few microseconds, so they are made on the board's task. Lines are requested with their
//! safe level, so that nothing twitches while they become outputs, and are driven to it again before they are released.
//! Source: Documentation/userspace-api/gpio/chardev.rst of the Linux kernel.

use std::collections::HashMap;

use async_trait::async_trait;
use gpiocdev::{
    Request,
    line::{Bias as LineBias, Value},
};

use crate::{
    DeviceError,
    board::{Bus, Driver, Plan},
    config::{Bias, GpioCdevConfig},
};

/// Opens lines of one GPIO chip.
pub(crate) struct GpioCdev {
    pub(crate) config: GpioCdevConfig,
}

#[async_trait]
impl Driver for GpioCdev {
    async fn connect(&self, plan: &Plan) -> Result<Box<dyn Bus>, DeviceError> {
        if !self.config.chip.exists() {
            let reason = "there is no such device file (the command gpiodetect lists the chips of this machine)";
            return Err(DeviceError::unreachable(&plan.device, "open the chip", reason, false));
        }
        let request = |line: &str, builder: &mut gpiocdev::request::Builder| {
            builder.on_chip(&self.config.chip).with_consumer("cardea").request().map_err(|error| {
                DeviceError::unreachable(&plan.device, &format!("request the line of {line:?}"), error, false)
            })
        };
        let mut outputs = HashMap::new();
        for line in &plan.outputs {
            let safe = value(line.electrical(line.safe));
            let request = request(&line.id, Request::builder().with_line(line.channel).as_output(safe))?;
            outputs.insert(line.channel, OutputLine { request, safe });
        }
        let mut inputs = Vec::new();
        for line in &plan.inputs {
            let bias = match line.bias {
                Bias::Off => LineBias::Disabled,
                Bias::PullUp => LineBias::PullUp,
                Bias::PullDown => LineBias::PullDown,
            };
            inputs.push(request(&line.id, Request::builder().with_line(line.channel).as_input().with_bias(bias))?);
        }
        Ok(Box::new(CdevBus { device: plan.device.clone(), outputs, inputs }))
    }
}

struct OutputLine {
    request: Request,
    safe: Value,
}

impl Drop for OutputLine {
    fn drop(&mut self) {
        // The chip may be gone; then there is nothing left to make safe.
        let _ = self.request.set_lone_value(self.safe);
    }
}

struct CdevBus {
    device: String,
    outputs: HashMap<u32, OutputLine>,
    inputs: Vec<Request>,
}

#[async_trait]
impl Bus for CdevBus {
    async fn write(&mut self, channel: u32, high: bool) -> Result<(), DeviceError> {
        let Some(line) = self.outputs.get(&channel) else {
            return Err(DeviceError::unsupported(&self.device, "write a line", "the line was not requested"));
        };
        line.request
            .set_lone_value(value(high))
            .map_err(|error| DeviceError::unreachable(&self.device, "write a line", error, true))
    }

    async fn poll(&mut self, levels: &mut [bool]) -> Result<(), DeviceError> {
        for (level, request) in levels.iter_mut().zip(&self.inputs) {
            let read = request
                .lone_value()
                .map_err(|error| DeviceError::unreachable(&self.device, "read a line", error, true))?;
            *level = read == Value::Active;
        }
        Ok(())
    }
}

/// Lines are requested active-high, so the kernel's value is the electrical level.
fn value(high: bool) -> Value {
    if high { Value::Active } else { Value::Inactive }
}
