//! Erasure orders: the cloud erases at once, and then waits for a receipt of every controller that may hold something.

use cardea_protocol::Timestamp;
use cardea_protocol::id::{ControllerId, CustomerId, ErasureId, SaleId, SiteId, SubjectToken};
use cardea_protocol::message::Receipt;

use super::audit::{self, NewAction};
use super::changes::{ChangeKind, append_change, id, subject_of};
use super::controllers::ControllerStatus;
use super::engine::{Transaction, params};
use super::sites::{Scope, site_visible};
use super::subject_keys::reconcile::applied;
use super::webhooks::outbox::{announce, settle_sales};
use super::{Storage, StorageError};
use crate::webhooks::Kind;

/// Why a subject is erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErasureReason {
    /// The resident withdrew the consent.
    ConsentWithdrawn,
    /// The flat was sold.
    PropertySold,
}

impl ErasureReason {
    /// As it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConsentWithdrawn => "consent-withdrawn",
            Self::PropertySold => "property-sold",
        }
    }
}

/// An erasure order and what has become of it.
#[derive(Clone, Debug)]
pub struct Erasure {
    /// The order.
    pub erasure_id: ErasureId,
    /// Where.
    pub site: SiteId,
    /// Whose.
    pub subject: SubjectToken,
    /// Why.
    pub reason: ErasureReason,
    /// The sale it belongs to.
    pub sale: Option<SaleId>,
    /// When it was ordered; the cloud's own data went in that same moment.
    pub ordered_at: Timestamp,
    /// How many templates the cloud itself erased.
    pub cloud_erased: u32,
    /// When the last receipt arrived.
    pub completed_at: Option<Timestamp>,
    /// Every controller that has to answer, or has answered.
    pub controllers: Vec<ErasureController>,
}

/// One controller's part in an erasure.
#[derive(Clone, Debug)]
pub struct ErasureController {
    /// Which.
    pub controller: ControllerId,
    /// Its signed receipt (JWS), once it has answered.
    pub receipt_jws: Option<String>,
    /// Whether that says that no trace was found in its files; only then has it erased.
    pub verified: bool,
    /// When that arrived.
    pub received_at: Option<Timestamp>,
    /// Where it stands in its life. A decommissioned one will not answer, and need not.
    pub status: ControllerStatus,
    /// When it was last heard of.
    pub last_seen: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was decommissioned.
    pub decommissioned_at: Option<Timestamp>,
}

/// Why a receipt was not stored.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// No such order at the controller's site.
    #[error("the receipt names an erasure that was never ordered at the controller's site")]
    UnknownErasure,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Erases a subject's key and templates from the cloud and records which controllers must answer: every one that was
/// ever sent a template of the subject, and every active one of the site.
///
/// The caller appends the change (`subject-erased`, or one `property-sold` for all), commits, and then calls
/// [`Storage::scrub`].
pub(crate) fn erase_subject(
    tx: &Transaction<'_>,
    site: &SiteId,
    subject: &SubjectToken,
    reason: ErasureReason,
    sale: Option<(&SaleId, &CustomerId)>,
    at: Timestamp,
) -> Result<ErasureId, StorageError> {
    let erasure = ErasureId::random();
    erase_as(tx, &erasure, site, subject, (reason, sale), at)?;
    Ok(erasure)
}

