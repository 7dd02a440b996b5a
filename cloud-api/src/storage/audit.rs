//! The audit: an entry before each state-changing call and one after it, of refused ones too. No personal data.
//!
//! Entries are appended only, under the one writer of the database, so that each can hold the hash of the one before:
//! [`crate::audit`].

use cardea_protocol::Timestamp;
use cardea_protocol::id::{CustomerId, SiteId};

use super::audit_chain::newest;
use super::engine::{Transaction, params};
use super::{Storage, StorageError};
use crate::audit::Entry;
use crate::chain::line_hash;

/// What is written before a call is carried out. Its outcome is `begun`, so that a crash shows too.
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

/// How a call ended, and what of it was not known before.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// `done`, or the problem's type.
    pub outcome: &'static str,
    /// Id of the thing acted on.
    pub target: Option<String>,
    /// Whose data it touched.
    pub customer: Option<CustomerId>,
    /// The site concerned.
    pub site: Option<SiteId>,
}

/// The entry of a call that has begun.
#[derive(Clone, Copy, Debug)]
pub struct AuditId {
    entry: u64,
    action: &'static str,
}

/// Appends an entry; its number is given here.
pub(super) fn append(tx: &Transaction<'_>, mut entry: Entry) -> Result<u64, StorageError> {
    let (last, prev) = newest(tx)?;
    entry.entry = last + 1;
    let line = entry.line(&prev).map_err(|_| StorageError::Corrupt("entry of the audit"))?;
    tx.execute(
        "INSERT INTO audit (entry, at, begun_by, customer_id, site_id, principal_id, action, target, outcome, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            entry.entry as i64,
            entry.at.0,
            entry.begun_by.map(|entry| entry as i64),
            entry.customer,
            entry.site,
            entry.principal_id,
            entry.action,
            entry.target,
            entry.outcome,
            line_hash(&line)
        ],
    )?;
    Ok(entry.entry)
}

/// The customer of a site.
fn served_at(tx: &Transaction<'_>, site: Option<&SiteId>) -> Result<Option<String>, StorageError> {
    let Some(site) = site else { return Ok(None) };
    tx.query_opt("SELECT customer_id FROM customer_sites WHERE site_id = ?1", [site.as_str()], |row| row.get(0))
}

fn begin(tx: &Transaction<'_>, action: &NewAction, outcome: &str, at: Timestamp) -> Result<u64, StorageError> {
    let customer = match &action.customer {
        Some(customer) => Some(customer.to_string()),
        None => served_at(tx, action.site.as_ref())?,
    };
    append(
        tx,
        Entry {
            entry: 0,
            at,
            begun_by: None,
            customer,
            site: action.site.as_ref().map(ToString::to_string),
            principal_id: action.principal_id.clone(),
            action: action.action.to_owned(),
            target: action.target.clone(),
            outcome: outcome.to_owned(),
        },
    )
}

/// Writes down, in one entry of the transaction that does it, what has been done.
pub(super) fn done(
    tx: &Transaction<'_>,
    action: &NewAction,
    outcome: &'static str,
    at: Timestamp,
) -> Result<(), StorageError> {
    begin(tx, action, outcome, at).map(drop)
}

impl Storage {
    /// Writes down that a call has begun.
    pub async fn audit_begin(&self, action: NewAction, at: Timestamp) -> Result<AuditId, StorageError> {
        self.write(move |tx| Ok(AuditId { entry: begin(tx, &action, "begun", at)?, action: action.action })).await
    }

    /// Writes down how it ended, and what it acted on where that was not known before.
    pub async fn audit_end(&self, action: AuditId, ending: Ending, at: Timestamp) -> Result<(), StorageError> {
        self.write(move |tx| {
            let customer = match &ending.customer {
                Some(customer) => Some(customer.to_string()),
                None => served_at(tx, ending.site.as_ref())?,
            };
            let entry = Entry {
                entry: 0,
                at,
                begun_by: Some(action.entry),
                customer,
                site: ending.site.as_ref().map(ToString::to_string),
                principal_id: None,
                action: action.action.to_owned(),
                target: ending.target.clone(),
                outcome: ending.outcome.to_owned(),
            };
            append(tx, entry).map(drop)
        })
        .await
    }

    /// Writes down, in one entry, what has been done or refused.
    pub async fn audit_done(
        &self,
        action: NewAction,
        outcome: &'static str,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        self.write(move |tx| done(tx, &action, outcome, at)).await
    }

    /// The newest calls as (action, principal, target, outcome), newest first: for `check` and tests.
    pub async fn recent_actions(
        &self,
        limit: u32,
    ) -> Result<Vec<(String, Option<String>, Option<String>, String)>, StorageError> {
        self.read(move |tx| {
            tx.query(
                "SELECT a.action, a.principal_id, coalesce(e.target, a.target), coalesce(e.outcome, a.outcome)
                 FROM audit a LEFT JOIN audit e ON e.begun_by = a.entry
                 WHERE a.begun_by IS NULL ORDER BY a.entry DESC LIMIT ?1",
                [limit],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )
        })
        .await
    }
}
