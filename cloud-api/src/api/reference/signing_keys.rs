//! `GET /v1/signing-keys`: the key that incident exports and the controllers' orders verify with.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::state::Shared;

// === handler ===

/// The key incident exports verify with (a JSON Web Key Set). Fetch it once and keep it with the bundles.
#[utoipa::path(get, path = "/v1/signing-keys", operation_id = "signing_keys", tag = "events",
    responses((status = 200, description = "JSON Web Key Set", content_type = "application/jwk-set+json")))]
pub(crate) async fn handle(State(app): State<Shared>) -> Response {
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"))];
    (content_type, json!({ "keys": [app.signing.jwk()] }).to_string()).into_response()
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, as_nobody};

    #[tokio::test]
    async fn the_key_is_public_and_has_no_private_half() {
        let api = Api::new().await;
        let answer = api.get("/v1/signing-keys", as_nobody()).await;
        assert_eq!(answer.json["keys"][0]["kid"], api.app.signing.kid());
        assert!(answer.json["keys"][0].get("d").is_none());
    }
}
