//! The Cardea CA: a P-256 key made at the first start, and the certificates it issues (RFC 5280).
//!
//! | to whom | subject | for what |
//! |---|---|---|
//! | a controller | `CN=` its id, whatever its request said | client authentication, at the broker and the API |
//! | this server | `CN=` its first public name | server authentication, where no other certificate is configured |
//! | the cloud's own MQTT client | `CN=cloud.cardea` | client authentication, at the broker only |
//!
//! A controller id has no dot, so no controller can be taken for the cloud's own client. Serial numbers are random
//! (§4.1.2.2, 127 bits); whether one still counts is said by the database. A list of revocations ([`revocation_list`]) is
//! made for brokers that are not the cloud's own, and nothing in the cloud depends on it.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use cardea_protocol::Timestamp;
use cardea_protocol::id::ControllerId;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _, SerialNumber,
};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, pem::PemObject as _};
use time::OffsetDateTime;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::{FromDer as _, ParsedExtension, X509Certificate};
use zeroize::Zeroizing;

use crate::keys::{KeyError, read_or_create};
use crate::storage::certificates::IssuedCertificate;

mod revocation_list;

/// Common name and MQTT client id of the cloud's own connection to the broker.
pub const CLOUD_CLIENT: &str = "cloud.cardea";
/// Common name of the Cardea CA.
const AUTHORITY_COMMON_NAME: &str = "Cardea CA";
/// Its whole name (RFC 4514).
pub const AUTHORITY_NAME: &str = "CN=Cardea CA";

const DAY_MS: i64 = 86_400_000;
const CA_DAYS: i64 = 20 * 365;
const SERVER_DAYS: i64 = 398;
/// Certificates begin this much before they are issued, for controllers whose clock is behind.
const BACKDATE_MS: i64 = 3_600_000;

/// Why a certificate was not issued or read.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A key file of the CA or of the server.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The CA certificate cannot be read or written.
    #[error("the certificate file {path} cannot be read or written: check the data directory")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The CA's certificate does not belong to its key.
    #[error("the CA in {path} cannot be used: restore ca.key and ca.pem together")]
    Authority {
        /// Which file.
        path: PathBuf,
    },
    /// The request is malformed, is not signed by its own key, or asks for what is never granted.
    #[error("the certificate request is not a PKCS#10 request signed with its own key (RFC 2986)")]
    Request,
    /// The request is for another kind of key.
    #[error("the certificate request has a key of another kind than P-256")]
    KeyKind,
    /// The request of a renewal is for another name.
    #[error(
        "the certificate request must have the subject of the certificate that is renewed, and no other name \
         (RFC 7030 section 4.2.2)"
    )]
    Subject,
    /// A public name is neither a DNS name nor an IP address.
    #[error("{name:?} is neither a DNS name nor an IP address")]
    Name {
        /// Which.
        name: String,
    },
    /// Signing failed.
    #[error("the certificate or the list of revocations could not be made")]
    Issue(#[source] rcgen::Error),
    /// Not an X.509 certificate, or none with a common name.
    #[error("the peer's certificate cannot be read")]
    Peer,
}

/// A certificate together with its private key. `Debug` shows the serial only.
pub struct KeyedCertificate {
    /// PEM chain: the certificate, then the CA.
    pub chain_pem: String,
    /// PKCS#8 PEM.
    pub private_key_pem: Zeroizing<String>,
    /// Serial number, as [`serial_text`] writes it.
    pub serial: String,
}

impl std::fmt::Debug for KeyedCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyedCertificate({}, …)", self.serial)
    }
}

impl KeyedCertificate {
    /// Writes `NAME.pem` and, readable by the owner only, `NAME.key` into `folder`, and returns their paths.
    pub fn write(&self, folder: &Path, name: &str) -> std::io::Result<(PathBuf, PathBuf)> {
        let (certificate, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        write_whole(&certificate, self.chain_pem.as_bytes(), 0o644)?;
        write_whole(&key, self.private_key_pem.as_bytes(), 0o600)?;
        Ok((certificate, key))
    }

    /// TLS to a server whose certificate one of `authorities` has issued, showing this certificate.
    pub fn tls_client(&self, authorities: &[CertificateDer<'static>]) -> Result<rustls::ClientConfig, PkiError> {
        let mut roots = rustls::RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.clone()).map_err(|_| PkiError::Peer)?;
        }
        let (chain, key) = self.for_rustls()?;
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .and_then(|builder| builder.with_root_certificates(roots).with_client_auth_cert(chain, key))
            .map_err(|_| PkiError::Peer)
    }

