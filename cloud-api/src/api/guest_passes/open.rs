//! `POST /v1/sites/{site}/guest-passes/{pass}/open`: a barrier or door is opened with a guest's pass.

use axum::extract::State;
use cardea_protocol::id::{AccessPointId, GuestPassId, SiteId};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::api::access_point::{OpenOutcome, Order, carry_out};
use crate::api::web::extract::{IdempotencyKey, Json, Params};
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;

// === doc ===

/// What to open with a pass.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenWithPass {
    /// A barrier or door of the pass's site.
    #[schema(value_type = String)]
    access_point: AccessPointId,
}

// === handler ===

/// Open a barrier or door with a guest pass. The same `Idempotency-Key` again yields the first call's outcome and opens
/// nothing. A pass that is not valid is refused with `guest-pass-` and its state; what could not be opened does not use it.
#[utoipa::path(post, path = "/v1/sites/{site}/guest-passes/{pass}/open", operation_id = "open_with_guest_pass",
    tag = "guest passes", security(("token" = [])), request_body = OpenWithPass,
    params(("site" = String, Path, description = "Site id"), ("pass" = String, Path, description = "Id of the pass"),
        ("Idempotency-Key" = String, Header, description = "A fresh id of the caller's, such as a UUID")),
    responses((status = 200, description = "The outcome", body = OpenOutcome)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params((site, pass)): Params<(SiteId, GuestPassId)>,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Json(request): Json<OpenWithPass>,
) -> Result<axum::Json<OpenOutcome>, Problem> {
    let access_point = request.access_point;
    let at = app.storage.site_of_access_point(&caller.scope(), &access_point).await?;
    if at.as_ref() != Some(&site) {
        return Err(Problem::NotFound);
    }
    carry_out(&app, &caller, Order { site, access_point, pass: Some(pass), idempotency_key }).await
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, BARRIER, SITE, as_admin, as_other};
    use serde_json::json;

    #[tokio::test]
    async fn what_could_not_be_opened_does_not_use_the_pass() {
        let api = Api::new().await;
        let passes = format!("/v1/sites/{SITE}/guest-passes");
        let given = api.post(&passes, &json!({"valid_until": "2026-11-30T00:00:00Z"}), as_admin()).await;
        let pass = format!("{passes}/{}", given.json["pass_id"].as_str().unwrap());
        let (open, gate) = (format!("{pass}/open"), json!({"access_point": BARRIER}));
        assert_eq!(api.post(&open, &gate, as_admin()).await.problem(), (400, "idempotency-key-missing"));
        let opened = api.post_json_keyed(&open, &gate, "key-1", as_admin()).await;
        assert_eq!(opened.problem(), (503, "controller-unreachable"));
        assert_eq!(api.get(&pass, as_admin()).await.json["state"], "valid");
        assert_eq!(api.post_json_keyed(&open, &gate, "key-1", as_other()).await.problem(), (404, "not-found"));
        let nowhere = json!({"access_point": "no-such-door"});
        assert_eq!(api.post_json_keyed(&open, &nowhere, "key-2", as_admin()).await.problem(), (404, "not-found"));
    }

    #[tokio::test]
    async fn a_pass_that_is_not_valid_is_a_refusal_that_says_why() {
        let api = Api::new().await;
        let passes = format!("/v1/sites/{SITE}/guest-passes");
        let until = "2026-11-30T00:00:00Z";
        for (n, (pass, reason)) in [
            (json!({"plate": "A123BC77", "valid_until": until}), "guest-pass-is-a-plate"),
            (json!({"valid_from": "2026-11-29T00:00:00Z", "valid_until": until}), "guest-pass-upcoming"),
        ]
        .into_iter()
        .enumerate()
        {
            let given = api.post(&passes, &pass, as_admin()).await;
            let open = format!("{passes}/{}/open", given.json["pass_id"].as_str().unwrap());
            let gate = json!({"access_point": BARRIER});
            for _ in 0..2 {
                let answer = api.post_json_keyed(&open, &gate, &format!("key-{n}"), as_admin()).await;
                let outcome = (&answer.json["state"], &answer.json["reason"]);
                assert_eq!((answer.status, outcome), (200, (&json!("refused"), &json!(reason))), "{}", answer.json);
            }
        }
    }
}
