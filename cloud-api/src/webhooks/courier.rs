//! The courier: takes what is due out of the outbox and sees to it that it is delivered.
//!
//! Attempts for one webhook run beside each other, [`AT_ONCE`] at most, and those for another one beside them: a receiver
//! that is slow delays nobody else. So the order of messages is not kept, not even for one receiver; each says when what it
//! tells of happened.
//!
//! A receiver that fails is asked seldom: [`FAILING_AT_ONCE`] attempts beside each other, then a pause that grows
//! ([`pause_ms`]). The first success ends that. What has waited for [`KEEP_MS`] is given up, however often it was tried.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cardea_protocol::Timestamp;
use cardea_protocol::clock::SharedClock;
use cardea_protocol::id::WebhookId;
use rand::rngs::StdRng;
use tokio::task::{Id, JoinSet};
use zeroize::Zeroizing;

use crate::keys::{KeyError, Vault};
use crate::storage::webhooks::outbox::{Attempt, DueMessage, DueWebhook};
use crate::storage::{Storage, StorageError};
use crate::webhooks::schedule::{KEEP_MS, pause_ms, retry_ms};
use crate::webhooks::sender::{Answer, Outgoing, Post};
use crate::webhooks::{Outcome, signing};

/// Attempts for one webhook at a time.
pub const AT_ONCE: u32 = 4;
/// And while every one fails.
pub const FAILING_AT_ONCE: u32 = 2;
/// Messages that are given up in one transaction.
const GIVE_UP_AT_ONCE: u32 = 100;
/// How often the outbox is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often secrets are deleted that count no longer.
const FORGET: Duration = Duration::from_hours(1);
/// An attempt of which nothing is heard for so long was lost with its process, milliseconds: well beyond
/// [`TIMEOUT`](super::sender::TIMEOUT).
pub const LOST_MS: i64 = 60_000;

/// What an attempt needs.
#[derive(Clone)]
pub struct Means {
    /// The outbox.
    pub storage: Storage,
    /// Opens the secrets.
    pub vault: Arc<Vault>,
    /// Time.
    pub clock: SharedClock,
    /// The way out.
    pub post: Arc<dyn Post>,
}

impl std::fmt::Debug for Means {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Means")
    }
}

/// Delivers what is due.
#[derive(Debug)]
pub struct Courier {
    means: Means,
    rng: StdRng,
    attempts: JoinSet<()>,
    under_way: HashMap<Id, WebhookId>,
}

impl Courier {
    /// One that has begun nothing yet; `rng` spreads the retries.
    pub fn new(means: Means, rng: StdRng) -> Self {
        Self { means, rng, attempts: JoinSet::new(), under_way: HashMap::new() }
    }

