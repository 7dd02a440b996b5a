//! `[webhooks]` of the configuration.

use std::path::PathBuf;

use serde::Deserialize;

use crate::config::ConfigError;
use crate::webhooks::guard::Guard;

/// Where webhooks may lead, and whom they trust there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Receivers that need no address of the public Internet: names of hosts, addresses, or networks (`10.1.2.0/24`).
    pub allow: Vec<String>,
    /// PEM file of CAs that receivers are trusted by, beside the system's.
    pub ca: Option<PathBuf>,
}

impl Settings {
    /// Refuses what is neither host nor network.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        self.guard().map(drop)
    }

    /// Who judges addresses.
    pub(crate) fn guard(&self) -> Result<Guard, ConfigError> {
        Guard::new(&self.allow).map_err(|entry| ConfigError::Value {
            key: "webhooks.allow",
            value: entry,
            rule: "each entry is the name of a host, an address, or a network such as 10.1.2.0/24",
        })
    }
}
