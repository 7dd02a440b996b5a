//! `POST /v1/sites`: the operator registers a house.

use axum::extract::State;
use axum::response::Response;
use cardea_protocol::id::SiteId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::web::extract::Json;
use crate::api::{concerning, created, short_text};
use crate::problem::Problem;
use crate::state::Shared;
use crate::storage::sites::SiteError;

// === error ===

impl From<SiteError> for Problem {
    fn from(error: SiteError) -> Self {
        match error {
            SiteError::Exists => Self::Exists("site"),
            SiteError::Storage(error) => error.into(),
        }
    }
}

// === doc ===

/// A house to register.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterSite {
    /// Its id; a random one is made where none is given.
    #[schema(value_type = Option<String>, example = "birch-street-12")]
    site_id: Option<SiteId>,
    /// Postal address of the building, never of a flat.
    address: String,
}

/// A registered house.
#[derive(Serialize, ToSchema)]
pub(crate) struct SiteRegistered {
    /// Its id.
    #[schema(value_type = String)]
    site_id: SiteId,
}

// === handler ===

/// Register a house.
#[utoipa::path(post, path = "/v1/sites", operation_id = "register_site", tag = "operator",
    request_body = RegisterSite, security(("token" = [])),
    responses((status = 201, description = "Registered", body = SiteRegistered)))]
pub(crate) async fn handle(State(app): State<Shared>, Json(request): Json<RegisterSite>) -> Result<Response, Problem> {
    let address = short_text("address", request.address)?;
    let site_id = request.site_id.unwrap_or_else(SiteId::random);
    app.storage.register_site(&site_id, address, app.now()).await?;
    Ok(concerning(None, Some(site_id.clone()), created(&site_id.clone(), SiteRegistered { site_id })))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, as_operator};
    use serde_json::json;

    #[tokio::test]
    async fn a_site_is_registered_once() {
        let api = Api::new().await;
        let body = json!({"site_id": "house-9", "address": "9 Birch Street"});
        let answer = api.post("/v1/sites", &body, as_operator()).await;
        assert_eq!((answer.status, answer.json["site_id"].as_str()), (201, Some("house-9")));
        let (_, principal, target, outcome) = api.app.storage.recent_actions(1).await.unwrap().remove(0);
        assert_eq!(
            (principal.as_deref(), target.as_deref(), outcome.as_str()),
            (Some("operator"), Some("house-9"), "done")
        );
        assert_eq!(api.post("/v1/sites", &body, as_operator()).await.problem(), (409, "exists"));
    }

    #[tokio::test]
    async fn an_unknown_field_is_refused() {
        let api = Api::new().await;
        let answer = api.post("/v1/sites", &json!({"address": "x", "owner": "…"}), as_operator()).await;
        assert_eq!(answer.problem(), (422, "invalid-field"));
        assert!(answer.json["detail"].as_str().unwrap().contains("unknown field `owner`"));
    }
}
