//! Builds every device of a configuration and holds them by logical name.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    Camera, DeviceError, Health, Input, Output, PlateCamera, Reader, anpr,
    board::{self, Driver, InputLine, OutputLine, Plan},
    camera::{backoff::Dice, replay, rtsp, v4l2},
    config::{AnprConfig, BoardConfig, CameraConfig, HardwareConfig},
    gpio_cdev::GpioCdev,
    gpio_rppal::GpioRppal,
    http_camera::{self, SnapshotCamera},
    modbus::{Line, LineSettings, ModbusRtu, ModbusTcp},
    reader,
    serial::SerialLcus,
};

/// All devices of a site. Opening does not wait for them: a board that is not there shows in its health and is tried again
/// in the background, so that a controller starts, and reports, in any case.
///
/// Dropping it ends the board tasks as soon as the runtime gives them a turn; [`Hardware::shutdown`] waits until the outputs
/// are in their safe state, which is what a daemon should do.
pub struct Hardware {
    /// Relays and locks by logical name.
    pub outputs: BTreeMap<String, Arc<dyn Output>>,
    /// Contacts and sensors by logical name.
    pub inputs: BTreeMap<String, Arc<dyn Input>>,
    /// Cameras by logical name.
    pub cameras: BTreeMap<String, Arc<dyn Camera>>,
    /// Cameras that read plates, by logical name.
    pub anpr: BTreeMap<String, Arc<dyn PlateCamera>>,
    /// Card readers by logical name.
    pub readers: BTreeMap<String, Arc<dyn Reader>>,
    /// The health of each board, by its name.
    pub boards: BTreeMap<String, watch::Receiver<Health>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    shutdown: CancellationToken,
    /// Cancelled when a board's task has ended before its time.
    broken: CancellationToken,
    /// Spreads the attempts to reach lost cameras.
    dice: Dice,
    _ends_with_this: DropGuard,
}

impl Hardware {
    /// Checks the configuration and starts a task for each board and each streaming camera. To be called on a tokio
    /// runtime. An error is always one of configuration.
    pub fn open(config: &HardwareConfig) -> Result<Self, DeviceError> {
        config.validate()?;
        let shutdown = CancellationToken::new();
        let mut hardware = Self {
            outputs: BTreeMap::new(),
            inputs: BTreeMap::new(),
            cameras: BTreeMap::new(),
            anpr: BTreeMap::new(),
            readers: BTreeMap::new(),
            boards: BTreeMap::new(),
            tasks: Mutex::default(),
            shutdown: shutdown.clone(),
            broken: CancellationToken::new(),
            dice: Arc::new(rand::random::<f64>),
            _ends_with_this: shutdown.drop_guard(),
        };
        for camera in &config.cameras {
            hardware.open_camera(camera)?;
        }
        for reader in &config.readers {
            let (handle, task) = reader::open(reader, hardware.shutdown.clone());
            hardware.readers.insert(reader.id().into(), Arc::new(handle));
            hardware.keep(task);
        }
        for camera in &config.anpr {
            hardware.open_anpr(camera)?;
        }
        let mut lines = Lines::start(&config.boards);
        for board in &config.boards {
            hardware.open_board(board, config, &lines);
        }
        // After the boards' tasks, whose end is the lines' end.
        for task in std::mem::take(&mut lines.tasks) {
            hardware.keep_vital(task);
        }
        Ok(hardware)
    }

    /// The health of every board, camera and reader, by its name.
    pub fn health(&self) -> impl Iterator<Item = (&str, watch::Receiver<Health>)> {
        let boards = self.boards.iter().map(|(name, health)| (name.as_str(), health.clone()));
        let cameras = self.cameras.iter().map(|(name, camera)| (name.as_str(), camera.health()));
        let anpr = self.anpr.iter().map(|(name, camera)| (name.as_str(), camera.health()));
        let readers = self.readers.iter().map(|(name, reader)| (name.as_str(), reader.health()));
        boards.chain(cameras).chain(anpr).chain(readers)
    }

    /// Puts every output into its safe state and ends all tasks. A board that does not answer is given its request timeout
    /// for each output, no more.
    pub async fn shutdown(&self) {
        self.shutdown.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a hardware task did not end in order");
            }
        }
    }

    fn keep(&mut self, task: JoinHandle<()>) {
        self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    /// Keeps a task that drives outputs. If it ends, by a panic, its outputs are left as they are: nobody may overlook that.
    fn keep_vital(&mut self, task: JoinHandle<()>) {
        let (shutdown, broken) = (self.shutdown.clone(), self.broken.clone());
        self.keep(tokio::spawn(async move {
            let ended = task.await;
            if !shutdown.is_cancelled() {
                tracing::error!(?ended, "the task of a board ended before its time");
                broken.cancel();
            }
        }));
    }

    /// Waits until a task that drives outputs has ended before its time, which none should: the program is to end then, in
    /// order, so that the outputs are made safe.
    pub async fn broken(&self) {
        self.broken.cancelled().await;
    }

    fn open_board(&mut self, board: &BoardConfig, config: &HardwareConfig, lines: &Lines) {
        let Some(driver) = lines.driver(board) else { return };
        let started = board::start(plan(board, config), driver, self.shutdown.clone());
        for output in started.outputs {
            self.outputs.insert(output.id().into(), Arc::new(output));
        }
        for input in started.inputs {
            self.inputs.insert(input.id().into(), Arc::new(input));
        }
        self.boards.insert(board.id().into(), started.health);
        self.keep_vital(started.task);
    }

    fn open_camera(&mut self, config: &CameraConfig) -> Result<(), DeviceError> {
        let (dice, shutdown) = (self.dice.clone(), self.shutdown.clone());
        let (camera, task) = match config {
            CameraConfig::HttpSnapshot(http) => {
                self.cameras.insert(config.id().into(), Arc::new(SnapshotCamera::new(config, http)?));
                return Ok(());
            }
            CameraConfig::HttpMjpeg(http) => http_camera::start_mjpeg(config, http, dice, shutdown)?,
            CameraConfig::Rtsp(stream) => rtsp::start(config, stream, dice, shutdown),
            CameraConfig::V4l2(device) => v4l2::start(config, device, dice, shutdown),
            CameraConfig::Replay(recording) => replay::start(config, recording, dice, shutdown),
        };
        self.keep(task);
        self.cameras.insert(config.id().into(), camera);
        Ok(())
    }

    fn open_anpr(&mut self, config: &AnprConfig) -> Result<(), DeviceError> {
        let (dice, shutdown) = (self.dice.clone(), self.shutdown.clone());
        let (camera, task) = match config {
            AnprConfig::Hikvision(pull) | AnprConfig::Dahua(pull) => anpr::pull(config, pull, dice, shutdown)?,
            AnprConfig::HikvisionPush(push) => anpr::listen(config, push, dice, shutdown),
        };
        self.keep(task);
        self.anpr.insert(config.id().into(), camera);
        Ok(())
    }
}

