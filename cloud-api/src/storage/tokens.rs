//! Refresh tokens: families that begin with one login (RFC 9700 §4.14.2).
//!
//! The tokens of a rotating family are derived from its id and their position by the caller, so a retry within a short
//! window gets the *same* successor and a lost answer locks nobody out. Any other use of a spent token revokes the family.

use cardea_protocol::Timestamp;

use super::engine::{Transaction, params};
use super::logins::revoke;
use super::{Storage, StorageError};

/// SHA-256 of a refresh token.
pub type TokenHash = [u8; 32];

/// A new family.
#[derive(Clone, Debug)]
pub struct NewFamily {
    /// Random id.
    pub family_id: String,
    /// Whose login.
    pub principal_id: String,
    /// The client certificate it is bound to.
    pub thumbprint: String,
    /// Whether each use yields a successor.
    pub rotates: bool,
    /// Hash of its first token.
    pub first: TokenHash,
    /// When it ends, however often it is used.
    pub expires_at: Timestamp,
}

/// What a presented refresh token is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented {
    /// Good; the client keeps using the same token.
    Same {
        /// Whose.
        principal_id: String,
    },
    /// Good; the family goes on with its token of this generation.
    Successor {
        /// Whose.
        principal_id: String,
        /// The family.
        family_id: String,
        /// Position of the token to hand out.
        generation: u32,
    },
    /// Unknown, expired, revoked, or bound to another certificate.
    Invalid,
    /// Spent before: somebody has copied it. The family is revoked.
    Reused {
        /// Whose.
        principal_id: String,
    },
}

/// A presented token and what it is judged by.
pub(crate) struct Presentation<F> {
    pub hash: TokenHash,
    pub thumbprint: String,
    pub at: Timestamp,
    /// After its first use a spent token still yields the same successor for this long, milliseconds.
    pub retry_ms: i64,
    /// Hash of the family's token of a generation.
    pub derive: F,
}

impl Storage {
    /// Judges a presented token, and spends it if its family rotates.
    pub(crate) async fn present_refresh_token<F>(&self, presented: Presentation<F>) -> Result<Presented, StorageError>
    where
        F: Fn(&str, u32) -> TokenHash + Send + 'static,
    {
        type Row = (String, u32, Option<i64>, String, String, bool, i64, Option<i64>);
        self.write(move |tx| {
            let found: Option<Row> = tx.query_opt(
                "SELECT t.family_id, t.generation, t.spent_at, f.principal_id, f.cert_thumbprint, f.rotates,
                        f.expires_at, f.revoked_at
                 FROM refresh_tokens t JOIN refresh_families f USING (family_id) WHERE t.token_hash = ?1",
                [presented.hash],
                |row| {
                    Ok((
                        row.get(0)?,
                        row.get(1)?,
                        row.get(2)?,
                        row.get(3)?,
                        row.get(4)?,
                        row.get(5)?,
                        row.get(6)?,
                        row.get(7)?,
                    ))
                },
            )?;
            let Some((family_id, generation, spent_at, principal_id, thumbprint, rotates, expires_at, revoked_at)) =
                found
            else {
                return Ok(Presented::Invalid);
            };
            let at = presented.at.0;
            if revoked_at.is_some() || expires_at <= at || thumbprint != presented.thumbprint {
                return Ok(Presented::Invalid);
            }
            if !rotates {
                return Ok(Presented::Same { principal_id });
            }
            let next = generation + 1;
            if let Some(spent_at) = spent_at {
                let successor_unused: bool = tx.query_row(
                    "SELECT EXISTS (SELECT 1 FROM refresh_tokens
                     WHERE family_id = ?1 AND generation = ?2 AND spent_at IS NULL)",
                    params![family_id, next],
                    |row| row.get(0),
                )?;
                if successor_unused && at.saturating_sub(spent_at) <= presented.retry_ms {
                    return Ok(Presented::Successor { principal_id, family_id, generation: next });
                }
                revoke(tx, &family_id, presented.at)?;
                return Ok(Presented::Reused { principal_id });
            }
            tx.execute("UPDATE refresh_tokens SET spent_at = ?2 WHERE token_hash = ?1", params![presented.hash, at])?;
            tx.execute(
                "INSERT INTO refresh_tokens (token_hash, family_id, generation, issued_at) VALUES (?1, ?2, ?3, ?4)",
                params![(presented.derive)(&family_id, next), family_id, next, at],
            )?;
            Ok(Presented::Successor { principal_id, family_id, generation: next })
        })
        .await
    }
}

