//! What calls with an `Idempotency-Key` were answered, so that a repeated call gets the same answer and does nothing.

use cardea_protocol::Timestamp;

use super::engine::{Transaction, params};
use super::{Storage, StorageError};
use crate::keys::Column;

/// How long an answer is kept, milliseconds.
pub const KEPT_MS: i64 = 24 * 3_600 * 1_000;

/// A key of a caller's.
#[derive(Clone, Debug)]
pub struct AnswerKey {
    /// Whose.
    pub principal_id: String,
    /// The key itself.
    pub key: String,
}

/// An answer as it is given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// HTTP status.
    pub status: u16,
    /// `Location`.
    pub location: Option<String>,
    /// `ETag`.
    pub etag: Option<String>,
    /// The JSON body; nothing for an answer that is told once.
    pub body: Option<String>,
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing until this call: carry it out.
    New,
    /// It was used for another request.
    Other,
    /// The first call has not ended.
    InProgress,
    /// The first call was answered.
    Answered(KeptAnswer),
}

impl AnswerKey {
    /// The key as it is stored: what a caller sends may hold anything.
    fn stored(&self, tx: &Transaction<'_>) -> Result<String, StorageError> {
        Ok(hex::encode(tx.lookup(Column::IdempotencyKey, &self.principal_id, &self.key)?))
    }
}

impl Storage {
    /// Takes a key, unless it is taken. One whose call began before `abandoned` and never ended is taken over.
    pub async fn begin_answer(
        &self,
        key: AnswerKey,
        fingerprint: [u8; 32],
        at: Timestamp,
        abandoned: Timestamp,
    ) -> Result<Known, StorageError> {
        self.write(move |tx| {
            tx.execute("DELETE FROM idempotent_answers WHERE begun_at < ?1", params![at.0 - KEPT_MS])?;
            let stored = key.stored(tx)?;
            let known = tx.query_opt(
                "SELECT fingerprint, begun_at, status, location, etag, body FROM idempotent_answers
                 WHERE principal_id = ?1 AND idempotency_key = ?2",
                [&key.principal_id, &stored],
                |row| {
                    let answer = (row.get::<Option<i64>>(2)?, row.get(3)?, row.get(4)?, row.get(5)?);
                    Ok((row.get::<Vec<u8>>(0)?, row.get::<i64>(1)?, answer))
                },
            )?;
            match known {
                Some((other, _, _)) if other != fingerprint => return Ok(Known::Other),
                Some((_, _, (Some(status), location, etag, body))) => {
                    let status = u16::try_from(status).map_err(|_| StorageError::Corrupt("status"))?;
                    return Ok(Known::Answered(KeptAnswer { status, location, etag, body }));
                }
                Some((_, begun_at, _)) if begun_at > abandoned.0 => return Ok(Known::InProgress),
                _ => {}
            }
            tx.execute(
                "INSERT INTO idempotent_answers (principal_id, idempotency_key, fingerprint, begun_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (principal_id, idempotency_key) DO UPDATE SET begun_at = ?4",
                params![key.principal_id, stored, fingerprint, at.0],
            )?;
            Ok(Known::New)
        })
        .await
    }

    /// Keeps the answer of a call that was carried out; `None` frees the key, since nothing was done.
    pub async fn end_answer(&self, key: AnswerKey, answer: Option<KeptAnswer>) -> Result<(), StorageError> {
        self.write(move |tx| {
            let stored = key.stored(tx)?;
            match &answer {
                Some(answer) => tx.execute(
                    "UPDATE idempotent_answers SET status = ?3, location = ?4, etag = ?5, body = ?6
                     WHERE principal_id = ?1 AND idempotency_key = ?2",
                    params![
                        key.principal_id,
                        stored,
                        i64::from(answer.status),
                        answer.location,
                        answer.etag,
                        answer.body
                    ],
                )?,
                None => tx.execute(
                    "DELETE FROM idempotent_answers WHERE principal_id = ?1 AND idempotency_key = ?2",
                    [&key.principal_id, &stored],
                )?,
            };
            Ok(())
        })
        .await
    }
}
