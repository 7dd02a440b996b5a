//! `DELETE /v1/webhooks/{webhook}`: a tenant is told nothing there any more.

use axum::extract::State;
use axum::http::StatusCode;
use cardea_protocol::id::WebhookId;

use crate::api::web::extract::Params;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;

// === handler ===

/// Remove a webhook, its secret, and what it was still to tell.
#[utoipa::path(delete, path = "/v1/webhooks/{webhook}", operation_id = "remove_webhook", tag = "webhooks",
    params(("webhook" = String, Path, description = "Webhook id")), security(("token" = [])),
    responses((status = 204, description = "Removed")))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(webhook): Params<WebhookId>,
) -> Result<StatusCode, Problem> {
    app.storage.remove_webhook(&caller.scope(), &webhook).await?;
    Ok(StatusCode::NO_CONTENT)
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::auth::roles::Role;
    use crate::testing::{Api, as_admin, as_other, as_role};
    use serde_json::json;

    #[tokio::test]
    async fn each_tenant_sees_and_removes_its_own_alone() {
        let api = Api::new().await;
        let body = json!({"url": "https://hooks.example.org/", "kinds": ["controller.unreachable"]});
        let owners = [as_admin(), as_other(), as_role(Role::Administrator)];
        let mut paths = Vec::new();
        for owner in owners {
            let id = api.post("/v1/webhooks", &body, owner).await.text("webhook_id").to_owned();
            paths.push(format!("/v1/webhooks/{id}"));
            let listed = api.get("/v1/webhooks", owner).await;
            assert_eq!(listed.json["webhooks"].as_array().unwrap().len(), 1, "{}", listed.json);
            assert_eq!(listed.json["webhooks"][0]["webhook_id"], id.as_str());
        }
        for (n, owner) in owners.into_iter().enumerate() {
            let foreign = &paths[(n + 1) % 3];
            let rotations = format!("{foreign}/secret-rotations");
            assert_eq!(api.get(foreign, owner).await.problem(), (404, "not-found"));
            assert_eq!(api.delete(foreign, owner).await.problem(), (404, "not-found"));
            assert_eq!(api.post_empty(&rotations, owner).await.problem(), (404, "not-found"));
        }
        for (path, owner) in paths.iter().zip(owners) {
            assert_eq!(api.delete(path, owner).await.status, 204);
            assert_eq!(api.delete(path, owner).await.problem(), (404, "not-found"));
        }
    }
}
