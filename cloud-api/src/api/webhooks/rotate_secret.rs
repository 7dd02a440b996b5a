//! `POST /v1/webhooks/{webhook}/secret-rotations`: a webhook gets another secret.

use axum::extract::State;
use axum::response::Response;
use cardea_protocol::id::WebhookId;
use cardea_protocol::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::created;
use crate::api::web::extract::Params;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;
use crate::webhooks::signing;

// === doc ===

/// The new secret of a webhook.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookSecretRotated {
    /// What messages are signed with from now on. Told once.
    secret: String,
    /// Until then the secret before it signs too: each message has two signatures (RFC 3339).
    #[schema(format = DateTime)]
    former_until: String,
}

// === handler ===

/// Give a webhook another secret. The one before signs too for a day. Called again within that day, it replaces the new
/// secret, which ends at once; the one before the first call goes on signing until its day is over.
#[utoipa::path(post, path = "/v1/webhooks/{webhook}/secret-rotations", operation_id = "rotate_webhook_secret",
    tag = "webhooks", params(("webhook" = String, Path, description = "Webhook id")), security(("token" = [])),
    responses((status = 201, description = "Both sign for a day", body = WebhookSecretRotated)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(webhook): Params<WebhookId>,
) -> Result<Response, Problem> {
    let secret = signing::fresh().map_err(|error| Problem::internal(&error))?;
    let wrapped = app.vault.wrap_webhook_secret(&webhook, &*secret).map_err(|error| Problem::internal(&error))?;
    let until = app.storage.rotate_webhook_secret(&caller.scope(), &webhook, wrapped, app.now()).await?;
    let body =
        WebhookSecretRotated { secret: signing::shown(&*secret).to_string(), former_until: rfc3339::format(until) };
    Ok(created(&webhook, body))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, as_admin};
    use serde_json::json;

    #[tokio::test]
    async fn a_rotation_tells_a_new_secret_and_until_when_both_sign() {
        let api = Api::new().await;
        let body = json!({"url": "https://hooks.example.org/", "kinds": ["access.event"]});
        let first = api.post("/v1/webhooks", &body, as_admin()).await;
        let path = format!("/v1/webhooks/{}/secret-rotations", first.text("webhook_id"));
        let second = api.post_empty(&path, as_admin()).await;
        assert_eq!(second.status, 201);
        assert_ne!(first.text("secret"), second.text("secret"));
        let tomorrow = cardea_protocol::rfc3339::format(api.app.now().plus_ms(24 * 3_600 * 1_000));
        assert_eq!(second.text("former_until"), tomorrow);
    }
}
