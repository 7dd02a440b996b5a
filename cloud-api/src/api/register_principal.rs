//! `POST /v1/principals`: the operator registers an account: a login with password, a certificate subject, or both.

use axum::extract::State;
use axum::response::Response;
use cardea_protocol::id::CustomerId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::extract::Json;
use super::{created, short_text};
use crate::auth::roles::{Belongs, Role};
use crate::auth::{Caller, hash_password};
use crate::problem::Problem;
use crate::state::Shared;
use crate::storage::principals::{Principal, PrincipalError};

// === error ===

impl From<PrincipalError> for Problem {
    fn from(error: PrincipalError) -> Self {
        match error {
            PrincipalError::Exists => Self::Exists("principal"),
            PrincipalError::UnknownCustomer => Self::Conflict("the customer is not registered: register it first"),
            PrincipalError::Storage(error) => error.into(),
        }
    }
}

// === doc ===

/// An account to register.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterPrincipal {
    /// Its login, which is its OAuth client id too; a name of a system or a post, not of a person.
    #[schema(value_type = String, example = "birch-homes-backend")]
    principal_id: CustomerId,
    /// Whose it is; nothing for the operator's own.
    #[schema(value_type = Option<String>)]
    customer_id: Option<CustomerId>,
    /// What it may do.
    role: Role,
    /// For the password grant; 15 characters at least.
    password: Option<String>,
    /// For the client_credentials grant: subject of the client certificate (RFC 4514), most significant part last.
    #[schema(example = "CN=backend,O=Birch Homes,C=RU")]
    subject_dn: Option<String>,
}

/// A registered account.
#[derive(Serialize, ToSchema)]
pub(crate) struct PrincipalRegistered {
    /// Its login and OAuth client id.
    #[schema(value_type = String)]
    principal_id: CustomerId,
}

// === handler ===

/// Register an account.
#[utoipa::path(post, path = "/v1/principals", operation_id = "register_principal", tag = "operator",
    request_body = RegisterPrincipal, security(("token" = [])),
    responses((status = 201, description = "Registered", body = PrincipalRegistered)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Json(request): Json<RegisterPrincipal>,
) -> Result<Response, Problem> {
    let RegisterPrincipal { principal_id, customer_id, role, password, subject_dn } = request;
    let password = password.map(Zeroizing::new);
    let rightly_owned = match role.belongs() {
        Belongs::Customer => customer_id.is_some(),
        Belongs::Operator => customer_id.is_none(),
        Belongs::Either => true,
    };
    if !rightly_owned {
        let rule = "customer_id is given for the roles of a customer, and for those only";
        return Err(Problem::InvalidField(rule.to_owned()));
    }
    if !caller.role.may_give(role, customer_id.is_some()) {
        return Err(Problem::RoleForbidden);
    }
    if password.is_none() && subject_dn.is_none() {
        return Err(Problem::InvalidField("give a password, a subject_dn, or both".to_owned()));
    }
    let subject_dn = subject_dn.map(|dn| short_text("subject_dn", dn)).transpose()?;
    let password_hash = match password {
        None => None,
        Some(password) => {
            let hashed = tokio::task::spawn_blocking(move || hash_password(&password)).await;
            let hashed = hashed.map_err(|error| Problem::internal(&error))?;
            Some(hashed.map_err(|error| Problem::InvalidField(error.to_string()))?)
        }
    };
    let principal =
        Principal { principal_id: principal_id.to_string(), customer: customer_id, role, password_hash, subject_dn };
    app.storage.register_principal(principal, app.now()).await?;
    Ok(created(&principal_id.clone(), PrincipalRegistered { principal_id }))
}

// === tests ===

#[cfg(test)]
mod tests {
    use super::Role;
    use crate::testing::{Api, CUSTOMER, as_operator, as_role};
    use serde_json::json;

    #[tokio::test]
    async fn only_an_administrator_makes_an_account_of_the_operators_own() {
        let api = Api::new().await;
        for role in ["operator", "security-officer", "auditor", "administrator"] {
            let body = json!({"principal_id": format!("new-{role}"), "role": role, "subject_dn": "CN=a"});
            assert_eq!(
                api.post("/v1/principals", &body, as_operator()).await.problem(),
                (403, "role-forbidden"),
                "{role}"
            );
            assert_eq!(api.post("/v1/principals", &body, as_role(Role::Administrator)).await.status, 201, "{role}");
        }
        let installer = json!({"principal_id": "new-installer", "role": "installer", "subject_dn": "CN=a"});
        assert_eq!(api.post("/v1/principals", &installer, as_operator()).await.status, 201);
    }

    #[tokio::test]
    async fn a_customer_role_needs_a_customer_and_the_operator_none() {
        let api = Api::new().await;
        for body in [
            json!({"principal_id": "p", "role": "customer-integration", "password": "correct horse battery"}),
            json!({"principal_id": "p", "role": "operator", "customer_id": CUSTOMER, "password": "correct horse battery"}),
            json!({"principal_id": "p", "role": "operator"}),
            json!({"principal_id": "p", "role": "operator", "password": "short"}),
            json!({"principal_id": "p", "role": "root", "password": "correct horse battery"}),
        ] {
            assert_eq!(
                api.post("/v1/principals", &body, as_role(Role::Administrator)).await.problem(),
                (422, "invalid-field"),
                "{body}"
            );
        }
        // The name of an earlier version.
        let former =
            json!({"principal_id": "f", "role": "customer-admin", "customer_id": CUSTOMER, "subject_dn": "CN=a"});
        assert_eq!(api.post("/v1/principals", &former, as_operator()).await.status, 201);
        assert_eq!(api.app.storage.principal("f").await.unwrap().unwrap().role, Role::CustomerIntegration);
        let good = json!({"principal_id": "p", "role": "auditor", "customer_id": CUSTOMER, "subject_dn": "CN=a"});
        assert_eq!(api.post("/v1/principals", &good, as_operator()).await.status, 201);
    }
}
