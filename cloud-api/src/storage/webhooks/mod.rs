//! Webhooks: whose they are, where they lead and what they tell. What is still to be told is in [`outbox`],
//! what is too old for it in [`expiry`].

pub mod expiry;
pub mod outbox;

use cardea_protocol::Timestamp;
use cardea_protocol::id::{CustomerId, WebhookId};

use super::changes::id;
use super::engine::{Row, Transaction, params};
use super::sites::Scope;
use super::{Storage, StorageError};
use crate::webhooks::{Kind, Outcome};

/// How many a tenant may have.
pub const MAX_WEBHOOKS: u32 = 10;
/// How long a secret signs after the next one has come, milliseconds.
pub const FORMER_SECRET_MS: i64 = 24 * 3_600 * 1_000;

/// A webhook to register.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    /// Its id.
    pub webhook_id: WebhookId,
    /// Where it leads: an https URL.
    pub url: String,
    /// What it tells.
    pub kinds: Vec<Kind>,
    /// Its secret, as [`crate::keys::Vault::wrap_webhook_secret`] made it.
    pub secret: Vec<u8>,
}

/// A webhook as it stands, without its secret.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its id.
    pub webhook_id: WebhookId,
    /// Where it leads.
    pub url: String,
    /// What it tells, in the order of their names.
    pub kinds: Vec<Kind>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When the receiver said that it is gone.
    pub disabled_at: Option<Timestamp>,
    /// The first failed attempt since the last success.
    pub failing_since: Option<Timestamp>,
    /// Messages that are still to be delivered.
    pub waiting: u32,
    /// The newest attempt.
    pub last: Option<LastAttempt>,
}

/// The newest attempt to deliver something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastAttempt {
    /// Of which message.
    pub message_id: String,
    /// When it ended.
    pub at: Timestamp,
    /// How.
    pub outcome: Outcome,
    /// HTTP status, if there was an answer.
    pub status: Option<u32>,
}

/// Why a webhook was not registered or changed.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// No such webhook of the caller's.
    #[error("there is no such webhook")]
    NotFound,
    /// The tenant has as many as it may have.
    #[error("there are as many webhooks as there may be")]
    TooMany,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

const COLUMNS: &str = "webhook_id, url, created_at, disabled_at, failing_since,
    (SELECT count(*) FROM webhook_messages m WHERE m.webhook_id = w.webhook_id),
    last_message, last_attempt_at, last_outcome, last_status";

/// Unlike sites, webhooks of customers are none of the operator's: each tenant has its own.
const OWN: &str = "customer_id IS NOT DISTINCT FROM CAST(?1 AS TEXT)";

fn webhook(row: &Row<'_>) -> Result<Webhook, StorageError> {
    let corrupt = StorageError::Corrupt("attempt of a webhook");
    let last = match (row.get::<Option<String>>(6)?, row.get::<Option<i64>>(7)?, row.get::<Option<String>>(8)?) {
        (Some(message_id), Some(at), Some(outcome)) => Some(LastAttempt {
            message_id,
            at: Timestamp(at),
            outcome: Outcome::from_name(&outcome).ok_or(corrupt)?,
            status: row.get(9)?,
        }),
        _ => None,
    };
    Ok(Webhook {
        webhook_id: id(row.get(0)?, WebhookId::new)?,
        url: row.get(1)?,
        kinds: Vec::new(),
        created_at: Timestamp(row.get(2)?),
        disabled_at: row.get::<Option<i64>>(3)?.map(Timestamp),
        failing_since: row.get::<Option<i64>>(4)?.map(Timestamp),
        waiting: row.get(5)?,
        last,
    })
}

/// A webhook of an earlier version may name a kind that is no more; it is passed over.
fn with_kinds(tx: &Transaction<'_>, mut webhook: Webhook) -> Result<Webhook, StorageError> {
    let names: Vec<String> = tx.query(
        "SELECT kind FROM webhook_kinds WHERE webhook_id = ?1 ORDER BY kind",
        [webhook.webhook_id.as_str()],
        |row| row.get(0),
    )?;
    webhook.kinds = names.iter().filter_map(|name| Kind::from_name(name)).collect();
    Ok(webhook)
}

fn is_own(tx: &Transaction<'_>, owner: Option<&str>, webhook: &WebhookId) -> Result<bool, StorageError> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM webhooks WHERE {OWN} AND webhook_id = ?2)");
    tx.query_row(&sql, params![owner, webhook.as_str()], |row| row.get(0))
}

