//! `GET /v1/sites/{site}/cards/{card_id}`: one admitted card, with the tag that a change of it names.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use cardea_protocol::id::{CardId, SiteId};

use crate::api::cards::list::CardView;
use crate::api::web::etag::tagged;
use crate::api::web::extract::Params;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;

// === handler ===

/// See an admitted card. `ETag` names the period it is admitted in.
#[utoipa::path(get, path = "/v1/sites/{site}/cards/{card_id}", operation_id = "read_card", tag = "cards",
    params(("site" = String, Path, description = "Site id"), ("card_id" = String, Path, description = "Id of the admission")),
    security(("token" = [])), responses((status = 200, description = "The card", body = CardView)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params((site, card_id)): Params<(SiteId, CardId)>,
) -> Result<Response, Problem> {
    let cards = app.storage.cards(&caller.scope(), &site).await?.ok_or(Problem::NotFound)?;
    let entry = cards.into_iter().find(|entry| entry.card_id == card_id).ok_or(Problem::NotFound)?;
    Ok(tagged(entry.validity, axum::Json(CardView::from(entry)).into_response()))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, OTHER_SITE, SITE, as_admin, as_other};
    use serde_json::json;

    #[tokio::test]
    async fn it_is_its_customers_and_at_its_site_only() {
        let api = Api::new().await;
        let admitted =
            api.post(&format!("/v1/sites/{SITE}/cards"), &json!({"number": "w26:12:34567"}), as_admin()).await;
        let id = admitted.json["card_id"].as_str().unwrap().to_owned();
        let path = format!("/v1/sites/{SITE}/cards/{id}");
        let answer = api.get(&path, as_admin()).await;
        assert_eq!((answer.status, &answer.json["card_id"]), (200, &json!(id)));
        assert_eq!(answer.header("etag"), admitted.header("etag"));
        assert_eq!(api.get(&path, as_other()).await.problem(), (404, "not-found"));
        let elsewhere = format!("/v1/sites/{OTHER_SITE}/cards/{id}");
        assert_eq!(api.get(&elsewhere, as_other()).await.problem(), (404, "not-found"));
    }
}
