//! Orders to open: who asked, and what became of it. A repeated call with the same key gets the first one's outcome.

use cardea_protocol::Timestamp;
use cardea_protocol::id::{AccessPointId, CommandId, GuestPassId, SiteId};

use super::changes::id;
use super::engine::params;
use super::{Storage, StorageError};
use crate::keys::Column;

/// An order to open.
#[derive(Clone, Debug)]
pub struct NewCommand {
    /// Its id.
    pub command_id: CommandId,
    /// Where.
    pub site: SiteId,
    /// What.
    pub access_point: AccessPointId,
    /// The guest pass that is opened with.
    pub pass: Option<GuestPassId>,
    /// Who asks.
    pub principal_id: String,
    /// The caller's key.
    pub idempotency_key: String,
}

/// A command as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRecord {
    /// Its id.
    pub command_id: CommandId,
    /// What was to be opened.
    pub access_point: AccessPointId,
    /// The guest pass it was opened with.
    pub pass: Option<GuestPassId>,
    /// `sent`, `accepted`, `confirmed`, `not-confirmed`, `refused`, `unreachable` or `unanswered`.
    pub state: String,
    /// Why it was refused.
    pub reason: Option<String>,
    /// When it was asked for.
    pub requested_at: Timestamp,
}

/// Whether a command is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It is: carry it out.
    New,
    /// The key was used before: nothing is to be done.
    Before(CommandRecord),
}

impl Storage {
    /// Records an order before it is sent.
    pub async fn begin_command(&self, command: NewCommand, at: Timestamp) -> Result<Begun, StorageError> {
        self.write(move |tx| {
            let key = tx.lookup(Column::IdempotencyKey, &command.principal_id, &command.idempotency_key)?;
            let key = hex::encode(key);
            let before = tx
                .query_opt(
                    "SELECT command_id, access_point_id, state, reason, requested_at, pass_id FROM commands
                     WHERE principal_id = ?1 AND idempotency_key = ?2",
                    [&command.principal_id, &key],
                    |row| {
                        let ids = (row.get::<String>(0)?, row.get::<String>(1)?);
                        let pass = row.get::<Option<String>>(5)?;
                        Ok((ids, row.get(2)?, row.get(3)?, row.get(4)?, pass))
                    },
                )?;
            if let Some(((command_id, access_point), state, reason, requested_at, pass)) = before {
                return Ok(Begun::Before(CommandRecord {
                    command_id: id(command_id, CommandId::new)?,
                    access_point: id(access_point, AccessPointId::new)?,
                    pass: pass.map(|pass| id(pass, GuestPassId::new)).transpose()?,
                    state,
                    reason,
                    requested_at: Timestamp(requested_at),
                }));
            }
            tx.execute(
                "INSERT INTO commands (command_id, site_id, access_point_id, principal_id, idempotency_key, state, requested_at, pass_id)
                 VALUES (?1, ?2, ?3, ?4, ?5, 'sent', ?6, ?7)",
                params![
                    command.command_id.as_str(),
                    command.site.as_str(),
                    command.access_point.as_str(),
                    command.principal_id,
                    key,
                    at.0,
                    command.pass.as_ref().map(GuestPassId::as_str)
                ],
            )?;
            Ok(Begun::New)
        })
        .await
    }

    /// Records what became of an order.
    pub async fn finish_command(
        &self,
        command: &CommandId,
        state: &'static str,
        reason: Option<String>,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        let command = command.clone();
        self.write(move |tx| {
            tx.execute(
                "UPDATE commands SET state = ?2, reason = ?3, finished_at = ?4 WHERE command_id = ?1",
                params![command.as_str(), state, reason, at.0],
            )?;
            Ok(())
        })
        .await
    }
}
