//! `GET /v1/webhooks/{webhook}`: how a webhook fares.

use axum::extract::State;
use cardea_protocol::id::WebhookId;

use crate::api::web::extract::Params;
use crate::api::webhooks::WebhookView;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;

// === handler ===

/// See a webhook, and what came of the newest attempt.
#[utoipa::path(get, path = "/v1/webhooks/{webhook}", operation_id = "read_webhook", tag = "webhooks",
    params(("webhook" = String, Path, description = "Webhook id")), security(("token" = [])),
    responses((status = 200, description = "The webhook", body = WebhookView)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(webhook): Params<WebhookId>,
) -> Result<axum::Json<WebhookView>, Problem> {
    let webhook = app.storage.webhook(&caller.scope(), &webhook).await?.ok_or(Problem::NotFound)?;
    Ok(axum::Json(webhook.into()))
}
