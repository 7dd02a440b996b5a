//! `POST /v1/principals/{principal}/redirect-uris`: the operator says where logins by browser through a client may lead to.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::api::web::extract::{Json, Params};
use crate::auth::RedirectUri;
use crate::problem::Problem;
use crate::state::Shared;
use crate::storage::redirect_uris::AddRedirectUriError;

// === error ===

impl From<AddRedirectUriError> for Problem {
    fn from(error: AddRedirectUriError) -> Self {
        match error {
            AddRedirectUriError::UnknownAccount => Self::NotFound,
            AddRedirectUriError::Storage(error) => error.into(),
        }
    }
}

// === doc ===

/// An address to go back to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterRedirectUri {
    /// https, or http to the person's own machine, in normal form; requests must name it letter by letter.
    #[schema(example = "https://app.example.org/signed-in")]
    redirect_uri: String,
}

// === handler ===

/// Register where logins by browser through a client may lead back to. Again is the same.
#[utoipa::path(post, path = "/v1/principals/{principal}/redirect-uris", operation_id = "register_redirect_uri",
    tag = "operator", params(("principal" = String, Path, description = "The client's account")),
    request_body = RegisterRedirectUri, security(("token" = [])),
    responses((status = 204, description = "Registered")))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    Params(principal): Params<String>,
    Json(request): Json<RegisterRedirectUri>,
) -> Result<Response, Problem> {
    let uri = RedirectUri::new(&request.redirect_uri).map_err(|error| Problem::InvalidField(error.to_string()))?;
    app.storage.add_redirect_uri(principal, uri.as_str().to_owned(), app.now()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, as_operator};
    use serde_json::json;

    #[tokio::test]
    async fn an_address_is_registered_for_a_client_that_is_there() {
        let api = Api::new().await;
        let uri = |uri: &str| json!({"redirect_uri": uri});
        let post = async |client: &str, body| {
            api.post(&format!("/v1/principals/{client}/redirect-uris"), &body, as_operator()).await
        };
        assert_eq!(post("nobody", uri("https://app.example.org/")).await.problem(), (404, "not-found"));
        assert_eq!(post("service", uri("http://app.example.org/")).await.problem(), (422, "invalid-field"));
        for _ in 0..2 {
            assert_eq!(post("service", uri("https://app.example.org/")).await.status, 204);
        }
        assert!(api.app.storage.has_redirect_uri("service", "https://app.example.org/").await.unwrap());
        assert!(!api.app.storage.has_redirect_uri("admin", "https://app.example.org/").await.unwrap());
    }
}
