//! The RTSP driver against a server that is not ours: GStreamer's, with H.264 and MJPEG.
//!
//! Needs the Debian packages that `setup/packages` names for it. Without them the test says that it is skipped; where
//! `CI` or `CARDEA_REQUIRE_PEERS` is set, it fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "tests")]

use std::{env, process::Stdio, time::Duration};

use cardea_hardware::{Camera, Frame, Hardware, HardwareConfig, Health, ImageKind};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::{Instant, timeout},
};

const PATIENCE: Duration = Duration::from_secs(30);
/// Debian's interpreter, which sees Debian's packages.
const PYTHON: &str = "/usr/bin/python3";

/// The server, if it can be had; and its port.
async fn peer(arguments: &[&str]) -> Option<(Child, u16)> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gst_rtsp.py");
    let child = Command::new(PYTHON)
        .arg(script)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut line = String::new();
    let child = match child {
        Ok(mut child) => {
            let mut stdout = BufReader::new(child.stdout.take().unwrap());
            timeout(PATIENCE, stdout.read_line(&mut line)).await.expect("a line, or an end").unwrap();
            Some(child)
        }
        Err(_) => None,
    };
    let Ok(port) = line.trim().parse() else {
        let missing = "GStreamer's RTSP server is not here (setup/packages installs it)";
        assert!(env::var_os("CI").is_none() && env::var_os("CARDEA_REQUIRE_PEERS").is_none(), "{missing}");
        eprintln!("skipped: {missing}");
        return None;
    };
    Some((child?, port))
}

fn open(port: u16, login: &str) -> Hardware {
    let config: HardwareConfig = toml::from_str(&format!(
        "[[camera]]\nid = \"yard\"\ndriver = \"rtsp\"\nurl = \"rtsp://127.0.0.1:{port}/yard\"\ntimeout_ms = 5000\n{login}"
    ))
    .unwrap();
    Hardware::open(&config).unwrap()
}

async fn frames(camera: &dyn Camera, count: usize) -> Vec<Frame> {
    let deadline = Instant::now() + PATIENCE;
    let mut frames = Vec::new();
    while frames.len() < count {
        match camera.frame().await {
            Ok(frame) => frames.push(frame),
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
    frames
}

/// Different pictures, each younger than the one before and hardly older than now.
fn assert_live(frames: &[Frame]) {
    assert!(frames.is_sorted_by(|one, next| one.captured_at <= next.captured_at && one.sequence < next.sequence));
    assert!(frames.windows(2).all(|pair| pair[0].bytes != pair[1].bytes), "the ball moves");
}

#[tokio::test]
async fn h264_with_digest_is_seen_and_a_wrong_password_is_named() {
    let Some((_server, port)) = peer(&["h264", "viewer", "hunter2"]).await else { return };
    let hardware = open(port, "username = \"viewer\"\npassword = \"hunter2\"\n");
    let frames = frames(&*hardware.cameras["yard"], 20).await;
    assert_live(&frames);
    assert!(frames.iter().all(|frame| frame.kind == ImageKind::I420 { width: 640, height: 360 }));
    assert!(frames.iter().all(|frame| frame.bytes.len() == 640 * 360 * 3 / 2));
    hardware.shutdown().await;

    let hardware = open(port, "username = \"viewer\"\npassword = \"hunter3\"\n");
    let mut health = hardware.cameras["yard"].health();
    let down =
        timeout(PATIENCE, health.wait_for(|health| matches!(health, Health::Down { .. }))).await.unwrap().unwrap();
    let Health::Down { reason } = &*down else { unreachable!() };
    assert!(reason.contains("check username and password") && !reason.contains("hunter3"), "{reason}");
}

#[tokio::test]
async fn mjpeg_is_seen_and_a_server_that_ends_comes_back_as_lost() {
    let Some((mut server, port)) = peer(&["jpeg"]).await else { return };
    let hardware = open(port, "");
    let camera = &hardware.cameras["yard"];
    let seen = frames(&**camera, 20).await;
    assert_live(&seen);
    assert!(seen.iter().all(|frame| frame.kind == ImageKind::Jpeg && frame.bytes.ends_with(&[0xFF, 0xD9])));
    server.kill().await.unwrap();
    let mut health = camera.health();
    let lost = timeout(PATIENCE, health.wait_for(|health| matches!(health, Health::Down { .. }))).await;
    assert!(lost.is_ok());
    assert!(camera.frame().await.is_err(), "the frame of a lost stream is not handed out");
}
