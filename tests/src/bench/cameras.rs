//! Cameras: the first fresh frame after one was pulled out and plugged in again.
//!
//! The simulated house serves them over real sockets. While a camera is out, another picture is put before it, so that a frame
//! from before would be known. Most outages are short; the long ones outlast every step of the driver's waiting.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use cardea_hardware::sim::{Fault, Sim, SimCameraConfig, SimConfig, SimHandle};
use cardea_hardware::{Camera, Frame, Hardware, HardwareConfig, ImageKind};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::{Summary, median};
use crate::picture;

/// How often each kind of camera is pulled out, in so many houses at once.
const REPLUGS: usize = 1_000;
const HOUSES: usize = 4;
/// How soon there has to be a fresh frame, in milliseconds.
const BACK_WITHIN_MS: f64 = 5_000.0;
const PATIENCE: Duration = Duration::from_secs(20);
/// One outage among so many is a long one.
const LONG_EVERY: usize = 50;
const LONG: Duration = Duration::from_secs(4);
/// What the cameras look at, in turn, and by how much a picture may be off: video has fewer levels than a JPEG.
const GREYS: [u8; 2] = [60, 190];
const OFF: u8 = 25;

/// A driver, the camera in the house, and the part that is pulled out.
const CAMERAS: [(&str, &str, &str); 3] =
    [("http-mjpeg", "plate-cam", "plate-cam"), ("http-snapshot", "face-cam", "face-cam"), ("rtsp", "yard-cam", "rtsp")];

/// Measures every driver that has a wire.
pub async fn run(summary: &mut Summary) -> anyhow::Result<()> {
    let mut houses = JoinSet::new();
    for _ in 0..HOUSES {
        houses.spawn(house());
    }
    let mut times: [Vec<f64>; CAMERAS.len()] = Default::default();
    for of_house in houses.join_all().await {
        for (all, some) in times.iter_mut().zip(of_house?) {
            all.extend(some);
        }
    }
    for ((driver, ..), times) in CAMERAS.into_iter().zip(times) {
        let longest = times.iter().copied().fold(0.0, f64::max);
        let name = format!("camera, {driver}: fresh frame after replugging");
        anyhow::ensure!(times.len() == REPLUGS, "{driver} was pulled out only {} times", times.len());
        summary.alone(&name, median(times), "ms");
        summary.alone(&format!("{name}, the longest of {REPLUGS}"), longest, "ms");
        anyhow::ensure!(longest <= BACK_WITHIN_MS, "a camera of driver {driver} was back only after {longest} ms");
    }
    Ok(())
}

/// One house with its cameras, each pulled out and plugged in by itself.
async fn house() -> anyhow::Result<[Vec<f64>; CAMERAS.len()]> {
    let camera = CAMERAS.map(|(_, id, _)| SimCameraConfig::named(id)).into();
    let sim = Sim::start(SimConfig { camera, ..SimConfig::default() }).await?;
    let mut config = String::new();
    for (driver, id, _) in CAMERAS {
        let url = match driver {
            "http-mjpeg" => sim.stream_url(id),
            "http-snapshot" => sim.snapshot_url(id),
            _ => sim.rtsp_url(id),
        };
        config.push_str(&format!("[[camera]]\nid = '{id}'\ndriver = '{driver}'\nurl = '{url}'\n"));
    }
    let config: HardwareConfig = toml::from_str(&config)?;
    let hardware = Hardware::open(&config)?;
    let times = {
        let [mjpeg, snapshot, rtsp] = CAMERAS.map(|(_, id, part)| replugs(&sim, &hardware, id, part));
        tokio::try_join!(mjpeg, snapshot, rtsp)?
    };
    hardware.shutdown().await;
    sim.shutdown().await;
    Ok(times.into())
}

/// Pulls out and plugs in again; how long it took from plugging in until there was a frame of what the camera looks at now.
async fn replugs(sim: &SimHandle, hardware: &Hardware, id: &str, part: &str) -> anyhow::Result<Vec<f64>> {
    let camera = hardware.cameras.get(id).with_context(|| format!("no camera {id}"))?;
    let scenes = GREYS.map(picture::grey);
    let mut times = Vec::new();
    let mut seen = None;
    for round in 0..=REPLUGS / HOUSES {
        let (grey, scene) = (GREYS[round % 2], scenes[round % 2].as_ref().map_err(|error| anyhow::anyhow!("{error}"))?);
        // Before the first round, it only has to be there.
        if round > 0 {
            sim.set_fault(part, Fault::Dead)?;
            // A frame that did not come in time is not yet a camera that is lost.
            let lost = |frame: Option<&Frame>| Ok(frame.is_none() && !camera.health().borrow().is_up());
            until(camera.as_ref(), "is still seen", lost).await?;
        }
        sim.set_picture(id, Bytes::copy_from_slice(scene))?;
        let out = Duration::from_millis(round as u64 * 37 % 150);
        sleep(if round % LONG_EVERY == LONG_EVERY - 1 { LONG } else { out }).await;
        let plugged = Instant::now();
        sim.set_fault(part, Fault::None)?;
        let fresh = |frame: Option<&Frame>| match frame.map(grey_of) {
            Some(now) if now.abs_diff(grey) < OFF => Ok(true),
            Some(_) if seen.is_some() => anyhow::bail!("{id} showed a frame from before it was pulled out"),
            _ => Ok(false),
        };
        until(camera.as_ref(), "is not seen again", fresh).await?;
        if seen.replace(grey).is_some() {
            times.push(plugged.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(times)
}

/// Asks for frames, as whoever looks at a camera does, until one, or that there is none, is as wanted.
async fn until(
    camera: &dyn Camera,
    else_it: &str,
    wanted: impl Fn(Option<&Frame>) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !wanted(camera.frame().await.ok().as_ref())? {
        anyhow::ensure!(Instant::now() < deadline, "camera {} {else_it} after {PATIENCE:?}", camera.id());
    }
    Ok(())
}

/// The grey level in the middle; black for what is no picture.
fn grey_of(frame: &Frame) -> u8 {
    match frame.kind {
        ImageKind::I420 { width, height } => {
            frame.bytes.get((height / 2 * width + width / 2) as usize).copied().unwrap_or_default()
        }
        _ => image::load_from_memory(&frame.bytes).map_or(0, |picture| {
            let picture = picture.to_luma8();
            picture.get_pixel(picture.width() / 2, picture.height() / 2).0[0]
        }),
    }
}
