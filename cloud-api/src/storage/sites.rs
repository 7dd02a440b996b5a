//! Sites, and the one question every customer's query asks first: is this site yours?

use cardea_protocol::Timestamp;
use cardea_protocol::id::{AccessPointId, CustomerId, Revision, SiteId};

use super::changes::{id, revision_of};
use super::engine::{Transaction, params};
use super::{Storage, StorageError};

/// Whose data a caller may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The operator: every site.
    Operator,
    /// A customer: the sites it is served at.
    Customer(CustomerId),
    /// An installer, by its account: the sites it was given.
    Installer(String),
}

impl Scope {
    /// The customer whose data alone may be seen, as a parameter of a query; `None` for all. No customer has the name that
    /// stands for an installer's, which has none.
    pub(super) fn only(&self) -> Option<&str> {
        match self {
            Self::Operator => None,
            Self::Customer(customer) => Some(customer.as_str()),
            Self::Installer(_) => Some(""),
        }
    }
}

/// A site.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its id.
    pub site_id: SiteId,
    /// Postal address of the building.
    pub address: String,
    /// The newest revision of its change log.
    pub revision: Revision,
    /// The customer served there.
    pub customer: Option<CustomerId>,
}

/// Why a site was not registered.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The id is taken.
    #[error("a site of that id is registered already")]
    Exists,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Whether the site exists and lies within the scope. Both answers look the same to a stranger.
pub(crate) fn site_visible(tx: &Transaction<'_>, scope: &Scope, site: &SiteId) -> Result<bool, StorageError> {
    match scope {
        Scope::Operator => {
            tx.query_row("SELECT EXISTS (SELECT 1 FROM sites WHERE site_id = ?1)", [site.as_str()], |row| row.get(0))
        }
        Scope::Customer(customer) => tx.query_row(
            "SELECT EXISTS (SELECT 1 FROM customer_sites WHERE site_id = ?1 AND customer_id = ?2)",
            [site.as_str(), customer.as_str()],
            |row| row.get(0),
        ),
        Scope::Installer(account) => tx.query_row(
            "SELECT EXISTS (SELECT 1 FROM principal_sites WHERE site_id = ?1 AND principal_id = ?2)",
            [site.as_str(), account],
            |row| row.get(0),
        ),
    }
}

impl Storage {
    /// Registers a site.
    pub async fn register_site(&self, site: &SiteId, address: String, at: Timestamp) -> Result<(), SiteError> {
        let site = site.clone();
        self.write(move |tx| {
            let inserted = tx.execute(
                "INSERT INTO sites (site_id, address, created_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![site.as_str(), address, at.0],
            )?;
            if inserted == 1 { Ok(()) } else { Err(SiteError::Exists) }
        })
        .await
    }

    /// The sites within a scope.
    pub async fn sites(&self, scope: &Scope) -> Result<Vec<Site>, StorageError> {
        let scope = scope.clone();
        self.read(move |tx| {
            let within = match &scope {
                Scope::Operator | Scope::Customer(_) => "CAST(?1 AS TEXT) IS NULL OR c.customer_id = ?1",
                Scope::Installer(_) => {
                    "EXISTS (SELECT 1 FROM principal_sites p WHERE p.site_id = s.site_id AND p.principal_id = ?1)"
                }
            };
            let whose = if let Scope::Installer(account) = &scope { Some(account.as_str()) } else { scope.only() };
            tx.query(
                &format!(
                    "SELECT s.site_id, s.address, s.revision, c.customer_id
                     FROM sites s LEFT JOIN customer_sites c USING (site_id) WHERE {within} ORDER BY s.site_id"
                ),
                [whose],
                |row| {
                    Ok(Site {
                        site_id: id(row.get(0)?, SiteId::new)?,
                        address: row.get(1)?,
                        revision: revision_of(row.get(2)?)?,
                        customer: row.get::<Option<String>>(3)?.map(|c| id(c, CustomerId::new)).transpose()?,
                    })
                },
            )
        })
        .await
    }

    /// Whether the site exists and lies within the scope.
    pub async fn site_visible(&self, scope: &Scope, site: &SiteId) -> Result<bool, StorageError> {
        let (scope, site) = (scope.clone(), site.clone());
        self.read(move |tx| site_visible(tx, &scope, &site)).await
    }

    /// The site an access point stands at, if that lies within the scope.
    pub async fn site_of_access_point(
        &self,
        scope: &Scope,
        point: &AccessPointId,
    ) -> Result<Option<SiteId>, StorageError> {
        let (scope, point) = (scope.clone(), point.clone());
        self.read(move |tx| {
            let site: Option<String> = tx.query_opt(
                "SELECT c.site_id FROM access_points a JOIN controllers c USING (controller_id)
                 WHERE a.access_point_id = ?1",
                [point.as_str()],
                |row| row.get(0),
            )?;
            let Some(site) = site.map(|site| id(site, SiteId::new)).transpose()? else { return Ok(None) };
            Ok(site_visible(tx, &scope, &site)?.then_some(site))
        })
        .await
    }
}