/// The same under an id that is known already: of an erasure that a restored database has forgotten.
pub(super) fn erase_as(
    tx: &Transaction<'_>,
    erasure: &ErasureId,
    site: &SiteId,
    subject: &SubjectToken,
    (reason, sale): (ErasureReason, Option<(&SaleId, &CustomerId)>),
    at: Timestamp,
) -> Result<(), StorageError> {
    let whose = [site.as_str(), subject.as_str()];
    let templates: i64 =
        tx.query_row("SELECT count(*) FROM templates WHERE site_id = ?1 AND subject = ?2", whose, |row| row.get(0))?;
    // The key first, for good: whatever else survives somewhere is noise without it. If this transaction does not last, the
    // journal says what is owed.
    let entries = tx.keys()?.erase(erasure, site, subject, sale, at)?;
    tx.execute("DELETE FROM templates WHERE site_id = ?1 AND subject = ?2", whose)?;
    applied(tx, &entries)?;
    tx.execute(
        "INSERT INTO erasures (erasure_id, site_id, subject, reason, sale_id, ordered_at, cloud_erased)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            erasure.as_str(),
            site.as_str(),
            subject.as_str(),
            reason.as_str(),
            sale.map(|(sale, _)| sale.as_str()),
            at.0,
            templates
        ],
    )?;
    tx.execute(
        "INSERT INTO erasure_controllers (erasure_id, controller_id)
         SELECT ?3, controller_id FROM template_holders WHERE site_id = ?1 AND subject = ?2
         UNION SELECT ?3, controller_id FROM controllers WHERE site_id = ?1 AND status = 'active'",
        params![site.as_str(), subject.as_str(), erasure.as_str()],
    )?;
    tx.execute("DELETE FROM template_holders WHERE site_id = ?1 AND subject = ?2", whose)?;
    settle_erasures(tx, at)
}

/// A receipt of an erasure that is not here. The journal knows whether it was ever ordered: then the database is a restored one from
/// before its subject, and the controller is to keep its receipt no longer.
fn forgotten(tx: &Transaction<'_>, receipt: &Receipt, at: Timestamp) -> Result<bool, ReceiptError> {
    let controller = receipt.controller.as_str();
    let site: Option<String> =
        tx.query_opt("SELECT site_id FROM controllers WHERE controller_id = ?1", [controller], |row| row.get(0))?;
    let Some(site) = site else { return Err(ReceiptError::UnknownErasure) };
    if !tx.keys()?.has_ordered(&site, receipt.erasure.as_str())? {
        return Err(ReceiptError::UnknownErasure);
    }
    let action = NewAction {
        customer: None,
        site: Some(id(site, SiteId::new)?),
        principal_id: Some(controller.to_owned()),
        action: "receipt_of_forgotten_erasure",
        target: Some(receipt.erasure.to_string()),
    };
    audit::done(tx, &action, if receipt.verified { "done" } else { "traces-remain" }, at)?;
    Ok(true)
}

/// Completes every erasure that no controller owes an answer to, and the sales that waited for it; tells of both.
pub(super) fn settle_erasures(tx: &Transaction<'_>, at: Timestamp) -> Result<(), StorageError> {
    let complete = tx.query(
        "UPDATE erasures SET completed_at = ?1 WHERE completed_at IS NULL AND NOT EXISTS (
         SELECT 1 FROM erasure_controllers e JOIN controllers c USING (controller_id)
         WHERE e.erasure_id = erasures.erasure_id AND e.verified IS DISTINCT FROM 1 AND c.status <> 'decommissioned')
         RETURNING erasure_id, site_id",
        [at.0],
        |row| Ok((row.get::<String>(0)?, id(row.get(1)?, SiteId::new)?)),
    )?;
    for (erasure, site) in &complete {
        announce(tx, Kind::ErasureCompleted, site, &[("erasure_id", erasure)], at)?;
    }
    settle_sales(tx, at)
}

