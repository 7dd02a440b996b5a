//! What has waited too long to be told: it is given up, whatever its attempts.

use cardea_protocol::Timestamp;
use cardea_protocol::id::WebhookId;

use super::super::changes::id;
use super::super::engine::params;
use super::super::{Storage, StorageError};
use super::outbox::{GIVEN_UP, audited, forget};

/// What the audit says of a message that was given up by its age, where of another one it says how the last attempt ended.
pub const EXPIRED: &str = "expired";

impl Storage {
    /// Gives up at most `limit` messages that were written at `before` or earlier, oldest first: each is in the audit, as
    /// [`EXPIRED`]. Returns how many there were.
    pub async fn give_up_messages(&self, before: Timestamp, limit: u32, now: Timestamp) -> Result<usize, StorageError> {
        // Looked for apart, because there are none nearly always, and a look keeps nobody from writing.
        let old = self
            .read(move |tx| {
                tx.query(
                    "SELECT message_id, webhook_id FROM webhook_messages WHERE created_at <= ?1
                     ORDER BY created_at, message_id LIMIT ?2",
                    params![before.0, limit],
                    |row| Ok((row.get::<String>(0)?, id(row.get(1)?, WebhookId::new)?)),
                )
            })
            .await?;
        if old.is_empty() {
            return Ok(0);
        }
        let found = old.len();
        self.write(move |tx| {
            for (message_id, webhook) in &old {
                // Unless it was delivered or removed meanwhile.
                if forget(tx, message_id)? == 1 {
                    audited(tx, GIVEN_UP, webhook, message_id, EXPIRED, now)?;
                }
            }
            Ok(())
        })
        .await
        .map(|()| found)
    }
}
