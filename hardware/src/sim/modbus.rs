//! The relay and input board: a Modbus TCP server over the house's coils and inputs.

use std::{future::Future, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_modbus::{
    prelude::{ExceptionCode, Request, Response},
    server::{Service, tcp::Server},
};

use super::{
    IO_PART, SimConfig, SimError, World, bind,
    fault::{Fault, FaultSwitch},
    part::{Part, Parts},
    physics::{CHANNELS, House},
};

/// The key of the board's address.
pub(super) const KEY: &str = "modbus";

/// A Modbus frame has at most 260 bytes (Modbus Messaging on TCP/IP V1.0b, section 3.1.3).
const BUFFER_BYTES: usize = 512;
/// Transaction, protocol, length and unit come before the function code.
const MBAP_BYTES: usize = 7;

/// The board: the house behind a wire.
#[derive(Clone)]
struct Board {
    world: Arc<World>,
    fault: Arc<FaultSwitch>,
}

impl Part for Board {
    fn name(&self) -> &str {
        IO_PART
    }

    fn fault(&self) -> &FaultSwitch {
        &self.fault
    }

    fn faults(&self) -> &'static [&'static str] {
        &["slow", "dead", "silent", "garbage"]
    }
}

pub(super) async fn start(config: &SimConfig, world: &Arc<World>, parts: &mut Parts) -> Result<(), SimError> {
    let (listener, address) = bind(config.modbus).await?;
    let board = Board { world: world.clone(), fault: Arc::default() };
    parts.add(Arc::new(board.clone()));
    parts.serve(KEY, address.to_string(), tokio::spawn(serve(board, listener)));
    Ok(())
}

async fn serve(board: Board, listener: TcpListener) {
    let accepting = board.clone();
    let on_connected = move |stream: TcpStream, peer: SocketAddr| {
        let board = accepting.clone();
        async move {
            if board.fault.get() == Fault::Dead {
                return Ok(None);
            }
            tracing::debug!(%peer, "a controller connected to the board");
            stream.set_nodelay(true)?;
            let (server_side, wire_side) = duplex(BUFFER_BYTES);
            tokio::spawn(wire(board.clone(), stream, wire_side));
            Ok::<_, io::Error>(Some((board, server_side)))
        }
    };
    let server = Server::new(listener);
    let on_error = |error: io::Error| tracing::debug!(%error, "a connection to the board ended");
    match board.world.shutdown.run_until_cancelled(server.serve(&on_connected, on_error)).await {
        None | Some(Ok(())) => {}
        Some(Err(error)) => tracing::error!(%error, "the Modbus server of the simulated house failed"),
    }
}

/// The wire between a controller and the board, with its faults. It ends when either side closes, or by a fault.
async fn wire(board: Board, mut controller: TcpStream, mut served: DuplexStream) {
    let (mut up, mut down) = ([0; BUFFER_BYTES], [0; BUFFER_BYTES]);
    let carried: io::Result<()> = async {
        loop {
            tokio::select! {
                () = board.world.shutdown.cancelled() => return Ok(()),
                () = board.fault.until(|fault| *fault == Fault::Dead) => return Ok(()),
                read = controller.read(&mut up) => match read? {
                    0 => return Ok(()),
                    n => served.write_all(&up[..n]).await?,
                },
                read = served.read(&mut down) => match read? {
                    0 => return Ok(()),
                    n => {
                        if board.fault.get() == Fault::Garbage {
                            for byte in down[..n].iter_mut().skip(MBAP_BYTES) {
                                *byte ^= 0x55;
                            }
                        }
                        controller.write_all(&down[..n]).await?;
                    }
                },
            }
        }
    }
    .await;
    if let Err(error) = carried {
        tracing::debug!(%error, "the wire to the board broke");
    }
}

impl Service for Board {
    type Request = Request<'static>;
    type Response = Option<Response>;
    type Exception = ExceptionCode;
    type Future = Pin<Box<dyn Future<Output = Result<Option<Response>, ExceptionCode>> + Send>>;

    fn call(&self, request: Self::Request) -> Self::Future {
        let board = self.clone();
        Box::pin(async move {
            match board.fault.get() {
                Fault::Silent => return Ok(None),
                Fault::Slow { ms } => sleep(Duration::from_millis(ms)).await,
                _ => {}
            }
            let now = board.world.now();
            answer(&mut board.world.house(), request, now).map(Some)
        })
    }
}

pub(super) fn answer(house: &mut House, request: Request<'_>, now: Duration) -> Result<Response, ExceptionCode> {
    match request {
        Request::ReadCoils(first, count) => Ok(Response::ReadCoils(part(&house.coils(), first, count)?)),
        Request::ReadDiscreteInputs(first, count) => {
            Ok(Response::ReadDiscreteInputs(part(&house.inputs(now), first, count)?))
        }
        Request::WriteSingleCoil(address, on) => {
            part(&house.coils(), address, 1)?;
            house.write_coil(usize::from(address), on, now);
            Ok(Response::WriteSingleCoil(address, on))
        }
        Request::WriteMultipleCoils(first, levels) => {
            let count = u16::try_from(levels.len()).map_err(|_| ExceptionCode::IllegalDataValue)?;
            part(&house.coils(), first, count)?;
            for (offset, on) in levels.iter().enumerate() {
                house.write_coil(usize::from(first) + offset, *on, now);
            }
            Ok(Response::WriteMultipleCoils(first, count))
        }
        _ => Err(ExceptionCode::IllegalFunction),
    }
}

fn part(levels: &[bool; CHANNELS], first: u16, count: u16) -> Result<Vec<bool>, ExceptionCode> {
    let first = usize::from(first);
    if count == 0 {
        return Err(ExceptionCode::IllegalDataValue);
    }
    levels.get(first..first + usize::from(count)).map(<[bool]>::to_vec).ok_or(ExceptionCode::IllegalDataAddress)
}
