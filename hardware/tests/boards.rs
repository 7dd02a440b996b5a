//! Boards behind real wires (TCP and pseudo-terminals), driven as a controller does: the simulated house's history of edges is
//! the judge.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use cardea_hardware::{
    Hardware, HardwareConfig, Health, make_safe,
    sim::{
        Fault, IO_PART, LCUS_PART, RTU_PART, Sim, SimConfig, SimHandle,
        physics::{COIL_LOCK, Edge, INPUT_LOOP, Line},
    },
};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(20);
/// Every board of the house: the part that can break, the board, and one of its outputs.
const BOARDS: [(&str, &str, &str); 3] =
    [(IO_PART, "tcp", "tcp-lock"), (RTU_PART, "rtu1", "rtu-lock"), (LCUS_PART, "lcus", "lcus-spare")];

struct Site {
    sim: SimHandle,
    config: HardwareConfig,
    _folder: TempDir,
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (rtu, lcus) = (folder.path().join("rs485"), folder.path().join("relays"));
        let sim = Sim::start(SimConfig { rtu: Some(rtu.clone()), lcus: Some(lcus.clone()), ..SimConfig::default() });
        let sim = sim.await.unwrap();
        let timing = "timing = { poll_ms = 10, request_timeout_ms = 200, reconnect_max_ms = 200 }";
        let text = format!(
            r#"
            [[board]]
            id = "tcp"
            driver = "modbus-tcp"
            address = "{address}"
            {timing}
            [[board]]
            id = "rtu1"
            driver = "modbus-rtu"
            path = '{rtu}'
            unit = 1
            profile = "waveshare-relay"
            {timing}
            [[board]]
            id = "rtu2"
            driver = "modbus-rtu"
            path = '{rtu}'
            unit = 2
            profile = "waveshare-relay"
            {timing}
            [[board]]
            id = "lcus"
            driver = "serial-lcus"
            path = '{lcus}'
            feedback = true
            {timing}
            [[output]]
            id = "tcp-lock"
            board = "tcp"
            channel = 15
            [[output]]
            id = "rtu-lock"
            board = "rtu1"
            channel = 5
            [[output]]
            id = "rtu-other"
            board = "rtu2"
            channel = 2
            [[output]]
            id = "lcus-spare"
            board = "lcus"
            channel = 7
            [[input]]
            id = "loop"
            board = "rtu1"
            channel = 1
            debounce_ms = 0
            "#,
            address = sim.modbus_addr(),
            rtu = rtu.display(),
            lcus = lcus.display(),
        );
        Self { sim, config: toml::from_str(&text).unwrap(), _folder: folder }
    }

    async fn open(&self) -> Hardware {
        let hardware = Hardware::open(&self.config).unwrap();
        for board in hardware.boards.keys() {
            until(&hardware, board, Health::is_up).await;
        }
        hardware
    }

    fn relays(&self) -> Vec<Edge> {
        self.sim.history(0).into_iter().filter(|edge| edge.line == Line::Relay).collect()
    }

    fn switched_on(&self) -> usize {
        self.relays().iter().filter(|edge| edge.on).count()
    }
}

async fn until(hardware: &Hardware, board: &str, wanted: impl FnMut(&Health) -> bool) {
    let mut health = hardware.boards[board].clone();
    let told = timeout(PATIENCE, health.wait_for(wanted)).await.map(drop);
    assert!(told.is_ok(), "{board}: {:?}", *hardware.boards[board].borrow());
}

async fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(timeout(PATIENCE, waiting).await.is_ok(), "never: {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_energised_by_starting_stopping_vanishing_or_reconnecting() {
    let site = Site::new().await;
    let hardware = site.open().await;
    for (part, board, _) in BOARDS {
        for fault in [Fault::Dead, Fault::Garbage, Fault::Silent] {
            site.sim.set_fault(part, fault).unwrap();
            // A line with noise on it may do its work all the same.
            if fault != Fault::Garbage {
                until(&hardware, board, |health| matches!(health, Health::Down { .. })).await;
            }
            site.sim.set_fault(part, Fault::None).unwrap();
            until(&hardware, board, Health::is_up).await;
        }
    }
    hardware.shutdown().await;
    drop(site.open().await); // ends without being shut down
    make_safe(&site.config, Duration::from_secs(1)).await.unwrap();
    assert_eq!(site.relays(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_board_that_comes_back_has_its_output_off_and_forgets_what_was_wanted() {
    let site = Site::new().await;
    let hardware = site.open().await;
    for (part, board, output) in BOARDS {
        let output = &hardware.outputs[output];
        output.set(true).await.unwrap();
        site.sim.set_fault(part, Fault::Dead).unwrap();
        until(&hardware, board, |health| matches!(health, Health::Down { .. })).await;
        let refused = output.pulse(Duration::from_millis(100)).await.unwrap_err();
        assert!(!refused.may_have_acted(), "{refused}");
        site.sim.set_fault(part, Fault::None).unwrap();
        until(&hardware, board, Health::is_up).await;
        assert_eq!(output.state(), Some(false));
    }
    assert_eq!(site.sim.state().relays, [false; 16]);
    assert_eq!(site.switched_on(), BOARDS.len(), "each once, when it was told to");
    hardware.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_unit_does_not_keep_its_neighbour_from_working() {
    let site = Site::new().await;
    let mut config = site.config.clone();
    // There is no unit 9 on the line.
    for board in &mut config.boards {
        if let cardea_hardware::config::BoardConfig::ModbusRtu(board) = board
            && board.id == "rtu2"
        {
            board.unit = 9;
        }
    }
    let hardware = Hardware::open(&config).unwrap();
    until(&hardware, "rtu1", Health::is_up).await;
    until(&hardware, "rtu2", |health| matches!(health, Health::Down { .. })).await;
    for level in [true, false, true] {
        site.sim.set_input(INPUT_LOOP, Some(level)).unwrap();
        let mut reading = hardware.inputs["loop"].watch();
        timeout(PATIENCE, reading.wait_for(|reading| reading.value == Some(level))).await.expect("seen").unwrap();
        hardware.outputs["rtu-lock"].pulse(Duration::from_millis(50)).await.unwrap();
        eventually("the pulse is over", || !site.sim.state().relays[COIL_LOCK]).await;
    }
    hardware.shutdown().await;
    assert_eq!(site.switched_on(), 3);
}

/// Opens everything, does something, and ends as if it were killed: no task of it gets another turn.
async fn killed_after<F: Future<Output = ()> + Send>(
    config: &HardwareConfig,
    work: impl FnOnce(Hardware) -> F + Send + 'static,
) {
    let config = config.clone();
    let alone = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let worked = alone.spawn(async move {
        let hardware = Hardware::open(&config).unwrap();
        for board in hardware.boards.keys() {
            until(&hardware, board, Health::is_up).await;
        }
        work(hardware).await;
    });
    worked.await.unwrap();
    alone.shutdown_background();
}

/// Nobody is left to end the pulse: the board does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pulse_that_the_board_times_ends_without_its_controller() {
    let site = Site::new().await;
    killed_after(&site.config, async |hardware| {
        hardware.outputs["rtu-lock"].pulse(Duration::from_millis(600)).await.unwrap();
        std::mem::forget(hardware);
    })
    .await;
    assert!(site.sim.state().relays[COIL_LOCK]);
    eventually("the pulse is over", || !site.sim.state().relays[COIL_LOCK]).await;
    let relays = site.relays();
    let lasted = relays[1].at_ms - relays[0].at_ms;
    assert!((600.0..5_000.0).contains(&lasted), "{lasted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outputs_that_were_left_on_are_made_safe_and_boards_that_are_down_are_named() {
    let site = Site::new().await;
    killed_after(&site.config, async |hardware| {
        for (_, _, output) in BOARDS {
            hardware.outputs[output].set(true).await.unwrap();
        }
        std::mem::forget(hardware);
    })
    .await;
    let on = site.sim.state().relays.iter().filter(|on| **on).count();
    assert_eq!(on, BOARDS.len());
    site.sim.set_fault(IO_PART, Fault::Silent).unwrap();
    site.sim.set_fault(LCUS_PART, Fault::Dead).unwrap();
    let failed = make_safe(&site.config, Duration::from_millis(500)).await.unwrap();
    assert_eq!(failed.iter().map(|(board, _)| board.as_str()).collect::<Vec<_>>(), ["tcp", "lcus"]);
    assert!(!site.sim.state().relays[COIL_LOCK], "the others were not kept from it");
    site.sim.set_fault(IO_PART, Fault::None).unwrap();
    site.sim.set_fault(LCUS_PART, Fault::None).unwrap();
    let failed = make_safe(&site.config, Duration::from_secs(5)).await.unwrap();
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(site.sim.state().relays, [false; 16]);
    assert_eq!(site.switched_on(), BOARDS.len());
}