    /// The chain and the key as rustls takes them.
    pub fn for_rustls(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), PkiError> {
        let chain = CertificateDer::pem_slice_iter(self.chain_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| PkiError::Peer)?;
        let key = PrivateKeyDer::from_pem_slice(self.private_key_pem.as_bytes()).map_err(|_| PkiError::Peer)?;
        Ok((chain, key))
    }
}

/// The Cardea CA.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
    pem_file: PathBuf,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority(…)")
    }
}

impl Authority {
    /// Reads `ca.key` and `ca.pem` in `folder`, or makes them.
    pub fn open_or_create(folder: &Path, now: Timestamp) -> Result<Self, PkiError> {
        let pem_file = folder.join("ca.pem");
        let unusable = || PkiError::Authority { path: pem_file.clone() };
        let key_pem = read_or_create(&folder.join("ca.key"), || {
            let key = KeyPair::generate().map_err(|_| KeyError::Generate)?;
            Ok(Zeroizing::new(key.serialize_pem().into_bytes()))
        })?;
        let key =
            std::str::from_utf8(&key_pem).ok().and_then(|pem| KeyPair::from_pem(pem).ok()).ok_or_else(unusable)?;
        let file = |source| PkiError::File { path: pem_file.clone(), source };
        let pem = match std::fs::read_to_string(&pem_file) {
            Ok(pem) => pem,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let pem = ca_params(now)?.self_signed(&key).map_err(PkiError::Issue)?.pem();
                write_whole(&pem_file, pem.as_bytes(), 0o644).map_err(file)?;
                pem
            }
            Err(error) => return Err(file(error)),
        };
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| unusable())?;
        let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| unusable())?;
        if certificate.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(unusable());
        }
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(|_| unusable())?;
        Ok(Self { issuer, pem, der, pem_file })
    }

    /// The CA's certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// The CA's certificate, DER.
    pub fn certificate_der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The file with [`Authority::certificate_pem`].
    pub fn certificate_file(&self) -> &Path {
        &self.pem_file
    }

    /// A certificate for the key in a PKCS#10 request (DER), which proves possession by its signature. Nothing but the
    /// key is taken from the request.
    pub fn issue_controller(
        &self,
        request_der: &[u8],
        controller: &ControllerId,
        days: u32,
        now: Timestamp,
    ) -> Result<(CertificateDer<'static>, IssuedCertificate), PkiError> {
        let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request_der))
            .map_err(|_| PkiError::Request)?;
        let point = request.public_key.der_bytes();
        if request.public_key.algorithm() != &rcgen::PKCS_ECDSA_P256_SHA256 || point.len() != 65 || point[0] != 4 {
            return Err(PkiError::KeyKind);
        }
        let not_after = now.plus_ms(i64::from(days) * DAY_MS);
        let (mut params, serial) = leaf_params(controller.as_str(), now, not_after)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&request.public_key, &self.issuer).map_err(PkiError::Issue)?;
        let issued = IssuedCertificate { serial, public_point: point.to_vec(), issued_at: now, not_after };
        Ok((certificate.der().clone(), issued))
    }

    /// The same for a request that renews: it has to ask for the name that the certificate has, and for no other
    /// (RFC 7030 §4.2.2: subject and subjectAltName are identical; a controller's certificate has none of the latter).
    pub fn renew_controller(
        &self,
        request_der: &[u8],
        controller: &ControllerId,
        days: u32,
        now: Timestamp,
    ) -> Result<(CertificateDer<'static>, IssuedCertificate), PkiError> {
        let (_, request) = X509CertificationRequest::from_der(request_der).map_err(|_| PkiError::Request)?;
        let subject = &request.certification_request_info.subject;
        let same = subject.iter_attributes().count() == 1
            && subject.iter_common_name().all(|name| name.as_str().is_ok_and(|name| name == controller.as_str()))
            && subject.iter_common_name().count() == 1;
        let mut extensions = request.requested_extensions().into_iter().flatten();
        if !same || extensions.any(|extension| matches!(extension, ParsedExtension::SubjectAlternativeName(_))) {
            return Err(PkiError::Subject);
        }
        self.issue_controller(request_der, controller, days, now)
    }

    /// A certificate for this server under its public names (DNS names or IP addresses).
    pub fn issue_server(&self, names: &[String], now: Timestamp) -> Result<KeyedCertificate, PkiError> {
        let common = names.first().map_or("cardea-cloud", String::as_str);
        let (mut params, serial) = leaf_params(common, now, now.plus_ms(SERVER_DAYS * DAY_MS))?;
        for name in names {
            let san = CertificateParams::new([name.clone()]).map_err(|_| PkiError::Name { name: name.clone() })?;
            params.subject_alt_names.extend(san.subject_alt_names);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue_keyed(&params, serial)
    }

    /// A certificate for the cloud's own connection to the broker.
    pub fn issue_cloud_client(&self, now: Timestamp) -> Result<KeyedCertificate, PkiError> {
        let (mut params, serial) = leaf_params(CLOUD_CLIENT, now, now.plus_ms(SERVER_DAYS * DAY_MS))?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue_keyed(&params, serial)
    }

    fn issue_keyed(&self, params: &CertificateParams, serial: String) -> Result<KeyedCertificate, PkiError> {
        let key = KeyPair::generate().map_err(PkiError::Issue)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(PkiError::Issue)?;
        Ok(KeyedCertificate {
            chain_pem: format!("{}{}", certificate.pem(), self.pem),
            private_key_pem: Zeroizing::new(key.serialize_pem()),
            serial,
        })
    }
}

