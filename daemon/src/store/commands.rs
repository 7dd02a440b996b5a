//! The ledger of orders: each id is recorded durably before anything acts on it.

use cardea_access::time::Timestamp;
use cardea_protocol::id::CommandId;
use rusqlite::params;

use super::{Store, StoreError};

/// How long an id is remembered after its order has expired. An order for another start of the program is refused anyway.
const KEEP_MS: i64 = 24 * 3_600_000;

impl Store {
    /// Records the order; `true` if its id is new. Returns after the row is on the disk.
    pub async fn record_command(
        &self,
        command: &CommandId,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let command = command.clone();
        self.on_thread(move |db| {
            db.write(|tx, _| {
                tx.execute(
                    "DELETE FROM seen_commands WHERE max(expires_at, seen_at) < ?1",
                    [now.0.saturating_sub(KEEP_MS)],
                )?;
                let added = tx.execute(
                    "INSERT OR IGNORE INTO seen_commands (command_id, expires_at, seen_at) VALUES (?1, ?2, ?3)",
                    params![command.as_str(), expires_at.0, now.0],
                )?;
                Ok::<_, StoreError>(added == 1)
            })
        })
        .await
    }
}
