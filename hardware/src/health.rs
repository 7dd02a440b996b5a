//! Whether a device can be used right now.

/// The state of a board's or camera's connection, published through a `tokio::sync::watch` channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Opened, first contact not made yet.
    Starting,
    /// Answering; outputs were put into their safe state when it came up.
    Up,
    /// Not usable. It is tried again in the background.
    Down {
        /// What happened, in words for an installer.
        reason: String,
    },
}

impl Health {
    /// True for [`Health::Up`].
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Up)
    }
}
