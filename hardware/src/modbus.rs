//! Relay and input boards that speak Modbus, over TCP or on a serial line (RTU): coils are outputs, discrete inputs are
//! inputs.
//!
//! One process talks on a serial line at a time, so an RTU line carries one board.
//!
//! Source: Modbus Application Protocol V1.1b3, sections 6.2 (read discrete inputs), 6.5 (write single coil: the response
//! echoes the request, which is the acknowledgement) and 7 (exceptions); Modbus Messaging on TCP/IP V1.0b;
//! Modbus over Serial Line V1.02.

use async_trait::async_trait;
use tokio::net::TcpStream;
use tokio_modbus::{
    client::{Client as _, Context},
    prelude::{ExceptionCode, Request, Response, Slave, rtu, tcp},
};
use tokio_serial::{ClearBuffer, SerialPort as _, SerialPortBuilderExt as _};

use crate::{
    DeviceError,
    board::{Bus, Driver, Plan},
    config::{ModbusRtuConfig, ModbusTcpConfig, Parity},
};

/// Connects to one board over TCP.
pub(crate) struct ModbusTcp {
    pub(crate) config: ModbusTcpConfig,
}

#[async_trait]
impl Driver for ModbusTcp {
    async fn connect(&self, plan: &Plan) -> Result<Box<dyn Bus>, DeviceError> {
        let failed = |error: std::io::Error| DeviceError::unreachable(&plan.device, "connect", error, false);
        let stream = TcpStream::connect(&self.config.address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        Ok(Box::new(ModbusBus::new(plan, tcp::attach_slave(stream, Slave(self.config.unit)))))
    }
}

/// Opens one serial line.
pub(crate) struct ModbusRtu {
    pub(crate) config: ModbusRtuConfig,
}

#[async_trait]
impl Driver for ModbusRtu {
    async fn connect(&self, plan: &Plan) -> Result<Box<dyn Bus>, DeviceError> {
        let failed = |error| DeviceError::unreachable(&plan.device, "open the serial port", error, false);
        let parity = match self.config.parity {
            Parity::Even => tokio_serial::Parity::Even,
            Parity::Odd => tokio_serial::Parity::Odd,
            Parity::None => tokio_serial::Parity::None,
        };
        let port = tokio_serial::new(self.config.path.to_string_lossy(), self.config.baud)
            .parity(parity)
            .open_native_async()
            .map_err(failed)?;
        // RTU frames carry no transaction number: an answer from before must not be taken for one to come.
        port.clear(ClearBuffer::All).map_err(failed)?;
        Ok(Box::new(ModbusBus::new(plan, rtu::attach_slave(port, Slave(self.config.unit)))))
    }
}

struct ModbusBus {
    device: String,
    context: Context,
    inputs: Vec<u32>,
    /// Read when there are no inputs to read, to see that the board is there.
    heartbeat_coil: u32,
}

impl ModbusBus {
    fn new(plan: &Plan, context: Context) -> Self {
        Self {
            device: plan.device.clone(),
            context,
            inputs: plan.inputs.iter().map(|input| input.channel).collect(),
            heartbeat_coil: plan.outputs.first().map_or(0, |output| output.channel),
        }
    }

    /// One exchange. The answer has the request's function code and transaction (tokio-modbus checks both); its content is
    /// the caller's to check, which is why the convenience methods, with their assertions, are not used here.
    async fn call(&mut self, action: &str, request: Request<'_>) -> Result<Response, DeviceError> {
        match self.context.call(request).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(exception)) => Err(self.exception(action, exception)),
            Err(tokio_modbus::Error::Transport(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                Err(DeviceError::protocol(&self.device, action, error))
            }
            // At the end of a stream tokio-modbus reports the last OS error, which may well be "success".
            Err(tokio_modbus::Error::Transport(error)) if error.raw_os_error().is_none_or(|code| code == 0) => {
                Err(DeviceError::unreachable(&self.device, action, "it closed the connection", true))
            }
            Err(tokio_modbus::Error::Transport(error)) => {
                Err(DeviceError::unreachable(&self.device, action, error, true))
            }
            Err(tokio_modbus::Error::Protocol(_)) => {
                Err(DeviceError::protocol(&self.device, action, "the answer belongs to another request"))
            }
        }
    }

    fn exception(&self, action: &str, exception: ExceptionCode) -> DeviceError {
        match exception {
            ExceptionCode::IllegalFunction | ExceptionCode::IllegalDataAddress | ExceptionCode::IllegalDataValue => {
                let reason = format!("the board says {exception}; check the channel numbers against its manual");
                DeviceError::unsupported(&self.device, action, reason)
            }
            other => DeviceError::unreachable(&self.device, action, format!("the board says {other}"), true),
        }
    }

    fn address(&self, action: &str, channel: u32) -> Result<u16, DeviceError> {
        u16::try_from(channel)
            .map_err(|_| DeviceError::unsupported(&self.device, action, format!("channel {channel} exceeds 65535")))
    }
}

#[async_trait]
impl Bus for ModbusBus {
    async fn write(&mut self, channel: u32, high: bool) -> Result<(), DeviceError> {
        let action = "write a coil";
        let address = self.address(action, channel)?;
        match self.call(action, Request::WriteSingleCoil(address, high)).await? {
            Response::WriteSingleCoil(echoed, level) if echoed == address && level == high => Ok(()),
            _ => Err(DeviceError::protocol(&self.device, action, "the echo differs from the request")),
        }
    }

    async fn poll(&mut self, levels: &mut [bool]) -> Result<(), DeviceError> {
        let (Some(low), Some(high)) = (self.inputs.iter().min().copied(), self.inputs.iter().max().copied()) else {
            let address = self.address("read a coil", self.heartbeat_coil)?;
            self.call("read a coil", Request::ReadCoils(address, 1)).await?;
            return Ok(());
        };
        let action = "read its inputs";
        let first = self.address(action, low)?;
        let count = self.address(action, high - low + 1)?;
        let Response::ReadDiscreteInputs(answered) =
            self.call(action, Request::ReadDiscreteInputs(first, count)).await?
        else {
            return Err(DeviceError::protocol(&self.device, action, "the answer is of another kind"));
        };
        if answered.len() < usize::from(count) || answered.len() > usize::from(count).next_multiple_of(8) {
            let reason = format!("asked for {count} inputs, got {}", answered.len());
            return Err(DeviceError::protocol(&self.device, action, reason));
        }
        for (level, channel) in levels.iter_mut().zip(&self.inputs) {
            *level = answered[(channel - low) as usize];
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "modbus_rtu_tests.rs"]
mod rtu_tests;
