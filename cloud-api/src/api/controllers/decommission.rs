//! `POST /v1/controllers/{controller}/decommissioning`: the operator declares that a controller's storage is destroyed or wiped.

use axum::extract::State;
use axum::http::StatusCode;
use cardea_protocol::id::ControllerId;

use crate::api::web::extract::Params;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;

// === handler ===

/// Decommission a controller. Erasures wait for it no longer.
#[utoipa::path(post, path = "/v1/controllers/{controller}/decommissioning", operation_id = "decommission_controller", tag = "operator",
    params(("controller" = String, Path, description = "Controller id")), security(("token" = [])),
    responses((status = 204, description = "Done; its session has ended")))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(controller): Params<ControllerId>,
) -> Result<StatusCode, Problem> {
    app.storage.decommission_controller(&caller.scope(), &controller, app.now()).await?;
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
        let path = format!("/v1/controllers/{CONTROLLER}/decommissioning");
        assert_eq!(api.post_empty(&path, as_operator()).await.status, 204);
        let controller = api.get(&format!("/v1/controllers/{CONTROLLER}"), as_operator()).await;
        assert_eq!(controller.json["status"], "decommissioned");
        assert_eq!(api.post_empty(&path, as_operator()).await.problem(), (409, "conflict"));
    }
}
