//! Whom a call concerns that names a controller or an account, for the audit: whoever asks, allowed or not.

use cardea_protocol::id::{ControllerId, CustomerId, SiteId};

use super::changes::id;
use super::{Storage, StorageError};

impl Storage {
    /// Where a controller is.
    pub async fn site_of_controller(&self, controller: &ControllerId) -> Result<Option<SiteId>, StorageError> {
        let controller = controller.clone();
        self.read(move |tx| {
            let sql = "SELECT site_id FROM controllers WHERE controller_id = ?1";
            tx.query_opt(sql, [controller.as_str()], |row| id(row.get(0)?, SiteId::new))
        })
        .await
    }

    /// Whose an account is, disabled or not; nothing for the operator's own.
    pub async fn customer_of_account(&self, principal_id: &str) -> Result<Option<CustomerId>, StorageError> {
        let principal_id = principal_id.to_owned();
        self.read(move |tx| {
            let sql = "SELECT customer_id FROM principals WHERE principal_id = ?1 AND customer_id IS NOT NULL";
            tx.query_opt(sql, [principal_id.as_str()], |row| id(row.get(0)?, CustomerId::new))
        })
        .await
    }
}
