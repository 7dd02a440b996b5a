//! A simulated house: a program (`cardea-sim`), and a library for tests that want one in their own process.
//!
//! What it offers is real: a Modbus TCP server with relays and inputs, the same over Modbus RTU, a
//! USB relay board and card readers where a path is given for them, cameras that serve pictures over HTTP, and a control
//! API (also HTTP) that puts a car on the loop, a person at the door, a picture before a camera, or a fault into a part. What
//! the relays move, and the cars and people around it, are in [`physics`], which is pure. Who comes when, and what breaks, is
//! written in [`scene`] files, which the stage plays in real time.
//!
//! ```text
//! scene file --> scene::Player --due--> stage --acts--> physics::House <--coils, inputs--> parts (modbus.rs, …) <--> controller
//!                     ^                   |  faults, pictures                                    ^
//!                     +----happenings-----+------------------------------------------------------+
//! ```
//!
//! To add a moving part: a file in `physics/`, its channels in `physics/mod.rs`. To add a part with a wire of its own (a
//! board, a camera, a reader): a file here and a line in `part.rs`, which says how. To add a fault: a variant of [`Fault`],
//! and what it means in the files of the parts that know it.

mod anpr;
mod cameras;
mod config;
mod control;
mod fault;
mod lcus;
mod line_reader;
mod login;
mod modbus;
mod part;
pub mod physics;
mod plug;
mod rtsp;
mod rtu;
pub mod scene;
mod stage;
mod wiegand;

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use tokio::{
    net::TcpListener,
    sync::{Notify, broadcast},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use cameras::SimCamera;
pub use config::{SimCameraConfig, SimConfig, SimLogin};
pub use control::SimState;
pub use fault::Fault;
pub use lcus::LCUS_PART;
pub use line_reader::LINE_READER_PART;
pub use part::PartState;
use part::Parts;
use physics::{Edge, House, HouseState, millis};
pub use rtu::RTU_PART;
use stage::Stage;
pub use stage::{SceneState, Sight};
pub use wiegand::WIEGAND_PART;

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
    /// A serial adapter could not be plugged in.
    #[error("the adapter {path} could not be plugged in: {source}; choose a path in a folder of your own")]
    Adapter {
        /// Its path.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// A socket could not be made.
    #[error("the simulated house could not make the socket {path}: {source}; choose a path in a folder that exists")]
    Socket {
        /// Where.
        path: String,
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
    /// The part does not know the fault.
    #[error("the part {part:?} has no fault {fault:?}; it has: none, {known}")]
    UnknownFault {
        /// The part.
        part: String,
        /// What was asked for.
        fault: String,
        /// What there is.
        known: String,
    },
    /// Nothing of that name can be done to the part.
    #[error("{action:?} cannot be done to the part {part:?}, only: {known}")]
    UnknownAction {
        /// The part.
        part: String,
        /// What was asked for.
        action: String,
        /// What there is.
        known: String,
    },
    /// What an action was given is not what it needs.
    #[error("{action:?} of the part {part:?} did not understand what it was given: {reason}")]
    Action {
        /// The part.
        part: String,
        /// What was asked for.
        action: String,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// A scene is refused.
    #[error(transparent)]
    Scene(#[from] scene::SceneError),
    /// A scene's file could not be read.
    #[error("the scene {path} could not be read: {source}")]
    SceneFile {
        /// The file.
        path: String,
        /// Why not.
        source: io::Error,
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

/// What the parts share: time, the house, and what stands before the cameras.
struct World {
    started: Instant,
    started_unix_ms: u64,
    house: Mutex<House>,
    cameras: BTreeMap<String, Arc<SimCamera>>,
    /// Somebody has touched the house.
    stirred: Notify,
    /// Ends what outlives a request: open streams and connections.
    shutdown: CancellationToken,
}

impl World {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// The house, to look at it or to change it: afterwards, the stage looks whether that was of interest.
    fn house(&self) -> Touched<'_> {
        Touched { house: self.quiet_house(), stirred: &self.stirred }
    }

    /// The house, for the stage itself.
    fn quiet_house(&self) -> MutexGuard<'_, House> {
        self.house.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn camera(&self, id: &str) -> Result<&SimCamera, SimError> {
        let known = || self.cameras.keys().cloned().collect::<Vec<_>>().join(", ");
        let camera = self.cameras.get(id).map(AsRef::as_ref);
        camera.ok_or_else(|| SimError::UnknownPart { name: id.into(), known: known() })
    }
}

/// The house in somebody's hands.
struct Touched<'a> {
    house: MutexGuard<'a, House>,
    stirred: &'a Notify,
}

impl Deref for Touched<'_> {
    type Target = House;

    fn deref(&self) -> &House {
        &self.house
    }
}

impl DerefMut for Touched<'_> {
    fn deref_mut(&mut self) -> &mut House {
        &mut self.house
    }
}

impl Drop for Touched<'_> {
    fn drop(&mut self) {
        self.stirred.notify_one();
    }
}

/// The world, every part in it, and the stage: what the control API speaks to.
struct Site {
    world: Arc<World>,
    parts: Parts,
    stage: Stage,
}

impl Site {
    fn set_fault(&self, part: &str, fault: Fault) -> Result<(), SimError> {
        self.parts.set_fault(part, fault)?;
        self.stage.show(Sight::Fault { at_ms: millis(self.world.now()), part: part.into(), fault });
        Ok(())
    }

    fn set_input(&self, channel: usize, level: Option<bool>) -> Result<(), SimError> {
        if channel >= physics::CHANNELS {
            return Err(SimError::UnknownChannel { channel });
        }
        self.world.house().set_input(channel, level, self.world.now());
        Ok(())
    }

    fn state(&self) -> SimState {
        SimState {
            started_unix_ms: self.world.started_unix_ms,
            house: self.world.house().state(self.world.now()),
            faults: self.parts.faults(),
        }
    }
}

/// Starts simulated houses.
pub struct Sim;

/// A running house. It ends when this is dropped; [`SimHandle::shutdown`] waits for the end.
pub struct SimHandle {
    site: Arc<Site>,
    control: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
    _ends_with_this: DropGuard,
}

impl Sim {
    /// Binds the listeners and starts serving.
    pub async fn start(config: SimConfig) -> Result<SimHandle, SimError> {
        let shutdown = CancellationToken::new();
        let ends_with_this = shutdown.clone().drop_guard();
        let mut cameras = BTreeMap::new();
        for camera in &config.camera {
            cameras.insert(camera.id.clone(), Arc::new(SimCamera::new(camera)?));
        }
        let world = Arc::new(World {
            started: Instant::now(),
            started_unix_ms: unix_ms(),
            house: Mutex::new(House::new(&config.house)),
            cameras,
            stirred: Notify::new(),
            shutdown: shutdown.clone(),
        });
        let (listener, control) = bind(config.control).await?;
        let mut parts = Parts::start(&config, &world).await?;
        let mut tasks = parts.take_tasks();
        let site = Arc::new(Site { world, parts, stage: Stage::new(config.pictures) });
        if let Some(path) = config.scene {
            let text = std::fs::read_to_string(&path)
                .map_err(|source| SimError::SceneFile { path: path.display().to_string(), source })?;
            site.play(&text)?;
        }
        tasks.push(tokio::spawn(stage::keep(site.clone())));
        tasks.push(tokio::spawn(serve_http(control::router(site.clone()), listener, shutdown)));
        Ok(SimHandle { site, control, tasks, _ends_with_this: ends_with_this })
    }
}

impl SimHandle {
    /// Where each server answers, by the key `cardea-sim` prints: `modbus`, `cameras`, …
    pub fn addresses(&self) -> &BTreeMap<String, String> {
        self.site.parts.addresses()
    }

    /// Where the Modbus TCP server listens, `host:port`.
    pub fn modbus_addr(&self) -> SocketAddr {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        // It was written by a `SocketAddr`.
        self.addresses().get(modbus::KEY).and_then(|address| address.parse().ok()).unwrap_or(any)
    }

    /// The cameras' base URL; pictures are under `/cameras/{id}/`.
    pub fn cameras_url(&self) -> String {
        self.addresses().get(cameras::KEY).cloned().unwrap_or_default()
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

    /// The camera that reads plates.
    pub fn anpr_url(&self) -> String {
        self.addresses().get(anpr::KEY).cloned().unwrap_or_default()
    }

    /// A camera's RTSP stream.
    pub fn rtsp_url(&self, camera: &str) -> String {
        format!("{}/cameras/{camera}", self.addresses().get(rtsp::KEY).cloned().unwrap_or_default())
    }

    /// Sets an input; see [`House::set_input`].
    pub fn set_input(&self, channel: usize, level: Option<bool>) -> Result<(), SimError> {
        self.site.set_input(channel, level)
    }

    /// Somebody comes to the door, or leaves.
    pub fn set_person(&self, present: bool) {
        self.site.world.house().set_person(present, self.site.world.now());
    }

    /// Puts a picture (JPEG or PNG) before a camera.
    pub fn set_picture(&self, camera: &str, picture: Bytes) -> Result<(), SimError> {
        self.site.world.camera(camera)?.set_picture(picture)
    }

    /// Switches a fault on or off; `part` is [`IO_PART`], a camera's id, or another part's name.
    pub fn set_fault(&self, part: &str, fault: Fault) -> Result<(), SimError> {
        self.site.set_fault(part, fault)
    }

    /// Does something to a part, as `PUT /parts/{part}/{action}` does.
    pub fn act(&self, part: &str, action: &str, body: serde_json::Value) -> Result<(), SimError> {
        self.site.parts.get(part)?.act(action, body)
    }

    /// Plays a scene from its beginning, instead of the one that is being played; see [`scene`]. One that is refused changes
    /// nothing.
    pub fn play(&self, text: &str) -> Result<(), SimError> {
        self.site.play(text)
    }

    /// Ends the scene: what it broke is mended, cameras show what they did before. Who is here stays.
    pub fn end_scene(&self) {
        self.site.end_scene();
    }

    /// How the scene goes; `None` before the first and after [`SimHandle::end_scene`].
    pub fn scene(&self) -> Option<SceneState> {
        self.site.scene()
    }

    /// A car appears on the lane.
    pub fn car_arrives(&self, plan: physics::CarPlan) {
        self.site.world.house().car_arrives(plan, self.site.world.now());
    }

    /// Everything that can be seen from now on.
    pub fn watch(&self) -> broadcast::Receiver<Sight> {
        self.site.stage.watch()
    }

    /// The relays, inputs, boom and door.
    pub fn state(&self) -> HouseState {
        self.site.world.house().state(self.site.world.now())
    }

    /// The edges of relays and inputs after the one with this sequence number (0 for all that are kept), oldest first.
    pub fn history(&self, after: u64) -> Vec<Edge> {
        self.site.world.house().history(after, self.site.world.now())
    }

    /// Ends the servers and open connections, and waits for it.
    pub async fn shutdown(mut self) {
        self.site.world.shutdown.cancel();
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
