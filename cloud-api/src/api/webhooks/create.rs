//! `POST /v1/webhooks`: a tenant says where it wants to be told what.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::Response;
use cardea_protocol::id::WebhookId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::web::extract::Json;
use crate::api::{at, created};
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;
use crate::storage::webhooks::NewWebhook;
use crate::webhooks::{Kind, signing};

// === doc ===

/// A webhook to register.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterWebhook {
    /// Where it leads: https, and an address of the public Internet, unless the operator has allowed another one.
    #[schema(example = "https://hooks.example.org/cardea")]
    url: String,
    /// What it tells. The operator's own tells of controllers alone.
    #[schema(min_items = 1)]
    kinds: Vec<Kind>,
}

/// A registered webhook.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookRegistered {
    /// Its id.
    #[schema(value_type = String)]
    webhook_id: WebhookId,
    /// What messages are signed with, as the libraries of Standard Webhooks take it: `whsec_` and Base64. Told once.
    secret: String,
}

// === handler ===

/// Register a webhook: messages are POSTed there as Standard Webhooks says, with ids alone in them. Ten at most.
#[utoipa::path(post, path = "/v1/webhooks", operation_id = "register_webhook", tag = "webhooks",
    request_body = RegisterWebhook, security(("token" = [])),
    responses((status = 201, description = "Registered", body = WebhookRegistered)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Json(request): Json<RegisterWebhook>,
) -> Result<Response, Problem> {
    let guard = app.config.webhooks.guard().map_err(|error| Problem::internal(&error))?;
    let url = guard.judge_url(&request.url).map_err(|error| Problem::InvalidField(error.to_string()))?;
    let kinds: BTreeSet<Kind> = request.kinds.into_iter().collect();
    if kinds.is_empty() {
        return Err(Problem::InvalidField("kinds names at least one".to_owned()));
    }
    if caller.customer.is_none() && !kinds.iter().all(|kind| kind.is_for_operator()) {
        let rule = "an operator's webhook tells of controller.reachable and controller.unreachable alone";
        return Err(Problem::InvalidField(rule.to_owned()));
    }
    let webhook_id = WebhookId::random();
    let secret = signing::fresh().map_err(|error| Problem::internal(&error))?;
    let wrapped = app.vault.wrap_webhook_secret(&webhook_id, &*secret).map_err(|error| Problem::internal(&error))?;
    let new = NewWebhook {
        webhook_id: webhook_id.clone(),
        url: url.into(),
        kinds: kinds.into_iter().collect(),
        secret: wrapped,
    };
    app.storage.register_webhook(&caller.scope(), new, app.now()).await?;
    let body = WebhookRegistered { webhook_id: webhook_id.clone(), secret: signing::shown(&*secret).to_string() };
    Ok(at(format!("/v1/webhooks/{webhook_id}"), created(&webhook_id, body)))
}

// === tests ===

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Method, header};
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde_json::json;

    use crate::auth::roles::Role;
    use crate::testing::{Api, as_admin, as_other, as_role};

    const PATH: &str = "/v1/webhooks";

    #[tokio::test]
    async fn a_webhook_is_registered_and_its_secret_is_told_once_and_kept_encrypted() {
        let api = Api::new().await;
        let body = json!({"url": "https://hooks.example.org/cardea", "kinds": ["access.event", "access.event"]});
        let request = || {
            let request = api.request(&Method::POST, PATH, as_admin()).header("idempotency-key", "key-1");
            request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())).unwrap()
        };
        let first = api.call(request()).await;
        assert_eq!(first.status, 201, "{}", first.json);
        let secret = STANDARD.decode(first.text("secret").strip_prefix("whsec_").unwrap()).unwrap();
        assert_eq!(secret.len(), 32);
        assert_eq!(api.call(request()).await.problem(), (409, "conflict"), "the answer is told once");

        let path = format!("{PATH}/{}", first.text("webhook_id"));
        assert_eq!(first.header("location"), path);
        let seen = api.get(&path, as_admin()).await;
        assert_eq!(seen.json["kinds"], json!(["access.event"]));
        assert_eq!((seen.text("url"), &seen.json["waiting"]), ("https://hooks.example.org/cardea", &0.into()));
        assert!(!seen.json.to_string().contains("secret"));
        let bytes = api.database_bytes().await;
        for told in [first.text("secret").as_bytes(), &first.text("secret").as_bytes()[6..], &secret] {
            assert!(!bytes.windows(told.len()).any(|window| window == told));
        }
    }

    #[tokio::test]
    async fn what_leads_inside_or_nowhere_is_refused_and_not_repeated() {
        let api = Api::new().await;
        for url in ["http://hooks.example.org/", "https://127.0.0.1/", "https://10.9.8.7/", "https://[::1]/", "x"] {
            let answer = api.post(PATH, &json!({"url": url, "kinds": ["access.event"]}), as_admin()).await;
            assert_eq!(answer.problem(), (422, "invalid-field"), "{url}");
            assert!(!answer.text("detail").contains("10.9.8.7"));
        }
        for kinds in [json!([]), json!(["plate.admitted"]), json!("access.event")] {
            let body = json!({"url": "https://hooks.example.org/", "kinds": kinds});
            assert_eq!(api.post(PATH, &body, as_admin()).await.problem(), (422, "invalid-field"), "{kinds}");
        }
    }

    #[tokio::test]
    async fn the_operators_own_tells_nothing_of_residents() {
        let api = Api::new().await;
        for (kind, status) in [("access.event", 422), ("consent.withdrawn", 422), ("controller.unreachable", 201)] {
            let body = json!({"url": "https://hooks.example.org/", "kinds": [kind]});
            assert_eq!(api.post(PATH, &body, as_role(Role::Administrator)).await.status, status, "{kind}");
        }
    }

    #[tokio::test]
    async fn an_eleventh_is_one_too_many_and_another_tenants_do_not_count() {
        let api = Api::new().await;
        let body = json!({"url": "https://hooks.example.org/", "kinds": ["access.event"]});
        for _ in 0..10 {
            assert_eq!(api.post(PATH, &body, as_admin()).await.status, 201);
        }
        assert_eq!(api.post(PATH, &body, as_admin()).await.problem(), (409, "conflict"));
        assert_eq!(api.post(PATH, &body, as_other()).await.status, 201);
    }
}
