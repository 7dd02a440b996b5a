//! `DELETE /v1/sites/{site}/cards/{card_id}`: a card is admitted no more.

use axum::extract::State;
use axum::http::StatusCode;
use cardea_protocol::id::{CardId, SiteId};

use crate::api::web::extract::Params;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;

// === handler ===

/// Admit a card no more. Its row is gone; the controllers are told at once.
#[utoipa::path(delete, path = "/v1/sites/{site}/cards/{card_id}", operation_id = "remove_card", tag = "cards",
    params(("site" = String, Path, description = "Site id"), ("card_id" = String, Path, description = "Card id")),
    security(("token" = [])),
    responses((status = 204, description = "Removed")))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params((site, card_id)): Params<(SiteId, CardId)>,
) -> Result<StatusCode, Problem> {
    app.storage.remove_card(&caller.scope(), &site, &card_id, app.now()).await?;
    app.taken_back(&site).await?;
    Ok(StatusCode::NO_CONTENT)
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, OTHER_SITE, SITE, as_admin, as_other};
    use serde_json::json;

    #[tokio::test]
    async fn a_removed_card_is_gone_and_only_its_customer_removes_it() {
        let api = Api::new().await;
        let path = format!("/v1/sites/{SITE}/cards");
        let admitted = api.post(&path, &json!({"number": "w26:12:34567"}), as_admin()).await;
        let id = admitted.json["card_id"].as_str().unwrap().to_owned();
        assert_eq!(api.delete(&format!("{path}/{id}"), as_other()).await.problem(), (404, "not-found"));
        let elsewhere = format!("/v1/sites/{OTHER_SITE}/cards/{id}");
        assert_eq!(api.delete(&elsewhere, as_other()).await.problem(), (404, "not-found"));
        assert_eq!(api.delete(&format!("{path}/{id}"), as_admin()).await.status, 204);
        assert_eq!(api.get(&path, as_admin()).await.json["cards"], json!([]));
        assert_eq!(api.delete(&format!("{path}/{id}"), as_admin()).await.problem(), (404, "not-found"));
    }
}
