//! Reading the audit back, newest first.

use cardea_protocol::Timestamp;
use cardea_protocol::id::{CustomerId, SiteId};

use super::changes::id;
use super::engine::params;
use super::sites::Scope;
use super::{Storage, StorageError};

/// One call of the audit.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// The entry it began with.
    pub entry: i64,
    /// When.
    pub at: Timestamp,
    /// Whose data was touched.
    pub customer: Option<CustomerId>,
    /// The site it named.
    pub site: Option<SiteId>,
    /// Who asked; `None` for the operator's staff where a customer reads it.
    pub principal_id: Option<String>,
    /// What was asked.
    pub action: String,
    /// Id of the thing acted on.
    pub target: Option<String>,
    /// `begun`, `done`, or a problem's type.
    pub outcome: String,
}

impl Storage {
    /// At most `limit` calls within a scope, newest first, before the call `before`. To a customer, its own: of calls by
    /// the operator's staff it learns that they were made, and not by whom.
    pub async fn audit_entries(
        &self,
        scope: &Scope,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StorageError> {
        let scope = scope.clone();
        self.read(move |connection| {
            connection.query(
                "SELECT a.entry, a.at, coalesce(e.customer_id, a.customer_id), coalesce(e.site_id, a.site_id), a.action,
                            coalesce(e.target, a.target), coalesce(e.outcome, a.outcome),
                            CASE WHEN CAST(?1 AS TEXT) IS NULL OR p.customer_id = ?1 THEN a.principal_id END
                     FROM audit a LEFT JOIN audit e ON e.begun_by = a.entry
                     LEFT JOIN principals p ON p.principal_id = a.principal_id
                     WHERE (CAST(?1 AS TEXT) IS NULL OR a.customer_id = ?1 OR (a.customer_id IS NULL AND e.customer_id = ?1))
                     AND a.begun_by IS NULL AND a.entry < ?2
                     ORDER BY a.entry DESC LIMIT ?3",
                params![scope.only(), before.unwrap_or(i64::MAX), i64::from(limit)],
                |row| {
                    let (customer, site): (Option<String>, Option<String>) = (row.get(2)?, row.get(3)?);
                    Ok(AuditEntry {
                        entry: row.get(0)?,
                        at: Timestamp(row.get(1)?),
                        customer: customer.map(|c| id(c, CustomerId::new)).transpose()?,
                        site: site.map(|s| id(s, SiteId::new)).transpose()?,
                        principal_id: row.get(7)?,
                        action: row.get(4)?,
                        target: row.get(5)?,
                        outcome: row.get(6)?,
                    })
                },
            )
        })
        .await
    }
}
