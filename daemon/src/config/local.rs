//! `[local]`: the status socket, for people at the controller.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where the controller says how it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LocalConfig {
    /// A Unix socket, made at start with mode 0660. At most 107 bytes long.
    pub socket: PathBuf,
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self { socket: "/run/cardea/local.sock".into() }
    }
}
