//! `POST /v1/principals`: the operator registers an account: a login with password, a certificate subject, or both.

use axum::extract::State;
use axum::response::Response;
use cardea_protocol::id::CustomerId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::api::web::extract::Json;
use crate::api::{concerning, created, short_text};
use crate::auth::roles::Role;
use crate::auth::{Caller, CertificateName, CertificateNameError, hash_password};
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
    /// At most one of this and the next four (RFC 8705 §2.1.2).
    #[schema(example = "CN=backend,O=Birch Homes,C=RU")]
    subject_dn: Option<String>,
    /// The same by a DNS name among the certificate's alternative names.
    #[schema(example = "back-end.example.org")]
    san_dns: Option<String>,
    /// By a URI among them.
    san_uri: Option<String>,
    /// By an IP address among them.
    san_ip: Option<String>,
    /// By an e-mail address among them: a post's, not a person's.
    san_email: Option<String>,
}

impl RegisterPrincipal {
    /// The one name its certificate is known by, as it is stored.
    fn certificate_name(&self) -> Result<Option<String>, Problem> {
        let invalid = |error: CertificateNameError| Problem::InvalidField(error.to_string());
        let mut names = Vec::new();
        if let Some(dn) = &self.subject_dn {
            let dn = short_text("subject_dn", dn.clone())?;
            let name = dn.parse::<CertificateName>().map_err(invalid)?;
            if !matches!(name, CertificateName::SubjectDn(_)) {
                return Err(Problem::InvalidField("subject_dn is a subject; alternative names have fields".to_owned()));
            }
            names.push(name);
        }
        type Parse = fn(&str) -> Result<CertificateName, CertificateNameError>;
        let alternatives: [(&Option<String>, Parse); 4] = [
            (&self.san_dns, CertificateName::dns),
            (&self.san_uri, CertificateName::uri),
            (&self.san_ip, CertificateName::ip),
            (&self.san_email, CertificateName::email),
        ];
        for (text, parse) in alternatives {
            names.extend(text.as_deref().map(parse).transpose().map_err(invalid)?);
        }
        if names.len() > 1 {
            let rule = "give one of subject_dn, san_dns, san_uri, san_ip and san_email at most";
            return Err(Problem::InvalidField(rule.to_owned()));
        }
        Ok(names.pop().map(|name| name.to_string()))
    }
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
    let certificate_name = request.certificate_name();
    let RegisterPrincipal { principal_id, customer_id, role, password, .. } = request;
    let password = password.map(Zeroizing::new);
    let subject_dn = certificate_name?;
    if !role.may_belong(customer_id.is_some()) {
        let rule = "customer_id is given for the roles of a customer, and for those only";
        return Err(Problem::InvalidField(rule.to_owned()));
    }
    if !caller.role.may_give(role, customer_id.is_some()) {
        return Err(Problem::RoleForbidden);
    }
    if password.is_none() && subject_dn.is_none() {
        return Err(Problem::InvalidField("give a password, a name of its certificate, or both".to_owned()));
    }
    let password_hash = match password {
        None => None,
        Some(password) => {
            let hashed = tokio::task::spawn_blocking(move || hash_password(&password)).await;
            let hashed = hashed.map_err(|error| Problem::internal(&error))?;
            Some(hashed.map_err(|error| Problem::InvalidField(error.to_string()))?)
        }
    };
    let customer = customer_id.clone();
    let principal =
        Principal { principal_id: principal_id.to_string(), customer: customer_id, role, password_hash, subject_dn };
    app.storage.register_principal(principal, app.now()).await?;
    Ok(concerning(customer, None, created(&principal_id.clone(), PrincipalRegistered { principal_id })))
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
        let both = json!({"principal_id": "p", "role": "operator", "subject_dn": "CN=a", "san_dns": "a.example.org"});
        assert_eq!(api.post("/v1/principals", &both, as_operator()).await.problem(), (422, "invalid-field"));
        for (field, bad) in [
            ("subject_dn", "san_dns:a.org"),
            ("san_dns", "*.a.org"),
            ("san_uri", "a"),
            ("san_ip", "1"),
            ("san_email", "a"),
        ] {
            let body = json!({"principal_id": "p", "role": "operator", field: bad});
            assert_eq!(
                api.post("/v1/principals", &body, as_operator()).await.problem(),
                (422, "invalid-field"),
                "{field}"
            );
        }
        // The name of an earlier version.
        let former =
            json!({"principal_id": "f", "role": "customer-admin", "customer_id": CUSTOMER, "subject_dn": "CN=a"});
        assert_eq!(api.post("/v1/principals", &former, as_operator()).await.status, 201);
        assert_eq!(api.app.storage.principal("f").await.unwrap().unwrap().role, Role::CustomerIntegration);
        let good = json!({"principal_id": "p", "role": "auditor", "customer_id": CUSTOMER, "subject_dn": "CN=a"});
        assert_eq!(api.post("/v1/principals", &good, as_operator()).await.status, 201);
        let good = json!({"principal_id": "q", "role": "operator", "san_ip": "2001:DB8:0::1"});
        assert_eq!(api.post("/v1/principals", &good, as_role(Role::Administrator)).await.status, 201);
        let stored = api.app.storage.principal("q").await.unwrap().unwrap();
        assert_eq!(stored.subject_dn.as_deref(), Some("san_ip:2001:db8::1"));
    }
}
