//! Certificates issued to controllers, and whether they still count.

use cardea_protocol::Timestamp;
use cardea_protocol::id::{ControllerId, SiteId};

use super::changes::id;
use super::controllers::StandingError;
use super::engine::{Transaction, params};
use super::{Storage, StorageError};

/// A certificate that was issued to a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedCertificate {
    /// Lower-case hexadecimal, without leading zeros.
    pub serial: String,
    /// P-256 public key, SEC 1 uncompressed.
    pub public_point: Vec<u8>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it expires.
    pub not_after: Timestamp,
}

/// A certificate of a controller that counts no longer and has not expired.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndedCertificate {
    /// Lower-case hexadecimal, without leading zeros.
    pub serial: String,
    /// When it ceased to count.
    pub at: Timestamp,
    /// Whether a newer one has taken its place; otherwise it was revoked.
    pub superseded: bool,
}

/// What the broker and the API need to know of a certificate that is presented to them.
#[derive(Clone, Debug)]
pub struct CertificateStatus {
    /// Whose it is.
    pub controller: ControllerId,
    /// Where that controller stands.
    pub site: SiteId,
    /// Neither superseded nor revoked, and the controller is active.
    pub active: bool,
    /// When it expires.
    pub not_after: Timestamp,
}

pub(super) fn insert_certificate(
    tx: &Transaction<'_>,
    controller: &ControllerId,
    certificate: &IssuedCertificate,
) -> Result<(), StorageError> {
    tx.execute(
        "INSERT INTO controller_certificates (serial, controller_id, public_point, issued_at, not_after, status)
         VALUES (?1, ?2, ?3, ?4, ?5, 'active')",
        params![
            certificate.serial,
            controller.as_str(),
            certificate.public_point,
            certificate.issued_at.0,
            certificate.not_after.0
        ],
    )?;
    Ok(())
}

impl Storage {
    /// Records a further certificate of an active controller; the earlier one stays good until the new one has proved
    /// itself in a session ([`Storage::supersede_certificates`]).
    pub async fn add_certificate(
        &self,
        controller: &ControllerId,
        certificate: IssuedCertificate,
    ) -> Result<(), StandingError> {
        let controller = controller.clone();
        self.write(move |tx| {
            let active = tx.query_row(
                "SELECT EXISTS (SELECT 1 FROM controllers WHERE controller_id = ?1 AND status = 'active')",
                [controller.as_str()],
                |row| row.get(0),
            )?;
            if active { Ok(insert_certificate(tx, &controller, &certificate)?) } else { Err(StandingError::Refused) }
        })
        .await
    }

    /// Whose a certificate is and whether it counts.
    pub async fn certificate(&self, serial: &str) -> Result<Option<CertificateStatus>, StorageError> {
        let serial = serial.to_owned();
        self.read(move |tx| {
            tx.query_opt(
                "SELECT c.controller_id, c.site_id, k.status = 'active' AND c.status = 'active', k.not_after
                 FROM controller_certificates k JOIN controllers c USING (controller_id) WHERE k.serial = ?1",
                [&serial],
                |row| {
                    Ok(CertificateStatus {
                        controller: id(row.get(0)?, ControllerId::new)?,
                        site: id(row.get(1)?, SiteId::new)?,
                        active: row.get(2)?,
                        not_after: Timestamp(row.get(3)?),
                    })
                },
            )
        })
        .await
    }

    /// The active certificates of an active controller, newest first: its messages verify with one of them.
    pub async fn active_certificates(
        &self,
        controller: &ControllerId,
        at: Timestamp,
    ) -> Result<Vec<IssuedCertificate>, StorageError> {
        let controller = controller.clone();
        self.read(move |tx| {
            tx.query(
                "SELECT k.serial, k.public_point, k.issued_at, k.not_after
                 FROM controller_certificates k JOIN controllers c USING (controller_id)
                 WHERE k.controller_id = ?1 AND k.status = 'active' AND c.status = 'active' AND k.not_after > ?2
                 ORDER BY k.issued_at DESC, k.serial",
                params![controller.as_str(), at.0],
                |row| {
                    Ok(IssuedCertificate {
                        serial: row.get(0)?,
                        public_point: row.get(1)?,
                        issued_at: Timestamp(row.get(2)?),
                        not_after: Timestamp(row.get(3)?),
                    })
                },
            )
        })
        .await
    }

