//! Boards: from the decision to the relay in the house, from an edge to its event, and back after an adapter was pulled out.
//!
//! Everything goes through real wires (TCP, pseudo-terminals) to the simulated house, which dates the relay's edge by the same
//! clock. The peer of a switch is a bare tokio-modbus client at the same board.

use std::time::Duration;

use anyhow::Context as _;
use cardea_hardware::sim::physics::{INPUT_LOOP, Line};
use cardea_hardware::sim::{Fault, IO_PART, LCUS_PART, RTU_PART, Sim, SimConfig, SimHandle};
use cardea_hardware::{Hardware, HardwareConfig, Health};
use tokio::time::{Instant, sleep, timeout};
use tokio_modbus::client::{Writer as _, tcp};
use tokio_modbus::slave::Slave;

use super::{Summary, median, percentile};

const SWITCHES: usize = 300;
const EDGES: u32 = 200;
/// How often each adapter is pulled out.
const REPLUGS: usize = 1_000;
/// How soon a board that is plugged in again has to be back, in milliseconds.
const BACK_WITHIN_MS: f64 = 5_000.0;
const PATIENCE: Duration = Duration::from_secs(20);
/// Of the boards here, in milliseconds; it is part of the names of the figures.
const POLL_MS: u64 = 5;
/// Part, board, output, and the channel of its relay in the house.
const BOARDS: [(&str, &str, &str, usize); 3] =
    [(IO_PART, "tcp", "tcp-relay", 15), (RTU_PART, "rtu", "rtu-relay", 5), (LCUS_PART, "lcus", "lcus-relay", 6)];

/// Measures every driver that has a wire.
pub async fn run(summary: &mut Summary) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (rtu, lcus) = (folder.path().join("rs485"), folder.path().join("relays"));
    let sim =
        Sim::start(SimConfig { rtu: Some(rtu.clone()), lcus: Some(lcus.clone()), ..SimConfig::default() }).await?;
    let timing = format!("timing = {{ poll_ms = {POLL_MS}, reconnect_max_ms = 200 }}");
    let config: HardwareConfig = toml::from_str(&format!(
        "[[board]]\nid = 'tcp'\ndriver = 'modbus-tcp'\naddress = '{}'\n{timing}\n\
         [[board]]\nid = 'rtu'\ndriver = 'modbus-rtu'\npath = '{}'\nbaud = 115200\nunit = 1\n{timing}\n\
         [[board]]\nid = 'lcus'\ndriver = 'serial-lcus'\npath = '{}'\n{timing}\n\
         [[output]]\nid = 'tcp-relay'\nboard = 'tcp'\nchannel = 15\n\
         [[output]]\nid = 'rtu-relay'\nboard = 'rtu'\nchannel = 5\n\
         [[output]]\nid = 'lcus-relay'\nboard = 'lcus'\nchannel = 7\n\
         [[input]]\nid = 'tcp-loop'\nboard = 'tcp'\nchannel = 0\ndebounce_ms = 0\n\
         [[input]]\nid = 'rtu-loop'\nboard = 'rtu'\nchannel = 0\ndebounce_ms = 0\n",
        sim.modbus_addr(),
        rtu.display(),
        lcus.display(),
    ))?;
    let hardware = Hardware::open(&config)?;
    for (_, board, ..) in BOARDS {
        until(&hardware, board, Health::is_up).await?;
    }
    let bare = bare_switches(&sim).await?;
    for (_, board, output, channel) in BOARDS {
        let mut times = switches(&sim, &hardware, output, channel).await?;
        let p99 = percentile(&mut times, 0.99);
        let name = format!("board, {board}: decision to relay in the house");
        summary.beside(&name, median(times), "ms", "bare tokio-modbus at the same board, TCP", bare);
        summary.alone(&format!("{name}, p99"), p99, "ms");
    }
    for (board, input) in [("tcp", "tcp-loop"), ("rtu", "rtu-loop")] {
        let mut times = edges(&sim, &hardware, input).await?;
        let p99 = percentile(&mut times, 0.99);
        summary.alone(&format!("board, {board}: edge to event, polled each {POLL_MS} ms"), median(times), "ms");
        summary.alone(&format!("board, {board}: edge to event, polled each {POLL_MS} ms, p99"), p99, "ms");
    }
    let before = sim.history(0).iter().filter(|edge| edge.line == Line::Relay && edge.on).count();
    for (part, board, ..) in BOARDS {
        let times = replugs(&sim, &hardware, part, board).await?;
        let longest = times.iter().copied().fold(0.0, f64::max);
        summary.alone(&format!("board, {board}: back after replugging, the longest of {REPLUGS}"), longest, "ms");
        anyhow::ensure!(longest <= BACK_WITHIN_MS, "board {board} was back only after {longest} ms");
    }
    let after = sim.history(0).iter().filter(|edge| edge.line == Line::Relay && edge.on).count();
    anyhow::ensure!(before == after, "replugging switched a relay on");
    hardware.shutdown().await;
    sim.shutdown().await;
    Ok(())
}