/// An erasure within the scope.
fn read_erasure(tx: &Transaction<'_>, scope: &Scope, erasure: &ErasureId) -> Result<Option<Erasure>, StorageError> {
    type Head = (String, String, String, Option<String>, i64, u32, Option<i64>);
    let head: Option<Head> = tx.query_opt(
        "SELECT site_id, subject, reason, sale_id, ordered_at, cloud_erased, completed_at
         FROM erasures WHERE erasure_id = ?1",
        [erasure.as_str()],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?)),
    )?;
    let Some((site, subject, reason, sale, ordered_at, cloud_erased, completed_at)) = head else { return Ok(None) };
    let site = id(site, SiteId::new)?;
    if !site_visible(tx, scope, &site)? {
        return Ok(None);
    }
    let controllers = tx.query(
        "SELECT e.controller_id, e.receipt_jws, e.received_at, c.status, e.verified IS NOT DISTINCT FROM 1,
                c.last_seen, c.revoked_at, c.decommissioned_at
         FROM erasure_controllers e JOIN controllers c USING (controller_id)
         WHERE e.erasure_id = ?1 ORDER BY e.controller_id",
        [erasure.as_str()],
        |row| {
            let moment = |column| Ok::<_, StorageError>(row.get::<Option<i64>>(column)?.map(Timestamp));
            Ok(ErasureController {
                controller: id(row.get(0)?, ControllerId::new)?,
                receipt_jws: row.get(1)?,
                received_at: moment(2)?,
                status: ControllerStatus::parse(&row.get::<String>(3)?)?,
                verified: row.get(4)?,
                last_seen: moment(5)?,
                revoked_at: moment(6)?,
                decommissioned_at: moment(7)?,
            })
        },
    )?;
    Ok(Some(Erasure {
        erasure_id: erasure.clone(),
        site,
        subject: subject_of(&subject)?,
        reason: match reason.as_str() {
            "consent-withdrawn" => ErasureReason::ConsentWithdrawn,
            "property-sold" => ErasureReason::PropertySold,
            _ => return Err(StorageError::Corrupt("reason of an erasure")),
        },
        sale: sale.map(|sale| id(sale, SaleId::new)).transpose()?,
        ordered_at: Timestamp(ordered_at),
        cloud_erased,
        completed_at: completed_at.map(Timestamp),
        controllers,
    }))
}

impl Storage {
    /// An erasure order within the scope, with every controller's part.
    pub async fn erasure(&self, scope: &Scope, erasure: &ErasureId) -> Result<Option<Erasure>, StorageError> {
        let (scope, erasure) = (scope.clone(), erasure.clone());
        self.read(move |tx| read_erasure(tx, &scope, &erasure)).await
    }

    /// The erasures of a sale that are within the scope.
    pub async fn erasures_of_sale(&self, scope: &Scope, sale: &SaleId) -> Result<Vec<Erasure>, StorageError> {
        let (scope, sale) = (scope.clone(), sale.clone());
        self.read(move |tx| {
            let ids = tx.query(
                "SELECT erasure_id FROM erasures WHERE sale_id = ?1 ORDER BY erasure_id",
                [sale.as_str()],
                |row| id(row.get(0)?, ErasureId::new),
            )?;
            let mut erasures = Vec::with_capacity(ids.len());
            for erasure in ids {
                erasures.extend(read_erasure(tx, &scope, &erasure)?);
            }
            Ok(erasures)
        })
        .await
    }

