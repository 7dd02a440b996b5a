//! Webhooks: where a tenant is told what happens. [`crate::webhooks`] delivers.

pub(super) mod create;
pub(super) mod list;
pub(super) mod read;
pub(super) mod remove;
pub(super) mod rotate_secret;

use cardea_protocol::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::storage::webhooks::{LastAttempt, Webhook, WebhookError};
use crate::webhooks::{Kind, Outcome};

// === error ===

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::NotFound => Self::NotFound,
            WebhookError::TooMany => {
                Self::Conflict("there are ten webhooks, and no more are possible: remove one first")
            }
            WebhookError::Storage(error) => error.into(),
        }
    }
}

// === doc ===

/// A webhook.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookView {
    /// Its id.
    webhook_id: String,
    /// Where it leads.
    url: String,
    /// What it tells.
    kinds: Vec<Kind>,
    /// When it was registered (RFC 3339).
    #[schema(format = DateTime)]
    registered_at: String,
    /// When the receiver answered that it is gone (410): nothing is told any more (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    disabled_at: Option<String>,
    /// Since when every attempt has failed (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    failing_since: Option<String>,
    /// Messages that are still to be delivered.
    waiting: u32,
    /// The newest attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = WebhookDelivery, required = false)]
    last_delivery: Option<WebhookDelivery>,
}

/// An attempt to deliver a message.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookDelivery {
    /// Its `webhook-id`.
    message_id: String,
    /// When it ended (RFC 3339).
    #[schema(format = DateTime)]
    at: String,
    /// How it ended.
    outcome: Outcome,
    /// HTTP status, if there was an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u32>,
}

impl From<Webhook> for WebhookView {
    fn from(webhook: Webhook) -> Self {
        let delivery = |last: LastAttempt| WebhookDelivery {
            message_id: last.message_id,
            at: rfc3339::format(last.at),
            outcome: last.outcome,
            status: last.status,
        };
        Self {
            webhook_id: webhook.webhook_id.to_string(),
            url: webhook.url,
            kinds: webhook.kinds,
            registered_at: rfc3339::format(webhook.created_at),
            disabled_at: webhook.disabled_at.map(rfc3339::format),
            failing_since: webhook.failing_since.map(rfc3339::format),
            waiting: webhook.waiting,
            last_delivery: webhook.last.map(delivery),
        }
    }
}
