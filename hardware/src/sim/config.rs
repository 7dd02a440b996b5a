//! What a simulated house is made of.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use serde::Deserialize;

pub use super::login::SimLogin;
use super::physics::HouseConfig;

/// A simulated house. Everything has a default: two cameras (`plate-cam`, `face-cam`), and ports chosen by the system.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimConfig {
    /// Where the Modbus TCP server listens; port 0 for any.
    pub modbus: SocketAddr,
    /// Where an RS-485 line with two boards is to be found; without a path there is none.
    pub rtu: Option<PathBuf>,
    /// Where a USB relay board (LCUS) is to be found; without a path there is none.
    pub lcus: Option<PathBuf>,
    /// Where a line reader is to be found, on a serial adapter; without a path there is none.
    pub line_reader: Option<PathBuf>,
    /// The Unix socket on which the pulses of a Wiegand reader are to be had; without a path there is none.
    pub wiegand: Option<PathBuf>,
    /// Where the cameras listen; port 0 for any.
    pub cameras: SocketAddr,
    /// Where the cameras' RTSP server listens; port 0 for any.
    pub rtsp: SocketAddr,
    /// Where the camera that reads plates listens; port 0 for any.
    pub anpr: SocketAddr,
    /// Who may see the cameras' pictures and streams, and the events of the one that reads plates; everybody without it.
    pub camera_login: Option<SimLogin>,
    /// Where the control API listens; port 0 for any. It has no authentication: keep it on the loopback address.
    pub control: SocketAddr,
    /// The cameras.
    pub camera: Vec<SimCameraConfig>,
    /// Barrier, lane and door.
    pub house: HouseConfig,
    /// The folder of the pictures that scenes name.
    pub pictures: PathBuf,
    /// A scene to play at once.
    pub scene: Option<PathBuf>,
}

/// One camera.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimCameraConfig {
    /// Its name, part of its URLs.
    pub id: String,
    /// Frames per second of the stream, at least 0.1. A new picture is sent at once, whatever the rate.
    #[serde(default = "default_fps")]
    pub fps: f64,
    /// The first picture, JPEG or PNG; without it, an empty grey scene of 640 by 480 pixels.
    #[serde(default)]
    pub picture: Option<PathBuf>,
}

impl SimCameraConfig {
    /// A camera with the defaults.
    pub fn named(id: impl Into<String>) -> Self {
        Self { id: id.into(), fps: default_fps(), picture: None }
    }
}

impl Default for SimConfig {
    fn default() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            modbus: any,
            rtu: None,
            lcus: None,
            line_reader: None,
            wiegand: None,
            cameras: any,
            rtsp: any,
            anpr: any,
            camera_login: None,
            control: any,
            camera: vec![SimCameraConfig::named("plate-cam"), SimCameraConfig::named("face-cam")],
            house: HouseConfig::default(),
            pictures: PathBuf::from("."),
            scene: None,
        }
    }
}

fn default_fps() -> f64 {
    10.0
}
