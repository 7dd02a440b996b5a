//! Do card readers, and cameras that read plates themselves, answer?

use std::time::Duration;

use cardea_hardware::Hardware;
use cardea_hardware::config::HardwareConfig;

use super::answers::Kind;
use super::{Context, Finding, Verdict, chain};

const READER_TODO: &str =
    "check its cable, address and baud rate; a new OSDP reader needs a key first: cardead reader-install";
const ANPR_TODO: &str =
    "check its power, cable, address, user name and password; a camera that posts is known only once it has";

const READER: Kind = Kind {
    check: "reader",
    todo: READER_TODO,
    wait: READER_TODO,
    patience: Duration::from_secs(5),
    silence: Verdict::Warning,
};
const ANPR: Kind = Kind { check: "plate camera", todo: ANPR_TODO, wait: ANPR_TODO, ..READER };

pub(super) async fn check(context: &Context) -> Vec<Finding> {
    let config = &context.config;
    let readers = config.readers.iter().map(|reader| (reader.id(), READER));
    let all: Vec<(&str, Kind)> = readers.chain(config.anpr.iter().map(|camera| (camera.id(), ANPR))).collect();
    if context.running.is_some() {
        return all.into_iter().filter_map(|(name, kind)| kind.told(context, name)).collect();
    }
    if all.is_empty() {
        return Vec::new();
    }
    let only_these =
        HardwareConfig { readers: config.readers.clone(), anpr: config.anpr.clone(), ..HardwareConfig::default() };
    let hardware = match Hardware::open(&only_these) {
        Ok(hardware) => hardware,
        Err(error) => return vec![Finding::failure(READER.check, chain(&error), "correct the configuration")],
    };
    let mut findings = Vec::new();
    for (name, kind) in all {
        if let Some((_, health)) = hardware.health().find(|(known, _)| *known == name) {
            findings.push(kind.asked(name, health).await);
        }
    }
    hardware.shutdown().await;
    findings
}
