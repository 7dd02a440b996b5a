//! Customers and the sites they are served at.

use cardea_protocol::Timestamp;
use cardea_protocol::id::{CustomerId, SiteId};

use super::engine::params;
use super::{Storage, StorageError};

/// Why a customer was not registered.
#[derive(Debug, thiserror::Error)]
pub enum CustomerError {
    /// The id is taken.
    #[error("a customer of that id is registered already")]
    Exists,
    /// One of the sites does not exist.
    #[error("one of the sites is not registered")]
    UnknownSite,
    /// One of the sites has a customer already.
    #[error("one of the sites is served for another customer")]
    SiteTaken,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Storage {
    /// Registers a customer and the sites it is served at: all or nothing.
    pub async fn register_customer(
        &self,
        customer: &CustomerId,
        name: String,
        sites: Vec<SiteId>,
        at: Timestamp,
    ) -> Result<(), CustomerError> {
        let customer = customer.clone();
        self.write(move |tx| {
            let inserted = tx.execute(
                "INSERT INTO customers (customer_id, name, created_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![customer.as_str(), name, at.0],
            )?;
            if inserted == 0 {
                return Err(CustomerError::Exists);
            }
            for site in &sites {
                let known: bool =
                    tx.query_row("SELECT EXISTS (SELECT 1 FROM sites WHERE site_id = ?1)", [site.as_str()], |row| {
                        row.get(0)
                    })?;
                if !known {
                    return Err(CustomerError::UnknownSite);
                }
                let linked = tx.execute(
                    "INSERT INTO customer_sites (site_id, customer_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                    [site.as_str(), customer.as_str()],
                )?;
                if linked == 0 {
                    return Err(CustomerError::SiteTaken);
                }
            }
            Ok(())
        })
        .await
    }

    /// The name of the customer served at a site.
    pub async fn customer_name_at(&self, site: &SiteId) -> Result<Option<String>, StorageError> {
        let site = site.clone();
        self.read(move |tx| {
            tx.query_opt(
                "SELECT c.name FROM customers c JOIN customer_sites s USING (customer_id) WHERE s.site_id = ?1",
                [site.as_str()],
                |row| row.get(0),
            )
        })
        .await
    }
}
