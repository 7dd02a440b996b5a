//! Does each board answer?

use std::time::Duration;

use cardea_hardware::config::HardwareConfig;
use cardea_hardware::{Hardware, Health};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Context, Finding, chain};

const NAME: &str = "board";
/// How long a board may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
const TODO: &str = "check its power, its cable and its address; ping it if it has one";

pub(super) async fn check(context: &Context) -> Vec<Finding> {
    if context.config.boards.is_empty() {
        return Vec::new();
    }
    if let Some(status) = &context.running {
        let answers = |name: &str| status.devices.get(name).copied().flatten();
        return context.config.boards.iter().map(|board| told(board.id(), answers(board.id()))).collect();
    }
    let HardwareConfig { boards, outputs, inputs, .. } = context.config.hardware();
    let only_boards = HardwareConfig { boards, outputs, inputs, ..HardwareConfig::default() };
    match Hardware::open(&only_boards) {
        Ok(hardware) => {
            let mut findings = Vec::new();
            for (name, health) in &hardware.boards {
                findings.push(asked(name, health.clone()).await);
            }
            hardware.shutdown().await;
            findings
        }
        Err(error) => vec![Finding::failure(NAME, chain(&error), "correct the configuration")],
    }
}

/// What the running program says of it.
fn told(name: &str, answers: Option<bool>) -> Finding {
    match answers {
        Some(true) => Finding::ok(NAME, format!("{name} answers, says the running cardead")),
        Some(false) => Finding::failure(NAME, format!("{name} does not answer, says the running cardead"), TODO),
        None => Finding::warning(NAME, format!("{name} has not been reached yet"), "try again in a moment"),
    }
}

async fn asked(name: &str, mut health: watch::Receiver<Health>) -> Finding {
    let decided = timeout(PATIENCE, health.wait_for(|health| *health != Health::Starting)).await;
    match decided {
        Ok(Ok(health)) => match &*health {
            Health::Down { reason } => Finding::failure(NAME, format!("{name} does not answer: {reason}"), TODO),
            Health::Up | Health::Starting => Finding::ok(NAME, format!("{name} answers")),
        },
        Ok(Err(_)) | Err(_) => {
            Finding::failure(NAME, format!("{name} did not answer within {} s", PATIENCE.as_secs()), TODO)
        }
    }
}
