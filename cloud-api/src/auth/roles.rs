//! The one table of roles: what each may do. Everything else is refused.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $id:literal),+ $(,)?) => {
        /// One thing the API can do; its name is the `operationId` of the OpenAPI document and the audit's `action`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Operation { $($(#[$doc])* $name),+ }

        impl Operation {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The `operationId`.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id),+ }
            }
        }
    };
}

operations! {
    /// Register a site.
    RegisterSite = "register_site",
    /// Register a customer.
    RegisterCustomer = "register_customer",
    /// Register a credential.
    RegisterPrincipal = "register_principal",
    /// Register where logins by browser through a client lead back to.
    RegisterRedirectUri = "register_redirect_uri",
    /// Register a controller and get its claim code.
    RegisterController = "register_controller",
    /// Make another claim code for a controller that has not been claimed.
    RenewClaim = "renew_claim",
    /// See a controller.
    ReadController = "read_controller",
    /// Revoke a controller.
    RevokeController = "revoke_controller",
    /// Decommission a controller.
    DecommissionController = "decommission_controller",
    /// List sites.
    ListSites = "list_sites",
    /// List a site's equipment.
    ListEquipment = "list_equipment",
    /// List a site's plates.
    ListPlates = "list_plates",
    /// Admit a plate.
    AdmitPlate = "admit_plate",
    /// Admit a plate no more.
    RemovePlate = "remove_plate",
    /// List a site's cards.
    ListCards = "list_cards",
    /// Admit a card.
    AdmitCard = "admit_card",
    /// Admit a card no more.
    RemoveCard = "remove_card",
    /// Record a consent.
    RecordConsent = "record_consent",
    /// Withdraw a consent.
    WithdrawConsent = "withdraw_consent",
    /// See an erasure and its receipts.
    ReadErasure = "read_erasure",
    /// Enrol a face.
    EnrolFace = "enrol_face",
    /// Open a barrier or door.
    Open = "open_access_point",
    /// Block a former owner.
    SellProperty = "sell_property",
    /// See a property sale.
    ReadSale = "read_sale",
    /// List events.
    ListEvents = "list_events",
    /// Export an incident log.
    ExportIncident = "export_incident",
}

/// What an account is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The operator's staff: installs, and sees nothing of residents.
    Operator,
    /// A customer's administrator: everything at its own sites.
    CustomerAdmin,
    /// A customer's back end: daily work at its own sites, no sales and no exports.
    CustomerService,
    /// A customer's auditor: reads and exports, changes nothing.
    Auditor,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Operator, Self::CustomerAdmin, Self::CustomerService, Self::Auditor];

    /// The name in tokens and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::CustomerAdmin => "customer-admin",
            Self::CustomerService => "customer-service",
            Self::Auditor => "auditor",
        }
    }

    /// The role of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether accounts of this role belong to a customer. The others are the operator's own.
    pub const fn is_of_customer(self) -> bool {
        !matches!(self, Self::Operator)
    }

    /// Whether this role includes `operation`: the table.
    pub const fn may(self, operation: Operation) -> bool {
        use Operation as O;
        match self {
            Self::Operator => matches!(
                operation,
                O::RegisterSite
                    | O::RegisterCustomer
                    | O::RegisterPrincipal
                    | O::RegisterRedirectUri
                    | O::RegisterController
                    | O::RenewClaim
                    | O::ReadController
                    | O::RevokeController
                    | O::DecommissionController
                    | O::ListSites
                    | O::ListEquipment
                    | O::ReadErasure
            ),
            Self::CustomerAdmin => matches!(operation, O::SellProperty | O::ExportIncident) || daily(operation),
            Self::CustomerService => daily(operation),
            Self::Auditor => matches!(
                operation,
                O::ListSites | O::ListEquipment | O::ReadErasure | O::ReadSale | O::ListEvents | O::ExportIncident
            ),
        }
    }
}

const fn daily(operation: Operation) -> bool {
    use Operation as O;
    matches!(
        operation,
        O::ListSites
            | O::ListEquipment
            | O::ListPlates
            | O::AdmitPlate
            | O::RemovePlate
            | O::ListCards
            | O::AdmitCard
            | O::RemoveCard
            | O::RecordConsent
            | O::WithdrawConsent
            | O::ReadErasure
            | O::EnrolFace
            | O::Open
            | O::ReadSale
            | O::ListEvents
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for role in Role::ALL {
            assert_eq!(Role::from_name(role.name()), Some(role));
            assert_eq!(serde_json::to_value(role).ok(), Some(role.name().into()));
        }
        assert_eq!(Role::from_name("root"), None);
    }

    #[test]
    fn every_operation_is_someones() {
        for operation in Operation::ALL {
            assert!(Role::ALL.iter().any(|role| role.may(*operation)), "{operation:?}");
        }
    }

    #[test]
    fn the_operator_touches_nothing_of_residents() {
        for operation in [
            Operation::ListPlates,
            Operation::ListCards,
            Operation::EnrolFace,
            Operation::Open,
            Operation::ExportIncident,
        ] {
            assert!(!Role::Operator.may(operation));
        }
    }
}
