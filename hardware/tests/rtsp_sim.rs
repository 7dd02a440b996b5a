//! The RTSP driver against the simulated camera, and everything that is wrong with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{sync::Arc, time::Duration};

use cardea_hardware::{
    Camera, DeviceError, Frame, Hardware, HardwareConfig, Health, ImageKind,
    sim::{Fault, Sim, SimConfig, SimHandle, SimLogin},
};
use tokio::time::{Instant, timeout};

const PATIENCE: Duration = Duration::from_secs(20);

struct Yard {
    sim: SimHandle,
    hardware: Hardware,
}

impl Yard {
    async fn with(fault: Fault, keys: &str) -> Self {
        let login = SimLogin { username: "viewer".into(), password: "hunter2".into(), ..SimLogin::default() };
        let sim = Sim::start(SimConfig { camera_login: Some(login), ..SimConfig::default() }).await.unwrap();
        sim.set_fault("rtsp", fault).unwrap();
        let hardware = open(&sim, "hunter2", keys);
        Self { sim, hardware }
    }

    fn camera(&self) -> &Arc<dyn Camera> {
        &self.hardware.cameras["yard"]
    }

    async fn until_down(&self, expected: &str) {
        let mut health = self.camera().health();
        let down = |health: &Health| matches!(health, Health::Down { reason } if reason.contains(expected));
        let waited = timeout(PATIENCE, health.wait_for(down)).await.map(drop);
        assert!(waited.is_ok(), "{expected}: {:?}", self.camera().health().borrow());
    }

    /// A frame, in the end.
    async fn until_seen(&self) -> Frame {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.camera().frame().await {
                Ok(frame) => return frame,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
        }
    }
}

fn open(sim: &SimHandle, password: &str, keys: &str) -> Hardware {
    let config: HardwareConfig = toml::from_str(&format!(
        "[[camera]]\nid = \"yard\"\ndriver = \"rtsp\"\nurl = \"{}\"\nusername = \"viewer\"\npassword = \"{password}\"\n\
         timeout_ms = 1500\nmin_interval_ms = 10\n{keys}",
        sim.rtsp_url("plate-cam")
    ))
    .unwrap();
    Hardware::open(&config).unwrap()
}

/// The grey level in the middle.
fn grey(frame: &Frame) -> u8 {
    let ImageKind::I420 { width, height } = frame.kind else { panic!("{:?}", frame.kind) };
    frame.bytes[(height / 2 * width + width / 2) as usize]
}

#[tokio::test]
async fn frames_are_seen_newest_first_and_as_old_as_they_are() {
    let yard = Yard::with(Fault::None, "").await;
    let mut before = yard.until_seen().await;
    for _ in 0..10 {
        let frame = yard.until_seen().await;
        assert!(frame.sequence > before.sequence && frame.captured_at >= before.captured_at);
        assert!(grey(&frame).abs_diff(126) < 8, "{}", grey(&frame));
        before = frame;
    }
    assert!(yard.camera().health().borrow().is_up());
}

#[tokio::test]
async fn a_wrong_password_is_named_and_never_shown() {
    let yard = Yard::with(Fault::None, "").await;
    let hardware = open(&yard.sim, "hunter3", "");
    let told = hardware.cameras["yard"].frame().await.unwrap_err().to_string();
    assert!(told.contains("check username and password") && !told.contains("hunter3"), "{told}");
}

#[tokio::test]
async fn a_password_in_clear_text_is_refused_before_anybody_hears_it() {
    let login = SimLogin { username: "viewer".into(), password: "hunter2".into(), basic: true, ..SimLogin::default() };
    let sim = Sim::start(SimConfig { camera_login: Some(login), ..SimConfig::default() }).await.unwrap();
    let hardware = open(&sim, "hunter2", "");
    let told = hardware.cameras["yard"].frame().await.unwrap_err();
    assert!(matches!(told, DeviceError::Unsupported { .. }), "{told}");
    assert!(told.to_string().contains("allow_basic = true") && !told.to_string().contains("hunter2"), "{told}");
    let allowed = Yard { hardware: open(&sim, "hunter2", "allow_basic = true"), sim };
    allowed.until_seen().await;
}

#[tokio::test]
async fn every_fault_is_a_word_and_passes() {
    for (fault, expected) in [
        (Fault::Dead, "could not be reached"),
        (Fault::Silent, "within 1500 ms"),
        (Fault::Garbage, "Invalid RTSP message"),
        (Fault::Redirect, "redirects (302)"),
        (Fault::Lying, "within 1500 ms"),
        (Fault::Halved, "within 1500 ms"),
    ] {
        let yard = Yard::with(fault, "").await;
        yard.until_down(expected).await;
        assert!(yard.camera().frame().await.is_err(), "{fault:?}");
        yard.sim.set_fault("rtsp", Fault::None).unwrap();
        yard.until_seen().await;
    }
}

#[tokio::test]
async fn a_stream_that_breaks_in_the_middle_comes_back() {
    let yard = Yard::with(Fault::None, "").await;
    for fault in [Fault::Halved, Fault::Garbage, Fault::Dead] {
        yard.until_seen().await;
        yard.sim.set_fault("rtsp", fault).unwrap();
        yard.until_down("").await;
        yard.sim.set_fault("rtsp", Fault::None).unwrap();
    }
    yard.until_seen().await;
}

#[tokio::test]
async fn a_picture_that_stands_still_is_a_fault_while_its_stream_goes_on() {
    let yard = Yard::with(Fault::None, "frozen_after_s = 1").await;
    yard.until_seen().await;
    yard.sim.set_fault("rtsp", Fault::Frozen).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        match yard.camera().frame().await {
            Err(DeviceError::Frozen { .. }) => break,
            other => assert!(Instant::now() < deadline, "{other:?}"),
        }
    }
    yard.until_down("frozen").await;
    yard.sim.set_fault("rtsp", Fault::None).unwrap();
    yard.until_seen().await;
    assert!(yard.camera().health().borrow().is_up());
}

#[tokio::test]
async fn a_backlog_is_never_taken_for_the_present() {
    let yard = Yard::with(Fault::Backlog, "").await;
    for _ in 0..10 {
        let frame = yard.until_seen().await;
        assert!(grey(&frame) > 100, "what is over is black: {}", grey(&frame));
        assert!(frame.captured_at.elapsed() < Duration::from_millis(1_500));
    }
}

#[tokio::test]
async fn a_picture_beyond_the_limit_is_refused_with_its_size() {
    let yard = Yard::with(Fault::None, "max_pixels = 100000").await;
    yard.until_down("640x480").await;
    yard.until_down("max_pixels").await;
}
