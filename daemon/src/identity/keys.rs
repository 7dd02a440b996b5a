//! The keys: P-256 for TLS and signatures, X25519 for sealed templates.

use std::path::{Path, PathBuf};

use cardea_access::time::Timestamp;
use cardea_protocol::id::ControllerId;
use cardea_protocol::seal::{OpeningKey, SealingKey};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use super::IdentityError;
use super::files::{self, FileError};

const SEALING_LEN: usize = 32;

/// Why a key with its certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not a private key and certificates in PEM.
    #[error("{0} does not hold a private key and its certificate: claim this controller anew")]
    Format(PathBuf),
    /// A key could not be made.
    #[error("a key could not be made")]
    Generate(#[from] rcgen::Error),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random,
    /// The certificate is for another key.
    #[error("the certificate that came is not for this controller's key")]
    OtherKey,
    /// The certificate is for another controller.
    #[error("the certificate that came is not for controller {0}")]
    OtherController(ControllerId),
    /// No certificate at all.
    #[error("no X.509 certificate came")]
    Certificate,
}

/// A private key and the certificate for it. `Debug` prints no key; its memory is wiped on drop.
#[derive(Clone)]
pub struct Credential {
    key_pem: Zeroizing<String>,
    chain: Vec<CertificateDer<'static>>,
    /// The certificate's common name.
    pub common_name: String,
    /// First moment.
    pub not_before: Timestamp,
    /// Last moment.
    pub not_after: Timestamp,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credential({}, …)", self.common_name)
    }
}

impl Credential {
    /// Joins a key with the certificate that was issued for it, from among `certificates`.
    pub(super) fn join(
        key: &NewKey,
        certificates: &[Vec<u8>],
        controller: &ControllerId,
    ) -> Result<Self, CredentialError> {
        let mut leaf = None;
        let mut others = Vec::new();
        for der in certificates {
            let (_, parsed) = X509Certificate::from_der(der).map_err(|_| CredentialError::Certificate)?;
            if parsed.public_key().subject_public_key.data.as_ref() == key.0.public_key_raw() {
                leaf = Some(der);
            } else if parsed.is_ca() {
                // The authority itself is known to the other side.
            } else {
                others.push(CertificateDer::from(der.clone()));
            }
        }
        let leaf = match leaf {
            Some(leaf) => CertificateDer::from(leaf.clone()),
            None if certificates.is_empty() => return Err(CredentialError::Certificate),
            None => return Err(CredentialError::OtherKey),
        };
        let chain = std::iter::once(leaf).chain(others).collect();
        let key_pem = Zeroizing::new(key.0.serialize_pem());
        let credential = Self::of(key_pem, chain).ok_or(CredentialError::Certificate)?;
        if credential.common_name == controller.as_str() {
            Ok(credential)
        } else {
            Err(CredentialError::OtherController(controller.clone()))
        }
    }

    fn of(key_pem: Zeroizing<String>, chain: Vec<CertificateDer<'static>>) -> Option<Self> {
        let (_, leaf) = X509Certificate::from_der(chain.first()?).ok()?;
        let common_name = leaf.subject().iter_common_name().next()?.as_str().ok()?.to_owned();
        let validity = leaf.validity();
        let ms = |seconds: i64| Timestamp(seconds.saturating_mul(1_000));
        let (not_before, not_after) = (ms(validity.not_before.timestamp()), ms(validity.not_after.timestamp()));
        Some(Self { key_pem, chain, common_name, not_before, not_after })
    }

    /// Reads a pair; `None` if there is no such file.
    pub fn read(path: &Path) -> Result<Option<Self>, CredentialError> {
        let Some(text) = files::read_secret_text(path)? else { return Ok(None) };
        let format = || CredentialError::Format(path.to_owned());
        let start = text.find("-----BEGIN CERTIFICATE-----").ok_or_else(format)?;
        let (key, certificates) = text.split_at(start);
        let chain = CertificateDer::pem_slice_iter(certificates.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| format())?;
        Self::of(Zeroizing::new(key.to_owned()), chain).ok_or_else(format).map(Some)
    }

    /// Writes the pair, whole or not at all.
    pub(super) fn write(&self, path: &Path) -> Result<(), FileError> {
        let mut text = Zeroizing::new(String::with_capacity(8 * 1024));
        text.push_str(&self.key_pem);
        for certificate in &self.chain {
            text.push_str(&pem("CERTIFICATE", certificate));
        }
        files::write_secret(path, text.as_bytes())
    }

    /// The private key, PKCS#8 PEM.
    pub(crate) fn key_pem(&self) -> &Zeroizing<String> {
        &self.key_pem
    }

    /// The certificate, and any between it and the authority.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }
}

/// RFC 7468.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let body = cardea_protocol::est::encode_body(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for start in (0..body.len()).step_by(64) {
        text.push_str(&body[start..body.len().min(start + 64)]);
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// A fresh P-256 key that has no certificate yet.
pub(super) struct NewKey(KeyPair);

impl NewKey {
    pub(super) fn generate() -> Result<Self, CredentialError> {
        Ok(Self(KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?))
    }

    /// A request (PKCS#10, RFC 2986) for a certificate in the name of `controller`, DER.
    pub(super) fn request(&self, controller: &ControllerId) -> Result<Vec<u8>, CredentialError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, controller.as_str());
        Ok(params.serialize_request(&self.0)?.der().to_vec())
    }
}

/// Makes the sealing key's 32 bytes if there are none.
pub(super) fn ensure_sealing(path: &Path) -> Result<(), CredentialError> {
    if files::read_secret(path)?.is_some() {
        return Ok(());
    }
    let mut bytes = Zeroizing::new([0; SEALING_LEN]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice()).map_err(|_| CredentialError::Random)?;
    Ok(files::write_secret(path, bytes.as_slice())?)
}

/// Derives the sealing key pair from its 32 bytes.
pub(super) fn read_sealing(path: &Path) -> Result<(OpeningKey, SealingKey), IdentityError> {
    let bytes = files::read_secret(path)?.ok_or(IdentityError::Damaged("sealing.key"))?;
    let bytes = <[u8; SEALING_LEN]>::try_from(bytes.as_slice()).map_err(|_| IdentityError::Damaged("sealing.key"))?;
    Ok(OpeningKey::derive(&Zeroizing::new(bytes)))
}
