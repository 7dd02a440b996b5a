//! Where logins through a client may lead back to.

use cardea_protocol::Timestamp;

use super::engine::params;
use super::{Storage, StorageError};

/// Why a redirect URI was not registered.
#[derive(Debug, thiserror::Error)]
pub enum AddRedirectUriError {
    /// No such account, or it is disabled.
    #[error("there is no such account")]
    UnknownAccount,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Storage {
    /// Registers a redirect URI of a client; again is the same.
    pub async fn add_redirect_uri(
        &self,
        client_id: String,
        uri: String,
        at: Timestamp,
    ) -> Result<(), AddRedirectUriError> {
        self.write(move |tx| {
            let known: bool = tx.query_row(
                "SELECT EXISTS (SELECT 1 FROM principals WHERE principal_id = ?1 AND disabled_at IS NULL)",
                params![client_id],
                |row| row.get(0),
            )?;
            if !known {
                return Err(AddRedirectUriError::UnknownAccount);
            }
            tx.execute(
                "INSERT INTO redirect_uris (client_id, uri, created_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![client_id, uri, at.0],
            )?;
            Ok(())
        })
        .await
    }

    /// Whether this is, letter by letter, a redirect URI of that client.
    pub async fn has_redirect_uri(&self, client_id: &str, uri: &str) -> Result<bool, StorageError> {
        let (client_id, uri) = (client_id.to_owned(), uri.to_owned());
        self.read(move |connection| {
            connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM redirect_uris WHERE client_id = ?1 AND uri = ?2)",
                params![client_id, uri],
                |row| row.get(0),
            )
        })
        .await
    }
}
