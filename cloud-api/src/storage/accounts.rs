//! Accounts seen from outside the token endpoint: who there is, whose sites an installer works at, and an end to them.

use cardea_protocol::Timestamp;
use cardea_protocol::id::{CustomerId, SiteId};

use super::changes::id;
use super::engine::params;
use super::sites::Scope;
use super::{Storage, StorageError};
use crate::auth::roles::Role;

/// An account as it is listed: without what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub principal_id: String,
    /// Whose; `None`: the operator's own.
    pub customer: Option<CustomerId>,
    /// What it may do.
    pub role: Role,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Why an account was not changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// No such account.
    #[error("there is no such account")]
    NotFound,
    /// It is revoked.
    #[error("the account is revoked already")]
    Revoked,
    /// Only an installer is given sites.
    #[error("the account is not an installer's")]
    NotInstaller,
    /// No such site.
    #[error("there is no such site")]
    UnknownSite,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Storage {
    /// The accounts within a scope, revoked ones too, in the order of their ids.
    pub async fn accounts(&self, scope: &Scope) -> Result<Vec<Account>, StorageError> {
        let scope = scope.clone();
        self.read(move |connection| {
            connection.query(
                "SELECT principal_id, customer_id, role, created_at, disabled_at FROM principals
                 WHERE CAST(?1 AS TEXT) IS NULL OR customer_id = ?1 ORDER BY principal_id",
                [scope.only()],
                |row| {
                    let (customer, role): (Option<String>, String) = (row.get(1)?, row.get(2)?);
                    Ok(Account {
                        principal_id: row.get(0)?,
                        customer: customer.map(|c| id(c, CustomerId::new)).transpose()?,
                        role: Role::from_name(&role).ok_or(StorageError::Corrupt("role"))?,
                        created_at: Timestamp(row.get(3)?),
                        revoked_at: row.get::<Option<i64>>(4)?.map(Timestamp),
                    })
                },
            )
        })
        .await
    }

    /// Revokes an account: it gets no token any more, and those it has count no longer.
    pub async fn revoke_principal(&self, principal_id: &str, at: Timestamp) -> Result<(), AccountError> {
        let principal_id = principal_id.to_owned();
        self.write(move |tx| {
            let sql = "SELECT disabled_at FROM principals WHERE principal_id = ?1";
            let disabled: Option<Option<i64>> = tx.query_opt(sql, params![principal_id], |row| row.get(0))?;
            match disabled {
                None => return Err(AccountError::NotFound),
                Some(Some(_)) => return Err(AccountError::Revoked),
                Some(None) => {}
            }
            for sql in [
                "UPDATE principals SET disabled_at = ?2 WHERE principal_id = ?1",
                "UPDATE refresh_families SET revoked_at = ?2 WHERE principal_id = ?1 AND revoked_at IS NULL",
            ] {
                tx.execute(sql, params![principal_id, at.0])?;
            }
            Ok(())
        })
        .await
    }

    /// Gives an installer its sites, in place of those it had.
    pub async fn give_sites(&self, principal_id: &str, sites: Vec<SiteId>, at: Timestamp) -> Result<(), AccountError> {
        let principal_id = principal_id.to_owned();
        self.write(move |tx| {
            let sql = "SELECT role FROM principals WHERE principal_id = ?1 AND disabled_at IS NULL";
            let role: Option<String> = tx.query_opt(sql, params![principal_id], |row| row.get(0))?;
            let role = role.ok_or(AccountError::NotFound)?;
            if Role::from_name(&role) != Some(Role::Installer) {
                return Err(AccountError::NotInstaller);
            }
            tx.execute("DELETE FROM principal_sites WHERE principal_id = ?1", params![principal_id])?;
            for site in &sites {
                let sql = "SELECT EXISTS (SELECT 1 FROM sites WHERE site_id = ?1)";
                let known: bool = tx.query_row(sql, [site.as_str()], |row| row.get(0))?;
                if !known {
                    return Err(AccountError::UnknownSite);
                }
                tx.execute(
                    "INSERT INTO principal_sites (principal_id, site_id, given_at) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO NOTHING",
                    params![principal_id, site.as_str(), at.0],
                )?;
            }
            Ok(())
        })
        .await
    }
}
