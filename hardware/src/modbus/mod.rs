//! Relay and input boards that speak Modbus, over TCP or on a serial line (RTU).
//!
//! ```text
//! ModbusBus: channels -> coils and registers by the board's map, answers checked       mod.rs
//!   Exchange: one request, one answer
//!     tcp.rs   a connection of its own               rtu.rs   a turn on the line that boards share, given by line.rs
//!       wire.rs  the exchange itself, by tokio-modbus, with the bytes remembered
//! ```
//!
//! An answer counts if it has the request's transaction (TCP) or unit and CRC (RTU), its function, and the size that was
//! asked for, or repeats what was written. Anything else is nonsense, and ends the connection of the board that was asked.
//!
//! Source: Modbus Application Protocol V1.1b3, sections 6.1 to 6.6 (a write is answered by its echo, which is the
//! acknowledgement) and 7 (exceptions); Modbus Messaging on TCP/IP V1.0b; Modbus over Serial Line V1.02.

mod line;
mod rtu;
mod tcp;
mod wire;

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use tokio::time::Instant;
use tokio_modbus::prelude::{ExceptionCode, Request, Response};

use crate::{
    DeviceError,
    board::{Bus, Plan},
    config::{InputTable, OutputMap, OutputTable, PulseMap, RegisterMap},
};
pub(crate) use line::{Line, LineSettings};
pub(crate) use rtu::ModbusRtu;
pub(crate) use tcp::ModbusTcp;
use wire::{Answer, CallError};

/// Makes one exchange after another with one board.
#[async_trait]
trait Exchange: Send {
    /// Sends a request and waits for its answer. What switches a relay is `urgent`: it goes before what only reads.
    async fn exchange(&mut self, request: Request<'static>, urgent: bool) -> Result<Answer, CallError>;

    /// How often a read may be tried when the answer was nonsense: a line picks up noise, a network does not.
    fn tries(&self) -> usize;
}

/// One board, whatever carries the requests.
struct ModbusBus<X> {
    device: String,
    exchange: X,
    map: RegisterMap,
    /// Address and bit of each input of the plan, in its order.
    inputs: Vec<(u16, u8)>,
    /// Read when there are no inputs to read, to see that the board is there.
    heartbeat_channel: Option<u32>,
    /// When pulses that the board itself ends will be over at the latest.
    timed: HashMap<u32, Instant>,
}

impl<X: Exchange> ModbusBus<X> {
    fn new(plan: &Plan, map: RegisterMap, exchange: X) -> Result<Self, DeviceError> {
        let place = |channel: u32| {
            let offset = offset(&map, channel)?;
            map.input.as_ref()?.place(offset)
        };
        let inputs = plan.inputs.iter().map(|input| {
            let missing = || format!("its map has no input {}", input.channel);
            place(input.channel).ok_or_else(|| DeviceError::unsupported(&plan.device, "read its inputs", missing()))
        });
        let inputs = inputs.collect::<Result<_, _>>()?;
        let heartbeat_channel = plan.outputs.first().map(|output| output.channel);
        let device = plan.device.clone();
        Ok(Self { device, exchange, map, inputs, heartbeat_channel, timed: HashMap::new() })
    }

    async fn call(&mut self, action: &str, request: Request<'static>, urgent: bool) -> Result<Answer, DeviceError> {
        let answered = self.exchange.exchange(request, urgent).await;
        answered.map_err(|error| device_error(&self.device, action, error))
    }

