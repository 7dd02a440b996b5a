//! `cardea-sim`: a simulated house with a barrier, a door and cameras. See `cardea_hardware::sim`.
//!
//! Prints one line of JSON with the addresses it is bound to, then, on stderr, a line for everything that happens. Ctrl-C or
//! SIGTERM ends it.

use std::{
    io::{IsTerminal as _, Write as _},
    net::SocketAddr,
    path::PathBuf,
};

use anyhow::Context as _;
use cardea_hardware::sim::{Sight, Sim, SimCameraConfig, SimConfig};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// A simulated house: a Modbus TCP board, cameras over HTTP, and a control API with fault switches.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// A TOML file with the keys of `SimConfig`; the other arguments override it.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where the Modbus TCP server listens [default: 127.0.0.1:0, any port]
    #[arg(long)]
    modbus: Option<SocketAddr>,
    /// Where to put an RS-485 line with two Modbus RTU boards, a path such as /tmp/rs485
    #[arg(long)]
    rtu: Option<PathBuf>,
    /// Where to put a USB relay board (LCUS), a path such as /tmp/relays
    #[arg(long)]
    lcus: Option<PathBuf>,
    /// Where to put a card reader that sends a line for each card, a path such as /tmp/reader
    #[arg(long)]
    line_reader: Option<PathBuf>,
    /// Where to put the pulses of a Wiegand reader, a path such as /tmp/wires.sock
    #[arg(long)]
    wiegand: Option<PathBuf>,
    /// Where the cameras listen [default: 127.0.0.1:0, any port]
    #[arg(long)]
    cameras: Option<SocketAddr>,
    /// Where the control API listens [default: 127.0.0.1:0, any port]
    #[arg(long)]
    control: Option<SocketAddr>,
    /// A camera's id; may be given several times [default: plate-cam and face-cam]
    #[arg(long = "camera")]
    camera: Vec<String>,
    /// How long the boom takes from closed to open, in milliseconds.
    #[arg(long)]
    travel_ms: Option<u64>,
    /// A scene to play at once; see docs/guide/hardware.md. Others can follow through the control API.
    #[arg(long)]
    scene: Option<PathBuf>,
    /// The folder of the pictures that scenes name [default: .]
    #[arg(long)]
    pictures: Option<PathBuf>,
    /// Do not print what happens on stderr.
    #[arg(long)]
    quiet: bool,
    /// Whether a person at the door opens it when it is released.
    #[arg(long)]
    auto_push: Option<bool>,
}

impl Arguments {
    fn into_config(self) -> anyhow::Result<SimConfig> {
        let mut config = match &self.config {
            None => SimConfig::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
                toml::from_str(&text).with_context(|| format!("understanding {}", path.display()))?
            }
        };
        config.modbus = self.modbus.unwrap_or(config.modbus);
        config.rtu = self.rtu.or(config.rtu);
        config.lcus = self.lcus.or(config.lcus);
        config.line_reader = self.line_reader.or(config.line_reader);
        config.wiegand = self.wiegand.or(config.wiegand);
        config.cameras = self.cameras.unwrap_or(config.cameras);
        config.control = self.control.unwrap_or(config.control);
        if !self.camera.is_empty() {
            config.camera = self.camera.into_iter().map(SimCameraConfig::named).collect();
        }
        config.house.barrier.travel_ms = self.travel_ms.unwrap_or(config.house.barrier.travel_ms);
        config.scene = self.scene.or(config.scene);
        config.pictures = self.pictures.unwrap_or(config.pictures);
        config.house.door.auto_push = self.auto_push.unwrap_or(config.house.door.auto_push);
        Ok(config)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
    let arguments = Arguments::parse();
    let quiet = arguments.quiet;
    let mut config = arguments.into_config()?;
    let scene = config.scene.take();
    let mut terminated = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let house = Sim::start(config).await?;
    let sights = house.watch();
    if let Some(path) = scene {
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading the scene {}", path.display()))?;
        house.play(&text).with_context(|| format!("playing {}", path.display()))?;
    }
    let mut bound = house.addresses().clone();
    bound.insert("control".into(), house.control_url());
    writeln!(std::io::stdout(), "{}", serde_json::json!(bound)).context("printing the addresses")?;
    if !quiet {
        tokio::spawn(watch(sights));
    }
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("listening for Ctrl-C")?,
        _ = terminated.recv() => {}
    }
    tracing::info!("ending");
    house.shutdown().await;
    Ok(())
}

/// Prints what happens, a line each.
async fn watch(mut sights: Receiver<Sight>) {
    loop {
        let printed = match sights.recv().await {
            Ok(sight) => writeln!(std::io::stderr(), "{sight}"),
            Err(RecvError::Lagged(lost)) => writeln!(std::io::stderr(), "({lost} lines left out)"),
            Err(RecvError::Closed) => return,
        };
        if printed.is_err() {
            return;
        }
    }
}
