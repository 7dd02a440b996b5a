//! `GET /.well-known/openid-configuration`: what this OpenID Provider can do (OpenID Connect Discovery 1.0, RFC 8414).

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::auth::roles::Role;
use crate::auth::scope::OPENID;
use crate::state::Shared;

/// What this OpenID Provider can do.
#[utoipa::path(get, path = "/.well-known/openid-configuration", operation_id = "discovery", tag = "tokens",
    responses((status = 200, description = "Provider metadata", content_type = "application/json")))]
pub(crate) async fn discovery(State(app): State<Shared>) -> Response {
    let issuer = app.tokens.issuer();
    let scopes: Vec<&str> = [OPENID].into_iter().chain(Role::ALL.map(Role::name)).collect();
    axum::Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/oauth2/authorize"),
        "token_endpoint": format!("{issuer}/oauth2/token"),
        "jwks_uri": format!("{issuer}/oauth2/jwks"),
        "userinfo_endpoint": format!("{issuer}/oauth2/userinfo"),
        "revocation_endpoint": format!("{issuer}/oauth2/revoke"),
        "introspection_endpoint": format!("{issuer}/oauth2/introspect"),
        "grant_types_supported": ["authorization_code", "password", "client_credentials", "refresh_token"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login"],
        "authorization_response_iss_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
        "claims_supported": ["iss", "sub", "aud", "iat", "exp", "auth_time", "nonce", "at_hash", "roles"],
        "token_endpoint_auth_methods_supported": ["tls_client_auth"],
        "revocation_endpoint_auth_methods_supported": ["tls_client_auth"],
        "introspection_endpoint_auth_methods_supported": ["tls_client_auth"],
        "tls_client_certificate_bound_access_tokens": true,
        "scopes_supported": scopes,
    }))
    .into_response()
}
