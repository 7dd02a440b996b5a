//! The keys that sign tokens, encrypted under the cloud's key file.

use cardea_protocol::Timestamp;

use super::engine::params;
use super::{Storage, StorageError};

/// A key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// JWK thumbprint (RFC 7638).
    pub kid: String,
    /// What [`crate::keys::Vault::wrap_signing_key`] made of it.
    pub sealed: Vec<u8>,
    /// When it begins to sign.
    pub active_from: Timestamp,
}

impl Storage {
    /// All of them, the oldest first.
    pub async fn token_keys(&self) -> Result<Vec<StoredKey>, StorageError> {
        self.read(|connection| {
            connection.query(
                "SELECT kid, sealed_key, active_from FROM token_keys ORDER BY active_from, kid",
                [],
                |row| Ok(StoredKey { kid: row.get(0)?, sealed: row.get(1)?, active_from: Timestamp(row.get(2)?) }),
            )
        })
        .await
    }

    /// Adds a key, unless the newest one is not `newest` any more: of two processes that rotate at once, one does.
    pub async fn add_token_key(&self, key: StoredKey, newest: Option<Timestamp>) -> Result<bool, StorageError> {
        self.write(move |tx| {
            let found: Option<i64> = tx.query_row("SELECT max(active_from) FROM token_keys", [], |row| row.get(0))?;
            if found != newest.map(|newest| newest.0) {
                return Ok(false);
            }
            tx.execute(
                "INSERT INTO token_keys (kid, sealed_key, active_from) VALUES (?1, ?2, ?3)",
                params![key.kid, key.sealed, key.active_from.0],
            )?;
            Ok(true)
        })
        .await
    }

    /// Puts a key in the place of all others: what they have signed is worth nothing from then on.
    pub async fn replace_token_keys(&self, key: StoredKey) -> Result<(), StorageError> {
        self.write(move |tx| {
            tx.execute("DELETE FROM token_keys", [])?;
            tx.execute(
                "INSERT INTO token_keys (kid, sealed_key, active_from) VALUES (?1, ?2, ?3)",
                params![key.kid, key.sealed, key.active_from.0],
            )?;
            Ok(())
        })
        .await
    }

    /// Deletes keys whose tokens have all expired.
    pub async fn forget_token_keys(&self, kids: Vec<String>) -> Result<(), StorageError> {
        self.write(move |tx| {
            for kid in &kids {
                tx.execute("DELETE FROM token_keys WHERE kid = ?1", params![kid])?;
            }
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kid: &str, active_from: i64) -> StoredKey {
        StoredKey { kid: kid.to_owned(), sealed: vec![1], active_from: Timestamp(active_from) }
    }

    #[tokio::test]
    async fn of_two_that_rotate_at_once_one_does() {
        let storage = crate::testing::scratch_storage();
        assert!(storage.add_token_key(key("a", 10), None).await.unwrap());
        assert!(!storage.add_token_key(key("b", 11), None).await.unwrap());
        assert!(storage.add_token_key(key("c", 20), Some(Timestamp(10))).await.unwrap());
        assert!(!storage.add_token_key(key("d", 21), Some(Timestamp(10))).await.unwrap());
        assert_eq!(storage.token_keys().await.unwrap(), [key("a", 10), key("c", 20)]);
        storage.forget_token_keys(vec!["a".to_owned()]).await.unwrap();
        storage.replace_token_keys(key("e", 5)).await.unwrap();
        assert_eq!(storage.token_keys().await.unwrap(), [key("e", 5)]);
    }
}
