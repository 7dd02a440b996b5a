//! What is still to be told: the outbox.
//!
//! [`announce`] writes into it within the transaction that does what it tells of. Whoever delivers takes a message by
//! counting an attempt ahead and moving its time on: if that process ends, the attempt counts as lost, and another one
//! follows. So a message is told at least once, or the audit says that it was not.

use cardea_protocol::Timestamp;
use cardea_protocol::id::{SaleId, SiteId, WebhookId};
use serde_json::{Map, Value, json};

use super::super::audit::append;
use super::super::changes::id;
use super::super::engine::{Transaction, params};
use super::super::{Storage, StorageError};
use super::owner;
use crate::audit::Entry;
use crate::webhooks::{Kind, Outcome};

/// What the audit calls a message that was not delivered: not at the last attempt, or not in time.
pub const GIVEN_UP: &str = "give_up_webhook_message";
/// What the audit calls the end of a webhook whose receiver is gone.
pub const DISABLED: &str = "disable_webhook";

/// A webhook that has something to tell, and how it fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueWebhook {
    /// Its id.
    pub webhook_id: WebhookId,
    /// The first failed attempt since the last success.
    pub failing_since: Option<Timestamp>,
    /// When the newest attempt ended.
    pub last_attempt_at: Option<Timestamp>,
}

/// A message whose time has come. Its `Debug` shows no secret and no URL.
#[derive(Clone)]
pub struct DueMessage {
    /// The same at each attempt.
    pub message_id: String,
    /// Through which webhook.
    pub webhook_id: WebhookId,
    /// Where to.
    pub url: String,
    /// What: JSON.
    pub body: String,
    /// Which attempt this is, counted from 1.
    pub attempt: u32,
    /// What to sign with, wrapped: the secret, and the one before while it counts.
    pub secrets: Vec<Vec<u8>>,
}

impl std::fmt::Debug for DueMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DueMessage({}, attempt {}, …)", self.message_id, self.attempt)
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What came of it.
    pub outcome: Outcome,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// When the next attempt is due, if this one failed; `None` after the last one.
    pub next: Option<Timestamp>,
}

/// Tells every webhook that wants to know: those of the site's customer, and the operator's own.
pub(crate) fn announce(
    tx: &Transaction<'_>,
    kind: Kind,
    site: &SiteId,
    ids: &[(&str, &str)],
    at: Timestamp,
) -> Result<(), StorageError> {
    let webhooks: Vec<String> = tx.query(
        "SELECT w.webhook_id FROM webhook_kinds k JOIN webhooks w USING (webhook_id)
         WHERE k.kind = ?1 AND w.disabled_at IS NULL AND (w.customer_id IS NULL
             OR w.customer_id = (SELECT customer_id FROM customer_sites WHERE site_id = ?2))",
        [kind.as_str(), site.as_str()],
        |row| row.get(0),
    )?;
    if webhooks.is_empty() {
        return Ok(());
    }
    let mut data = Map::from_iter([("site_id".to_owned(), Value::from(site.as_str()))]);
    data.extend(ids.iter().map(|(name, id)| ((*name).to_owned(), Value::from(*id))));
    let body = json!({"type": kind.as_str(), "timestamp": cardea_protocol::rfc3339::format(at), "data": data});
    for webhook in webhooks {
        tx.execute(
            "INSERT INTO webhook_messages (message_id, webhook_id, body, attempts, next_attempt_at, created_at)
             VALUES (?1, ?2, ?3, 0, ?4, ?4)",
            params![format!("msg_{}", WebhookId::random()), webhook, body.to_string(), at.0],
        )?;
    }
    Ok(())
}

/// Tells of every sale that is in force by now: each active controller of the site has applied it, and its erasures are
/// complete.
pub(in crate::storage) fn settle_sales(tx: &Transaction<'_>, at: Timestamp) -> Result<(), StorageError> {
    let complete = tx.query(
        "DELETE FROM sales_under_way WHERE NOT EXISTS (
             SELECT 1 FROM controllers c WHERE c.site_id = sales_under_way.site_id AND c.status = 'active'
                 AND c.cursor < sales_under_way.revision)
         AND NOT EXISTS (
             SELECT 1 FROM erasures e WHERE e.sale_id = sales_under_way.sale_id AND e.completed_at IS NULL)
         RETURNING sale_id, site_id",
        [],
        |row| Ok((row.get::<String>(0)?, id(row.get(1)?, SiteId::new)?)),
    )?;
    for (sale, site) in &complete {
        announce(tx, Kind::SaleCompleted, site, &[("sale_id", sale)], at)?;
    }
    Ok(())
}

/// Notes that a sale has to come into force at revision `revision` of its site; tells of it at once where it has.
pub(in crate::storage) fn sale_begins(
    tx: &Transaction<'_>,
    sale: &SaleId,
    site: &SiteId,
    revision: i64,
    at: Timestamp,
) -> Result<(), StorageError> {
    tx.execute(
        "INSERT INTO sales_under_way (sale_id, site_id, revision) VALUES (?1, ?2, ?3)
         ON CONFLICT (sale_id) DO UPDATE SET revision = excluded.revision",
        params![sale.as_str(), site.as_str(), revision],
    )?;
    settle_sales(tx, at)
}

