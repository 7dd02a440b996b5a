//! The one table of roles: what each may do. Everything else is refused.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! operations {
    ($(#[doc = $doc:literal] $name:ident = $id:literal: [$($role:ident),+ $(,)?]),+ $(,)?) => {
        /// One thing the API can do; its name is the `operationId` of the OpenAPI document and the audit's `action`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Operation { $(#[doc = $doc] $name),+ }

        impl Operation {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The `operationId`.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id),+ }
            }

            /// What it is, for people.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $doc.trim()),+ }
            }

            /// Who may do it: the table.
            pub const fn roles(self) -> &'static [Role] {
                match self { $(Self::$name => &[$(Role::$role),+]),+ }
            }
        }
    };
}

operations! {
    /// Register a site.
    RegisterSite = "register_site": [Operator],
    /// Register a customer.
    RegisterCustomer = "register_customer": [Operator],
    /// Register an account.
    RegisterPrincipal = "register_principal": [Operator, Administrator],
    /// Register where logins by browser through a client lead back to.
    RegisterRedirectUri = "register_redirect_uri": [Operator, Administrator],
    /// List accounts.
    ListPrincipals = "list_principals": [Operator, SecurityOfficer, Auditor, Administrator],
    /// Revoke an account.
    RevokePrincipal = "revoke_principal": [SecurityOfficer, Administrator],
    /// Revoke a client certificate.
    RevokeCertificate = "revoke_certificate": [SecurityOfficer, Administrator],
    /// Give an installer its sites.
    GiveSites = "give_sites": [Operator, Administrator],
    /// Read the audit.
    ReadAudit = "read_audit": [SecurityOfficer, Auditor],
    /// Register a controller and get its claim code.
    RegisterController = "register_controller": [Operator, Installer],
    /// Make another claim code for a controller that has not been claimed.
    RenewClaim = "renew_claim": [Operator, Installer],
    /// See a controller.
    ReadController = "read_controller": [Operator, Installer, SecurityOfficer],
    /// Revoke a controller.
    RevokeController = "revoke_controller": [Operator, SecurityOfficer],
    /// Decommission a controller.
    DecommissionController = "decommission_controller": [Operator],
    /// List sites.
    ListSites = "list_sites":
        [CustomerIntegration, ResidentSupport, Operator, Installer, SecurityOfficer, Auditor],
    /// List a site's equipment.
    ListEquipment = "list_equipment": [CustomerIntegration, ResidentSupport, Operator, Installer, Auditor],
    /// List a site's plates.
    ListPlates = "list_plates": [CustomerIntegration, ResidentSupport],
    /// Admit a plate.
    AdmitPlate = "admit_plate": [CustomerIntegration, ResidentSupport],
    /// See an admitted plate.
    ReadPlate = "read_plate": [CustomerIntegration, ResidentSupport],
    /// Change when a plate is admitted.
    ChangePlate = "change_plate": [CustomerIntegration, ResidentSupport],
    /// Admit a plate no more.
    RemovePlate = "remove_plate": [CustomerIntegration, ResidentSupport],
    /// List a site's guest passes.
    ListGuestPasses = "list_guest_passes": [CustomerIntegration, ResidentSupport],
    /// Give a guest a pass.
    GiveGuestPass = "give_guest_pass": [CustomerIntegration, ResidentSupport],
    /// See a guest pass.
    ReadGuestPass = "read_guest_pass": [CustomerIntegration, ResidentSupport],
    /// Take a guest pass back.
    EndGuestPass = "end_guest_pass": [CustomerIntegration, ResidentSupport],
    /// Open a barrier or door with a guest pass.
    OpenWithPass = "open_with_guest_pass": [CustomerIntegration, ResidentSupport],
    /// List a site's cards.
    ListCards = "list_cards": [CustomerIntegration, ResidentSupport],
    /// Admit a card.
    AdmitCard = "admit_card": [CustomerIntegration, ResidentSupport],
    /// See an admitted card.
    ReadCard = "read_card": [CustomerIntegration, ResidentSupport],
    /// Change when a card is admitted.
    ChangeCard = "change_card": [CustomerIntegration, ResidentSupport],
    /// Admit a card no more.
    RemoveCard = "remove_card": [CustomerIntegration, ResidentSupport],
    /// List consent texts.
    ListConsentTexts = "list_consent_texts": [CustomerIntegration, ResidentSupport, Auditor],
    /// Record a consent text.
    RecordConsentText = "record_consent_text": [CustomerIntegration],
    /// See a consent text.
    ReadConsentText = "read_consent_text": [CustomerIntegration, ResidentSupport, Auditor],
    /// List a site's consents.
    ListConsents = "list_consents": [CustomerIntegration, ResidentSupport, Auditor],
    /// See a consent.
    ReadConsent = "read_consent": [CustomerIntegration, ResidentSupport, Auditor],
    /// See what is held of a resident.
    ReadSubject = "read_subject": [CustomerIntegration, ResidentSupport],
    /// Record a consent.
    RecordConsent = "record_consent": [CustomerIntegration, ResidentSupport],
    /// Withdraw a consent.
    WithdrawConsent = "withdraw_consent": [CustomerIntegration, ResidentSupport],
    /// See an erasure and its receipts.
    ReadErasure = "read_erasure": [CustomerIntegration, ResidentSupport, Operator, SecurityOfficer, Auditor],
    /// Get the act of destruction.
    ReadAct = "read_act": [CustomerIntegration, ResidentSupport, SecurityOfficer, Auditor],
    /// Enrol a face.
    EnrolFace = "enrol_face": [CustomerIntegration, ResidentSupport],
    /// Open a barrier or door.
    Open = "open_access_point": [CustomerIntegration, ResidentSupport],
    /// Block a former owner.
    SellProperty = "sell_property": [CustomerIntegration],
    /// See a property sale.
    ReadSale = "read_sale": [CustomerIntegration, ResidentSupport, Auditor],
    /// List events.
    ListEvents = "list_events": [CustomerIntegration, ResidentSupport, SecurityOfficer, Auditor],
    /// Export an incident log.
    ExportIncident = "export_incident": [CustomerIntegration, SecurityOfficer, Auditor],
    /// List webhooks.
    ListWebhooks = "list_webhooks": [CustomerIntegration, Administrator],
    /// Register a webhook.
    RegisterWebhook = "register_webhook": [CustomerIntegration, Administrator],
    /// See a webhook.
    ReadWebhook = "read_webhook": [CustomerIntegration, Administrator],
    /// Give a webhook another secret.
    RotateWebhookSecret = "rotate_webhook_secret": [CustomerIntegration, Administrator],
    /// Remove a webhook.
    RemoveWebhook = "remove_webhook": [CustomerIntegration, Administrator],
}

