//! Relay: a pulse through the driver, until the board has acknowledged it, beside a bare Modbus write.

use std::time::Duration;

use cardea_hardware::sim::{Sim, SimConfig};
use cardea_hardware::{Hardware, HardwareConfig};
use tokio::time::{Instant, sleep};
use tokio_modbus::client::{Writer as _, tcp};
use tokio_modbus::slave::Slave;

use super::{Summary, median};
use crate::site::poll;

const RUNS: usize = 40;

/// Measures both against the same simulated board.
pub async fn run(summary: &mut Summary) -> anyhow::Result<()> {
    let sim = Sim::start(SimConfig::default()).await?;
    let config: HardwareConfig = toml::from_str(&format!(
        "[[board]]\nid = 'io'\ndriver = 'modbus-tcp'\naddress = '{}'\nunit = 1\n[[output]]\nid = 'relay'\nboard = 'io'\nchannel = 8\n",
        sim.modbus_addr()
    ))?;
    let hardware = Hardware::open(&config)?;
    let relay = hardware.outputs.get("relay").ok_or_else(|| anyhow::anyhow!("the relay was not opened"))?;
    poll(Duration::from_secs(5), "the board is up", async || Ok(relay.health().borrow().is_up().then_some(()))).await?;

    let mut ours = Vec::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        relay.pulse(Duration::from_millis(50)).await?;
        ours.push(start.elapsed().as_secs_f64() * 1e3);
        sleep(Duration::from_millis(120)).await;
    }
    hardware.shutdown().await;

    let mut bare = tcp::connect_slave(sim.modbus_addr(), Slave(1)).await?;
    let mut peer = Vec::new();
    for run in 0..RUNS {
        let start = Instant::now();
        bare.write_single_coil(9, run % 2 == 0).await??;
        peer.push(start.elapsed().as_secs_f64() * 1e3);
    }
    sim.shutdown().await;
    summary.beside("relay: order to acknowledged pulse", median(ours), "ms", "bare Modbus TCP write", median(peer));
    Ok(())
}
