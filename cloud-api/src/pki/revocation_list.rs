//! Lists of revocations (RFC 5280 §5), for a broker that cannot ask the database.

use cardea_protocol::Timestamp;
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber};

use super::{Authority, DAY_MS, PkiError, date};
use crate::storage::certificates::EndedCertificate;

/// A broker refuses every certificate once its list is older than this: the cloud makes another one each day, and a broker that
/// is not told to read it must not lock everybody out meanwhile.
const VALID_DAYS: i64 = 398;

impl Authority {
    /// A list of these certificates, PEM.
    pub fn revocation_list(&self, ended: &[EndedCertificate], now: Timestamp) -> Result<String, PkiError> {
        let revoked_certs = ended.iter().map(entry).collect::<Result<_, _>>()?;
        let list = CertificateRevocationListParams {
            this_update: date(now)?,
            next_update: date(now.plus_ms(VALID_DAYS * DAY_MS))?,
            // §5.2.3: grows from list to list.
            crl_number: SerialNumber::from(u64::try_from(now.0).unwrap_or_default()),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).and_then(|list| list.pem()).map_err(PkiError::Issue)
    }
}

fn entry(ended: &EndedCertificate) -> Result<RevokedCertParams, PkiError> {
    let even = if ended.serial.len().is_multiple_of(2) { ended.serial.clone() } else { format!("0{}", ended.serial) };
    let serial = hex::decode(even).map_err(|_| PkiError::Peer)?;
    Ok(RevokedCertParams {
        serial_number: SerialNumber::from(serial),
        revocation_time: date(ended.at)?,
        reason_code: Some(if ended.superseded {
            RevocationReason::Superseded
        } else {
            RevocationReason::CessationOfOperation
        }),
        invalidity_date: None,
    })
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::{CertificateRevocationListDer, pem::PemObject as _};
    use x509_parser::prelude::{CertificateRevocationList, FromDer as _, X509Certificate};

    use super::*;
    use crate::pki::serial_text;

    #[test]
    fn a_list_names_what_has_ended_and_is_signed_by_the_authority() {
        let now = Timestamp(1_800_000_000_000);
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(folder.path(), now).unwrap();
        let ended = |serial: &str, superseded| EndedCertificate { serial: serial.to_owned(), at: now, superseded };
        for list in [vec![], vec![ended("abc", false), ended("7f01", true)]] {
            let pem = authority.revocation_list(&list, now).unwrap();
            let der = CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).unwrap();
            let (_, read) = CertificateRevocationList::from_der(&der).unwrap();
            let named: Vec<String> =
                read.iter_revoked_certificates().map(|entry| serial_text(entry.raw_serial())).collect();
            let wanted: Vec<&str> = list.iter().map(|entry| entry.serial.as_str()).collect();
            assert_eq!(named, wanted);
            let (_, ca) = X509Certificate::from_der(authority.certificate_der()).unwrap();
            read.verify_signature(ca.public_key()).unwrap();
        }
    }
}
