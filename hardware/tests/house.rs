//! The drivers against the simulated house: real Modbus TCP and HTTP, with faults.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use cardea_hardware::{
    Camera, DeviceError, Hardware, HardwareConfig, Health, ImageKind, Input, Output,
    sim::{
        Fault, IO_PART, Sim, SimConfig, SimHandle,
        physics::{BarrierConfig, DoorConfig, HouseConfig, INPUT_LOOP, INPUT_OPEN_LIMIT, Line},
    },
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

const PATIENCE: Duration = Duration::from_secs(15);

struct Site {
    sim: SimHandle,
    hardware: Hardware,
}

async fn site() -> Site {
    let house = HouseConfig {
        barrier: BarrierConfig { travel_ms: 200, reaction_ms: 400 },
        door: DoorConfig { auto_push: true, push_ms: 30, walk_ms: 100 },
        ..HouseConfig::default()
    };
    let sim = Sim::start(SimConfig { house, ..SimConfig::default() }).await.unwrap();
    let config = format!(
        r#"
        [[board]]
        id = "io1"
        driver = "modbus-tcp"
        address = "{}"
        unit = 1
        [board.timing]
        poll_ms = 10
        request_timeout_ms = 300
        deliver_within_ms = 600
        reconnect_max_ms = 200
        [[output]]
        id = "barrier-open"
        board = "io1"
        channel = 0
        [[output]]
        id = "barrier-close"
        board = "io1"
        channel = 1
        [[output]]
        id = "lock"
        board = "io1"
        channel = 4
        [[input]]
        id = "loop"
        board = "io1"
        channel = 0
        debounce_ms = 0
        [[input]]
        id = "open-limit"
        board = "io1"
        channel = 1
        [[input]]
        id = "contact"
        board = "io1"
        channel = 4
        debounce_ms = 0
        [[camera]]
        id = "still"
        driver = "http-snapshot"
        url = "{}"
        timeout_ms = 1000
        min_interval_ms = 0
        [[camera]]
        id = "stream"
        driver = "http-mjpeg"
        url = "{}"
        timeout_ms = 1000
        "#,
        sim.modbus_addr(),
        sim.snapshot_url("face-cam"),
        sim.stream_url("plate-cam"),
    );
    let config: HardwareConfig = toml::from_str(&config).unwrap();
    let hardware = Hardware::open(&config).unwrap();
    let site = Site { sim, hardware };
    site.until_health(Health::is_up).await;
    site
}

impl Site {
    fn output(&self, id: &str) -> &Arc<dyn Output> {
        &self.hardware.outputs[id]
    }

    fn input(&self, id: &str) -> &Arc<dyn Input> {
        &self.hardware.inputs[id]
    }

    fn camera(&self, id: &str) -> &Arc<dyn Camera> {
        &self.hardware.cameras[id]
    }

    async fn until_health(&self, wanted: impl FnMut(&Health) -> bool) {
        until(self.hardware.boards["io1"].clone(), wanted).await;
    }

    async fn until_input(&self, id: &str, value: Option<bool>) {
        until(self.input(id).watch(), |reading| reading.value == value).await;
    }

    /// `(name, on)` of the relay edges so far.
    fn relay_edges(&self) -> Vec<(String, bool)> {
        let edges = self.sim.history(0).into_iter().filter(|edge| edge.line == Line::Relay);
        edges.map(|edge| (edge.name, edge.on)).collect()
    }
}

async fn until<T>(mut watched: watch::Receiver<T>, wanted: impl FnMut(&T) -> bool) {
    let waited = timeout(PATIENCE, watched.wait_for(wanted)).await.map(drop);
    assert!(waited.is_ok(), "nothing of what was waited for");
}

fn down(health: &Health) -> bool {
    matches!(health, Health::Down { .. })
}

fn jpeg(mark: u8) -> Bytes {
    Bytes::from(vec![0xFF, 0xD8, 0xFF, 0xE0, mark, 0xFF, 0xD9])
}