    /// A read, tried again where noise is to be expected. A read changes nothing, so that nothing is done late or twice.
    async fn read(&mut self, action: &str, request: Request<'static>) -> Result<Response, DeviceError> {
        let mut tries = self.exchange.tries();
        loop {
            tries = tries.saturating_sub(1);
            match self.call(action, request.clone(), false).await {
                Ok(Answer::Response(response)) => return Ok(response),
                Ok(Answer::Echo) => return Err(self.nonsense(action, "it sent the request back")),
                Err(DeviceError::Protocol { .. }) if tries > 0 => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn nonsense(&self, action: &str, reason: &str) -> DeviceError {
        DeviceError::protocol(&self.device, action, reason)
    }

    /// The output map, and how far the channel is from the first.
    fn output(&self, action: &str, channel: u32) -> Result<(OutputMap, u16), DeviceError> {
        let found = self.map.output.clone().zip(offset(&self.map, channel));
        found.ok_or_else(|| DeviceError::unsupported(&self.device, action, format!("its map has no output {channel}")))
    }

    fn address(&self, action: &str, first: u16, offset: u16) -> Result<u16, DeviceError> {
        let beyond = || DeviceError::unsupported(&self.device, action, "the channel lies beyond address 65535");
        first.checked_add(offset).ok_or_else(beyond)
    }

    async fn write_coil(&mut self, action: &str, address: u16, on: bool) -> Result<(), DeviceError> {
        match self.call(action, Request::WriteSingleCoil(address, on), true).await? {
            Answer::Response(Response::WriteSingleCoil(echoed, level)) if echoed == address && level == on => Ok(()),
            _ => Err(self.nonsense(action, "the echo differs from the request")),
        }
    }

    async fn write_register(&mut self, action: &str, address: u16, value: u16) -> Result<(), DeviceError> {
        match self.call(action, Request::WriteSingleRegister(address, value), true).await? {
            Answer::Response(Response::WriteSingleRegister(echoed, word)) if echoed == address && word == value => {
                Ok(())
            }
            _ => Err(self.nonsense(action, "the echo differs from the request")),
        }
    }

    /// Writes any value with the function that writes this table; a coil takes others than on and off only from boards
    /// that say so.
    async fn write_word(
        &mut self,
        action: &str,
        table: OutputTable,
        address: u16,
        value: u16,
    ) -> Result<(), DeviceError> {
        if table == OutputTable::HoldingRegister {
            return self.write_register(action, address, value).await;
        }
        let data = [address.to_be_bytes(), value.to_be_bytes()].concat();
        match self.call(action, Request::Custom(0x05, data.into()), true).await? {
            Answer::Echo => Ok(()),
            Answer::Response(_) => Err(self.nonsense(action, "the echo differs from the request")),
        }
    }

    /// Lets go of a pulse that the board times, if it must be told before its relay can be released.
    async fn cancel_timed(&mut self, action: &str, channel: u32) -> Result<(), DeviceError> {
        let Some(ends) = self.timed.remove(&channel) else { return Ok(()) };
        let (output, offset) = self.output(action, channel)?;
        match output.pulse {
            Some(PulseMap { address, cancel: Some(cancel), .. }) if Instant::now() < ends => {
                let address = self.address(action, address, offset)?;
                self.write_word(action, output.table, address, cancel).await
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl<X: Exchange> Bus for ModbusBus<X> {
    async fn write(&mut self, channel: u32, high: bool) -> Result<(), DeviceError> {
        let action = "write an output";
        let (output, offset) = self.output(action, channel)?;
        let address = self.address(action, output.address, offset)?;
        if !high {
            self.cancel_timed(action, channel).await?;
        }
        match output.table {
            OutputTable::Coil => self.write_coil(action, address, high).await,
            OutputTable::HoldingRegister => {
                self.write_register(action, address, if high { output.on } else { output.off }).await
            }
        }
    }

    async fn pulse(&mut self, channel: u32, high: bool, on_for: Duration) -> Result<(), DeviceError> {
        let action = "start a pulse";
        let (output, offset) = self.output(action, channel)?;
        let Some((pulse, count)) = output.pulse.filter(|_| high).and_then(|pulse| {
            let count = units(&pulse, on_for)?;
            Some((pulse, count))
        }) else {
            return self.write(channel, high).await;
        };
        let address = self.address(action, pulse.address, offset)?;
        self.write_word(action, output.table, address, pulse.base.wrapping_add(count)).await?;
        let longest = Duration::from_millis((u64::from(count) + 1) * u64::from(pulse.unit_ms));
        self.timed.insert(channel, Instant::now() + longest);
        Ok(())
    }

    async fn poll(&mut self, levels: &mut [bool]) -> Result<(), DeviceError> {
        let bounds = self.inputs.iter().map(|(address, _)| *address);
        let (Some(low), Some(high), Some(input)) = (bounds.clone().min(), bounds.max(), self.map.input.clone()) else {
            return self.heartbeat().await;
        };
        let (action, count) = ("read its inputs", (high - low).saturating_add(1));
        let request = match input.table {
            InputTable::DiscreteInput => Request::ReadDiscreteInputs(low, count),
            InputTable::Coil => Request::ReadCoils(low, count),
            InputTable::HoldingRegister => Request::ReadHoldingRegisters(low, count),
            InputTable::InputRegister => Request::ReadInputRegisters(low, count),
        };
        let response = self.read(action, request).await?;
        let Some(read) = words(&response, count) else {
            return Err(self.nonsense(action, &format!("{count} were asked for, and it sent another number or kind")));
        };
        for (level, (address, bit)) in levels.iter_mut().zip(&self.inputs) {
            let word = read.get(usize::from(address - low)).copied().unwrap_or_default();
            *level = match input.layout {
                crate::config::Layout::Bits if read_as_registers(input.table) => word >> bit & 1 == 1,
                crate::config::Layout::Bits | crate::config::Layout::Words => word != 0,
            };
        }
        Ok(())
    }
}

impl<X: Exchange> ModbusBus<X> {
    async fn heartbeat(&mut self) -> Result<(), DeviceError> {
        let action = "answer at all";
        let Some(channel) = self.heartbeat_channel else {
            self.read(action, Request::ReadCoils(0, 1)).await?;
            return Ok(());
        };
        let (output, offset) = self.output(action, channel)?;
        let address = self.address(action, output.address, offset)?;
        let request = match output.table {
            OutputTable::Coil => Request::ReadCoils(address, 1),
            OutputTable::HoldingRegister => Request::ReadHoldingRegisters(address, 1),
        };
        match words(&self.read(action, request).await?, 1) {
            Some(_) => Ok(()),
            None => Err(self.nonsense(action, "it sent another number of them")),
        }
    }
}

fn offset(map: &RegisterMap, channel: u32) -> Option<u16> {
    u16::try_from(channel.checked_sub(u32::from(map.first_channel))?).ok()
}

fn read_as_registers(table: InputTable) -> bool {
    matches!(table, InputTable::HoldingRegister | InputTable::InputRegister)
}

/// How many units a pulse has; `None` if the board cannot time one of that length.
fn units(pulse: &PulseMap, on_for: Duration) -> Option<u16> {
    let count = on_for.as_millis().div_ceil(u128::from(pulse.unit_ms.max(1)));
    u16::try_from(count).ok().filter(|count| (1..=pulse.max).contains(count))
}

/// What a read brought, one value for each address; `None` if it is not what was asked for. Bits come in whole bytes.
fn words(response: &Response, count: u16) -> Option<Vec<u16>> {
    let count = usize::from(count);
    match response {
        Response::ReadCoils(bits) | Response::ReadDiscreteInputs(bits) => (count..=count.next_multiple_of(8))
            .contains(&bits.len())
            .then(|| bits.iter().map(|bit| u16::from(*bit)).collect()),
        Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words) => {
            (words.len() == count).then(|| words.clone())
        }
        _ => None,
    }
}

/// Says of `device` what went wrong when it was to do `action`.
fn device_error(device: &str, action: &str, error: CallError) -> DeviceError {
    match error {
        CallError::Lost { reason, sent } => DeviceError::unreachable(device, action, reason, sent),
        CallError::Silent { after } => DeviceError::Timeout {
            device: device.into(),
            action: action.into(),
            after_ms: after.as_millis() as u64,
            sent: true,
        },
        CallError::Nonsense(reason) => DeviceError::protocol(device, action, reason),
        CallError::Exception(exception) => match exception {
            ExceptionCode::IllegalFunction | ExceptionCode::IllegalDataAddress | ExceptionCode::IllegalDataValue => {
                let reason =
                    format!("the board says {exception}; check the channel, profile and map against its manual");
                DeviceError::unsupported(device, action, reason)
            }
            other => DeviceError::unreachable(device, action, format!("the board says {other}"), true),
        },
    }
}

#[cfg(test)]
mod bad_input_tests;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
#[cfg(test)]
mod profile_tests;
#[cfg(test)]
mod rtu_tests;