/// What an account is for.
///
/// The names `customer-admin` and `customer-service` of earlier versions are read as `customer-integration` and
/// `resident-support`, in the database, in tokens and in requests: the roles that include what those did, and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A customer's back end: the customer's whole story at its own sites.
    #[serde(alias = "customer-admin")]
    CustomerIntegration,
    /// A customer's staff who serve residents: daily work at its own sites, no sales and no exports.
    #[serde(alias = "customer-service")]
    ResidentSupport,
    /// The operator's staff: sites, customers and controllers; sees nothing of residents.
    Operator,
    /// Who mounts controllers: those of the sites it was given, and nothing of residents.
    Installer,
    /// The operator's security officer: exports, the audit, and taking accounts and controllers away.
    SecurityOfficer,
    /// A customer's auditor at its own sites, or the operator's own: reads and exports, changes nothing.
    Auditor,
    /// The operator's administrator: accounts and their roles, and the operator's own webhooks; nothing else.
    Administrator,
}

/// Whose account may have a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belongs {
    /// A customer's.
    Customer,
    /// The operator's own.
    Operator,
    /// Either's.
    Either,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::CustomerIntegration,
        Self::ResidentSupport,
        Self::Operator,
        Self::Installer,
        Self::SecurityOfficer,
        Self::Auditor,
        Self::Administrator,
    ];

    /// Names of earlier versions, and what they are read as.
    pub const FORMER: [(&'static str, Self); 2] =
        [("customer-admin", Self::CustomerIntegration), ("customer-service", Self::ResidentSupport)];

    /// The name in tokens and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CustomerIntegration => "customer-integration",
            Self::ResidentSupport => "resident-support",
            Self::Operator => "operator",
            Self::Installer => "installer",
            Self::SecurityOfficer => "security-officer",
            Self::Auditor => "auditor",
            Self::Administrator => "administrator",
        }
    }

    /// What it is for, for people.
    pub const fn purpose(self) -> &'static str {
        match self {
            Self::CustomerIntegration => "a customer's back end: the customer's whole story at its own sites",
            Self::ResidentSupport => {
                "a customer's staff who serve residents: plates, cards, consents, faces and opening; no sales, no exports"
            }
            Self::Operator => "the operator's staff: sites, customers, controllers; nothing of residents",
            Self::Installer => "mounts controllers at the sites it was given; nothing of residents",
            Self::SecurityOfficer => "the operator's: exports, the audit, revoking accounts and controllers",
            Self::Auditor => {
                "reads and exports, changes nothing; a customer's at its own sites, the operator's everywhere"
            }
            Self::Administrator => "the operator's: accounts and their roles, its own webhooks, nothing else",
        }
    }

    /// The role of that name, or of that former name.
    pub fn from_name(name: &str) -> Option<Self> {
        let current = Self::ALL.into_iter().find(|role| role.name() == name);
        current.or_else(|| Self::FORMER.into_iter().find(|(former, _)| *former == name).map(|(_, role)| role))
    }

    /// Whose account may have this role.
    pub const fn belongs(self) -> Belongs {
        match self {
            Self::CustomerIntegration | Self::ResidentSupport => Belongs::Customer,
            Self::Operator | Self::Installer | Self::SecurityOfficer | Self::Administrator => Belongs::Operator,
            Self::Auditor => Belongs::Either,
        }
    }

    /// Whether an account of a customer, or of the operator's own, may have this role.
    pub const fn may_belong(self, to_customer: bool) -> bool {
        match self.belongs() {
            Belongs::Customer => to_customer,
            Belongs::Operator => !to_customer,
            Belongs::Either => true,
        }
    }

    /// Whether this role includes `operation`. What the table does not give is refused.
    pub fn may(self, operation: Operation) -> bool {
        operation.roles().contains(&self)
    }

    /// Whether an account of this role may register one of role `other`, of a customer or of the operator's own: nobody
    /// but an administrator makes an account that can do more than its maker.
    pub fn may_give(self, other: Self, to_customer: bool) -> bool {
        match self {
            Self::Administrator => true,
            Self::Operator => to_customer || other == Self::Installer,
            _ => false,
        }
    }
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
    fn former_names_are_read_and_never_written() {
        for (former, role) in Role::FORMER {
            assert_eq!(Role::from_name(former), Some(role));
            assert_eq!(serde_json::from_value::<Role>(former.into()).ok(), Some(role));
            assert!(Role::ALL.iter().all(|role| role.name() != former));
        }
    }

    #[test]
    fn every_operation_is_someones_and_every_role_can_do_something() {
        for operation in Operation::ALL {
            assert!(!operation.roles().is_empty(), "{operation:?}");
        }
        for role in Role::ALL {
            assert!(Operation::ALL.iter().any(|operation| role.may(*operation)), "{role:?}");
        }
    }

    #[test]
    fn those_who_run_the_service_touch_nothing_of_residents() {
        for role in [Role::Operator, Role::Installer, Role::Administrator] {
            for operation in [
                Operation::ListPlates,
                Operation::ListCards,
                Operation::ListEvents,
                Operation::EnrolFace,
                Operation::Open,
                Operation::ExportIncident,
            ] {
                assert!(!role.may(operation), "{role:?} {operation:?}");
            }
        }
    }

    #[test]
    fn an_operator_makes_no_account_that_can_do_more_than_itself() {
        for role in Role::ALL {
            assert!(Role::Administrator.may_give(role, false));
            assert_eq!(Role::Operator.may_give(role, false), role == Role::Installer, "{role:?}");
            for giver in Role::ALL.into_iter().filter(|giver| !giver.may(Operation::RegisterPrincipal)) {
                assert!(!giver.may_give(role, true) && !giver.may_give(role, false), "{giver:?}");
            }
        }
    }
}
