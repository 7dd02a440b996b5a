//! `POST /v1/certificate-revocations`: a client certificate counts no longer, from its next request on.

use axum::extract::State;
use axum::response::Response;
use cardea_protocol::rfc3339;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::created;
use crate::api::web::extract::Json;
use crate::auth::Caller;
use crate::listener::{Peer, issuer_names};
use crate::pki::{AUTHORITY_NAME, read_serial};
use crate::problem::Problem;
use crate::state::Shared;
use crate::storage::certificate_revocations::{CertificateKey, RevocationError};

// === error ===

impl From<RevocationError> for Problem {
    fn from(error: RevocationError) -> Self {
        match error {
            RevocationError::NotOperator => Self::RoleForbidden,
            RevocationError::Storage(error) => error.into(),
        }
    }
}

// === doc ===

/// A certificate to revoke, as `openssl x509 -noout -issuer -serial -nameopt RFC2253,utf8,-esc_msb` names it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeCertificate {
    /// The name of the CA that issued it (RFC 4514), letter by letter: without spaces after commas.
    #[schema(example = "CN=Birch Homes CA,O=Birch Homes")]
    issuer: String,
    /// Its serial number, hexadecimal (RFC 5280 §4.1.2.2).
    #[schema(example = "3F2A")]
    serial: String,
    /// Whether the issuer may be no CA that is trusted here, as an intermediate one is not. Without it, such a name is refused:
    /// a misspelt one would revoke nothing.
    #[serde(default)]
    issuer_may_be_unknown: bool,
}

/// A revoked certificate.
#[derive(Serialize, ToSchema)]
pub(crate) struct CertificateRevoked {
    /// Its serial number: lower-case hexadecimal without leading zeros.
    serial: String,
    /// Since when it counts no longer.
    #[schema(example = "2026-11-26T09:00:00Z")]
    revoked_at: String,
    /// Whether a CA of that name is trusted here.
    issuer_known: bool,
}

/// Whether it begins as a name does (RFC 4514 §3), and can be one.
fn is_name(text: &str) -> bool {
    let attribute = text.split_once('=').map_or("", |(attribute, _)| attribute);
    let of_type = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let good = text.chars().count() <= 400 && !text.chars().any(char::is_control);
    good && !attribute.is_empty() && attribute.chars().all(of_type)
}

// === handler ===

/// Revoke a client certificate, for good. The same call again changes nothing. A controller's session ends at once.
#[utoipa::path(post, path = "/v1/certificate-revocations", operation_id = "revoke_certificate", tag = "accounts",
    request_body = RevokeCertificate, security(("token" = [])),
    responses((status = 201, description = "It is refused from its next request on", body = CertificateRevoked)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    peer: Peer,
    Json(request): Json<RevokeCertificate>,
) -> Result<Response, Problem> {
    if !is_name(&request.issuer) {
        return Err(Problem::InvalidField("issuer is a name such as CN=Clients,O=Birch Homes (RFC 4514)".to_owned()));
    }
    let serial = read_serial(&request.serial)
        .ok_or_else(|| Problem::InvalidField("serial is 1 to 40 hexadecimal digits".to_owned()))?;
    if *peer.issuer == request.issuer && *peer.serial == serial {
        return Err(Problem::Conflict("a certificate does not revoke itself: let another one do it"));
    }
    let known = issuer_names(&app.config).map_err(|error| Problem::internal(&error))?;
    let issuer_known = request.issuer == AUTHORITY_NAME || known.contains(&request.issuer);
    if !issuer_known && !request.issuer_may_be_unknown {
        let names = known.join("; ");
        return Err(Problem::InvalidField(format!(
            "issuer is none of the CAs that are trusted here, letter by letter: {AUTHORITY_NAME}; {names}. For a \
             certificate of an intermediate CA, say issuer_may_be_unknown"
        )));
    }
    let key = CertificateKey { issuer: request.issuer, serial: serial.clone() };
    let revoked = app.storage.revoke_certificate(&caller.scope(), key, app.now()).await?;
    if let Some(controller) = &revoked.controller {
        app.sync.end_sessions(controller).await;
    }
    let body = CertificateRevoked { serial, revoked_at: rfc3339::format(revoked.at), issuer_known };
    Ok(created(&body.serial.clone(), body))
}

// === tests ===

#[cfg(test)]
mod tests {
    use super::AUTHORITY_NAME;
    use crate::auth::roles::Role;
    use crate::testing::{Api, as_admin, as_nobody, as_role, peer};
    use serde_json::json;

    const PATH: &str = "/v1/certificate-revocations";

    #[tokio::test]
    async fn a_revoked_certificate_gets_nothing_and_another_one_of_the_account_does() {
        let mut api = Api::new().await;
        let officer = peer(&[(rcgen::DnType::CommonName, "officer")]);
        let lost = std::mem::replace(&mut api.peer, officer);
        let body = json!({"issuer": &*lost.issuer, "serial": lost.serial.to_uppercase()});
        let refused = api.post(PATH, &body, as_role(Role::SecurityOfficer)).await;
        assert_eq!(refused.problem(), (422, "invalid-field"), "a name that is misspelt revokes nothing");
        assert!(refused.text("detail").contains(AUTHORITY_NAME), "{}", refused.json);
        let mut body = body;
        body["issuer_may_be_unknown"] = json!(true);
        let first = api.post(PATH, &body, as_role(Role::SecurityOfficer)).await;
        assert_eq!((first.status, first.text("serial")), (201, &*lost.serial));
        assert_eq!(first.json["issuer_known"], false);
        api.clock.advance_ms(1_000);
        assert_eq!(api.post(PATH, &body, as_role(Role::SecurityOfficer)).await.json, first.json);

        let good = std::mem::replace(&mut api.peer, lost);
        for path in ["/v1/sites", "/healthz", "/openapi.json", "/v1/controllers/self/configuration", "/nothing"] {
            let refused = api.get(path, as_admin()).await;
            assert_eq!(refused.problem(), (401, "certificate-revoked"), "{path}");
            assert_eq!(refused.header("connection"), "close");
        }
        let token = api.post_form("/oauth2/token", &[("grant_type", "client_credentials"), ("client_id", "admin")]);
        assert_eq!(token.await.problem(), (401, "certificate-revoked"));
        api.peer = good;
        assert_eq!(api.get("/v1/sites", as_admin()).await.status, 200);
        assert_eq!(api.get("/healthz", as_nobody()).await.status, 204);
    }

    #[tokio::test]
    async fn what_names_no_certificate_is_refused_and_ones_own_is_kept() {
        let api = Api::new().await;
        for (issuer, serial) in [
            ("Clients", "a1"),
            ("=x", "a1"),
            ("", "a1"),
            ("CN=Clients", ""),
            ("CN=Clients", "0x1"),
            ("CN=Clients", "-1"),
        ] {
            let body = json!({"issuer": issuer, "serial": serial});
            let answer = api.post(PATH, &body, as_role(Role::Administrator)).await;
            assert_eq!(answer.problem(), (422, "invalid-field"), "{issuer} {serial}");
        }
        let own = json!({"issuer": &*api.peer.issuer, "serial": &*api.peer.serial});
        assert_eq!(api.post(PATH, &own, as_role(Role::Administrator)).await.problem(), (409, "conflict"));
        assert_eq!(api.get("/v1/sites", as_admin()).await.status, 200);
    }
}
