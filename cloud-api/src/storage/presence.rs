//! Which controllers are connected; who wants to know is told of each that comes or goes.

use cardea_protocol::Timestamp;
use cardea_protocol::id::{ControllerId, SiteId};

use super::changes::id;
use super::engine::{Transaction, params};
use super::webhooks::outbox::announce;
use super::{Storage, StorageError};
use crate::webhooks::Kind;

/// An active controller is connected.
pub(super) fn came(tx: &Transaction<'_>, controller: &ControllerId, at: Timestamp) -> Result<(), StorageError> {
    let came = tx.query(
        "UPDATE controllers SET connected = 1 WHERE controller_id = ?1 AND status = 'active' AND connected = 0
         RETURNING controller_id, site_id",
        [controller.as_str()],
        |row| Ok((row.get(0)?, id(row.get(1)?, SiteId::new)?)),
    )?;
    tell(tx, Kind::ControllerReachable, &came, at)
}

/// A controller is not connected any more.
pub(super) fn went(tx: &Transaction<'_>, controller: &ControllerId, at: Timestamp) -> Result<(), StorageError> {
    let went = tx.query(
        "UPDATE controllers SET connected = 0, last_seen = ?2 WHERE controller_id = ?1 AND connected = 1
         RETURNING controller_id, site_id",
        params![controller.as_str(), at.0],
        |row| Ok((row.get(0)?, id(row.get(1)?, SiteId::new)?)),
    )?;
    tell(tx, Kind::ControllerUnreachable, &went, at)
}

fn tell(tx: &Transaction<'_>, kind: Kind, which: &[(String, SiteId)], at: Timestamp) -> Result<(), StorageError> {
    for (controller, site) in which {
        announce(tx, kind, site, &[("controller_id", controller)], at)?;
    }
    Ok(())
}

impl Storage {
    /// Records that a controller's connection has ended.
    pub async fn record_disconnected(&self, controller: &ControllerId, at: Timestamp) -> Result<(), StorageError> {
        let controller = controller.clone();
        self.write(move |tx| went(tx, &controller, at)).await
    }

    /// At start nobody is connected yet, whatever was true when the program last ended.
    pub async fn forget_connections(&self, at: Timestamp) -> Result<(), StorageError> {
        self.write(move |tx| {
            let went = tx.query(
                "UPDATE controllers SET connected = 0 WHERE connected = 1 RETURNING controller_id, site_id",
                [],
                |row| Ok((row.get(0)?, id(row.get(1)?, SiteId::new)?)),
            )?;
            tell(tx, Kind::ControllerUnreachable, &went, at)
        })
        .await
    }
}
