//! `GET /v1/erasures/{erasure}`: whether a subject's biometrics are gone everywhere, with each controller's signed receipt.

use axum::extract::State;
use cardea_protocol::id::ErasureId;
use cardea_protocol::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::web::extract::Params;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::{App, Shared};
use crate::storage::erasures::{Erasure, ErasureController};

// === doc ===

/// An erasure.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErasureView {
    /// Its id.
    erasure_id: String,
    /// Where.
    site_id: String,
    /// Whose, by the customer's opaque token.
    subject: String,
    /// `consent-withdrawn` or `property-sold`.
    reason: String,
    /// `pending` until the last controller's receipt, then `complete`.
    state: String,
    /// When it was ordered (RFC 3339); the cloud's own data went in that moment.
    #[schema(format = DateTime)]
    ordered_at: String,
    /// How many templates the cloud itself erased.
    cloud_erased: u32,
    /// When the last receipt arrived (RFC 3339).
    #[schema(format = DateTime)]
    completed_at: Option<String>,
    /// Every controller that has to answer, or has answered.
    receipts: Vec<ReceiptView>,
}

/// One controller's part in an erasure.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReceiptView {
    /// Which.
    controller_id: String,
    /// `owed`, `received`, `traces-remain` (erased bytes were found in its files: wipe and decommission it) or `decommissioned`.
    state: String,
    /// When its receipt arrived (RFC 3339).
    #[schema(format = DateTime)]
    received_at: Option<String>,
    /// Its receipt, signed with its key (JWS, `typ` `cardea-receipt+jws`).
    receipt_jws: Option<String>,
}

/// The one visible state of an erasure.
pub(in crate::api) fn state(erasure: &Erasure) -> &'static str {
    if erasure.completed_at.is_some() { "complete" } else { "pending" }
}

impl From<ErasureController> for ReceiptView {
    fn from(part: ErasureController) -> Self {
        let state = match (&part.receipt_jws, part.verified, part.decommissioned) {
            (Some(_), true, _) => "received",
            (_, _, true) => "decommissioned",
            (Some(_), false, false) => "traces-remain",
            (None, _, false) => "owed",
        };
        Self {
            controller_id: part.controller.to_string(),
            state: state.to_owned(),
            received_at: part.received_at.map(rfc3339::format),
            receipt_jws: part.receipt_jws,
        }
    }
}

/// An erasure at a site that the caller may see.
pub(in crate::api) async fn visible(app: &App, caller: &Caller, erasure: &ErasureId) -> Result<Erasure, Problem> {
    let erasure = app.storage.erasure(erasure).await?.ok_or(Problem::NotFound)?;
    if app.storage.site_visible(&caller.scope(), &erasure.site).await? { Ok(erasure) } else { Err(Problem::NotFound) }
}

// === handler ===

/// See an erasure and its receipts.
#[utoipa::path(get, path = "/v1/erasures/{erasure}", operation_id = "read_erasure", tag = "biometrics",
    params(("erasure" = String, Path, description = "Erasure id")), security(("token" = [])),
    responses((status = 200, description = "The erasure", body = ErasureView)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(erasure): Params<ErasureId>,
) -> Result<axum::Json<ErasureView>, Problem> {
    let erasure = visible(&app, &caller, &erasure).await?;
    Ok(axum::Json(ErasureView {
        state: state(&erasure).to_owned(),
        erasure_id: erasure.erasure_id.to_string(),
        site_id: erasure.site.to_string(),
        subject: erasure.subject.as_str().to_owned(),
        reason: erasure.reason.as_str().to_owned(),
        ordered_at: rfc3339::format(erasure.ordered_at),
        cloud_erased: erasure.cloud_erased,
        completed_at: erasure.completed_at.map(rfc3339::format),
        receipts: erasure.controllers.into_iter().map(Into::into).collect(),
    }))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, CONTROLLER, SITE, SUBJECT, as_admin, as_other, consent};

    #[tokio::test]
    async fn an_erasure_waits_for_every_active_controller() {
        let api = Api::new().await;
        api.activate(CONTROLLER).await;
        let consents = format!("/v1/sites/{SITE}/consents");
        let recorded = api.post(&consents, &consent(SUBJECT), as_admin()).await;
        let withdrawal = format!("{consents}/{}/withdrawal", recorded.json["consent_id"].as_str().unwrap());
        let ordered = api.post_empty(&withdrawal, as_admin()).await;
        let path = format!("/v1/erasures/{}", ordered.json["erasure_id"].as_str().unwrap());
        let erasure = api.get(&path, as_admin()).await;
        assert_eq!(
            (&erasure.json["state"], &erasure.json["receipts"][0]["state"]),
            (&"pending".into(), &"owed".into())
        );
        assert_eq!(api.get(&path, as_other()).await.problem(), (404, "not-found"));
    }
}
