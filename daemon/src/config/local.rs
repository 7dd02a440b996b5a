//! `[local]`: the status socket, for people at the controller.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where the controller says how it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LocalConfig {
    /// A Unix socket, made at start with mode 0660. At most 107 bytes long.
    pub socket: PathBuf,
    /// A Unix socket that takes orders: postures, and forgetting who is inside. No orders are taken if absent. Made at start
    /// with mode 0660; its group, that of its folder where that has the setgid bit, is the people who may order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orders: Option<PathBuf>,
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self { socket: "/run/cardea/local.sock".into(), orders: None }
    }
}
