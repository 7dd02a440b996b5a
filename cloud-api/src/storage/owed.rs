//! What a controller may still hold, and which erasures wait for it.

use cardea_protocol::Timestamp;
use cardea_protocol::id::{ControllerId, ErasureId};

use super::changes::id;
use super::engine::params;
use super::{Storage, StorageError};

/// Erasures that are listed, the oldest first.
const LISTED: u32 = 100;

/// What is to be accounted for before nothing of residents is left with a controller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToAccountFor {
    /// Residents of whom it was ever sent a template and whose erasure was not ordered since.
    pub subjects: u32,
    /// Erasures it has been ordered to carry out and has not signed for.
    pub owed: u32,
    /// The oldest of these, each with the time it was ordered.
    pub erasures: Vec<(ErasureId, Timestamp)>,
}

impl Storage {
    /// What a controller is to account for: nothing, once it is decommissioned.
    pub async fn to_account_for(&self, controller: &ControllerId) -> Result<ToAccountFor, StorageError> {
        let controller = controller.clone();
        self.read(move |tx| {
            let subjects = tx.query_row(
                "SELECT count(*) FROM template_holders h JOIN controllers c USING (site_id, controller_id)
                 WHERE c.controller_id = ?1 AND c.status <> 'decommissioned'",
                [controller.as_str()],
                |row| row.get(0),
            )?;
            let owed =
                "FROM erasure_controllers o JOIN controllers c USING (controller_id) JOIN erasures e USING (erasure_id)
                 WHERE c.controller_id = ?1 AND c.status <> 'decommissioned' AND o.verified IS DISTINCT FROM 1";
            let count = tx.query_row(&format!("SELECT count(*) {owed}"), [controller.as_str()], |row| row.get(0))?;
            let erasures = tx.query(
                &format!("SELECT e.erasure_id, e.ordered_at {owed} ORDER BY e.ordered_at, e.erasure_id LIMIT ?2"),
                params![controller.as_str(), LISTED],
                |row| Ok((id(row.get(0)?, ErasureId::new)?, Timestamp(row.get(1)?))),
            )?;
            Ok(ToAccountFor { subjects, owed: count, erasures })
        })
        .await
    }
}
