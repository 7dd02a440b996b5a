//! What can go wrong with a device, and what to do about it.

/// A device did not do what was asked. The message names the device, what was tried and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// No connection, or it broke.
    #[error("{device} could not be reached to {action}: {reason}; check its power, cabling and address")]
    Unreachable {
        /// The board or camera, with its bus address.
        device: String,
        /// What was tried.
        action: String,
        /// What the operating system or the network said.
        reason: String,
        /// True when the request may have left this machine before the connection broke.
        sent: bool,
    },
    /// The device is connected but did not answer, or could not be asked, in time.
    #[error("{device} did not {action} within {after_ms} ms{}; check its load and its link", if *.sent { "" } else { " (nothing was sent)" })]
    Timeout {
        /// The board or camera, with its bus address.
        device: String,
        /// What was tried.
        action: String,
        /// The limit that passed, in milliseconds.
        after_ms: u64,
        /// True when the request may have left this machine before the limit passed.
        sent: bool,
    },
    /// The device answered something that its protocol does not allow.
    #[error("{device} answered nonsense when asked to {action}: {reason}; check that the driver suits the device")]
    Protocol {
        /// The board or camera, with its bus address.
        device: String,
        /// What was tried.
        action: String,
        /// What was wrong with the answer.
        reason: String,
    },
    /// A camera whose stream goes on while its picture stands still.
    #[error(
        "{device} is frozen: it has shown the same picture for {for_s} s; restart it, and check that no recording is played to it"
    )]
    Frozen {
        /// The camera, with its address.
        device: String,
        /// For how long, in seconds.
        for_s: u64,
    },
    /// The device or this machine cannot do what was asked; nothing was done.
    #[error("{device} cannot {action}: {reason}")]
    Unsupported {
        /// The board or camera, with its bus address.
        device: String,
        /// What was tried.
        action: String,
        /// Why not, and what would help.
        reason: String,
    },
    /// The configuration does not describe a usable site.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl DeviceError {
    /// Whether the device may have acted in spite of the error. False means: certainly *not done*.
    pub fn may_have_acted(&self) -> bool {
        match self {
            Self::Unreachable { sent, .. } | Self::Timeout { sent, .. } => *sent,
            Self::Protocol { .. } => true,
            Self::Frozen { .. } | Self::Unsupported { .. } | Self::Config(_) => false,
        }
    }

    /// Whether the connection it happened on is of no further use.
    pub(crate) fn ends_connection(&self) -> bool {
        !matches!(self, Self::Unsupported { .. } | Self::Config(_))
    }

    pub(crate) fn unreachable(device: &str, action: &str, reason: impl ToString, sent: bool) -> Self {
        Self::Unreachable { device: device.into(), action: action.into(), reason: reason.to_string(), sent }
    }

    pub(crate) fn protocol(device: &str, action: &str, reason: impl ToString) -> Self {
        Self::Protocol { device: device.into(), action: action.into(), reason: reason.to_string() }
    }

    pub(crate) fn unsupported(device: &str, action: &str, reason: impl ToString) -> Self {
        Self::Unsupported { device: device.into(), action: action.into(), reason: reason.to_string() }
    }
}

/// Everything that is wrong with a hardware configuration, all at once, so that an installer corrects it in one go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the hardware configuration cannot be used: {}", .problems.join("; "))]
pub struct ConfigError {
    /// One sentence for each problem: which entry, what is wrong, what to write instead.
    pub problems: Vec<String>,
}
