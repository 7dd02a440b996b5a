//! Rotation of the keys that sign tokens: by age, or by `cardea-cloud rotate-token-key`.
//!
//! A new key is announced in the JWKS before it signs, so that every process that shares the database has read it by
//! then, and whoever keeps a copy of the JWKS can fetch it. Nothing else is agreed upon: see [`KeyRing`].

use std::time::Duration;

use cardea_access::time::Timestamp;

use super::KeyRing;
use crate::keys::{KeyError, SigningKey, Vault};
use crate::state::Shared;
use crate::storage::token_keys::StoredKey;
use crate::storage::{Storage, StorageError};

/// How often a running cloud looks for keys that another process has added, and at their age.
const RELOAD: Duration = Duration::from_secs(30);
/// How long before its first signature a key is published.
pub const ANNOUNCED_MS: i64 = 5 * 60 * 1_000;

/// Why the keys could not be read or rotated.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    /// A key does not open.
    #[error(
        "the keys that sign tokens cannot be used: restore keys/vault.key, or make others with `cardea-cloud \
         rotate-token-key --at-once`"
    )]
    Key(#[from] KeyError),
    /// The database.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Another process was faster.
    #[error("another process has rotated the keys at the same moment: look again, and repeat if you still need to")]
    Raced,
}

/// Makes the first key, and another one when the newest is older than `max_age_ms`; forgets those whose last token is gone.
pub async fn keep(storage: &Storage, vault: &Vault, now: Timestamp, max_age_ms: i64) -> Result<KeyRing, TokenKeyError> {
    let due = match load(storage, vault).await? {
        None => Some((now, None)),
        Some(ring) => {
            let gone = ring.gone(now);
            if !gone.is_empty() {
                storage.forget_token_keys(gone).await?;
            }
            let newest = ring.newest();
            if now.since_ms(newest) < max_age_ms {
                return Ok(ring);
            }
            Some((now.plus_ms(ANNOUNCED_MS), Some(newest)))
        }
    };
    if let Some((active_from, newest)) = due {
        // Where another process was faster, its key is the one.
        storage.add_token_key(sealed(vault, active_from)?, newest).await?;
    }
    load(storage, vault).await?.ok_or(TokenKeyError::Raced)
}

/// Announces another key, and says from when on it signs.
pub async fn rotate(storage: &Storage, vault: &Vault, now: Timestamp) -> Result<Timestamp, TokenKeyError> {
    let newest = storage.token_keys().await?.last().map(|key| key.active_from);
    let announced = newest.map_or(now, |newest| now.plus_ms(ANNOUNCED_MS).max(newest.plus_ms(1)));
    let added = storage.add_token_key(sealed(vault, announced)?, newest).await?;
    if added { Ok(announced) } else { Err(TokenKeyError::Raced) }
}

/// Puts a new key in the place of all others: what they have signed is refused as soon as running clouds have looked.
pub async fn replace(storage: &Storage, vault: &Vault, now: Timestamp) -> Result<(), TokenKeyError> {
    Ok(storage.replace_token_keys(sealed(vault, now)?).await?)
}

/// Keeps the keys of a running cloud.
pub(crate) async fn run(app: Shared) {
    let max_age_ms = app.config.tokens.key_max_age_ms();
    let mut looks = tokio::time::interval(RELOAD);
    loop {
        looks.tick().await;
        match keep(&app.storage, &app.vault, app.now(), max_age_ms).await {
            Ok(ring) => app.tokens.set_keys(ring),
            Err(error) => tracing::error!(%error, "the keys that sign tokens stay as they were"),
        }
    }
}

/// The keys as they are stored. `None`: there are none yet.
pub async fn load(storage: &Storage, vault: &Vault) -> Result<Option<KeyRing>, TokenKeyError> {
    let stored = storage.token_keys().await?;
    let opened = stored.iter().map(|key| Ok((key.active_from, vault.unwrap_signing_key(&key.kid, &key.sealed)?)));
    Ok(KeyRing::new(opened.collect::<Result<_, KeyError>>()?)?)
}

fn sealed(vault: &Vault, active_from: Timestamp) -> Result<StoredKey, KeyError> {
    let key = SigningKey::generate()?;
    Ok(StoredKey { kid: key.kid().to_owned(), sealed: vault.wrap_signing_key(&key)?, active_from })
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp(1_800_000_000_000);
    const DAY_MS: i64 = 86_400_000;

    fn world() -> (Storage, Vault) {
        (Storage::in_memory(crate::testing::memory_keys()).unwrap(), Vault::from_bytes([7; 32]))
    }

    #[tokio::test]
    async fn an_old_key_is_relieved_and_later_forgotten() {
        let (storage, vault) = world();
        let first = keep(&storage, &vault, T0, 30 * DAY_MS).await.unwrap();
        let kid = first.signing(T0).kid.clone();
        let same = keep(&storage, &vault, T0.plus_ms(30 * DAY_MS - 1), 30 * DAY_MS).await.unwrap();
        assert_eq!(same.published(T0).len(), 1);

        let due = T0.plus_ms(30 * DAY_MS);
        let two = keep(&storage, &vault, due, 30 * DAY_MS).await.unwrap();
        assert_eq!(two.signing(due.plus_ms(ANNOUNCED_MS - 1)).kid, kid);
        assert_ne!(two.signing(due.plus_ms(ANNOUNCED_MS)).kid, kid);
        keep(&storage, &vault, due.plus_ms(1), 30 * DAY_MS).await.unwrap();
        assert_eq!(storage.token_keys().await.unwrap().len(), 2, "one rotation, however often it is looked at");

        keep(&storage, &vault, due.plus_ms(ANNOUNCED_MS + 3_600_000), 30 * DAY_MS).await.unwrap();
        assert!(storage.token_keys().await.unwrap().iter().all(|key| key.kid != kid));
    }

    #[tokio::test]
    async fn by_order_a_key_comes_announced_or_at_once() {
        let (storage, vault) = world();
        keep(&storage, &vault, T0, DAY_MS).await.unwrap();
        assert_eq!(rotate(&storage, &vault, T0.plus_ms(1)).await.unwrap(), T0.plus_ms(1 + ANNOUNCED_MS));
        assert_eq!(rotate(&storage, &vault, T0.plus_ms(1)).await.unwrap(), T0.plus_ms(2 + ANNOUNCED_MS));
        assert_eq!(load(&storage, &vault).await.unwrap().unwrap().published(T0).len(), 3);
        replace(&storage, &vault, T0.plus_ms(2)).await.unwrap();
        assert_eq!(load(&storage, &vault).await.unwrap().unwrap().published(T0).len(), 1);
    }

    #[tokio::test]
    async fn with_another_key_file_the_message_says_what_to_do() {
        let (storage, vault) = world();
        keep(&storage, &vault, T0, DAY_MS).await.unwrap();
        let other = Vault::from_bytes([8; 32]);
        let error = keep(&storage, &other, T0, DAY_MS).await.unwrap_err().to_string();
        assert!(error.contains("rotate-token-key --at-once"), "{error}");
        replace(&storage, &other, T0).await.unwrap();
        assert!(keep(&storage, &other, T0, DAY_MS).await.is_ok());
    }
}
