//! Credentials of the token endpoint: one row per account.

use cardea_protocol::Timestamp;
use cardea_protocol::id::CustomerId;

use super::changes::id;
use super::engine::params;
use super::{Storage, StorageError};
use crate::auth::roles::Role;

/// An account.
#[derive(Clone)]
pub struct Principal {
    /// OAuth client id, or login.
    pub principal_id: String,
    /// Whose staff or back end; `None`: the operator's own.
    pub customer: Option<CustomerId>,
    /// What it may do.
    pub role: Role,
    /// Argon2id PHC string; `None`: no login by password.
    pub password_hash: Option<String>,
    /// What its client certificate is known by, as [`crate::auth`]'s `CertificateName` writes it: a subject (RFC 4514), or one
    /// alternative name; `None`: no login by certificate.
    pub subject_dn: Option<String>,
}

impl std::fmt::Debug for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Principal({}, {:?}, …)", self.principal_id, self.role)
    }
}

/// Why an account was not registered.
#[derive(Debug, thiserror::Error)]
pub enum PrincipalError {
    /// The id is taken.
    #[error("an account of that id is registered already")]
    Exists,
    /// No such customer.
    #[error("there is no such customer")]
    UnknownCustomer,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Storage {
    /// Registers an account.
    pub async fn register_principal(&self, principal: Principal, at: Timestamp) -> Result<(), PrincipalError> {
        self.write(move |tx| {
            let customer = principal.customer.as_ref().map(CustomerId::as_str);
            let known = match customer {
                Some(id) => {
                    tx.query_row("SELECT EXISTS (SELECT 1 FROM customers WHERE customer_id = ?1)", [id], |row| {
                        row.get(0)
                    })?
                }
                None => true,
            };
            if !known {
                return Err(PrincipalError::UnknownCustomer);
            }
            let inserted = tx.execute(
                "INSERT INTO principals (principal_id, customer_id, role, password_hash, subject_dn, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
                params![
                    principal.principal_id,
                    customer,
                    principal.role.name(),
                    principal.password_hash,
                    principal.subject_dn,
                    at.0
                ],
            )?;
            if inserted == 1 { Ok(()) } else { Err(PrincipalError::Exists) }
        })
        .await
    }

    /// An account that is not disabled.
    pub async fn principal(&self, principal_id: &str) -> Result<Option<Principal>, StorageError> {
        let principal_id = principal_id.to_owned();
        self.read(move |tx| {
            tx.query_opt(
                "SELECT principal_id, customer_id, role, password_hash, subject_dn FROM principals
                 WHERE principal_id = ?1 AND disabled_at IS NULL",
                [&principal_id],
                |row| {
                    Ok(Principal {
                        principal_id: row.get(0)?,
                        customer: row.get::<Option<String>>(1)?.map(|c| id(c, CustomerId::new)).transpose()?,
                        role: Role::from_name(&row.get::<String>(2)?).ok_or(StorageError::Corrupt("role"))?,
                        password_hash: row.get(3)?,
                        subject_dn: row.get(4)?,
                    })
                },
            )
        })
        .await
    }
}