/// Puts every output of a configuration into its safe state, whoever left it otherwise; for when nobody drives the boards.
/// Boards are tried side by side, each for as long as `limit`. Answers the boards that were not reached, and why.
pub async fn make_safe(config: &HardwareConfig, limit: Duration) -> Result<Vec<(String, DeviceError)>, DeviceError> {
    config.validate()?;
    let lines = Lines::start(&config.boards);
    let with_outputs = config.boards.iter().filter(|board| config.outputs.iter().any(|o| o.board == board.id()));
    let attempts = with_outputs.filter_map(|board| {
        let (driver, plan) = (lines.driver(board)?, plan(board, config));
        Some(async move {
            let secured = board::secure(&*driver, &plan, limit).await;
            secured.err().map(|error| (board.id().to_owned(), error))
        })
    });
    Ok(join_all(attempts).await.into_iter().flatten().collect())
}

/// The serial lines that Modbus boards share, by path.
struct Lines {
    lines: BTreeMap<PathBuf, Arc<Line>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Lines {
    fn start(boards: &[BoardConfig]) -> Self {
        let mut all = Self { lines: BTreeMap::new(), tasks: Vec::new() };
        for board in boards {
            let BoardConfig::ModbusRtu(board) = board else { continue };
            if !all.lines.contains_key(&board.path) {
                let (path, baud, parity) = (board.path.clone(), board.baud, board.parity);
                let (line, task) = Line::start(LineSettings { path, baud, parity });
                all.lines.insert(board.path.clone(), Arc::new(line));
                all.tasks.push(task);
            }
        }
        all
    }

    /// What drives a board; never `None` for a board that this was started with.
    fn driver(&self, board: &BoardConfig) -> Option<Arc<dyn Driver>> {
        Some(match board {
            BoardConfig::ModbusTcp(config) => Arc::new(ModbusTcp { config: config.clone() }),
            BoardConfig::ModbusRtu(config) => {
                let line = Arc::clone(self.lines.get(&config.path)?);
                Arc::new(ModbusRtu { config: config.clone(), line })
            }
            BoardConfig::GpioRppal(_) => Arc::new(GpioRppal),
            BoardConfig::GpioCdev(config) => Arc::new(GpioCdev { config: config.clone() }),
            BoardConfig::SerialLcus(config) => Arc::new(SerialLcus { config: config.clone() }),
        })
    }
}

/// How long an exchange may wait for the others on its line: one exchange of each.
fn waits(board: &BoardConfig, config: &HardwareConfig) -> Duration {
    let BoardConfig::ModbusRtu(this) = board else { return Duration::ZERO };
    let others = config.boards.iter().filter_map(|other| match other {
        BoardConfig::ModbusRtu(other) if other.path == this.path && other.id != this.id => Some(other),
        _ => None,
    });
    others.map(|other| other.timing.request_timeout()).sum()
}

fn plan(board: &BoardConfig, config: &HardwareConfig) -> Plan {
    let outputs = config.outputs.iter().filter(|output| output.board == board.id());
    let inputs = config.inputs.iter().filter(|input| input.board == board.id());
    Plan {
        device: board.describe(),
        outputs: outputs
            .map(|output| OutputLine {
                id: output.id.clone(),
                channel: output.channel,
                active_low: output.active_low,
                safe: output.safe,
                max_pulse: Duration::from_millis(output.max_pulse_ms),
            })
            .collect(),
        inputs: inputs
            .map(|input| InputLine {
                id: input.id.clone(),
                channel: input.channel,
                active_low: input.active_low,
                debounce: Duration::from_millis(input.debounce_ms),
                bias: input.bias,
            })
            .collect(),
        timing: board.timing(),
        waits: waits(board, config),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_board_whose_task_ends_before_its_time_is_told_of_and_an_orderly_end_is_not() {
        let mut hardware = Hardware::open(&HardwareConfig::default()).unwrap();
        let shutdown = hardware.shutdown.clone();
        hardware.keep_vital(tokio::spawn(async move { shutdown.cancelled().await }));
        hardware.shutdown().await;
        assert!(!hardware.broken.is_cancelled());

        let mut hardware = Hardware::open(&HardwareConfig::default()).unwrap();
        hardware.keep_vital(tokio::spawn(async { panic!("on purpose") }));
        hardware.broken().await;
    }
}
