//! Client certificates that were revoked by issuer and serial number (RFC 5280 §4.1.2.2), for good.

use cardea_protocol::Timestamp;
use cardea_protocol::id::ControllerId;

use super::changes::id;
use super::engine::params;
use super::sites::Scope;
use super::{Storage, StorageError};
use crate::pki::AUTHORITY_NAME;

/// What names a certificate: no CA issues two of the same number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificateKey {
    /// The issuer's name (RFC 4514).
    pub issuer: String,
    /// As [`crate::pki::serial_text`] writes it.
    pub serial: String,
}

/// What a revocation has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Since when the certificate counts no longer: the first call's time.
    pub at: Timestamp,
    /// The controller it was issued to, whose session is to be ended.
    pub controller: Option<ControllerId>,
}

/// Why a certificate was not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevocationError {
    /// Certificates are the operator's to revoke: a CA may serve several customers.
    #[error("certificates are revoked by the operator's own accounts")]
    NotOperator,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Storage {
    /// Revokes a certificate; again, it changes nothing. One of a controller ends with its standing there as well.
    pub async fn revoke_certificate(
        &self,
        scope: &Scope,
        key: CertificateKey,
        at: Timestamp,
    ) -> Result<Revoked, RevocationError> {
        if *scope != Scope::Operator {
            return Err(RevocationError::NotOperator);
        }
        self.write(move |tx| {
            tx.execute(
                "INSERT INTO revoked_certificates (issuer, serial, revoked_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![key.issuer, key.serial, at.0],
            )?;
            let since = tx.query_row(
                "SELECT revoked_at FROM revoked_certificates WHERE issuer = ?1 AND serial = ?2",
                [&key.issuer, &key.serial],
                |row| row.get(0),
            )?;
            let mut controller = None;
            if key.issuer == AUTHORITY_NAME {
                controller = tx.query_opt(
                    "UPDATE controller_certificates SET status = 'revoked', ended_at = coalesce(ended_at, ?2)
                     WHERE serial = ?1 RETURNING controller_id",
                    params![key.serial, at.0],
                    |row| id(row.get(0)?, ControllerId::new),
                )?;
            }
            Ok(Revoked { at: Timestamp(since), controller })
        })
        .await
    }

    /// Whether a certificate was revoked. Asked at every request, whoever makes it.
    pub async fn certificate_revoked(&self, issuer: &str, serial: &str) -> Result<bool, StorageError> {
        let (issuer, serial) = (issuer.to_owned(), serial.to_owned());
        self.read(move |tx| {
            tx.query_row(
                "SELECT EXISTS (SELECT 1 FROM revoked_certificates WHERE issuer = ?1 AND serial = ?2)",
                [&issuer, &serial],
                |row| row.get(0),
            )
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use cardea_protocol::id::CustomerId;

    use super::super::controllers::tests::{AT, LATER, certificate, registered};
    use super::*;

    fn key(issuer: &str, serial: &str) -> CertificateKey {
        CertificateKey { issuer: issuer.to_owned(), serial: serial.to_owned() }
    }

    #[tokio::test]
    async fn a_certificate_is_revoked_once_and_by_both_its_names() {
        let storage = crate::testing::scratch_storage();
        for at in [AT, LATER] {
            let revoked = storage.revoke_certificate(&Scope::Operator, key("CN=Clients", "a1"), at).await.unwrap();
            assert_eq!(revoked, Revoked { at: AT, controller: None });
        }
        for (issuer, serial, expected) in
            [("CN=Clients", "a1", true), ("CN=Clients", "a2", false), ("CN=Others", "a1", false)]
        {
            assert_eq!(storage.certificate_revoked(issuer, serial).await.unwrap(), expected, "{issuer} {serial}");
        }
    }

    #[tokio::test]
    async fn a_customer_revokes_no_certificate() {
        let storage = crate::testing::scratch_storage();
        let scope = Scope::Customer(CustomerId::new("birch-homes").unwrap());
        let refused = storage.revoke_certificate(&scope, key("CN=Clients", "a1"), AT).await;
        assert!(matches!(refused, Err(RevocationError::NotOperator)));
        assert!(!storage.certificate_revoked("CN=Clients", "a1").await.unwrap());
    }

    #[tokio::test]
    async fn one_of_a_controllers_certificates_ends_and_its_other_one_does_not() {
        let (storage, controller) = registered().await;
        storage.finish_claim(&controller, "hash".to_owned(), certificate("a1", 1)).await.unwrap();
        storage.add_certificate(&controller, certificate("b2", 2)).await.unwrap();
        // A customer's CA may have issued the same number.
        let other = storage.revoke_certificate(&Scope::Operator, key("CN=Clients", "a1"), AT).await.unwrap();
        assert_eq!(other.controller, None);
        assert!(storage.certificate("a1").await.unwrap().unwrap().active);
        let own = storage.revoke_certificate(&Scope::Operator, key(AUTHORITY_NAME, "a1"), AT).await.unwrap();
        assert_eq!(own.controller, Some(controller));
        assert!(!storage.certificate("a1").await.unwrap().unwrap().active);
        assert!(storage.certificate("b2").await.unwrap().unwrap().active);
    }
}
