//! Logins: a family of refresh tokens, whom it was issued to and what for; and what has been revoked.

use cardea_protocol::Timestamp;

use super::engine::{Transaction, params};
use super::tokens::{NewFamily, TokenHash, begin_family};
use super::{Storage, StorageError};

/// A login that begins.
#[derive(Clone, Debug)]
pub struct NewLogin {
    /// Its refresh tokens.
    pub family: NewFamily,
    /// Whom its tokens are issued to.
    pub client_id: String,
    /// Whether its answers carry an ID token.
    pub openid: bool,
    /// When the credential was shown.
    pub auth_time: Timestamp,
}

/// A login, seen from one of its refresh tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Its id, which its access tokens carry too.
    pub family_id: String,
    /// Whose.
    pub principal_id: String,
    /// Whom its tokens are issued to.
    pub client_id: String,
    /// The client certificate it is bound to.
    pub thumbprint: String,
    /// Whether its answers carry an ID token.
    pub openid: bool,
    /// When the credential was shown.
    pub auth_time: Timestamp,
    /// When it ends, however often it is used.
    pub expires_at: Timestamp,
    /// Whether it was revoked.
    pub revoked: bool,
    /// Whether this refresh token was exchanged already.
    pub spent: bool,
}

impl Storage {
    /// Begins a login.
    pub async fn begin_login(&self, login: NewLogin, at: Timestamp) -> Result<(), StorageError> {
        self.write(move |tx| insert_login(tx, &login, at)).await
    }

    /// The login a refresh token belongs to, spent, revoked and expired ones included.
    pub async fn login_of(&self, token: TokenHash) -> Result<Option<Login>, StorageError> {
        self.read(move |connection| {
            connection.query_opt(
                "SELECT f.family_id, f.principal_id, l.client_id, f.cert_thumbprint, l.openid, l.auth_time,
                        f.expires_at, f.revoked_at, t.spent_at
                 FROM refresh_tokens t JOIN refresh_families f USING (family_id) JOIN logins l USING (family_id)
                 WHERE t.token_hash = ?1",
                [token],
                |row| {
                    Ok(Login {
                        family_id: row.get(0)?,
                        principal_id: row.get(1)?,
                        client_id: row.get(2)?,
                        thumbprint: row.get(3)?,
                        openid: row.get(4)?,
                        auth_time: Timestamp(row.get(5)?),
                        expires_at: Timestamp(row.get(6)?),
                        revoked: row.get::<Option<i64>>(7)?.is_some(),
                        spent: row.get::<Option<i64>>(8)?.is_some(),
                    })
                },
            )
        })
        .await
    }

    /// Ends a login: its refresh tokens, and every access token that stems from it.
    pub async fn revoke_login(&self, family_id: String, at: Timestamp) -> Result<(), StorageError> {
        self.write(move |tx| revoke(tx, &family_id, at)).await
    }

    /// Ends one access token; forgets those that have expired.
    pub async fn revoke_access_token(
        &self,
        jti: String,
        expires_at: Timestamp,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        self.write(move |tx| {
            tx.execute("DELETE FROM revoked_tokens WHERE expires_at <= ?1", [at.0])?;
            tx.execute(
                "INSERT INTO revoked_tokens (jti, expires_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                params![jti, expires_at.0],
            )?;
            Ok(())
        })
        .await
    }

    /// Whether an access token was revoked, or the login it stems from has ended.
    pub async fn is_revoked(&self, jti: &str, login: Option<&str>, at: Timestamp) -> Result<bool, StorageError> {
        let (jti, login) = (jti.to_owned(), login.map(str::to_owned));
        self.read(move |connection| {
            let revoked: bool = connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM revoked_tokens WHERE jti = ?1)",
                params![jti],
                |row| row.get(0),
            )?;
            let Some(login) = login.as_ref().filter(|_| !revoked) else { return Ok(revoked) };
            let lives: bool = connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM refresh_families
                 WHERE family_id = ?1 AND revoked_at IS NULL AND expires_at > ?2)",
                params![login, at.0],
                |row| row.get(0),
            )?;
            Ok(!lives)
        })
        .await
    }
}

pub(super) fn insert_login(tx: &Transaction<'_>, login: &NewLogin, at: Timestamp) -> Result<(), StorageError> {
    begin_family(tx, &login.family, at)?;
    tx.execute(
        "INSERT INTO logins (family_id, client_id, openid, auth_time) VALUES (?1, ?2, ?3, ?4)",
        params![login.family.family_id, login.client_id, login.openid, login.auth_time.0],
    )?;
    Ok(())
}

pub(super) fn revoke(tx: &Transaction<'_>, family_id: &str, at: Timestamp) -> Result<(), StorageError> {
    tx.execute(
        "UPDATE refresh_families SET revoked_at = ?2 WHERE family_id = ?1 AND revoked_at IS NULL",
        params![family_id, at.0],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::roles::Role;
    use crate::storage::principals::Principal;

    const T0: Timestamp = Timestamp(1_000_000);

    async fn with_login() -> Storage {
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
            rotates: true,
            first: [1; 32],
            expires_at: T0.plus_ms(1_000),
        };
        let login = NewLogin { family, client_id: "backend".to_owned(), openid: true, auth_time: T0 };
        storage.begin_login(login, T0).await.unwrap();
        storage
    }

    #[tokio::test]
    async fn an_access_token_ends_by_itself_or_with_its_login() {
        let storage = with_login().await;
        let revoked = async |jti, at| storage.is_revoked(jti, Some("f"), T0.plus_ms(at)).await.unwrap();
        assert!(!revoked("a", 0).await);
        storage.revoke_access_token("a".to_owned(), T0.plus_ms(500), T0).await.unwrap();
        storage.revoke_access_token("a".to_owned(), T0.plus_ms(500), T0).await.unwrap();
        assert!(revoked("a", 1).await && !revoked("b", 999).await);
        assert!(revoked("b", 1_000).await, "the login has ended");
        assert!(storage.is_revoked("c", Some("unknown"), T0).await.unwrap());
        assert!(!storage.is_revoked("c", None, T0).await.unwrap());
        storage.revoke_login("f".to_owned(), T0).await.unwrap();
        assert!(revoked("b", 1).await);
    }

    #[tokio::test]
    async fn a_login_is_found_by_its_token_until_it_is_forgotten() {
        let storage = with_login().await;
        let login = storage.login_of([1; 32]).await.unwrap().unwrap();
        assert!(login.openid && !login.revoked && !login.spent && login.client_id == "backend");
        storage.revoke_login("f".to_owned(), T0).await.unwrap();
        assert!(storage.login_of([1; 32]).await.unwrap().unwrap().revoked);
        assert_eq!(storage.login_of([2; 32]).await.unwrap(), None);
        // The next login sweeps what has expired, with all that hangs on it.
        let family = NewFamily {
            family_id: "g".to_owned(),
            principal_id: "backend".to_owned(),
            thumbprint: "t".to_owned(),
            rotates: true,
            first: [3; 32],
            expires_at: T0.plus_ms(9_000),
        };
        let next = NewLogin { family, client_id: "backend".to_owned(), openid: false, auth_time: T0 };
        storage.begin_login(next, T0.plus_ms(1_000)).await.unwrap();
        assert_eq!(storage.login_of([1; 32]).await.unwrap(), None);
    }
}