/// What a peer's certificate, which TLS has verified, says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Common name.
    pub common_name: String,
    /// Serial number, as [`serial_text`] writes it.
    pub serial: String,
}

impl Peer {
    /// Reads a DER certificate.
    pub fn of(der: &[u8]) -> Result<Self, PkiError> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| PkiError::Peer)?;
        let common_name = certificate
            .subject()
            .iter_common_name()
            .next()
            .and_then(|name| name.as_str().ok())
            .ok_or(PkiError::Peer)?
            .to_owned();
        Ok(Self { common_name, serial: serial_text(certificate.raw_serial()) })
    }
}

/// A serial number as text: lower-case hexadecimal without leading zeros.
pub fn serial_text(bytes: &[u8]) -> String {
    let text = hex::encode(bytes);
    let trimmed = text.trim_start_matches('0');
    if trimmed.is_empty() { "0".to_owned() } else { trimmed.to_owned() }
}

/// A serial number that a person has written: hexadecimal, in either case, with colons or not. `None` for what is none or
/// longer than the 20 octets of RFC 5280 §4.1.2.2.
pub fn read_serial(text: &str) -> Option<String> {
    let digits = text.replace(':', "").to_ascii_lowercase();
    let good = (1..=40).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let trimmed = digits.trim_start_matches('0');
    good.then(|| if trimmed.is_empty() { "0".to_owned() } else { trimmed.to_owned() })
}

fn leaf_params(
    common_name: &str,
    now: Timestamp,
    not_after: Timestamp,
) -> Result<(CertificateParams, String), PkiError> {
    let serial = random_serial()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date(now.plus_ms(-BACKDATE_MS))?;
    params.not_after = date(not_after)?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok((params, serial_text(&serial)))
}

fn ca_params(now: Timestamp) -> Result<CertificateParams, PkiError> {
    let (mut params, _) = leaf_params(AUTHORITY_COMMON_NAME, now, now.plus_ms(CA_DAYS * DAY_MS))?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = false;
    Ok(params)
}

fn random_serial() -> Result<[u8; 16], PkiError> {
    let mut serial = crate::keys::random::<16>()?;
    serial[0] &= 0x7f; // §4.1.2.2: positive
    Ok(serial)
}

fn date(at: Timestamp) -> Result<OffsetDateTime, PkiError> {
    OffsetDateTime::from_unix_timestamp(at.0.div_euclid(1_000)).map_err(|_| PkiError::Issue(rcgen::Error::Time))
}

