//! Controllers, from registration to decommissioning.

use cardea_protocol::Timestamp;
use cardea_protocol::digest::Digest;
use cardea_protocol::id::{ControllerId, Revision, SiteId};
use cardea_protocol::message::{Hello, StalenessLimits};

use super::certificates::{IssuedCertificate, insert_certificate};
use super::changes::{id, revision_of, revision_to_sql};
use super::engine::{Row, Transaction, params};
use super::equipment::replace_equipment;
use super::erasures::settle_erasures;
use super::presence::{came, went};
use super::sites::{Scope, site_visible};
use super::webhooks::outbox::settle_sales;
use super::{Storage, StorageError};
use crate::keys::Column;

/// Where a controller stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControllerStatus {
    /// Known to the operator, not yet claimed.
    Registered,
    /// Claimed: it has a certificate.
    Active,
    /// Its certificates are refused. It may still hold templates, and owes receipts.
    Revoked,
    /// Taken down and destroyed or wiped: it owes nothing any more.
    Decommissioned,
}

impl ControllerStatus {
    /// As it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Active => "active",
            Self::Revoked => "revoked",
            Self::Decommissioned => "decommissioned",
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, StorageError> {
        [Self::Registered, Self::Active, Self::Revoked, Self::Decommissioned]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or(StorageError::Corrupt("controller status"))
    }
}

/// A controller as the cloud knows it.
#[derive(Clone, Debug)]
pub struct Controller {
    /// Its id.
    pub controller_id: ControllerId,
    /// Where it stands.
    pub site: SiteId,
    /// Where it stands in its life.
    pub status: ControllerStatus,
    /// Until when its claim code is good; `None` once used.
    pub claim_expires: Option<Timestamp>,
    /// `cardead`'s version, from its last hello.
    pub software: Option<String>,
    /// The embedder it compares faces with.
    pub embedder: Option<String>,
    /// How long its credentials count without a word from the cloud.
    pub staleness: StalenessLimits,
    /// The revision it last acknowledged as applied.
    pub cursor: Revision,
    /// The newest revision of its site.
    pub site_revision: Revision,
    /// Whether its digest equalled the cloud's own when it last acknowledged, and nothing has changed since.
    pub in_sync: bool,
    /// When it last acknowledged.
    pub applied_at: Option<Timestamp>,
    /// Whether it is connected.
    pub connected: bool,
    /// When it was last heard of.
    pub last_seen: Option<Timestamp>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// The digest it last reported, over what it really held at `cursor`.
    pub digest: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was decommissioned.
    pub decommissioned_at: Option<Timestamp>,
}

/// Why a controller was not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// There is one of that name.
    #[error("a controller of that id is registered already")]
    Exists,
    /// No such site.
    #[error("there is no such site")]
    UnknownSite,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a controller's standing was not changed.
