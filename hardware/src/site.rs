//! Builds every device of a configuration and holds them by logical name.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    Camera, DeviceError, Health, Input, Output, PlateCamera, anpr,
    board::{self, Driver, InputLine, OutputLine, Plan},
    camera::{backoff::Dice, replay::ReplayCamera, rtsp::RtspCamera, v4l2::V4l2Camera},
    config::{AnprConfig, BoardConfig, CameraConfig, HardwareConfig},
    gpio_cdev::GpioCdev,
    gpio_rppal::GpioRppal,
    http_camera::{MjpegCamera, SnapshotCamera},
    modbus::{ModbusRtu, ModbusTcp},
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
    /// The health of each board, by its name.
    pub boards: BTreeMap<String, watch::Receiver<Health>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    shutdown: CancellationToken,
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
            boards: BTreeMap::new(),
            tasks: Mutex::default(),
            shutdown: shutdown.clone(),
            dice: Arc::new(rand::random::<f64>),
            _ends_with_this: shutdown.drop_guard(),
        };
        for camera in &config.cameras {
            hardware.open_camera(camera)?;
        }
        for camera in &config.anpr {
            hardware.open_anpr(camera)?;
        }
        for board in &config.boards {
            hardware.open_board(board, config);
        }
        Ok(hardware)
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

    fn open_board(&mut self, board: &BoardConfig, config: &HardwareConfig) {
        let driver: Arc<dyn Driver> = match board {
            BoardConfig::ModbusTcp(config) => Arc::new(ModbusTcp { config: config.clone() }),
            BoardConfig::ModbusRtu(config) => Arc::new(ModbusRtu { config: config.clone() }),
            BoardConfig::GpioRppal(_) => Arc::new(GpioRppal),
            BoardConfig::GpioCdev(config) => Arc::new(GpioCdev { config: config.clone() }),
            BoardConfig::SerialLcus(config) => Arc::new(SerialLcus { config: config.clone() }),
        };
        let started = board::start(plan(board, config), driver, self.shutdown.clone());
        for output in started.outputs {
            self.outputs.insert(output.id().into(), Arc::new(output));
        }
        for input in started.inputs {
            self.inputs.insert(input.id().into(), Arc::new(input));
        }
        self.boards.insert(board.id().into(), started.health);
        self.keep(started.task);
    }

    fn open_camera(&mut self, config: &CameraConfig) -> Result<(), DeviceError> {
        let (dice, shutdown) = (self.dice.clone(), self.shutdown.clone());
        let camera: Arc<dyn Camera> = match config {
            CameraConfig::HttpSnapshot(http) => Arc::new(SnapshotCamera::new(config, http)?),
            CameraConfig::HttpMjpeg(http) => {
                let (camera, task) = MjpegCamera::start(config, http, dice, shutdown)?;
                self.keep(task);
                Arc::new(camera)
            }
            CameraConfig::Rtsp(rtsp) => {
                let (camera, task) = RtspCamera::start(config, rtsp, dice, shutdown);
                self.keep(task);
                Arc::new(camera)
            }
            CameraConfig::V4l2(v4l2) => {
                let (camera, task) = V4l2Camera::start(config, v4l2, dice, shutdown);
                self.keep(task);
                Arc::new(camera)
            }
            CameraConfig::Replay(replay) => {
                let (camera, task) = ReplayCamera::start(config, replay, dice, shutdown);
                self.keep(task);
                Arc::new(camera)
            }
        };
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
                max_pulse: std::time::Duration::from_millis(output.max_pulse_ms),
            })
            .collect(),
        inputs: inputs
            .map(|input| InputLine {
                id: input.id.clone(),
                channel: input.channel,
                active_low: input.active_low,
                debounce: std::time::Duration::from_millis(input.debounce_ms),
                bias: input.bias,
            })
            .collect(),
        timing: board.timing(),
    }
}
