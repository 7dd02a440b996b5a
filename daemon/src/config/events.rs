//! `[events]`: how much the outbox keeps while the network is away. Oldest events of least value go first.

use serde::{Deserialize, Serialize};

/// Bounds of the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventsConfig {
    /// Events, 100 to 1000000.
    pub max_rows: u32,
    /// Size of all of them, in KiB, 64 to 1048576.
    pub max_kib: u32,
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self { max_rows: 50_000, max_kib: 16_384 }
    }
}