#[derive(Debug, thiserror::Error)]
pub enum StandingError {
    /// No such controller within the caller's scope.
    #[error("there is no such controller")]
    NotFound,
    /// Not in a state from which this can be done.
    #[error("the controller is not in a state that allows this")]
    Refused,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

const COLUMNS: &str = "c.controller_id, c.site_id, c.status, c.claim_expires, c.software, c.embedder, c.cursor,
    s.revision, c.in_sync, c.applied_at, c.connected, c.last_seen, c.created_at, c.claim_hash IS NOT NULL, c.sealed_digest,
    c.revoked_at, c.decommissioned_at, c.plate_staleness_s, c.face_staleness_s, c.card_staleness_s";

fn controller(tx: &Transaction<'_>, row: &Row<'_>) -> Result<Controller, StorageError> {
    let (controller_id, site) = (id(row.get(0)?, ControllerId::new)?, id(row.get(1)?, SiteId::new)?);
    let digest: Option<Vec<u8>> = row.get(14)?;
    let digest = digest.map(|sealed| tx.open(Column::Digest, &site, controller_id.as_str(), &sealed)).transpose()?;
    let (cursor, site_revision): (i64, i64) = (row.get(6)?, row.get(7)?);
    let claimable: bool = row.get(13)?;
    Ok(Controller {
        controller_id,
        site,
        status: ControllerStatus::parse(&row.get::<String>(2)?)?,
        claim_expires: row.get::<Option<i64>>(3)?.filter(|_| claimable).map(Timestamp),
        software: row.get(4)?,
        embedder: row.get(5)?,
        staleness: StalenessLimits { plate_s: seconds(row, 17)?, face_s: seconds(row, 18)?, card_s: seconds(row, 19)? },
        cursor: revision_of(cursor)?,
        site_revision: revision_of(site_revision)?,
        in_sync: row.get::<bool>(8)? && cursor == site_revision,
        applied_at: row.get::<Option<i64>>(9)?.map(Timestamp),
        connected: row.get(10)?,
        last_seen: row.get::<Option<i64>>(11)?.map(Timestamp),
        created_at: Timestamp(row.get(12)?),
        digest,
        revoked_at: row.get::<Option<i64>>(15)?.map(Timestamp),
        decommissioned_at: row.get::<Option<i64>>(16)?.map(Timestamp),
    })
}

fn seconds(row: &Row<'_>, column: usize) -> Result<Option<u32>, StorageError> {
    let seconds = row.get::<Option<i64>>(column)?.map(u32::try_from).transpose();
    seconds.map_err(|_| StorageError::Corrupt("limit of staleness"))
}

/// Refuses a controller that is not within the scope, as one that is not there.
fn within(tx: &Transaction<'_>, scope: &Scope, controller: &ControllerId) -> Result<(), StandingError> {
    let sql = "SELECT site_id FROM controllers WHERE controller_id = ?1";
    let site = tx.query_opt(sql, [controller.as_str()], |row| id(row.get(0)?, SiteId::new))?;
    match site {
        Some(site) if site_visible(tx, scope, &site)? => Ok(()),
        _ => Err(StandingError::NotFound),
    }
}

fn one_row(changed: usize) -> Result<(), StandingError> {
    if changed == 1 { Ok(()) } else { Err(StandingError::Refused) }
}

impl Storage {
    /// Registers a controller at a site within the scope, with the Argon2id hash of its claim code.
    pub async fn register_controller(
        &self,
        scope: &Scope,
        controller: &ControllerId,
        site: &SiteId,
        claim_hash: String,
        claim_expires: Timestamp,
        at: Timestamp,
    ) -> Result<(), RegisterError> {
        let (scope, controller, site) = (scope.clone(), controller.clone(), site.clone());
        self.write(move |tx| {
            if !site_visible(tx, &scope, &site)? {
                return Err(RegisterError::UnknownSite);
            }
            let sql = "SELECT EXISTS (SELECT 1 FROM controllers WHERE controller_id = ?1)";
            if tx.query_row(sql, [controller.as_str()], |row| row.get(0))? {
                return Err(RegisterError::Exists);
            }
            tx.execute(
                "INSERT INTO controllers (controller_id, site_id, status, claim_hash, claim_expires, created_at)
                 VALUES (?1, ?2, 'registered', ?3, ?4, ?5)",
                params![controller.as_str(), site.as_str(), claim_hash, claim_expires.0, at.0],
            )?;
            Ok(())
        })
        .await
    }

    /// A new claim code for a controller within the scope that has not been claimed yet.
    pub async fn renew_claim(
        &self,
        scope: &Scope,
        controller: &ControllerId,
        claim_hash: String,
        claim_expires: Timestamp,
    ) -> Result<(), StandingError> {
        let (scope, controller) = (scope.clone(), controller.clone());
        self.write(move |tx| {
            within(tx, &scope, &controller)?;
            one_row(tx.execute(
                "UPDATE controllers SET claim_hash = ?2, claim_expires = ?3, claim_tries = 0
                 WHERE controller_id = ?1 AND status = 'registered'",
                params![controller.as_str(), claim_hash, claim_expires.0],
            )?)
        })
        .await
    }

    /// Counts a try to claim and returns the hash to compare with; `None` where no try is left, the code has expired or
    /// was used, or there is no such controller. Counting comes first, so that guesses in parallel are all counted.
    pub async fn begin_claim(
        &self,
        controller: &ControllerId,
        max_tries: u32,
        at: Timestamp,
    ) -> Result<Option<String>, StorageError> {
        let controller = controller.clone();
        self.write(move |tx| {
            tx.query_opt(
                "UPDATE controllers SET claim_tries = claim_tries + 1
                 WHERE controller_id = ?1 AND status = 'registered' AND claim_hash IS NOT NULL
                   AND claim_tries < ?2 AND claim_expires > ?3 RETURNING claim_hash",
                params![controller.as_str(), max_tries, at.0],
                |row| row.get(0),
            )
        })
        .await
    }

    /// Uses up the claim code with this hash and records the first certificate. Refused if it was used meanwhile.
    pub async fn finish_claim(
        &self,
        controller: &ControllerId,
        claim_hash: String,
        certificate: IssuedCertificate,
    ) -> Result<(), StandingError> {
        let controller = controller.clone();
        self.write(move |tx| {
            one_row(tx.execute(
                "UPDATE controllers SET status = 'active', claim_hash = NULL, claim_tries = 0
                 WHERE controller_id = ?1 AND status = 'registered' AND claim_hash = ?2",
                params![controller.as_str(), claim_hash],
            )?)?;
            Ok(insert_certificate(tx, &controller, &certificate)?)
        })
        .await
    }

