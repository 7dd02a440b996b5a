//! Do card readers, and cameras that read plates themselves, answer?

use std::collections::BTreeMap;
use std::time::Duration;

use cardea_hardware::config::HardwareConfig;
use cardea_hardware::{Hardware, Health};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Context, Finding, chain};

/// How long one may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
const READER: (&str, &str) =
    ("reader", "check its cable, address and baud rate; a new OSDP reader needs a key first: cardead reader-install");
const ANPR: (&str, &str) = (
    "plate camera",
    "check its power, cable, address, user name and password; a camera that posts is known only once it has",
);

pub(super) async fn check(context: &Context) -> Vec<Finding> {
    let config = &context.config;
    let names = config.readers.iter().map(|r| (r.id(), READER)).chain(config.anpr.iter().map(|a| (a.id(), ANPR)));
    if let Some(status) = &context.running {
        return names.map(|(name, what)| told(what, name, status.devices.get(name).copied().flatten())).collect();
    }
    if config.readers.is_empty() && config.anpr.is_empty() {
        return Vec::new();
    }
    let only_these =
        HardwareConfig { readers: config.readers.clone(), anpr: config.anpr.clone(), ..HardwareConfig::default() };
    let hardware = match Hardware::open(&only_these) {
        Ok(hardware) => hardware,
        Err(error) => return vec![Finding::failure(READER.0, chain(&error), "correct the configuration")],
    };
    let readers = hardware.readers.iter().map(|(name, reader)| (name.as_str(), reader.health()));
    let anpr = hardware.anpr.iter().map(|(name, camera)| (name.as_str(), camera.health()));
    let health: BTreeMap<&str, watch::Receiver<Health>> = readers.chain(anpr).collect();
    let mut findings = Vec::new();
    for (name, what) in names {
        let Some(health) = health.get(name) else { continue };
        findings.push(asked(what, name, health.clone()).await);
    }
    hardware.shutdown().await;
    findings
}

/// What the running program says of it.
fn told((kind, todo): (&'static str, &str), name: &str, answers: Option<bool>) -> Finding {
    match answers {
        Some(true) => Finding::ok(kind, format!("{name} answers, says the running cardead")),
        Some(false) => Finding::failure(kind, format!("{name} does not answer, says the running cardead"), todo),
        None => Finding::warning(kind, format!("{name} has not been heard of yet"), todo),
    }
}

async fn asked((kind, todo): (&'static str, &str), name: &str, mut health: watch::Receiver<Health>) -> Finding {
    let decided = timeout(PATIENCE, health.wait_for(|health| *health != Health::Starting)).await;
    match decided {
        Ok(Ok(health)) => match &*health {
            Health::Down { reason } => Finding::failure(kind, format!("{name} does not answer: {reason}"), todo),
            Health::Up | Health::Starting => Finding::ok(kind, format!("{name} answers")),
        },
        Ok(Err(_)) | Err(_) => {
            Finding::warning(kind, format!("{name} was not heard of within {} s", PATIENCE.as_secs()), todo)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[tokio::test]
    async fn each_answer_has_its_verdict_and_what_to_do() {
        let verdict = |finding: Finding| (finding.verdict, finding.todo.is_some());
        for (answers, expected) in [
            (Some(true), (Verdict::Ok, false)),
            (Some(false), (Verdict::Failure, true)),
            (None, (Verdict::Warning, true)),
        ] {
            assert_eq!(verdict(told(READER, "door-reader", answers)), expected);
        }
        for (health, expected) in [
            (Health::Up, (Verdict::Ok, false)),
            (Health::Down { reason: "no such file".into() }, (Verdict::Failure, true)),
        ] {
            let (_sender, health) = watch::channel(health);
            assert_eq!(verdict(asked(ANPR, "lane-1", health).await), expected);
        }
    }
}
