//! What can be told: a closed list.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A kind of message. Its data are ids alone; the API tells the rest to whoever may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub enum Kind {
    /// A consent was withdrawn: `site_id`, `consent_id`, `erasure_id`.
    #[serde(rename = "consent.withdrawn")]
    ConsentWithdrawn,
    /// Every controller that had to has erased, or is decommissioned: `site_id`, `erasure_id`.
    #[serde(rename = "erasure.completed")]
    ErasureCompleted,
    /// A sale is in force at every controller, and its erasures are complete: `site_id`, `sale_id`.
    #[serde(rename = "property-sale.completed")]
    SaleCompleted,
    /// Access was decided at a barrier or door: `site_id`, `event_id`.
    #[serde(rename = "access.event")]
    AccessEvent,
    /// A controller is connected: `site_id`, `controller_id`.
    #[serde(rename = "controller.reachable")]
    ControllerReachable,
    /// A controller is not connected any more: `site_id`, `controller_id`.
    #[serde(rename = "controller.unreachable")]
    ControllerUnreachable,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::ConsentWithdrawn,
        Self::ErasureCompleted,
        Self::SaleCompleted,
        Self::AccessEvent,
        Self::ControllerReachable,
        Self::ControllerUnreachable,
    ];

    /// As it is stored and told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConsentWithdrawn => "consent.withdrawn",
            Self::ErasureCompleted => "erasure.completed",
            Self::SaleCompleted => "property-sale.completed",
            Self::AccessEvent => "access.event",
            Self::ControllerReachable => "controller.reachable",
            Self::ControllerUnreachable => "controller.unreachable",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether the operator may be told. Nothing of residents is for it.
    pub const fn is_for_operator(self) -> bool {
        matches!(self, Self::ControllerReachable | Self::ControllerUnreachable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_name(kind.as_str()), Some(kind));
            assert_eq!(serde_json::to_value(kind).ok(), Some(kind.as_str().into()));
        }
        assert_eq!(Kind::from_name("plate.admitted"), None);
    }
}
