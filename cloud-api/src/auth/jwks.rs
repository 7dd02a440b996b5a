//! `GET /oauth2/jwks`: the keys tokens verify with (RFC 7517): the one that signs, the next one, and relieved ones whose tokens live.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::state::Shared;

/// The keys tokens verify with. Exports verify with another: `GET /v1/signing-keys`.
#[utoipa::path(get, path = "/oauth2/jwks", operation_id = "jwks", tag = "tokens",
    responses((status = 200, description = "JSON Web Key Set", content_type = "application/jwk-set+json")))]
pub(crate) async fn jwks(State(app): State<Shared>) -> Response {
    let mut response = axum::Json(json!({ "keys": app.tokens.jwks(app.now()) })).into_response();
    let content_type = axum::http::HeaderValue::from_static("application/jwk-set+json");
    response.headers_mut().insert(axum::http::header::CONTENT_TYPE, content_type);
    response
}
