//! `POST /v1/controllers/{controller}/revocation`: the operator takes a controller's certificates away and ends its session at once.

use axum::extract::State;
use axum::http::StatusCode;
use cardea_protocol::id::ControllerId;

use crate::api::web::extract::Params;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;
use crate::storage::controllers::StandingError;

// === error ===

impl From<StandingError> for Problem {
    fn from(error: StandingError) -> Self {
        match error {
            StandingError::NotFound => Self::NotFound,
            StandingError::Refused => Self::Conflict("the controller is in that state already"),
            StandingError::Storage(error) => error.into(),
        }
    }
}

// === handler ===

/// Revoke a controller. It may still hold templates, and owes receipts until it is decommissioned.
#[utoipa::path(post, path = "/v1/controllers/{controller}/revocation", operation_id = "revoke_controller", tag = "operator",
    params(("controller" = String, Path, description = "Controller id")), security(("token" = [])),
    responses((status = 204, description = "Done; its session has ended")))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(controller): Params<ControllerId>,
) -> Result<StatusCode, Problem> {
    app.storage.revoke_controller(&caller.scope(), &controller, app.now()).await?;
    app.sync.end_sessions(&controller).await;
    Ok(StatusCode::NO_CONTENT)
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, CONTROLLER, as_operator};

    #[tokio::test]
    async fn it_is_done_once_and_seen() {
        let api = Api::new().await;
        let path = format!("/v1/controllers/{CONTROLLER}/revocation");
        assert_eq!(api.post_empty(&path, as_operator()).await.status, 204);
        let controller = api.get(&format!("/v1/controllers/{CONTROLLER}"), as_operator()).await;
        assert_eq!(controller.json["status"], "revoked");
        assert_eq!(api.post_empty(&path, as_operator()).await.problem(), (409, "conflict"));
    }
}
