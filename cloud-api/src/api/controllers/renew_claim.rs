//! `POST /v1/controllers/{controller}/claim-codes`: another claim code for a controller whose first one expired, was lost
//! or was tried too often. The earlier code is void from then on.

use axum::extract::State;
use axum::response::Response;
use cardea_protocol::id::ControllerId;

use crate::api::controllers::register::{ControllerRegistered, FreshCode};
use crate::api::web::extract::Params;
use crate::api::{at, created};
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;
use crate::storage::controllers::StandingError;

// === error ===

fn refused(error: StandingError) -> Problem {
    match error {
        StandingError::Refused => {
            Problem::Conflict("only a controller that is registered and has not been claimed gets another claim code")
        }
        other => other.into(),
    }
}

// === handler ===

/// Make another claim code for a controller that has not been claimed.
#[utoipa::path(post, path = "/v1/controllers/{controller}/claim-codes", operation_id = "renew_claim", tag = "operator",
    params(("controller" = String, Path, description = "Controller id")), security(("token" = [])),
    responses((status = 201, description = "The new code; the earlier one is void", body = ControllerRegistered)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(controller_id): Params<ControllerId>,
) -> Result<Response, Problem> {
    let fresh = FreshCode::make(&app).await?;
    app.storage
        .renew_claim(&caller.scope(), &controller_id, fresh.hash.clone(), fresh.expires)
        .await
        .map_err(refused)?;
    let site = app.storage.site_of_controller(&controller_id).await?.ok_or(Problem::NotFound)?;
    let location = format!("/v1/controllers/{controller_id}");
    Ok(at(location, created(&controller_id.clone(), fresh.for_controller(controller_id, site, &app.desk))))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, CONTROLLER, SITE, as_operator};
    use serde_json::json;

    #[tokio::test]
    async fn an_unclaimed_controller_gets_another_code_and_a_claimed_one_does_not() {
        let api = Api::new().await;
        let registered = api
            .post(&format!("/v1/sites/{SITE}/controllers"), &json!({"controller_id": "gate-9"}), as_operator())
            .await;
        let renewed = api.post_empty("/v1/controllers/gate-9/claim-codes", as_operator()).await;
        assert_eq!(renewed.status, 201, "{}", renewed.json);
        assert_eq!(renewed.header("cache-control"), "no-store");
        assert_eq!(renewed.json["claim_code"].as_str().unwrap().len(), 19);
        assert_ne!(renewed.json["claim_code"], registered.json["claim_code"]);

        api.activate(CONTROLLER).await;
        let path = format!("/v1/controllers/{CONTROLLER}/claim-codes");
        assert_eq!(api.post_empty(&path, as_operator()).await.problem(), (409, "conflict"));
        let unknown = api.post_empty("/v1/controllers/none/claim-codes", as_operator()).await;
        assert_eq!(unknown.problem(), (404, "not-found"));
    }
}