    /// The keys a controller's receipts may be signed with: of every certificate it was issued and that was not revoked.
    /// A receipt made before a renewal may arrive after it.
    pub async fn receipt_keys(&self, controller: &ControllerId) -> Result<Vec<Vec<u8>>, StorageError> {
        let controller = controller.clone();
        self.read(move |tx| {
            tx.query(
                "SELECT public_point FROM controller_certificates WHERE controller_id = ?1 AND status <> 'revoked'
                 ORDER BY issued_at DESC",
                [controller.as_str()],
                |row| row.get(0),
            )
        })
        .await
    }

    /// The certificates of controllers that a list of revocations has to name.
    pub async fn ended_certificates(&self, at: Timestamp) -> Result<Vec<EndedCertificate>, StorageError> {
        self.read(move |tx| {
            tx.query(
                "SELECT serial, coalesce(ended_at, issued_at), status = 'superseded' FROM controller_certificates
                 WHERE status <> 'active' AND not_after > ?1 ORDER BY serial",
                params![at.0],
                |row| Ok(EndedCertificate { serial: row.get(0)?, at: Timestamp(row.get(1)?), superseded: row.get(2)? }),
            )
        })
        .await
    }

    /// Ends the certificates issued before this one, which has proved itself.
    pub async fn supersede_certificates(
        &self,
        controller: &ControllerId,
        proved: &IssuedCertificate,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        let (controller, proved) = (controller.clone(), proved.clone());
        self.write(move |tx| {
            tx.execute(
                "UPDATE controller_certificates SET status = 'superseded', ended_at = ?5
                 WHERE controller_id = ?1 AND status = 'active' AND serial <> ?2 AND issued_at <= ?3
                   AND public_point <> ?4",
                params![controller.as_str(), proved.serial, proved.issued_at.0, proved.public_point, at.0],
            )?;
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::super::controllers::tests::{AT, LATER, certificate, registered};
    use super::*;
    use crate::storage::sites::Scope;

    #[tokio::test]
    async fn a_certificate_counts_until_a_newer_one_has_proved_itself_or_all_are_revoked() {
        let (storage, controller) = registered().await;
        storage.finish_claim(&controller, "hash".to_owned(), certificate("a1", 1)).await.unwrap();
        storage.add_certificate(&controller, certificate("b2", 2)).await.unwrap();
        let counts = |serial: &'static str| {
            let storage = storage.clone();
            async move { storage.certificate(serial).await.unwrap().unwrap().active }
        };
        assert!(counts("a1").await && counts("b2").await);
        // The older one proves nothing about the newer.
        storage.supersede_certificates(&controller, &certificate("a1", 1), AT).await.unwrap();
        assert!(counts("b2").await);
        storage.supersede_certificates(&controller, &certificate("b2", 2), AT).await.unwrap();
        assert!(!counts("a1").await && counts("b2").await);
        assert_eq!(storage.receipt_keys(&controller).await.unwrap().len(), 2);
        assert_eq!(storage.active_certificates(&controller, AT).await.unwrap().len(), 1);

        storage.revoke_controller(&Scope::Operator, &controller, LATER).await.unwrap();
        assert!(!counts("b2").await);
        let ended = |serial: &str, at, superseded| EndedCertificate { serial: serial.to_owned(), at, superseded };
        let listed = storage.ended_certificates(AT).await.unwrap();
        assert_eq!(listed, [ended("a1", AT, false), ended("b2", LATER, false)], "each since it ceased to count");
        assert!(storage.receipt_keys(&controller).await.unwrap().is_empty());
        assert!(matches!(
            storage.revoke_controller(&Scope::Operator, &controller, AT).await,
            Err(StandingError::Refused)
        ));
        assert!(storage.add_certificate(&controller, certificate("c3", 3)).await.is_err());
    }
}
