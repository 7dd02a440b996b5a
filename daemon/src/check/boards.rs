//! Does each board answer?

use std::time::Duration;

use cardea_hardware::Hardware;
use cardea_hardware::config::HardwareConfig;

use super::answers::Kind;
use super::{Context, Finding, Verdict, chain};

const BOARD: Kind = Kind {
    check: "board",
    todo: "check its power, its cable and its address; ping it if it has one",
    wait: "try again in a moment",
    patience: Duration::from_secs(3),
    silence: Verdict::Failure,
};

pub(super) async fn check(context: &Context) -> Vec<Finding> {
    let HardwareConfig { boards, outputs, inputs, .. } = context.config.hardware();
    if context.running.is_some() {
        return boards.iter().filter_map(|board| BOARD.told(context, board.id())).collect();
    }
    if boards.is_empty() {
        return Vec::new();
    }
    let only_boards = HardwareConfig { boards, outputs, inputs, ..HardwareConfig::default() };
    match Hardware::open(&only_boards) {
        Ok(hardware) => {
            let mut findings = Vec::new();
            for (name, health) in hardware.health() {
                findings.push(BOARD.asked(name, health).await);
            }
            hardware.shutdown().await;
            findings
        }
        Err(error) => vec![Finding::failure(BOARD.check, chain(&error), "correct the configuration")],
    }
}