/// Writes a file under another name first, so that a power cut never leaves half of it.
pub(crate) fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let partial = path.with_extension("partial");
    match std::fs::remove_file(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(partial, path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn request(key: &KeyPair, common_name: &str) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.serialize_request(key).unwrap().der().to_vec()
    }

    #[test]
    fn a_controller_gets_its_own_name_whatever_it_asks_for() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(folder.path(), NOW).unwrap();
        let key = KeyPair::generate().unwrap();
        let controller = ControllerId::new("gate-1").unwrap();
        let (der, issued) = authority.issue_controller(&request(&key, CLOUD_CLIENT), &controller, 90, NOW).unwrap();
        let peer = Peer::of(&der).unwrap();
        assert_eq!(peer.common_name, "gate-1");
        assert_eq!(peer.serial, issued.serial);
        assert_eq!(issued.public_point, key.public_key_raw());
        assert_eq!(&*crate::listener::Peer::read(&der, true).unwrap().issuer, AUTHORITY_NAME);
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        assert!(!certificate.is_ca());
        let eku = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(eku.client_auth && !eku.server_auth);
    }

    #[test]
    fn a_request_not_signed_by_its_own_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(folder.path(), NOW).unwrap();
        let controller = ControllerId::new("gate-1").unwrap();
        let mut der = request(&KeyPair::generate().unwrap(), "gate-1");
        let last = der.len() - 1;
        der[last] ^= 1;
        assert!(matches!(authority.issue_controller(&der, &controller, 90, NOW), Err(PkiError::Request)));
        let ed25519 = request(&KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(), "gate-1");
        assert!(matches!(authority.issue_controller(&ed25519, &controller, 90, NOW), Err(PkiError::KeyKind)));
        assert!(matches!(authority.issue_controller(b"junk", &controller, 90, NOW), Err(PkiError::Request)));
    }

    #[test]
    fn a_renewal_asks_for_the_same_name_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(folder.path(), NOW).unwrap();
        let controller = ControllerId::new("gate-1").unwrap();
        let key = KeyPair::generate().unwrap();
        let renew = |der: &[u8]| authority.renew_controller(der, &controller, 90, NOW);
        assert_eq!(Peer::of(&renew(&request(&key, "gate-1")).unwrap().0).unwrap().common_name, "gate-1");
        assert!(matches!(renew(&request(&key, "gate-2")), Err(PkiError::Subject)));
        let mut more = CertificateParams::default();
        more.distinguished_name = DistinguishedName::new();
        more.distinguished_name.push(DnType::CommonName, "gate-1");
        let mut with_organization = more.clone();
        with_organization.distinguished_name.push(DnType::OrganizationName, "Birch Homes");
        more.subject_alt_names = vec![rcgen::SanType::DnsName("gate-2".try_into().unwrap())];
        for params in [more, with_organization, CertificateParams::default()] {
            let der = params.serialize_request(&key).unwrap();
            assert!(matches!(renew(der.der()), Err(PkiError::Subject)));
        }
        assert!(matches!(renew(b"junk"), Err(PkiError::Request)));
    }

    #[test]
    fn the_authority_persists_and_refuses_a_foreign_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let first = Authority::open_or_create(folder.path(), NOW).unwrap();
        let second = Authority::open_or_create(folder.path(), NOW).unwrap();
        assert_eq!(first.certificate_pem(), second.certificate_pem());
        let other = tempfile::tempdir().unwrap();
        Authority::open_or_create(other.path(), NOW).unwrap();
        std::fs::copy(other.path().join("ca.pem"), folder.path().join("ca.pem")).unwrap();
        assert!(matches!(Authority::open_or_create(folder.path(), NOW), Err(PkiError::Authority { .. })));
    }

    #[test]
    fn serials_are_compared_without_leading_zeros() {
        assert_eq!(serial_text(&[0, 0x0a, 0xbc]), "abc");
        assert_eq!(serial_text(&[0]), "0");
        for text in ["abc", "0ABC", "0a:bc", "00:0A:BC"] {
            assert_eq!(read_serial(text).as_deref(), Some("abc"), "{text}");
        }
        assert_eq!(read_serial("00").as_deref(), Some("0"));
        for text in ["", ":", "0x1", "-1", "g", &"1".repeat(41)] {
            assert_eq!(read_serial(text), None, "{text}");
        }
    }
}
