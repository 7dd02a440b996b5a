//! Scenes in real time, through the program and its control API.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use bytes::Bytes;
use cardea_hardware::sim::physics::{INPUT_FIRE, What};
use cardea_hardware::sim::{Fault, IO_PART, Sight, Sim, SimConfig, SimHandle};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(20);
/// The heads of two JPEG files are enough for a camera that only passes them on.
const CAR: &[u8] = &[0xFF, 0xD8, 0xFF, 0xE0, 1];
const YARD: &[u8] = &[0xFF, 0xD8, 0xFF, 0xE0, 2];

/// A house, and the folder of its pictures.
async fn house() -> (SimHandle, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("car.jpg"), CAR).unwrap();
    std::fs::write(folder.path().join("yard.jpg"), YARD).unwrap();
    std::fs::write(folder.path().join("notes.jpg"), "not a picture").unwrap();
    let config = SimConfig { pictures: folder.path().to_owned(), ..SimConfig::default() };
    (Sim::start(config).await.unwrap(), folder)
}

async fn served(house: &SimHandle) -> Bytes {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let http = reqwest::Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
    http.get(house.snapshot_url("plate-cam")).send().await.unwrap().bytes().await.unwrap()
}

async fn until<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let wait = async {
        while !ask().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(PATIENCE, wait).await.is_ok(), "never: {what}");
}

/// A car that is in view within half a second and gives up at once: 100 km/h are 28 m/s.
const VISIT: &str = r#"
title = "a visit"
empty = { plate-cam = "yard.jpg" }
[[step]]
car = { name = "visitor", plate_picture = "car.jpg", speed_kmh = 100, waits = "1s" }
[[step]]
when = "car-waits"
at = "100ms"
fault = { part = "io", kind = "slow", ms = 5, for = "200ms" }
[[step]]
when = "car-waits"
input = { name = "fire", on = true, for = "300ms" }
"#;

#[tokio::test]
async fn a_scene_is_played_the_camera_follows_and_whoever_watches_is_told() {
    let (house, _folder) = house().await;
    let mut sights = house.watch();
    house.play(VISIT).unwrap();
    until("the camera shows the car", async || served(&house).await == CAR).await;
    until("the scene is over", async || house.scene().unwrap().done).await;
    assert_eq!(served(&house).await, YARD);
    let scene = house.scene().unwrap();
    assert_eq!((scene.title.as_str(), scene.progress.steps, scene.progress.steps_done), ("a visit", 5, 5));
    assert_eq!((scene.passages, scene.collisions.len(), scene.here), (0, 0, 0));
    let whats: Vec<What> = scene.happenings.iter().map(|happening| happening.what).collect();
    assert_eq!(whats, [What::CarArrives, What::CarInView, What::CarWaits, What::CarBacksOut, What::CarLeaves]);

    let mut lines = Vec::new();
    while let Ok(Ok(sight)) = timeout(Duration::from_millis(200), sights.recv()).await {
        lines.push(sight);
    }
    let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
    for words in ["a visit", "visitor waits before the boom", "io breaks: slow", "io is mended", "input fire on"] {
        assert!(text.iter().any(|line| line.contains(words)), "{words:?} is not told: {text:#?}");
    }
    let faults = lines.iter().filter(|sight| matches!(sight, Sight::Fault { .. }));
    assert_eq!(faults.count(), 2);
    house.end_scene();
    assert!(house.scene().is_none() && served(&house).await != YARD, "the camera shows its own empty scene");
}

#[tokio::test]
async fn a_scene_that_is_ended_mends_what_it_broke() {
    let (house, _folder) = house().await;
    house
        .play(
            "[[step]]\nfault = { part = \"io\", kind = \"dead\", for = \"1h\" }\n\
             [[step]]\ninput = { name = \"fire\", on = true, for = \"1h\" }",
        )
        .unwrap();
    let fire = async || house.state().inputs[INPUT_FIRE];
    until("the fire is on", fire).await;
    let mut sights = house.watch();
    house.end_scene();
    assert!(!fire().await);
    let mended = |sight: &Sight| matches!(sight, Sight::Fault { part, fault: Fault::None, .. } if part == IO_PART);
    assert!(mended(&sights.recv().await.unwrap()));
}

#[tokio::test]
async fn a_scene_that_does_not_fit_is_refused_and_the_other_goes_on() {
    let (house, _folder) = house().await;
    house.play(VISIT).unwrap();
    for (text, words) in [
        ("[[step]]\ncar = { plate_picture = \"gone.jpg\" }", &["gone.jpg", "--pictures"][..]),
        ("[[step]]\ncar = { plate_picture = \"notes.jpg\" }", &["notes.jpg", "neither JPEG nor PNG"]),
        ("[[step]]\ncar = { plate_picture = \"car.jpg\", camera = \"attic\" }", &["attic", "plate-cam"]),
        ("[[step]]\nfault = { part = \"cellar\", kind = \"dead\" }", &["cellar", "io"]),
        ("[[step]]\ncard = { reader = \"io\", number = 7 }", &["card", "io"]),
        ("[[step]]\ncars = {}", &["cars"]),
    ] {
        let said = house.play(text).unwrap_err().to_string();
        assert!(words.iter().all(|word| said.contains(word)), "{text:?}: {said}");
    }
    assert_eq!(house.scene().unwrap().title, "a visit");
}

#[tokio::test]
async fn a_frozen_camera_goes_on_with_its_old_picture_until_it_is_mended() {
    let (house, _folder) = house().await;
    house.set_picture("plate-cam", Bytes::from_static(YARD)).unwrap();
    house.set_fault("plate-cam", Fault::Frozen).unwrap();
    house.set_picture("plate-cam", Bytes::from_static(CAR)).unwrap();
    assert_eq!(served(&house).await, YARD);
    house.set_fault("plate-cam", Fault::None).unwrap();
    assert_eq!(served(&house).await, CAR);
}
