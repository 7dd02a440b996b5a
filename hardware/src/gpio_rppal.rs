//! GPIO of a Raspberry Pi, through its registers (`/dev/gpiomem`). Channels are BCM pin numbers.
//!
//! Reads and writes are memory accesses, so they cannot fail once the pins are open. Pins become outputs at their safe level
//! and are left driven at it.

use std::collections::HashMap;

use async_trait::async_trait;
use rppal::gpio::{Gpio, InputPin, Level, OutputPin};

use crate::{
    DeviceError,
    board::{Bus, Driver, Plan},
    config::Bias,
};

/// Opens pins of the Raspberry Pi it runs on.
pub(crate) struct GpioRppal;

#[async_trait]
impl Driver for GpioRppal {
    async fn connect(&self, plan: &Plan) -> Result<Box<dyn Bus>, DeviceError> {
        let gpio = Gpio::new().map_err(|error| {
            let reason = format!("{error} (is this a Raspberry Pi? elsewhere use driver gpio-cdev)");
            DeviceError::unreachable(&plan.device, "open the GPIO registers", reason, false)
        })?;
        let pin = |id: &str, channel: u32| {
            let action = format!("open the pin of {id:?}");
            let number = u8::try_from(channel)
                .map_err(|_| DeviceError::unsupported(&plan.device, &action, format!("there is no pin {channel}")))?;
            gpio.get(number).map_err(|error| DeviceError::unreachable(&plan.device, &action, error, false))
        };
        let mut outputs = HashMap::new();
        for line in &plan.outputs {
            let pin = pin(&line.id, line.channel)?;
            let safe = level(line.electrical(line.safe));
            let mut pin = if safe == Level::High { pin.into_output_high() } else { pin.into_output_low() };
            pin.set_reset_on_drop(false);
            outputs.insert(line.channel, DrivenPin { pin, safe });
        }
        let mut inputs = Vec::new();
        for line in &plan.inputs {
            let pin = pin(&line.id, line.channel)?;
            inputs.push(match line.bias {
                Bias::Off => pin.into_input(),
                Bias::PullUp => pin.into_input_pullup(),
                Bias::PullDown => pin.into_input_pulldown(),
            });
        }
        Ok(Box::new(RppalBus { device: plan.device.clone(), outputs, inputs }))
    }
}

struct DrivenPin {
    pin: OutputPin,
    safe: Level,
}

impl Drop for DrivenPin {
    fn drop(&mut self) {
        self.pin.write(self.safe);
    }
}

struct RppalBus {
    device: String,
    outputs: HashMap<u32, DrivenPin>,
    inputs: Vec<InputPin>,
}

#[async_trait]
impl Bus for RppalBus {
    async fn write(&mut self, channel: u32, high: bool) -> Result<(), DeviceError> {
        let Some(driven) = self.outputs.get_mut(&channel) else {
            return Err(DeviceError::unsupported(&self.device, "write a pin", "the pin was not opened"));
        };
        driven.pin.write(level(high));
        Ok(())
    }

    async fn poll(&mut self, levels: &mut [bool]) -> Result<(), DeviceError> {
        for (level, pin) in levels.iter_mut().zip(&self.inputs) {
            *level = pin.is_high();
        }
        Ok(())
    }
}

fn level(high: bool) -> Level {
    if high { Level::High } else { Level::Low }
}