    /// Revokes a controller within the scope: none of its certificates counts any more. The caller then ends its session.
    pub async fn revoke_controller(
        &self,
        scope: &Scope,
        controller: &ControllerId,
        at: Timestamp,
    ) -> Result<(), StandingError> {
        self.retire(scope, controller, "revoked", "status IN ('registered', 'active')", at).await
    }

    /// Decommissions a controller within the scope, whose storage has been destroyed or wiped: erasures wait for it no longer.
    pub async fn decommission_controller(
        &self,
        scope: &Scope,
        controller: &ControllerId,
        at: Timestamp,
    ) -> Result<(), StandingError> {
        self.retire(scope, controller, "decommissioned", "status <> 'decommissioned'", at).await
    }

    async fn retire(
        &self,
        scope: &Scope,
        controller: &ControllerId,
        status: &'static str,
        from: &'static str,
        at: Timestamp,
    ) -> Result<(), StandingError> {
        let (scope, controller) = (scope.clone(), controller.clone());
        self.write(move |tx| {
            within(tx, &scope, &controller)?;
            let sql = format!(
                "UPDATE controllers SET status = ?2, {status}_at = ?3, claim_hash = NULL WHERE controller_id = ?1 AND {from}"
            );
            one_row(tx.execute(&sql, params![controller.as_str(), status, at.0])?)?;
            went(tx, &controller, at)?;
            tx.execute(
                "UPDATE controller_certificates SET status = 'revoked', ended_at = coalesce(ended_at, ?2)
                 WHERE controller_id = ?1 AND status <> 'revoked'",
                params![controller.as_str(), at.0],
            )?;
            Ok(settle_erasures(tx, at)?)
        })
        .await
    }

    /// One controller within the scope.
    pub async fn controller(
        &self,
        scope: &Scope,
        controller_id: &ControllerId,
    ) -> Result<Option<Controller>, StorageError> {
        let (scope, controller_id) = (scope.clone(), controller_id.clone());
        self.read(move |tx| {
            let sql =
                format!("SELECT {COLUMNS} FROM controllers c JOIN sites s USING (site_id) WHERE c.controller_id = ?1");
            let found = tx.query_opt(&sql, [controller_id.as_str()], |row| controller(tx, row))?;
            match found {
                Some(found) if site_visible(tx, &scope, &found.site)? => Ok(Some(found)),
                _ => Ok(None),
            }
        })
        .await
    }

    /// Records what a controller said of itself when it opened a session.
    pub async fn record_hello(
        &self,
        controller: &ControllerId,
        hello: &Hello,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        let (controller, hello) = (controller.clone(), hello.clone());
        self.write(move |tx| {
            came(tx, &controller, at)?;
            tx.execute(
                "UPDATE controllers SET sealing_key = ?2, embedder = ?3, boot_id = ?4, software = ?5, in_sync = 0,
                 last_seen = ?6, plate_staleness_s = ?7, face_staleness_s = ?8, card_staleness_s = ?9
                 WHERE controller_id = ?1 AND status = 'active'",
                params![
                    controller.as_str(),
                    hello.sealing_key.0,
                    hello.embedder,
                    hello.boot_id.as_str(),
                    hello.software,
                    at.0,
                    hello.staleness.plate_s.map(i64::from),
                    hello.staleness.face_s.map(i64::from),
                    hello.staleness.card_s.map(i64::from)
                ],
            )?;
            replace_equipment(tx, &controller, &hello.equipment)
        })
        .await
    }

