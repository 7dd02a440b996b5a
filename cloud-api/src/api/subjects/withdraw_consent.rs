//! `POST /v1/sites/{site}/consents/{consent}/withdrawal`: withdrawn at any time, by one call; it erases (S9, S11).

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use cardea_protocol::id::{ConsentId, SiteId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::at;
use crate::api::web::extract::Params;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;

// === doc ===

/// An erasure that has begun: done in the cloud, ordered at the controllers.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErasureOrdered {
    /// Its id: `GET /v1/erasures/{id}` shows the receipts.
    erasure_id: String,
    /// `pending` until the last controller's receipt, then `complete`.
    state: String,
}

// === handler ===

/// Withdraw a consent. The cloud's own data are gone when this answers; a repeated call shows the same erasure.
#[utoipa::path(post, path = "/v1/sites/{site}/consents/{consent}/withdrawal", operation_id = "withdraw_consent",
    tag = "biometrics", security(("token" = [])),
    params(("site" = String, Path, description = "Site id"), ("consent" = String, Path, description = "Consent id")),
    responses((status = 202, description = "Erased here, ordered everywhere else", body = ErasureOrdered)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params((site, consent)): Params<(SiteId, ConsentId)>,
) -> Result<Response, Problem> {
    let erasure_id = app.storage.withdraw_consent(&caller.scope(), &site, &consent, app.now()).await?;
    app.taken_back(&site).await?;
    let erasure = app.storage.erasure(&caller.scope(), &erasure_id).await?.ok_or(Problem::Internal)?;
    let body = ErasureOrdered {
        erasure_id: erasure_id.to_string(),
        state: crate::api::subjects::read_erasure::state(&erasure).to_owned(),
    };
    let answer = (StatusCode::ACCEPTED, axum::Json(body)).into_response();
    Ok(at(format!("/v1/erasures/{erasure_id}"), answer))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, SITE, SUBJECT, as_admin, as_other, consent};

    #[tokio::test]
    async fn a_withdrawal_erases_once_however_often_it_is_called() {
        let api = Api::new().await;
        let consents = format!("/v1/sites/{SITE}/consents");
        let recorded = api.post(&consents, &consent(SUBJECT), as_admin()).await;
        let path = format!("{consents}/{}/withdrawal", recorded.json["consent_id"].as_str().unwrap());
        assert_eq!(api.post_empty(&path, as_other()).await.problem(), (404, "not-found"));
        let first = api.post_empty(&path, as_admin()).await;
        let again = api.post_empty(&path, as_admin()).await;
        assert_eq!((first.status, again.status), (202, 202));
        assert_eq!(first.json["erasure_id"], again.json["erasure_id"]);
        // The site's controller is not claimed, so nobody owes a receipt.
        assert_eq!(first.json["state"], "complete");
        assert_eq!(api.post(&consents, &consent(SUBJECT), as_admin()).await.status, 201);
    }
}
