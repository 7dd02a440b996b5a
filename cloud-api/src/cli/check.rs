//! `cardea-cloud check`: what is wrong with the installation, and what to do. Starts nothing, changes nothing but what
//! the first start would make.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use cardea_cloud::config::Config;
use cardea_cloud::listener::certificates::client_authorities;
use cardea_cloud::recognition::PackEnroller;
use cardea_cloud::server::{Data, bind};
use cardea_cloud::webhooks::sender::{Https, SystemNames};
use cardea_protocol::clock::{Clock as _, SharedClock, SystemClock};

use super::say;

/// A wall clock before this was never set (2026-01-01).
const EARLIEST_PLAUSIBLE_MS: i64 = 1_767_225_600_000;

/// Check the installation.
#[derive(clap::Args)]
pub(super) struct Check {
    /// The configuration file.
    #[arg(long, env = "CARDEA_CLOUD_CONFIG")]
    config: PathBuf,
}

impl Check {
    pub(super) fn carry_out(self) -> anyhow::Result<ExitCode> {
        let mut report = Report { failed: false };
        if let Some(config) = report.add("configuration", Config::load(&self.config)) {
            let clock: SharedClock = Arc::new(SystemClock);
            let data = report.add("data directory, database and keys", Data::open(&config, &clock));
            report.add("trusted client CAs", client_authorities(&config));
            report.add("API address", bind(config.server.api_listen));
            report.add("enrolment address", bind(config.server.enrol_listen));
            match (&config.broker, data) {
                (None, _) => drop(report.add("broker address", bind(config.server.broker_listen))),
                (Some(other), Some(data)) => {
                    drop(report.add("the CA of the other broker", other.broker(data.authority.certificate_der())));
                }
                (Some(_), None) => {}
            }
            report.add("way out for webhooks", Https::new(&config.webhooks, Arc::new(SystemNames)));
            match &config.recognition {
                Some(recognition) => drop(report.add("model pack", PackEnroller::load(recognition))),
                None => say("- model pack: none is configured, so photos will be refused; add [recognition]"),
            }
        }
        let plausible = if SystemClock.now().0 > EARLIEST_PLAUSIBLE_MS { Ok(()) } else { Err(ClockNotSet) };
        report.add("clock", plausible);
        Ok(if report.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the clock was never set: certificates and tokens would be refused; enable time synchronisation")]
struct ClockNotSet;

struct Report {
    failed: bool,
}

impl Report {
    /// Prints a line; returns what was checked if it is good.
    fn add<T, E: std::error::Error + Send + Sync + 'static>(&mut self, name: &str, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => {
                say(format_args!("✓ {name}"));
                Some(value)
            }
            Err(error) => {
                self.failed = true;
                say(format_args!("✗ {name}: {:#}", anyhow::Error::new(error)));
                None
            }
        }
    }
}