    /// Delivers until it is dropped; what is under way then counts as lost, and is tried again.
    pub async fn run(mut self) {
        let mut forget = tokio::time::interval(FORGET);
        loop {
            if let Err(error) = self.begin_due().await {
                tracing::error!(%error, "the outbox of webhooks could not be looked at; it is tried again");
            }
            tokio::select! {
                Some(ended) = self.attempts.join_next_with_id() => self.ended(ended.map(|(id, ())| id)),
                _ = forget.tick() => {
                    if let Err(error) = self.means.storage.forget_former_secrets(self.means.clock.now()).await {
                        tracing::error!(%error, "former secrets of webhooks could not be deleted; it is tried again");
                    }
                }
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Gives up what is too old; begins as many attempts as are due and may be under way.
    async fn begin_due(&mut self) -> Result<(), StorageError> {
        let now = self.means.clock.now();
        self.give_up_old(now).await?;
        for due in self.means.storage.due_webhooks(now).await? {
            let (allowed, webhook) = (at_once(&due, now), due.webhook_id);
            let busy = self.under_way.values().filter(|one| **one == webhook).count();
            let free = allowed.saturating_sub(u32::try_from(busy).unwrap_or(u32::MAX));
            if free == 0 {
                continue;
            }
            for message in self.means.storage.take_messages(&webhook, free, now, now.plus_ms(LOST_MS)).await? {
                let retry_ms = retry_ms(message.attempt, &mut self.rng);
                let attempt = self.attempts.spawn(attempt(self.means.clone(), message, retry_ms));
                self.under_way.insert(attempt.id(), webhook.clone());
            }
        }
        Ok(())
    }

    async fn give_up_old(&self, now: Timestamp) -> Result<(), StorageError> {
        loop {
            let before = now.plus_ms(-KEEP_MS);
            let messages = self.means.storage.give_up_messages(before, GIVE_UP_AT_ONCE, now).await?;
            if messages == 0 {
                return Ok(());
            }
            tracing::warn!(
                messages,
                "messages of webhooks have waited too long and are given up; the audit names them"
            );
        }
    }

    fn ended(&mut self, ended: Result<Id, tokio::task::JoinError>) {
        self.under_way.remove(&ended.unwrap_or_else(|error| error.id()));
    }

    /// Waits for every attempt that is under way: for tests.
    #[cfg(test)]
    async fn settled(&mut self) {
        while let Some(ended) = self.attempts.join_next_with_id().await {
            self.ended(ended.map(|(id, ())| id));
        }
    }
}

/// How many attempts of a webhook may be under way by now.
fn at_once(due: &DueWebhook, now: Timestamp) -> u32 {
    match (due.failing_since, due.last_attempt_at) {
        (Some(since), Some(last)) if now.0 < last.plus_ms(pause_ms(last.0.saturating_sub(since.0))).0 => 0,
        (Some(_), _) => FAILING_AT_ONCE,
        (None, _) => AT_ONCE,
    }
}

/// One attempt, from the signature to what it comes to.
async fn attempt(means: Means, message: DueMessage, retry_ms: Option<i64>) {
    let (webhook, id, number) = (message.webhook_id.clone(), message.message_id.clone(), message.attempt);
    let answer = match sign(&means, message) {
        Ok(outgoing) => means.post.post(outgoing).await,
        Err(error) => {
            tracing::error!(%webhook, %error, "the secret of a webhook cannot be used");
            Answer { outcome: Outcome::NotSigned, status: None }
        }
    };
    let Answer { outcome, status } = answer;
    let now = means.clock.now();
    let attempt = Attempt { outcome, status, next: retry_ms.map(|wait| now.plus_ms(wait)) };
    match (outcome, retry_ms) {
        (Outcome::Delivered, _) => tracing::debug!(%webhook, message = id, number, "a message was delivered"),
        (Outcome::Gone, _) => tracing::warn!(%webhook, "the receiver of a webhook is gone: it is told nothing more"),
        (_, Some(_)) => {
            tracing::info!(%webhook, message = id, number, outcome = outcome.as_str(), "a message was not delivered");
        }
        (_, None) => {
            tracing::warn!(%webhook, message = id, number, outcome = outcome.as_str(), "a message is given up");
        }
    }
    if let Err(error) = means.storage.settle_message(&webhook, &id, attempt, now).await {
        tracing::error!(%webhook, %error, "what became of a message could not be noted; it may be sent again");
    }
}

fn sign(means: &Means, message: DueMessage) -> Result<Outgoing, KeyError> {
    let open = |wrapped: &Vec<u8>| means.vault.unwrap_webhook_secret(&message.webhook_id, wrapped);
    let secrets: Vec<Zeroizing<Vec<u8>>> = message.secrets.iter().map(open).collect::<Result<_, _>>()?;
    let timestamp_s = means.clock.now().0.div_euclid(1_000);
    let signatures = signing::signatures(&secrets, &message.message_id, timestamp_s, &message.body);
    Ok(Outgoing { url: message.url, id: message.message_id, timestamp_s, signatures, body: message.body })
}

#[cfg(test)]
mod tests;