/// Who a webhook's messages concern, for the audit.
pub(super) fn owner(tx: &Transaction<'_>, webhook: &WebhookId) -> Result<Option<CustomerId>, StorageError> {
    let sql = "SELECT customer_id FROM webhooks WHERE webhook_id = ?1 AND customer_id IS NOT NULL";
    tx.query_opt(sql, [webhook.as_str()], |row| id(row.get(0)?, CustomerId::new))
}

impl Storage {
    /// Registers a webhook of the caller's own.
    pub async fn register_webhook(&self, scope: &Scope, new: NewWebhook, at: Timestamp) -> Result<(), WebhookError> {
        let scope = scope.clone();
        self.write(move |tx| {
            let sql = format!("SELECT count(*) FROM webhooks WHERE {OWN}");
            let there: u32 = tx.query_row(&sql, [scope.only()], |row| row.get(0))?;
            if there >= MAX_WEBHOOKS {
                return Err(WebhookError::TooMany);
            }
            tx.execute(
                "INSERT INTO webhooks (webhook_id, customer_id, url, secret, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![new.webhook_id.as_str(), scope.only(), new.url, new.secret, at.0],
            )?;
            for kind in &new.kinds {
                let sql = "INSERT INTO webhook_kinds (webhook_id, kind) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
                tx.execute(sql, [new.webhook_id.as_str(), kind.as_str()])?;
            }
            Ok(())
        })
        .await
    }

    /// The caller's own webhooks.
    pub async fn webhooks(&self, scope: &Scope) -> Result<Vec<Webhook>, StorageError> {
        let scope = scope.clone();
        self.read(move |tx| {
            let sql = format!("SELECT {COLUMNS} FROM webhooks w WHERE {OWN} ORDER BY webhook_id");
            let found = tx.query(&sql, [scope.only()], webhook)?;
            found.into_iter().map(|webhook| with_kinds(tx, webhook)).collect()
        })
        .await
    }

    /// One of the caller's own webhooks.
    pub async fn webhook(&self, scope: &Scope, webhook_id: &WebhookId) -> Result<Option<Webhook>, StorageError> {
        let (scope, webhook_id) = (scope.clone(), webhook_id.clone());
        self.read(move |tx| {
            let sql = format!("SELECT {COLUMNS} FROM webhooks w WHERE {OWN} AND webhook_id = ?2");
            let found = tx.query_opt(&sql, params![scope.only(), webhook_id.as_str()], webhook)?;
            found.map(|webhook| with_kinds(tx, webhook)).transpose()
        })
        .await
    }

    /// Removes one of the caller's own webhooks, and what it was still to tell.
    pub async fn remove_webhook(&self, scope: &Scope, webhook: &WebhookId) -> Result<(), WebhookError> {
        let (scope, webhook) = (scope.clone(), webhook.clone());
        self.write(move |tx| {
            if !is_own(tx, scope.only(), &webhook)? {
                return Err(WebhookError::NotFound);
            }
            for table in ["webhook_messages", "webhook_kinds", "webhooks"] {
                tx.execute(&format!("DELETE FROM {table} WHERE webhook_id = ?1"), [webhook.as_str()])?;
            }
            Ok(())
        })
        .await
    }

    /// Gives one of the caller's own webhooks another secret; the one before signs too for [`FORMER_SECRET_MS`]. While it
    /// does, another rotation replaces the new secret alone: an answer that was lost is asked for again, and the receiver
    /// has the one before until its time is over. Returns until when that is.
    pub async fn rotate_webhook_secret(
        &self,
        scope: &Scope,
        webhook: &WebhookId,
        secret: Vec<u8>,
        at: Timestamp,
    ) -> Result<Timestamp, WebhookError> {
        let (scope, webhook) = (scope.clone(), webhook.clone());
        self.write(move |tx| {
            if !is_own(tx, scope.only(), &webhook)? {
                return Err(WebhookError::NotFound);
            }
            let until = tx.query_row(
                "UPDATE webhooks SET secret = ?2,
                     former_secret = CASE WHEN former_until > ?3 THEN former_secret ELSE secret END,
                     former_until = CASE WHEN former_until > ?3 THEN former_until ELSE ?4 END
                 WHERE webhook_id = ?1 RETURNING former_until",
                params![webhook.as_str(), secret, at.0, at.plus_ms(FORMER_SECRET_MS).0],
                |row| row.get(0),
            )?;
            Ok(Timestamp(until))
        })
        .await
    }
}

#[cfg(test)]
mod tests;
