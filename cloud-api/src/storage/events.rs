//! Reading events back: for the customer's view, and for incident exports.

use cardea_protocol::Timestamp;
use cardea_protocol::event::EventKind;
use cardea_protocol::id::{AccessPointId, ControllerId, EventId, SiteId};

use super::changes::id;
use super::engine::{Row, params};
use super::sites::{Scope, site_visible};
use super::{Storage, StorageError};

/// A stored event.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    /// Its id.
    pub event_id: EventId,
    /// Who reported it.
    pub controller: ControllerId,
    /// When, by the controller's clock.
    pub at: Timestamp,
    /// When the cloud stored it.
    pub received_at: Timestamp,
    /// The barrier or door concerned.
    pub access_point: Option<AccessPointId>,
    /// What happened.
    pub kind: EventKind,
}

/// An action of the audit, as an export needs it.
#[derive(Clone, Debug)]
pub struct StoredAction {
    /// When.
    pub at: Timestamp,
    /// Who asked.
    pub by: By,
    /// What was asked.
    pub action: String,
    /// Id of what it acted on.
    pub target: Option<String>,
    /// What became of it.
    pub outcome: String,
}

/// Who asked for something, as a customer may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// An account of the customer's own.
    Account(String),
    /// The operator's staff, who are not named to customers.
    Operator,
    /// Nobody who has shown who they are.
    Unknown,
}

const COLUMNS: &str = "event_id, controller_id, at, received_at, access_point_id, kind";

fn event(row: &Row<'_>) -> Result<StoredEvent, StorageError> {
    Ok(StoredEvent {
        event_id: id(row.get(0)?, EventId::new)?,
        controller: id(row.get(1)?, ControllerId::new)?,
        at: Timestamp(row.get(2)?),
        received_at: Timestamp(row.get(3)?),
        access_point: row.get::<Option<String>>(4)?.map(|point| id(point, AccessPointId::new)).transpose()?,
        kind: serde_json::from_str(&row.get::<String>(5)?).map_err(|_| StorageError::Corrupt("event"))?,
    })
}

impl Storage {
    /// At most `limit` events of a site, in the order the cloud stored them, after the event `after`; `None` if the site
    /// is not within the scope. An `after` that is not there any more begins at the oldest.
    pub async fn events(
        &self,
        scope: &Scope,
        site: &SiteId,
        after: Option<EventId>,
        limit: u32,
    ) -> Result<Option<Vec<StoredEvent>>, StorageError> {
        let (scope, site) = (scope.clone(), site.clone());
        self.read(move |tx| {
            if !site_visible(tx, &scope, &site)? {
                return Ok(None);
            }
            let sql = format!(
                "WITH last AS (SELECT received_at, controller_id, seq FROM events WHERE event_id = ?2 AND site_id = ?1)
                 SELECT {COLUMNS} FROM events
                 WHERE site_id = ?1 AND (NOT EXISTS (SELECT 1 FROM last)
                     OR (received_at, controller_id, seq) > (SELECT received_at, controller_id, seq FROM last))
                 ORDER BY received_at, controller_id, seq LIMIT ?3"
            );
            let after = after.as_ref().map(EventId::as_str);
            tx.query(&sql, params![site.as_str(), after, limit], event).map(Some)
        })
        .await
    }

    /// Everything of a site between two instants that an incident export may draw on: events by the controllers' clocks,
    /// and actions at the site by or for its own customer, or by the operator before it had one, and those that concern
    /// this customer as a whole (logins, accounts); both in order. `None` if the site is not within the scope.
    pub async fn incident(
        &self,
        scope: &Scope,
        site: &SiteId,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Option<(Vec<StoredEvent>, Vec<StoredAction>)>, StorageError> {
        let (scope, site) = (scope.clone(), site.clone());
        self.read(move |tx| {
            if !site_visible(tx, &scope, &site)? {
                return Ok(None);
            }
            let period = params![site.as_str(), from.0, until.0];
            let sql = format!(
                "SELECT {COLUMNS} FROM events WHERE site_id = ?1 AND at >= ?2 AND at < ?3 ORDER BY at, controller_id, seq"
            );
            let events = tx
                .query(&sql, period, event)?;
            let actions = tx.query(
                "WITH calls AS (
                     SELECT a.entry, a.at, a.principal_id, a.action, coalesce(e.target, a.target) AS target,
                         coalesce(e.outcome, a.outcome) AS outcome, coalesce(a.site_id, e.site_id) AS site_id,
                         coalesce(a.customer_id, e.customer_id) AS customer_id
                     FROM audit a LEFT JOIN audit e ON e.begun_by = a.entry
                     WHERE a.at >= ?2 AND a.at < ?3 AND a.begun_by IS NULL)
                 SELECT a.at, p.principal_id, a.action, a.outcome, a.target, a.principal_id IS NOT NULL
                 FROM calls a LEFT JOIN customer_sites c ON c.site_id = ?1
                 LEFT JOIN principals p ON p.principal_id = a.principal_id AND p.customer_id = c.customer_id
                 WHERE (a.site_id = ?1 AND (a.customer_id IS NULL OR a.customer_id = c.customer_id))
                     OR (a.site_id IS NULL AND a.customer_id = c.customer_id)
                 ORDER BY a.entry",
                period,
                |row| {
                    let (own, known): (Option<String>, bool) = (row.get(1)?, row.get(5)?);
                    Ok(StoredAction {
                        at: Timestamp(row.get(0)?),
                        by: match own {
                            Some(account) => By::Account(account),
                            None if known => By::Operator,
                            None => By::Unknown,
                        },
                        target: row.get(4)?,
                        action: row.get(2)?,
                        outcome: row.get(3)?,
                    })
                },
            )?;
            Ok(Some((events, actions)))
        })
        .await
    }
}