    /// Records what a controller has applied, and whether its digest is the cloud's own; a sale may be in force by that.
    pub async fn record_applied(
        &self,
        controller: &ControllerId,
        revision: Revision,
        digest: &Digest,
        in_sync: bool,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        let (controller, digest) = (controller.clone(), digest.to_string());
        self.write(move |tx| {
            let sql = "SELECT site_id FROM controllers WHERE controller_id = ?1";
            let site = tx.query_opt(sql, [controller.as_str()], |row| id(row.get(0)?, SiteId::new))?;
            let Some(site) = site else { return Ok(()) };
            let sealed = tx.seal(Column::Digest, &site, controller.as_str(), &digest)?;
            tx.execute(
                "UPDATE controllers SET cursor = ?2, sealed_digest = ?3, in_sync = ?4, applied_at = ?5, last_seen = ?5
                 WHERE controller_id = ?1",
                params![controller.as_str(), revision_to_sql(revision), sealed, in_sync, at.0],
            )?;
            settle_sales(tx, at)
        })
        .await
    }
}

pub(super) fn touch(tx: &Transaction<'_>, controller: &ControllerId, at: Timestamp) -> Result<(), StorageError> {
    tx.execute("UPDATE controllers SET last_seen = ?2 WHERE controller_id = ?1", params![controller.as_str(), at.0])?;
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use cardea_protocol::id::CustomerId;

    pub(in crate::storage) const AT: Timestamp = Timestamp(1_000);
    pub(in crate::storage) const LATER: Timestamp = Timestamp(2_000);

    pub(in crate::storage) async fn registered() -> (Storage, ControllerId) {
        let storage = crate::testing::scratch_storage();
        storage
            .write(|tx| {
                tx.execute("INSERT INTO sites VALUES ('house-1', 'Test street 1', 0, 0)", [])?;
                Ok::<_, StorageError>(())
            })
            .await
            .unwrap();
        let controller = ControllerId::new("gate-1").unwrap();
        let site = SiteId::new("house-1").unwrap();
        storage.register_controller(&Scope::Operator, &controller, &site, "hash".to_owned(), LATER, AT).await.unwrap();
        (storage, controller)
    }

    pub(in crate::storage) fn certificate(serial: &str, issued_at: i64) -> IssuedCertificate {
        let public_point = serial.as_bytes().to_vec();
        IssuedCertificate { serial: serial.to_owned(), public_point, issued_at: Timestamp(issued_at), not_after: LATER }
    }

    #[tokio::test]
    async fn a_controller_is_registered_once_and_at_a_known_site() {
        let (storage, controller) = registered().await;
        let again = |site: &str| {
            let site = SiteId::new(site).unwrap();
            let (storage, controller) = (storage.clone(), controller.clone());
            async move { storage.register_controller(&Scope::Operator, &controller, &site, String::new(), LATER, AT).await }
        };
        assert!(matches!(again("house-1").await, Err(RegisterError::Exists)));
        assert!(matches!(again("house-2").await, Err(RegisterError::UnknownSite)));
    }

    #[tokio::test]
    async fn to_another_tenant_and_to_an_installer_of_elsewhere_it_is_not_there() {
        let (storage, controller) = registered().await;
        let house = SiteId::new("house-1").unwrap();
        for scope in [
            Scope::Customer(CustomerId::new("customer-of-elsewhere").unwrap()),
            Scope::Installer("installer-of-elsewhere".to_owned()),
        ] {
            let hash = || "another".to_owned();
            let renewed = storage.renew_claim(&scope, &controller, hash(), LATER).await;
            let revoked = storage.revoke_controller(&scope, &controller, AT).await;
            let decommissioned = storage.decommission_controller(&scope, &controller, AT).await;
            for refused in [renewed, revoked, decommissioned] {
                assert!(matches!(refused, Err(StandingError::NotFound)), "{scope:?}: {refused:?}");
            }
            assert!(storage.controller(&scope, &controller).await.unwrap().is_none());
            assert!(storage.equipment(&scope, &house).await.unwrap().is_none());
            let new = ControllerId::new("gate-2").unwrap();
            let registered = storage.register_controller(&scope, &new, &house, hash(), LATER, AT).await;
            assert!(matches!(registered, Err(RegisterError::UnknownSite)), "{scope:?}: {registered:?}");
        }
        assert_eq!(storage.begin_claim(&controller, 5, AT).await.unwrap().as_deref(), Some("hash"), "as it was");
    }

    #[tokio::test]
    async fn tries_are_counted_before_they_are_judged() {
        let (storage, controller) = registered().await;
        let tries = (0..8).map(|_| storage.begin_claim(&controller, 5, AT));
        let mut given = 0;
        for hash in futures_util::future::join_all(tries).await {
            given += usize::from(hash.unwrap().is_some());
        }
        assert_eq!(given, 5);
        storage.renew_claim(&Scope::Operator, &controller, "another".to_owned(), LATER).await.unwrap();
        assert_eq!(storage.begin_claim(&controller, 5, AT).await.unwrap().as_deref(), Some("another"));
        assert_eq!(storage.begin_claim(&controller, 5, LATER).await.unwrap(), None, "expired");
    }

    #[tokio::test]
    async fn of_two_claims_with_one_code_one_wins() {
        let (storage, controller) = registered().await;
        storage.finish_claim(&controller, "hash".to_owned(), certificate("a1", 1)).await.unwrap();
        let second = storage.finish_claim(&controller, "hash".to_owned(), certificate("b2", 1)).await;
        assert!(matches!(second, Err(StandingError::Refused)));
        assert!(storage.certificate("b2").await.unwrap().is_none());
    }
}