async fn until(hardware: &Hardware, board: &str, wanted: impl FnMut(&Health) -> bool) -> anyhow::Result<()> {
    let mut health = hardware.boards.get(board).with_context(|| format!("no board {board}"))?.clone();
    timeout(PATIENCE, health.wait_for(wanted)).await.with_context(|| format!("board {board}"))??;
    Ok(())
}

/// The house's clock, in milliseconds.
fn now(sim: &SimHandle) -> f64 {
    sim.state().now_ms
}

/// When the relay was last switched on, by the house's clock.
fn last_on(sim: &SimHandle, channel: usize, after: u64) -> Option<f64> {
    let edges = sim.history(after).into_iter().rev();
    edges.filter(|edge| edge.line == Line::Relay && edge.channel == channel && edge.on).map(|edge| edge.at_ms).next()
}

async fn switches(sim: &SimHandle, hardware: &Hardware, output: &str, channel: usize) -> anyhow::Result<Vec<f64>> {
    let relay = hardware.outputs.get(output).with_context(|| format!("no output {output}"))?;
    let mut times = Vec::new();
    for run in 0..SWITCHES {
        // At any phase of the polls.
        sleep(Duration::from_micros(1_000 + (run as u64 * 617) % 7_000)).await;
        let seen = sim.history(0).last().map_or(0, |edge| edge.sequence);
        let decided = now(sim);
        relay.set(true).await?;
        let deadline = Instant::now() + PATIENCE;
        let switched = loop {
            match last_on(sim, channel, seen) {
                Some(at) => break at,
                None if Instant::now() < deadline => sleep(Duration::from_millis(1)).await,
                None => anyhow::bail!("{output} never switched"),
            }
        };
        times.push(switched - decided);
        relay.set(false).await?;
    }
    Ok(times)
}

async fn bare_switches(sim: &SimHandle) -> anyhow::Result<f64> {
    let mut bare = tcp::connect_slave(sim.modbus_addr(), Slave(1)).await?;
    let mut times = Vec::new();
    for _ in 0..SWITCHES {
        sleep(Duration::from_millis(3)).await;
        let seen = sim.history(0).last().map_or(0, |edge| edge.sequence);
        let decided = now(sim);
        bare.write_single_coil(14, true).await??;
        times.push(last_on(sim, 14, seen).context("the bare write switched nothing")? - decided);
        bare.write_single_coil(14, false).await??;
    }
    Ok(median(times))
}

async fn edges(sim: &SimHandle, hardware: &Hardware, input: &str) -> anyhow::Result<Vec<f64>> {
    let mut reading = hardware.inputs.get(input).with_context(|| format!("no input {input}"))?.watch();
    let mut times = Vec::new();
    for run in 0..EDGES {
        sleep(Duration::from_micros(10_000 + u64::from(run) * 617 % 7_000)).await;
        let (level, begun) = (run % 2 == 0, Instant::now());
        sim.set_input(INPUT_LOOP, Some(level))?;
        timeout(PATIENCE, reading.wait_for(|reading| reading.value == Some(level))).await??;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times)
}

/// Pulls out and plugs in again; how long it took from plugging in until the board was up.
async fn replugs(sim: &SimHandle, hardware: &Hardware, part: &str, board: &str) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::new();
    for _ in 0..REPLUGS {
        sim.set_fault(part, Fault::Dead)?;
        until(hardware, board, |health| matches!(health, Health::Down { .. })).await?;
        let plugged = Instant::now();
        sim.set_fault(part, Fault::None)?;
        until(hardware, board, Health::is_up).await?;
        times.push(plugged.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times)
}
