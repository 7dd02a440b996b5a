//! A simulated house: a program (`cardea-sim`), and a library for tests that want one in their own process.
//!
//! What it offers is real: a Modbus TCP server with relays and inputs, cameras that serve pictures over HTTP, and a control
//! API (also HTTP) that puts a car on the loop, a person at the door, a picture before a camera, or a fault into a part.
//! What the relays move is in [`physics`], which is pure.
//!
//! To add a moving part: a file in `physics/`, its channels in `physics/mod.rs`. To add a fault: a variant of [`Fault`], and
//! what it means in `modbus.rs` and `cameras.rs`.

mod cameras;
mod config;
mod control;
mod fault;
mod modbus;
pub mod physics;

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};
use tokio_util::sync::{CancellationToken, DropGuard};

use cameras::SimCamera;
pub use config::{SimCameraConfig, SimConfig};
pub use control::SimState;
pub use fault::Fault;
use fault::FaultSwitch;
use physics::{Edge, House, HouseState};

/// What cannot be done with a simulated house.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// A listener could not be bound.
    #[error("the simulated house could not listen on {address}: {source}; choose another port, or 0 for any")]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A picture file could not be read.
    #[error("the picture {path} of camera {camera:?} could not be read: {source}")]
    PictureFile {
        /// The camera.
        camera: String,
        /// The file.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The bytes are not a picture.
    #[error("what was given to camera {camera:?} is neither JPEG nor PNG")]
    NotAPicture {
        /// The camera.
        camera: String,
    },
    /// There is no such part.
    #[error("there is no part {name:?}; there are: {known}")]
    UnknownPart {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// There is no such channel.
    #[error("there is no channel {channel}; channels go from 0 to {}", physics::CHANNELS - 1)]
    UnknownChannel {
        /// What was asked for.
        channel: usize,
    },
}

/// The name of the relay and input board among the parts that can have a fault.
pub const IO_PART: &str = "io";

/// What the servers share.
struct World {
    started: Instant,
    started_unix_ms: u64,
    house: Mutex<House>,
    cameras: BTreeMap<String, SimCamera>,
    io_fault: FaultSwitch,
    /// Ends what outlives a request: open streams and connections.
    shutdown: CancellationToken,
}

impl World {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn house(&self) -> MutexGuard<'_, House> {
        self.house.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn camera(&self, id: &str) -> Result<&SimCamera, SimError> {
        self.cameras.get(id).ok_or_else(|| self.unknown_part(id))
    }

    fn fault(&self, part: &str) -> Result<&FaultSwitch, SimError> {
        if part == IO_PART {
            return Ok(&self.io_fault);
        }
        self.cameras.get(part).map(|camera| &camera.fault).ok_or_else(|| self.unknown_part(part))
    }

    fn unknown_part(&self, name: &str) -> SimError {
        let known: Vec<&str> = std::iter::once(IO_PART).chain(self.cameras.keys().map(String::as_str)).collect();
        SimError::UnknownPart { name: name.into(), known: known.join(", ") }
    }

    fn set_input(&self, channel: usize, level: Option<bool>) -> Result<(), SimError> {
        if channel >= physics::CHANNELS {
            return Err(SimError::UnknownChannel { channel });
        }
        self.house().set_input(channel, level, self.now());
        Ok(())
    }

    fn state(&self) -> SimState {
        let faults = self.cameras.iter().map(|(id, camera)| (id.clone(), camera.fault.get()));
        SimState {
            started_unix_ms: self.started_unix_ms,
            house: self.house().state(self.now()),
            faults: std::iter::once((IO_PART.into(), self.io_fault.get())).chain(faults).collect(),
        }
    }
}

/// Starts simulated houses.
pub struct Sim;

/// A running house. It ends when this is dropped; [`SimHandle::shutdown`] waits for the end.
pub struct SimHandle {
    world: Arc<World>,
    modbus: SocketAddr,
    cameras: SocketAddr,
    control: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
    _ends_with_this: DropGuard,
}

impl Sim {
    /// Binds the three listeners and starts serving.
    pub async fn start(config: SimConfig) -> Result<SimHandle, SimError> {
        let (modbus_listener, modbus) = bind(config.modbus).await?;
        let (cameras_listener, cameras) = bind(config.cameras).await?;
        let (control_listener, control) = bind(config.control).await?;
        let shutdown = CancellationToken::new();
        let mut served = BTreeMap::new();
        for camera in &config.camera {
            served.insert(camera.id.clone(), SimCamera::new(camera)?);
        }
        let world = Arc::new(World {
            started: Instant::now(),
            started_unix_ms: unix_ms(),
            house: Mutex::new(House::new(&config.house)),
            cameras: served,
            io_fault: FaultSwitch::default(),
            shutdown: shutdown.clone(),
        });
        let tasks = vec![
            tokio::spawn(modbus::serve(world.clone(), modbus_listener)),
            tokio::spawn(serve_http(cameras::router(world.clone()), cameras_listener, shutdown.clone())),
            tokio::spawn(serve_http(control::router(world.clone()), control_listener, shutdown.clone())),
        ];
        Ok(SimHandle { world, modbus, cameras, control, tasks, _ends_with_this: shutdown.drop_guard() })
    }
}

impl SimHandle {
    /// Where the Modbus TCP server listens.
    pub fn modbus_addr(&self) -> SocketAddr {
        self.modbus
    }

    /// The cameras' base URL; pictures are under `/cameras/{id}/`.
    pub fn cameras_url(&self) -> String {
        format!("http://{}", self.cameras)
    }

    /// The control API's base URL.
    pub fn control_url(&self) -> String {
        format!("http://{}", self.control)
    }

    /// A camera's single pictures.
    pub fn snapshot_url(&self, camera: &str) -> String {
        format!("{}/cameras/{camera}/snapshot.jpg", self.cameras_url())
    }

    /// A camera's MJPEG stream.
    pub fn stream_url(&self, camera: &str) -> String {
        format!("{}/cameras/{camera}/stream.mjpeg", self.cameras_url())
    }

    /// Sets an input; see [`House::set_input`].
    pub fn set_input(&self, channel: usize, level: Option<bool>) -> Result<(), SimError> {
        self.world.set_input(channel, level)
    }

    /// Somebody comes to the door, or leaves.
    pub fn set_person(&self, present: bool) {
        self.world.house().set_person(present, self.world.now());
    }

    /// Puts a picture (JPEG or PNG) before a camera.
    pub fn set_picture(&self, camera: &str, picture: Bytes) -> Result<(), SimError> {
        self.world.camera(camera)?.set_picture(picture)
    }

    /// Switches a fault on or off; `part` is [`IO_PART`] or a camera's id.
    pub fn set_fault(&self, part: &str, fault: Fault) -> Result<(), SimError> {
        self.world.fault(part)?.set(fault);
        Ok(())
    }

    /// The relays, inputs, boom and door.
    pub fn state(&self) -> HouseState {
        self.world.house().state(self.world.now())
    }

    /// The edges of relays and inputs after the one with this sequence number (0 for all that are kept), oldest first.
    pub fn history(&self, after: u64) -> Vec<Edge> {
        self.world.house().history(after, self.world.now())
    }

    /// Ends the servers and open connections, and waits for it.
    pub async fn shutdown(mut self) {
        self.world.shutdown.cancel();
        for task in std::mem::take(&mut self.tasks) {
            if let Err(error) = task.await {
                tracing::error!(%error, "a server of the simulated house did not end in order");
            }
        }
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), SimError> {
    let failed = |source| SimError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

async fn serve_http(router: axum::Router, listener: TcpListener, shutdown: CancellationToken) {
    let stopped = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await;
    if let Err(error) = stopped {
        tracing::error!(%error, "an HTTP server of the simulated house failed");
    }
}

#[expect(clippy::disallowed_methods, reason = "only dates the start, so that a report can show wall-clock times")]
fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
