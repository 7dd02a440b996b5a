//! `DELETE /v1/sites/{site}/plates/{plate_id}`: a plate is admitted no more.

use axum::extract::State;
use axum::http::StatusCode;
use cardea_protocol::id::{PlateId, SiteId};

use crate::api::web::extract::Params;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;

// === handler ===

/// Admit a plate no more. Its row is gone; the controllers are told at once.
#[utoipa::path(delete, path = "/v1/sites/{site}/plates/{plate_id}", operation_id = "remove_plate", tag = "plates",
    params(("site" = String, Path, description = "Site id"), ("plate_id" = String, Path, description = "Plate id")),
    security(("token" = [])),
    responses((status = 204, description = "Removed")))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params((site, plate_id)): Params<(SiteId, PlateId)>,
) -> Result<StatusCode, Problem> {
    app.storage.remove_plate(&caller.scope(), &site, &plate_id, app.now()).await?;
    app.taken_back(&site).await?;
    Ok(StatusCode::NO_CONTENT)
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, OTHER_SITE, SITE, as_admin, as_other};
    use serde_json::json;

    #[tokio::test]
    async fn a_removed_plate_is_gone_and_only_its_customer_removes_it() {
        let api = Api::new().await;
        let path = format!("/v1/sites/{SITE}/plates");
        let admitted = api.post(&path, &json!({"plate": "A123BC77"}), as_admin()).await;
        let id = admitted.json["plate_id"].as_str().unwrap().to_owned();
        assert_eq!(api.delete(&format!("{path}/{id}"), as_other()).await.problem(), (404, "not-found"));
        let elsewhere = format!("/v1/sites/{OTHER_SITE}/plates/{id}");
        assert_eq!(api.delete(&elsewhere, as_other()).await.problem(), (404, "not-found"));
        assert_eq!(api.delete(&format!("{path}/{id}"), as_admin()).await.status, 204);
        assert_eq!(api.get(&path, as_admin()).await.json["plates"], json!([]));
        assert_eq!(api.delete(&format!("{path}/{id}"), as_admin()).await.problem(), (404, "not-found"));
    }
}