    /// Stores a controller's receipt, whose signature and fields the caller has verified, as the answer to its
    /// erasure. The first receipt stays; a repeated one changes nothing. One that tells of traces left behind is kept, and
    /// does not settle what is owed. One of an erasure that a restored database has forgotten, with its subject, is entered in
    /// the audit alone. Returns whether the erasure is complete.
    pub async fn store_receipt(&self, receipt: &Receipt, jws: &str, at: Timestamp) -> Result<bool, ReceiptError> {
        let (receipt, jws) = (receipt.clone(), jws.to_owned());
        self.write(move |tx| {
            let (erasure, controller) = (receipt.erasure.as_str(), receipt.controller.as_str());
            let known: bool = tx
                .query_row(
                    "SELECT EXISTS (SELECT 1 FROM erasures e JOIN controllers c USING (site_id)
                     WHERE e.erasure_id = ?1 AND c.controller_id = ?2)",
                    [erasure, controller],
                    |row| row.get(0),
                )?;
            if !known {
                return forgotten(tx, &receipt, at);
            }
            // A controller that was claimed after the order owes no answer; the one it gives is kept all the same.
            tx.execute(
                "INSERT INTO erasure_controllers (erasure_id, controller_id, receipt_jws, received_at, verified)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (erasure_id, controller_id) DO UPDATE SET receipt_jws = excluded.receipt_jws, received_at = excluded.received_at,
                     verified = excluded.verified
                 WHERE erasure_controllers.verified IS DISTINCT FROM 1",
                params![erasure, controller, jws, at.0, receipt.verified],
            )?;
            settle_erasures(tx, at)?;
            let complete = tx
                .query_row("SELECT completed_at IS NOT NULL FROM erasures WHERE erasure_id = ?1", [erasure], |row| {
                    row.get(0)
                })?;
            Ok(complete)
        })
        .await
    }

    /// Orders again what a controller still owes an answer to, after it had to be given a snapshot (which carries no
    /// orders). What was ordered at `since` or later is left alone: its answer may be on its way. The templates of a subject
    /// who was enrolled anew in the meantime follow the order, which would erase them too. Returns whether anything was
    /// appended to the log.
    pub async fn reissue_erasures(
        &self,
        controller: &ControllerId,
        since: Timestamp,
        at: Timestamp,
    ) -> Result<bool, StorageError> {
        let controller = controller.clone();
        self.write(move |tx| {
            let owed = tx.query(
                "SELECT e.erasure_id, e.site_id, e.subject FROM erasures e JOIN erasure_controllers o USING (erasure_id)
                 WHERE o.controller_id = ?1 AND o.verified IS DISTINCT FROM 1 AND e.ordered_at < ?2
                 ORDER BY e.ordered_at, e.erasure_id",
                params![controller.as_str(), since.0],
                |row| Ok((row.get::<String>(0)?, id(row.get(1)?, SiteId::new)?, row.get::<String>(2)?)),
            )?;
            for (erasure, site, subject) in &owed {
                append_change(tx, site, ChangeKind::SubjectErased, erasure, at)?;
                let enrolled: Vec<String> = tx.query(
                    "SELECT template_id FROM templates WHERE site_id = ?1 AND subject = ?2 ORDER BY template_id",
                    [site.as_str(), subject],
                    |row| row.get(0),
                )?;
                for template in &enrolled {
                    append_change(tx, site, ChangeKind::TemplateAdded, template, at)?;
                }
            }
            Ok(!owed.is_empty())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::super::controllers::tests::{AT, LATER, certificate, registered};
    use super::*;

    #[tokio::test]
    async fn a_receipt_that_tells_of_traces_completes_nothing() {
        let (storage, controller) = registered().await;
        storage.finish_claim(&controller, "hash".to_owned(), certificate("a1", 1)).await.unwrap();
        let site = SiteId::new("house-1").unwrap();
        let subject = SubjectToken::new("5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f").unwrap();
        let erasure = storage
            .write(move |tx| erase_subject(tx, &site, &subject, ErasureReason::ConsentWithdrawn, None, AT))
            .await
            .unwrap();
        let receipt = |verified| Receipt {
            erasure: erasure.clone(),
            controller: controller.clone(),
            revision: cardea_protocol::id::Revision(1),
            templates_erased: 1,
            verified,
            at: AT,
        };
        assert!(!storage.store_receipt(&receipt(false), "traces", AT).await.unwrap());
        let elsewhere = Scope::Customer(CustomerId::new("customer-of-elsewhere").unwrap());
        assert!(storage.erasure(&elsewhere, &erasure).await.unwrap().is_none());
        let seen = storage.erasure(&Scope::Operator, &erasure).await.unwrap().unwrap();
        assert_eq!(seen.completed_at, None);
        assert_eq!((seen.controllers[0].receipt_jws.as_deref(), seen.controllers[0].verified), (Some("traces"), false));

        assert!(storage.store_receipt(&receipt(true), "clean", LATER).await.unwrap());
        assert!(storage.store_receipt(&receipt(false), "late", LATER).await.unwrap());
        let seen = storage.erasure(&Scope::Operator, &erasure).await.unwrap().unwrap();
        assert_eq!((seen.controllers[0].receipt_jws.as_deref(), seen.controllers[0].verified), (Some("clean"), true));
    }
}
