//! `GET /v1/sites/{site}/plates`: the plates admitted at a site.

use axum::extract::State;
use cardea_protocol::id::SiteId;
use cardea_protocol::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::Params;
use crate::auth::Caller;
use crate::problem::{Problem, ProblemDetails};
use crate::state::Shared;

// === doc ===

/// The plates admitted at a site.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlateList {
    /// In the order of their ids.
    plates: Vec<PlateView>,
}

/// An admitted plate.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlateView {
    /// Its id.
    plate_id: String,
    /// In canonical form: Latin capitals and digits.
    plate: String,
    /// First instant it is admitted (RFC 3339).
    #[schema(format = DateTime)]
    valid_from: Option<String>,
    /// First instant it is admitted no more (RFC 3339).
    #[schema(format = DateTime)]
    valid_until: Option<String>,
}

// === handler ===

/// List a site's plates.
#[utoipa::path(get, path = "/v1/sites/{site}/plates", operation_id = "list_plates", tag = "plates",
    params(("site" = String, Path, description = "Site id")), security(("token" = [])),
    responses((status = 200, description = "The plates", body = PlateList),
        (status = "default", description = "Problem", body = ProblemDetails, content_type = "application/problem+json")))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(site): Params<SiteId>,
) -> Result<axum::Json<PlateList>, Problem> {
    let plates = app.storage.plates(&caller.scope(), &site).await?.ok_or(Problem::NotFound)?;
    let plates = plates.into_iter().map(|entry| PlateView {
        plate_id: entry.plate_id.to_string(),
        plate: entry.plate,
        valid_from: entry.validity.from.map(rfc3339::format),
        valid_until: entry.validity.until.map(rfc3339::format),
    });
    Ok(axum::Json(PlateList { plates: plates.collect() }))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, SITE, as_admin, as_other};
    use serde_json::json;

    #[tokio::test]
    async fn plates_are_listed_in_canonical_form_to_their_customer() {
        let api = Api::new().await;
        let path = format!("/v1/sites/{SITE}/plates");
        api.post(&path, &json!({"plate": "а123вс77", "valid_until": "2030-01-01T00:00:00Z"}), as_admin()).await;
        let answer = api.get(&path, as_admin()).await;
        assert_eq!(answer.json["plates"][0]["plate"], "A123BC77");
        assert_eq!(answer.json["plates"][0]["valid_until"], "2030-01-01T00:00:00Z");
        assert_eq!(api.get(&path, as_other()).await.problem(), (404, "not-found"));
    }
}
