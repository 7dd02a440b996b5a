//! `GET /v1/webhooks`: where a tenant is told what.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::web::extract::Query;
use crate::api::web::paging::{self, PageQuery};
use crate::api::webhooks::WebhookView;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;

// === doc ===

/// Webhooks.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookList {
    /// In the order of their ids.
    webhooks: Vec<WebhookView>,
    /// Pass it as `after` to get what comes next; nothing at the end.
    next: Option<String>,
}

// === handler ===

/// List webhooks: a customer's own, or the operator's own.
#[utoipa::path(get, path = "/v1/webhooks", operation_id = "list_webhooks", tag = "webhooks",
    params(PageQuery),
    security(("token" = [])), responses((status = 200, description = "The webhooks", body = WebhookList)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    let page = query.page()?;
    let webhooks = app.storage.webhooks(&caller.scope()).await?;
    Ok(paging::answer(
        page,
        webhooks,
        |webhook| webhook.webhook_id.as_str(),
        Into::into,
        |webhooks, next| WebhookList { webhooks, next },
    ))
}
