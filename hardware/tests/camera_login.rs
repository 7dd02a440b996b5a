//! Cameras over HTTP whose nonces expire: a login that is asked for anew is no failure.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use cardea_hardware::{
    Hardware, HardwareConfig, Health,
    sim::{Fault, Sim, SimConfig, SimHandle, SimLogin},
};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);
const PICTURE: &[u8] = &[0xFF, 0xD8, 0xFF, 0xE0, 7, 0xFF, 0xD9];

/// Each nonce is good for so many requests (RFC 7616, section 3.3, `stale`).
async fn site(nonce_uses: u32, driver: &str, path: &str, password: &str) -> (SimHandle, Hardware) {
    let login = SimLogin {
        username: "viewer".into(),
        password: "hunter2".into(),
        nonce_uses: Some(nonce_uses),
        ..SimLogin::default()
    };
    let sim = Sim::start(SimConfig { camera_login: Some(login), ..SimConfig::default() }).await.unwrap();
    sim.set_picture("plate-cam", Bytes::from_static(PICTURE)).unwrap();
    let config: HardwareConfig = toml::from_str(&format!(
        "[[camera]]\nid = \"yard\"\ndriver = \"{driver}\"\nurl = \"{}/cameras/plate-cam/{path}\"\nusername = \"viewer\"\n\
         password = \"{password}\"\ntimeout_ms = 5000\nmin_interval_ms = 0\nfrozen_after_s = 0",
        sim.cameras_url()
    ))
    .unwrap();
    let hardware = Hardware::open(&config).unwrap();
    (sim, hardware)
}

#[tokio::test]
async fn a_snapshot_is_had_whatever_became_of_the_nonce() {
    for uses in [1, 3] {
        let (_sim, hardware) = site(uses, "http-snapshot", "snapshot.jpg", "hunter2").await;
        for i in 0..10 {
            let frame = hardware.cameras["yard"].frame().await;
            assert!(frame.is_ok(), "{uses} uses, picture {i}: {frame:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_opened_anew_logs_in_anew() {
    let (sim, hardware) = site(1, "http-mjpeg", "stream.mjpeg", "hunter2").await;
    let mut health = hardware.cameras["yard"].health();
    let mut reasons = BTreeMap::new();
    for _ in 0..3 {
        assert!(timeout(PATIENCE, health.wait_for(Health::is_up)).await.is_ok());
        sim.set_fault("plate-cam", Fault::Dead).unwrap();
        let down = timeout(PATIENCE, health.wait_for(|health| matches!(health, Health::Down { .. }))).await;
        let Health::Down { reason } = down.unwrap().unwrap().clone() else { unreachable!() };
        *reasons.entry(reason).or_insert(0) += 1;
        sim.set_fault("plate-cam", Fault::None).unwrap();
    }
    assert!(timeout(PATIENCE, health.wait_for(Health::is_up)).await.is_ok());
    assert!(!reasons.keys().any(|reason| reason.contains("password")), "{reasons:?}");
}

#[tokio::test]
async fn a_wrong_password_is_not_tried_without_end() {
    let (_sim, hardware) = site(1, "http-snapshot", "snapshot.jpg", "hunter3").await;
    let told = hardware.cameras["yard"].frame().await.unwrap_err().to_string();
    assert!(told.contains("check username and password") && !told.contains("hunter3"), "{told}");
}
