//! `GET /v1/sites/{site}/plates/{plate_id}`: one admitted plate, with the tag that a change of it names.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use cardea_protocol::id::{PlateId, SiteId};

use crate::api::plates::list::PlateView;
use crate::api::web::etag::tagged;
use crate::api::web::extract::Params;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;

// === handler ===

/// See an admitted plate. `ETag` names the period it is admitted in.
#[utoipa::path(get, path = "/v1/sites/{site}/plates/{plate_id}", operation_id = "read_plate", tag = "plates",
    params(("site" = String, Path, description = "Site id"), ("plate_id" = String, Path, description = "Id of the admission")),
    security(("token" = [])), responses((status = 200, description = "The plate", body = PlateView)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params((site, plate_id)): Params<(SiteId, PlateId)>,
) -> Result<Response, Problem> {
    let plates = app.storage.plates(&caller.scope(), &site).await?.ok_or(Problem::NotFound)?;
    let entry = plates.into_iter().find(|entry| entry.plate_id == plate_id).ok_or(Problem::NotFound)?;
    Ok(tagged(entry.validity, axum::Json(PlateView::from(entry)).into_response()))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, OTHER_SITE, SITE, as_admin, as_other};
    use serde_json::json;

    #[tokio::test]
    async fn it_is_its_customers_and_at_its_site_only() {
        let api = Api::new().await;
        let admitted = api.post(&format!("/v1/sites/{SITE}/plates"), &json!({"plate": "A123BC77"}), as_admin()).await;
        let id = admitted.json["plate_id"].as_str().unwrap().to_owned();
        let path = format!("/v1/sites/{SITE}/plates/{id}");
        let answer = api.get(&path, as_admin()).await;
        assert_eq!((answer.status, &answer.json["plate_id"]), (200, &json!(id)));
        assert_eq!(answer.header("etag"), admitted.header("etag"));
        assert_eq!(api.get(&path, as_other()).await.problem(), (404, "not-found"));
        let elsewhere = format!("/v1/sites/{OTHER_SITE}/plates/{id}");
        assert_eq!(api.get(&elsewhere, as_other()).await.problem(), (404, "not-found"));
    }
}