#[tokio::test]
async fn a_pulse_raises_the_boom_and_ends() {
    let site = site().await;
    assert!(!site.input("open-limit").read().await.unwrap());
    site.output("barrier-open").pulse(Duration::from_millis(50)).await.unwrap();
    site.until_input("open-limit", Some(true)).await;
    until_relays(&site, &[("open", true), ("open", false)]).await;
    assert!(site.sim.state().inputs[INPUT_OPEN_LIMIT]);
    let edges = site.sim.history(0);
    let times: Vec<f64> = edges.iter().filter(|e| e.line == Line::Relay).map(|e| e.at_ms).collect();
    assert!(times[1] - times[0] >= 49.0, "{times:?}");
}

async fn until_relays(site: &Site, expected: &[(&str, bool)]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let edges = site.relay_edges();
        if edges.iter().map(|(name, on)| (name.as_str(), *on)).eq(expected.iter().copied()) {
            return;
        }
        assert!(Instant::now() < deadline, "expected {expected:?}, saw {edges:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_released_lock_lets_a_person_through_and_shutdown_locks() {
    let site = site().await;
    site.sim.set_person(true);
    site.output("lock").set(true).await.unwrap();
    site.until_input("contact", Some(false)).await;
    assert_eq!(site.output("lock").state(), Some(true));
    site.hardware.shutdown().await;
    assert_eq!(site.relay_edges(), [("lock".into(), true), ("lock".into(), false)]);
    assert!(site.output("lock").set(true).await.is_err());
    site.sim.shutdown().await;
}

#[tokio::test]
async fn a_dead_board_is_refused_at_once_and_comes_back_without_stale_pulses() {
    let site = site().await;
    site.output("barrier-open").pulse(Duration::from_secs(5)).await.unwrap();
    site.sim.set_fault(IO_PART, Fault::Dead).unwrap();
    site.until_health(down).await;
    site.until_input("loop", None).await;
    let asked = Instant::now();
    let refused = site.output("barrier-close").pulse(Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(refused, DeviceError::Unreachable { sent: false, .. }), "{refused}");
    assert!(asked.elapsed() < Duration::from_millis(200));
    site.sim.set_input(INPUT_LOOP, Some(true)).unwrap();
    site.sim.set_fault(IO_PART, Fault::None).unwrap();
    site.until_health(Health::is_up).await;
    assert_eq!(
        site.relay_edges(),
        [("open".into(), true), ("open".into(), false)],
        "the standing pulse ended on reconnection, the refused one never came"
    );
    assert!(site.input("loop").read().await.unwrap());
}

#[tokio::test]
async fn a_silent_board_times_out() {
    let site = site().await;
    site.sim.set_fault(IO_PART, Fault::Silent).unwrap();
    site.until_health(|health| matches!(health, Health::Down { reason } if reason.contains("within 300 ms"))).await;
    site.sim.set_fault(IO_PART, Fault::None).unwrap();
    site.until_health(Health::is_up).await;
    assert_eq!(site.relay_edges(), []);
}

#[tokio::test]
async fn a_board_that_talks_nonsense_is_named_so() {
    let site = site().await;
    site.sim.set_fault(IO_PART, Fault::Garbage).unwrap();
    site.until_health(|health| matches!(health, Health::Down { reason } if reason.contains("nonsense"))).await;
    site.sim.set_fault(IO_PART, Fault::None).unwrap();
    site.until_health(Health::is_up).await;
    site.output("lock").set(true).await.unwrap();
}

#[tokio::test]
async fn a_slow_board_works_and_a_too_slow_one_is_down() {
    let site = site().await;
    site.sim.set_fault(IO_PART, Fault::Slow { ms: 60 }).unwrap();
    let asked = Instant::now();
    site.output("lock").set(true).await.unwrap();
    assert!(asked.elapsed() >= Duration::from_millis(60));
    site.sim.set_fault(IO_PART, Fault::Slow { ms: 2000 }).unwrap();
    site.until_health(down).await;
    assert!(!site.output("lock").set(false).await.unwrap_err().may_have_acted());
}

#[tokio::test]
async fn snapshots_are_fetched_and_faults_are_told_apart() {
    let site = site().await;
    let camera = site.camera("still");
    let empty = camera.frame().await.unwrap();
    assert_eq!(empty.kind, ImageKind::Png);
    site.sim.set_picture("face-cam", jpeg(1)).unwrap();
    let asked = Instant::now();
    let frame = camera.frame().await.unwrap();
    assert_eq!((frame.bytes.clone(), frame.kind), (jpeg(1), ImageKind::Jpeg));
    assert!(frame.captured_at >= asked && frame.sequence > empty.sequence);
    assert!(camera.health().borrow().is_up());
    for (fault, expected) in
        [(Fault::Dead, "reached"), (Fault::Garbage, "nonsense"), (Fault::Slow { ms: 3000 }, "within")]
    {
        site.sim.set_fault("face-cam", fault).unwrap();
        let told = camera.frame().await.unwrap_err().to_string();
        assert!(told.contains(expected) && told.contains("still"), "{fault:?}: {told}");
        assert!(down(&camera.health().borrow()));
    }
    site.sim.set_fault("face-cam", Fault::None).unwrap();
    assert_eq!(camera.frame().await.unwrap().bytes, jpeg(1));
    assert!(camera.health().borrow().is_up());
}

/// Frames until one has these bytes.
async fn until_frame(camera: &Arc<dyn Camera>, wanted: &Bytes) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if camera.frame().await.is_ok_and(|frame| frame.bytes == *wanted) {
            return;
        }
        assert!(Instant::now() < deadline, "the picture never came");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_stream_gives_the_newest_frame_once_and_comes_back() {
    let site = site().await;
    let camera = site.camera("stream");
    site.sim.set_picture("plate-cam", jpeg(1)).unwrap();
    until_frame(camera, &jpeg(1)).await;
    let (one, other) = (camera.frame().await.unwrap(), camera.frame().await.unwrap());
    assert!(other.sequence > one.sequence && other.captured_at > one.captured_at);
    for mark in 2..20 {
        site.sim.set_picture("plate-cam", jpeg(mark)).unwrap();
    }
    until_frame(camera, &jpeg(19)).await;
    for fault in [Fault::Dead, Fault::Garbage, Fault::Silent] {
        sleep(Duration::from_millis(150)).await; // a frame comes that nobody takes
        site.sim.set_fault("plate-cam", fault).unwrap();
        until(camera.health(), down).await;
        assert!(camera.frame().await.is_err(), "the frame of a lost stream is not handed out");
        site.sim.set_fault("plate-cam", Fault::None).unwrap();
        until(camera.health(), Health::is_up).await;
        until_frame(camera, &jpeg(19)).await;
    }
}

#[tokio::test]
async fn gpio_that_is_not_there_is_explained() {
    let config: HardwareConfig = toml::from_str(
        r#"
        [[board]]
        id = "pins"
        driver = "gpio-cdev"
        chip = "/dev/gpiochip-none"
        [[board]]
        id = "pi"
        driver = "gpio-rppal"
        [[output]]
        id = "relay"
        board = "pins"
        channel = 4
        [[output]]
        id = "led"
        board = "pi"
        channel = 17
        "#,
    )
    .unwrap();
    let hardware = Hardware::open(&config).unwrap();
    until(
        hardware.boards["pins"].clone(),
        |health| matches!(health, Health::Down { reason } if reason.contains("no such device file") && reason.contains("/dev/gpiochip-none")),
    )
    .await;
    assert!(hardware.outputs["relay"].set(true).await.unwrap_err().to_string().contains("gpiodetect"));
    if !std::path::Path::new("/dev/gpiomem").exists() {
        until(
            hardware.boards["pi"].clone(),
            |health| matches!(health, Health::Down { reason } if reason.contains("gpio-cdev")),
        )
        .await;
    }
    hardware.shutdown().await;
}

#[tokio::test]
async fn a_configuration_that_makes_no_sense_opens_nothing() {
    let config: HardwareConfig = toml::from_str("[[output]]\nid = \"relay\"\nboard = \"io9\"\nchannel = 0").unwrap();
    let refused = Hardware::open(&config).err().unwrap();
    assert!(matches!(refused, DeviceError::Config(_)));
    assert!(refused.to_string().contains("there is no board \"io9\""), "{refused}");
}
