//! The audit: one row per state-changing call, refused ones too. No personal data.

use cardea_protocol::Timestamp;
use cardea_protocol::id::{CustomerId, SiteId};

use super::engine::params;
use super::{Storage, StorageError};

/// What is written before a call is carried out; `outcome` is `begun` until it has ended, so that a crash shows too.
#[derive(Clone, Debug)]
pub struct NewAction {
    /// The caller's customer; `None` for the operator's staff, where the site's customer is recorded instead.
    pub customer: Option<CustomerId>,
    /// The site the call names.
    pub site: Option<SiteId>,
    /// Who asks, once that is known.
    pub principal_id: Option<String>,
    /// The operation.
    pub action: &'static str,
    /// Id of the thing acted on.
    pub target: Option<String>,
}

/// The row of an action that has begun.
#[derive(Clone, Copy, Debug)]
pub struct AuditId(i64);

impl Storage {
    /// Writes down that a call has begun.
    pub async fn audit_begin(&self, action: NewAction, at: Timestamp) -> Result<AuditId, StorageError> {
        self.write(move |tx| {
            let row = tx.query_row(
                "INSERT INTO audit (at, customer_id, site_id, principal_id, action, target, outcome)
                 VALUES (?1, coalesce(?2, (SELECT customer_id FROM customer_sites WHERE site_id = ?3)), ?3, ?4, ?5, ?6, 'begun')
                 RETURNING audit_id",
                params![
                    at.0,
                    action.customer.as_ref().map(CustomerId::as_str),
                    action.site.as_ref().map(SiteId::as_str),
                    action.principal_id,
                    action.action,
                    action.target
                ],
                |row| row.get(0),
            )?;
            Ok(AuditId(row))
        })
        .await
    }

    /// Writes down how it ended, and what it acted on where that was not known before.
    pub async fn audit_end(
        &self,
        action: AuditId,
        outcome: &'static str,
        target: Option<String>,
    ) -> Result<(), StorageError> {
        self.write(move |tx| {
            tx.execute(
                "UPDATE audit SET outcome = ?2, target = coalesce(?3, target) WHERE audit_id = ?1",
                params![action.0, outcome, target],
            )?;
            Ok(())
        })
        .await
    }

    /// The newest rows as (action, principal, target, outcome), newest first: for `check` and tests.
    pub async fn recent_actions(
        &self,
        limit: u32,
    ) -> Result<Vec<(String, Option<String>, Option<String>, String)>, StorageError> {
        self.read(move |tx| {
            tx.query(
                "SELECT action, principal_id, target, outcome FROM audit ORDER BY audit_id DESC LIMIT ?1",
                [limit],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )
        })
        .await
    }
}