impl Storage {
    /// The webhooks that have something to tell by now.
    pub async fn due_webhooks(&self, now: Timestamp) -> Result<Vec<DueWebhook>, StorageError> {
        self.read(move |tx| {
            tx.query(
                "SELECT webhook_id, failing_since, last_attempt_at FROM webhooks w WHERE EXISTS (
                     SELECT 1 FROM webhook_messages m WHERE m.webhook_id = w.webhook_id AND m.next_attempt_at <= ?1)
                 ORDER BY webhook_id",
                [now.0],
                |row| {
                    Ok(DueWebhook {
                        webhook_id: id(row.get(0)?, WebhookId::new)?,
                        failing_since: row.get::<Option<i64>>(1)?.map(Timestamp),
                        last_attempt_at: row.get::<Option<i64>>(2)?.map(Timestamp),
                    })
                },
            )
        })
        .await
    }

    /// Takes at most `limit` messages of a webhook whose time has come, oldest first. Each counts as attempted, and as lost
    /// if nothing is said of it until `lost_at`.
    pub async fn take_messages(
        &self,
        webhook: &WebhookId,
        limit: u32,
        now: Timestamp,
        lost_at: Timestamp,
    ) -> Result<Vec<DueMessage>, StorageError> {
        let webhook = webhook.clone();
        self.write(move |tx| {
            let found = tx.query(
                "SELECT m.message_id, w.url, m.body, m.attempts + 1, w.secret,
                     CASE WHEN w.former_until > ?2 THEN w.former_secret END
                 FROM webhook_messages m JOIN webhooks w USING (webhook_id)
                 WHERE m.webhook_id = ?1 AND m.next_attempt_at <= ?2 ORDER BY m.next_attempt_at, m.message_id LIMIT ?3",
                params![webhook.as_str(), now.0, limit],
                |row| {
                    let secrets = [Some(row.get::<Vec<u8>>(4)?), row.get::<Option<Vec<u8>>>(5)?];
                    Ok(DueMessage {
                        message_id: row.get(0)?,
                        webhook_id: webhook.clone(),
                        url: row.get(1)?,
                        body: row.get(2)?,
                        attempt: row.get(3)?,
                        secrets: secrets.into_iter().flatten().collect(),
                    })
                },
            )?;
            for message in &found {
                tx.execute(
                    "UPDATE webhook_messages SET attempts = ?2, next_attempt_at = ?3 WHERE message_id = ?1",
                    params![message.message_id, message.attempt, lost_at.0],
                )?;
            }
            Ok(found)
        })
        .await
    }

    /// Deletes secrets that count no longer.
    pub async fn forget_former_secrets(&self, now: Timestamp) -> Result<usize, StorageError> {
        self.write(move |tx| {
            tx.execute(
                "UPDATE webhooks SET former_secret = NULL, former_until = NULL WHERE former_until <= ?1",
                [now.0],
            )
        })
        .await
    }

    /// Notes how an attempt ended. A message that is delivered or given up is done with; the latter is in the audit. A
    /// receiver that is gone ends its webhook, and so is that.
    pub async fn settle_message(
        &self,
        webhook: &WebhookId,
        message_id: &str,
        attempt: Attempt,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let (webhook, message_id) = (webhook.clone(), message_id.to_owned());
        self.write(move |tx| {
            let Attempt { outcome, status, next } = attempt;
            let known = tx.execute(
                "UPDATE webhooks SET last_message = ?2, last_attempt_at = ?3, last_outcome = ?4, last_status = ?5,
                     failing_since = CASE WHEN ?6 = 1 THEN NULL ELSE coalesce(failing_since, ?3) END
                 WHERE webhook_id = ?1",
                params![
                    webhook.as_str(),
                    message_id,
                    now.0,
                    outcome.as_str(),
                    status.map(u32::from),
                    outcome == Outcome::Delivered
                ],
            )?;
            // Removed meanwhile, and its messages with it.
            if known == 0 {
                return Ok(());
            }
            match (outcome, next) {
                (Outcome::Delivered, _) => drop(forget(tx, &message_id)?),
                (Outcome::Gone, _) => disable(tx, &webhook, now)?,
                (_, Some(next)) => {
                    let sql = "UPDATE webhook_messages SET next_attempt_at = ?2 WHERE message_id = ?1";
                    tx.execute(sql, params![message_id, next.0])?;
                }
                (_, None) => {
                    if forget(tx, &message_id)? == 1 {
                        audited(tx, GIVEN_UP, &webhook, &message_id, outcome.as_str(), now)?;
                    }
                }
            }
            Ok(())
        })
        .await
    }
}

pub(super) fn forget(tx: &Transaction<'_>, message_id: &str) -> Result<usize, StorageError> {
    tx.execute("DELETE FROM webhook_messages WHERE message_id = ?1", [message_id])
}

/// Ends a webhook, and what it was still to tell.
fn disable(tx: &Transaction<'_>, webhook: &WebhookId, now: Timestamp) -> Result<(), StorageError> {
    let disabled = tx.execute(
        "UPDATE webhooks SET disabled_at = ?2 WHERE webhook_id = ?1 AND disabled_at IS NULL",
        params![webhook.as_str(), now.0],
    )?;
    tx.execute("DELETE FROM webhook_messages WHERE webhook_id = ?1", [webhook.as_str()])?;
    if disabled == 1 { audited(tx, DISABLED, webhook, webhook.as_str(), "done", now) } else { Ok(()) }
}

pub(super) fn audited(
    tx: &Transaction<'_>,
    action: &str,
    webhook: &WebhookId,
    target: &str,
    outcome: &str,
    at: Timestamp,
) -> Result<(), StorageError> {
    let entry = Entry {
        entry: 0,
        at,
        begun_by: None,
        customer: owner(tx, webhook)?.map(|customer| customer.to_string()),
        site: None,
        principal_id: None,
        action: action.to_owned(),
        target: Some(target.to_owned()),
        outcome: outcome.to_owned(),
    };
    append(tx, entry).map(drop)
}
