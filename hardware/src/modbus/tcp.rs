//! Modbus TCP: a connection of its own for each board.

use async_trait::async_trait;
use tokio::net::TcpStream;
use tokio_modbus::{
    client::Context,
    prelude::{Request, Slave, tcp},
};

use super::{
    Exchange, ModbusBus,
    wire::{Answer, CallError, Wire, call},
};
use crate::{
    DeviceError,
    board::{Bus, Driver, Plan},
    config::ModbusTcpConfig,
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
        let connection = Connection::new(stream, Slave(self.config.unit));
        Ok(Box::new(ModbusBus::new(plan, self.config.register_map(), connection)?))
    }
}

pub(super) struct Connection<S> {
    wire: Wire<S>,
    slave: Slave,
    context: Context,
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + std::fmt::Debug + 'static> Connection<S> {
    pub(super) fn new(stream: S, slave: Slave) -> Self {
        let wire = Wire::new(stream);
        Self { context: tcp::attach_slave(wire.clone(), slave), wire, slave }
    }
}

#[async_trait]
impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + std::fmt::Debug + 'static> Exchange
    for Connection<S>
{
    async fn exchange(&mut self, request: Request<'static>, _urgent: bool) -> Result<Answer, CallError> {
        let answered = call(&self.wire, &mut self.context, request).await;
        if matches!(answered, Ok(Answer::Echo)) {
            self.context = tcp::attach_slave(self.wire.clone(), self.slave);
        }
        answered
    }

    fn tries(&self) -> usize {
        1
    }
}
