//! A line reader's adapter, pulled out and plugged in again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "tests")]

use std::time::Duration;

use cardea_hardware::{
    Hardware, HardwareConfig, Health,
    sim::{Fault, LINE_READER_PART, Sim, SimConfig},
};
use serde_json::json;
use tokio::time::{Instant, timeout};

const PATIENCE: Duration = Duration::from_secs(30);
/// How soon a reader that is plugged in again has to be read.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// How often the adapter is pulled out where it is done often.
const REPLUGS: usize = 1_000;

/// Pulls the adapter out and plugs it in again, `times` over; the longest time until a card was read again.
async fn replugged(times: usize) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reader");
    let sim = Sim::start(SimConfig { line_reader: Some(path.clone()), ..SimConfig::default() }).await.unwrap();
    let config: HardwareConfig =
        toml::from_str(&format!("[[reader]]\nid = 'door'\ndriver = 'serial-line'\npath = {path:?}\nformat = 'text'\n"))
            .unwrap();
    let hardware = Hardware::open(&config).unwrap();
    let reader = &hardware.readers["door"];
    let (mut health, mut reads) = (reader.health(), reader.watch());
    timeout(PATIENCE, health.wait_for(Health::is_up)).await.expect("up").unwrap();
    let mut longest = Duration::ZERO;
    for n in 0..times {
        sim.set_fault(LINE_READER_PART, Fault::Dead).unwrap();
        timeout(PATIENCE, health.wait_for(|health| !health.is_up())).await.expect("down").unwrap();
        let plugged = Instant::now();
        sim.set_fault(LINE_READER_PART, Fault::None).unwrap();
        timeout(PATIENCE, health.wait_for(Health::is_up)).await.expect("up again").unwrap();
        let number = format!("visitor-{n}");
        sim.act(LINE_READER_PART, "card", json!({ "number": number })).unwrap();
        let shown = format!("text:{number}");
        let read =
            |reads: &cardea_hardware::Reads| reads.last.as_ref().is_some_and(|read| read.number.expose() == shown);
        timeout(PATIENCE, reads.wait_for(read)).await.expect("a card").unwrap();
        longest = longest.max(plugged.elapsed());
    }
    hardware.shutdown().await;
    sim.shutdown().await;
    longest
}

#[tokio::test]
async fn a_line_reader_that_is_replugged_is_read_again() {
    let longest = replugged(5).await;
    assert!(longest < BACK_WITHIN, "{longest:?}");
}

#[tokio::test]
#[ignore = "takes minutes: cargo nextest run -p cardea-hardware --run-ignored only thousand --no-capture"]
async fn a_thousand_replugs_of_a_line_reader() {
    let longest = replugged(REPLUGS).await;
    eprintln!("line reader: read again after replugging, the longest of {REPLUGS}: {} ms", longest.as_millis());
    assert!(longest < BACK_WITHIN, "{longest:?}");
}
