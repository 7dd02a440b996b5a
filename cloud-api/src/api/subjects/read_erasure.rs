//! `GET /v1/erasures/{erasure}`: whether a subject's biometrics are gone everywhere, with each controller's signed receipt.

use axum::extract::State;
use cardea_access::time::Timestamp;
use cardea_protocol::id::ErasureId;
use cardea_protocol::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::web::extract::Params;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::{App, Shared};
use crate::storage::controllers::ControllerStatus;
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
    /// Every controller that was ever sent a template of the subject, or has to answer for another reason.
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
    /// Since when the erasure waits for it (RFC 3339); absent where it does not.
    #[schema(format = DateTime)]
    waiting_since: Option<String>,
    /// When the controller was last heard of (RFC 3339).
    #[schema(format = DateTime)]
    last_seen: Option<String>,
    /// When it was revoked (RFC 3339): it will not answer any more, and the erasure waits until it is decommissioned.
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
    /// When the operator declared its storage destroyed or wiped (RFC 3339).
    #[schema(format = DateTime)]
    decommissioned_at: Option<String>,
}

/// The one visible state of an erasure.
pub(in crate::api) fn state(erasure: &Erasure) -> &'static str {
    if erasure.completed_at.is_some() { "complete" } else { "pending" }
}

impl ReceiptView {
    fn of(part: ErasureController, ordered_at: Timestamp) -> Self {
        let decommissioned = part.status == ControllerStatus::Decommissioned;
        let state = match (&part.receipt_jws, part.verified, decommissioned) {
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
            waiting_since: (!part.verified && !decommissioned).then(|| rfc3339::format(ordered_at)),
            last_seen: part.last_seen.map(rfc3339::format),
            revoked_at: part.revoked_at.map(rfc3339::format),
            decommissioned_at: part.decommissioned_at.map(rfc3339::format),
        }
    }
}

/// An erasure at a site that the caller may see.
pub(in crate::api) async fn visible(app: &App, caller: &Caller, erasure: &ErasureId) -> Result<Erasure, Problem> {
    app.storage.erasure(&caller.scope(), erasure).await?.ok_or(Problem::NotFound)
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
    let mut erasure = visible(&app, &caller, &erasure).await?;
    let parts = std::mem::take(&mut erasure.controllers).into_iter();
    Ok(axum::Json(ErasureView {
        state: state(&erasure).to_owned(),
        erasure_id: erasure.erasure_id.to_string(),
        site_id: erasure.site.to_string(),
        subject: erasure.subject.as_str().to_owned(),
        reason: erasure.reason.as_str().to_owned(),
        ordered_at: rfc3339::format(erasure.ordered_at),
        cloud_erased: erasure.cloud_erased,
        completed_at: erasure.completed_at.map(rfc3339::format),
        receipts: parts.map(|part| ReceiptView::of(part, erasure.ordered_at)).collect(),
    }))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, CONTROLLER, SITE, SUBJECT, as_admin, as_operator, as_other, consent};

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
        let part = &erasure.json["receipts"][0];
        assert_eq!((&erasure.json["state"], &part["state"]), (&"pending".into(), &"owed".into()));
        assert_eq!(part["waiting_since"], erasure.json["ordered_at"]);
        assert_eq!(api.get(&path, as_other()).await.problem(), (404, "not-found"));

        // Revoked, it is waited for until the operator says what became of it; nobody else can.
        let controller = format!("/v1/controllers/{CONTROLLER}");
        assert_eq!(api.post_empty(&format!("{controller}/revocation"), as_operator()).await.status, 204);
        let part = &api.get(&path, as_admin()).await.json["receipts"][0];
        assert_eq!(part["state"], "owed");
        assert!(part["revoked_at"].is_string() && part["waiting_since"].is_string());
        let owed = api.get(&controller, as_operator()).await.json["to_account_for"].clone();
        assert_eq!(
            (&owed["erasures_owed"], &owed["erasures"][0]["waiting_since"]),
            (&1.into(), &part["waiting_since"])
        );
        let decommissioning = format!("{controller}/decommissioning");
        assert_eq!(api.post_empty(&decommissioning, as_admin()).await.status, 403);
        assert_eq!(api.post_empty(&decommissioning, as_operator()).await.status, 204);
        let erasure = api.get(&path, as_admin()).await;
        let part = &erasure.json["receipts"][0];
        assert_eq!((&erasure.json["state"], &part["state"]), (&"complete".into(), &"decommissioned".into()));
        assert!(part["decommissioned_at"].is_string() && part["waiting_since"].is_null());
    }
}
