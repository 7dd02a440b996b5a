//! Authorization codes (RFC 6749 §4.1): good once, for a minute, for the client, the address and the verifier they were
//! made for.

use cardea_protocol::Timestamp;

use super::engine::params;
use super::logins::{NewLogin, insert_login, revoke};
use super::{Storage, StorageError};

/// SHA-256 of a code.
pub type CodeHash = [u8; 32];

/// What a code stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// Whom it was made for.
    pub client_id: String,
    /// Who has logged in.
    pub principal_id: String,
    /// Where it was sent.
    pub redirect_uri: String,
    /// PKCE (RFC 7636), by S256.
    pub challenge: String,
    /// Whether an ID token was asked for.
    pub openid: bool,
    /// What the ID token is to repeat.
    pub nonce: Option<String>,
    /// When the credential was shown.
    pub auth_time: Timestamp,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

/// A code that a client has shown, and what it has shown beside it.
#[derive(Clone, Debug)]
pub struct ShownCode {
    /// Of the code.
    pub hash: CodeHash,
    /// Who shows it.
    pub client_id: String,
    /// Where the client says that it was sent.
    pub redirect_uri: String,
    /// Of the verifier.
    pub challenge: String,
}

/// What became of a code that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redeemed {
    /// The login has begun.
    Good,
    /// Unknown, too late, or not for this client, address and verifier. It is spent all the same.
    Invalid,
    /// Shown before: somebody has copied it. The login it has begun is revoked.
    Reused,
}

impl Storage {
    /// Keeps a new code; forgets those that came to nothing.
    pub async fn add_code(&self, hash: CodeHash, code: Code, at: Timestamp) -> Result<(), StorageError> {
        self.write(move |tx| {
            tx.execute("DELETE FROM authorization_codes WHERE expires_at <= ?1 AND family_id IS NULL", [at.0])?;
            tx.execute(
                "INSERT INTO authorization_codes (code_hash, client_id, principal_id, redirect_uri, challenge, openid,
                                                  nonce, auth_time, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    hash,
                    code.client_id,
                    code.principal_id,
                    code.redirect_uri,
                    code.challenge,
                    code.openid,
                    code.nonce,
                    code.auth_time.0,
                    code.expires_at.0
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// What a code stands for, spent or not.
    pub async fn code(&self, hash: CodeHash) -> Result<Option<Code>, StorageError> {
        self.read(move |connection| {
            connection.query_opt(
                "SELECT client_id, principal_id, redirect_uri, challenge, openid, nonce, auth_time, expires_at
                 FROM authorization_codes WHERE code_hash = ?1",
                [hash],
                |row| {
                    Ok(Code {
                        client_id: row.get(0)?,
                        principal_id: row.get(1)?,
                        redirect_uri: row.get(2)?,
                        challenge: row.get(3)?,
                        openid: row.get(4)?,
                        nonce: row.get(5)?,
                        auth_time: Timestamp(row.get(6)?),
                        expires_at: Timestamp(row.get(7)?),
                    })
                },
            )
        })
        .await
    }

    /// Spends a code, and begins `login` if everything about it is right. `None`: the account may not log in any more.
    pub async fn redeem_code(
        &self,
        shown: ShownCode,
        login: Option<NewLogin>,
        at: Timestamp,
    ) -> Result<Redeemed, StorageError> {
        type Row = (String, String, String, i64, Option<i64>, Option<String>);
        self.write(move |tx| {
            let found: Option<Row> = tx.query_opt(
                "SELECT client_id, redirect_uri, challenge, expires_at, spent_at, family_id
                 FROM authorization_codes WHERE code_hash = ?1",
                [shown.hash],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)),
            )?;
            let Some((client_id, redirect_uri, challenge, expires_at, spent_at, family_id)) = found else {
                return Ok(Redeemed::Invalid);
            };
            if spent_at.is_some() {
                if let Some(family_id) = family_id {
                    revoke(tx, &family_id, at)?;
                }
                return Ok(Redeemed::Reused);
            }
            let right = client_id == shown.client_id
                && redirect_uri == shown.redirect_uri
                && challenge == shown.challenge
                && at.0 < expires_at;
            let login = login.as_ref().filter(|_| right);
            if let Some(login) = login {
                insert_login(tx, login, at)?;
            }
            tx.execute(
                "UPDATE authorization_codes SET spent_at = ?2, family_id = ?3 WHERE code_hash = ?1",
                params![shown.hash, at.0, login.map(|login| &login.family.family_id)],
            )?;
            Ok(if login.is_some() { Redeemed::Good } else { Redeemed::Invalid })
        })
        .await
    }
}