/// Begins a family; forgets those that have expired.
pub(super) fn begin_family(tx: &Transaction<'_>, family: &NewFamily, at: Timestamp) -> Result<(), StorageError> {
    tx.execute(
        "DELETE FROM refresh_tokens WHERE family_id IN (SELECT family_id FROM refresh_families WHERE expires_at <= ?1)",
        [at.0],
    )?;
    tx.execute("DELETE FROM refresh_families WHERE expires_at <= ?1", [at.0])?;
    tx.execute(
        "INSERT INTO refresh_families (family_id, principal_id, cert_thumbprint, rotates, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![family.family_id, family.principal_id, family.thumbprint, family.rotates, family.expires_at.0],
    )?;
    tx.execute(
        "INSERT INTO refresh_tokens (token_hash, family_id, generation, issued_at) VALUES (?1, ?2, 0, ?3)",
        params![family.first, family.family_id, at.0],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::roles::Role;
    use crate::storage::principals::Principal;
    use sha2::{Digest as _, Sha256};

    const T0: Timestamp = Timestamp(1_000_000);

    fn hash(family: &str, generation: u32) -> TokenHash {
        Sha256::digest(format!("{family}/{generation}")).into()
    }

    async fn with_family(rotates: bool) -> Storage {
        let storage = crate::testing::scratch_storage();
        let principal = Principal {
            principal_id: "backend".to_owned(),
            customer: None,
            role: Role::Operator,
            password_hash: Some("x".to_owned()),
            subject_dn: None,
        };
        storage.register_principal(principal, T0).await.unwrap();
        let family = NewFamily {
            family_id: "f".to_owned(),
            principal_id: "backend".to_owned(),
            thumbprint: "t".to_owned(),
            rotates,
            first: hash("f", 0),
            expires_at: T0.plus_ms(1_000_000),
        };
        storage.write(move |tx| begin_family(tx, &family, T0)).await.unwrap();
        storage
    }

    async fn present(storage: &Storage, generation: u32, after_ms: i64) -> Presented {
        present_with(storage, generation, after_ms, "t").await
    }

    async fn present_with(storage: &Storage, generation: u32, after_ms: i64, thumbprint: &str) -> Presented {
        let presentation = Presentation {
            hash: hash("f", generation),
            thumbprint: thumbprint.to_owned(),
            at: T0.plus_ms(after_ms),
            retry_ms: 30_000,
            derive: hash,
        };
        storage.present_refresh_token(presentation).await.unwrap()
    }

    fn successor(generation: u32) -> Presented {
        Presented::Successor { principal_id: "backend".to_owned(), family_id: "f".to_owned(), generation }
    }

    #[tokio::test]
    async fn a_retry_gets_the_same_successor() {
        let storage = with_family(true).await;
        assert_eq!(present(&storage, 0, 0).await, successor(1));
        assert_eq!(present(&storage, 0, 29_000).await, successor(1));
        assert_eq!(present(&storage, 1, 29_500).await, successor(2));
    }

    #[tokio::test]
    async fn a_late_reuse_revokes_the_family() {
        let storage = with_family(true).await;
        present(&storage, 0, 0).await;
        assert_eq!(present(&storage, 0, 31_000).await, Presented::Reused { principal_id: "backend".to_owned() });
        assert_eq!(present(&storage, 1, 31_001).await, Presented::Invalid);
    }

    #[tokio::test]
    async fn reuse_after_the_successor_was_used_revokes_at_once() {
        let storage = with_family(true).await;
        present(&storage, 0, 0).await;
        present(&storage, 1, 10).await;
        assert_eq!(present(&storage, 0, 20).await, Presented::Reused { principal_id: "backend".to_owned() });
        assert_eq!(present(&storage, 2, 30).await, Presented::Invalid);
    }

    #[tokio::test]
    async fn a_certificate_bound_family_does_not_rotate() {
        let storage = with_family(false).await;
        for after in [0, 40_000, 90_000] {
            assert_eq!(present(&storage, 0, after).await, Presented::Same { principal_id: "backend".to_owned() });
        }
    }

    #[tokio::test]
    async fn expired_or_with_another_certificate_it_is_worth_nothing() {
        let storage = with_family(true).await;
        assert_eq!(present_with(&storage, 0, 0, "other").await, Presented::Invalid);
        assert_eq!(present(&storage, 0, 1_000_000).await, Presented::Invalid);
        assert_eq!(present(&storage, 9, 0).await, Presented::Invalid);
    }
}
