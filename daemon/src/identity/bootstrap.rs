//! The first contact where nothing is known of the cloud but the fingerprint of its CA, printed on a claim sheet.
//!
//! The CA is fetched from a server that nobody vouches for yet, and taken if it is the one that was printed (RFC 7030 §4.1.1).
//! Nothing is sent on that connection but the question; the claim itself is made on another, which trusts that CA and nothing
//! else. Whoever is in between can keep the answer back, and no more.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use url::Url;

use super::claim::ClaimError;
use super::est::{EstClient, EstError};
use super::keys;

/// The CA with this fingerprint, PEM, from the enrolment service at `enrolment`.
pub async fn authority(enrolment: &Url, ca_sha256: &[u8; 32]) -> Result<Vec<u8>, ClaimError> {
    let client = EstClient::new(enrolment, unverified().map_err(super::IdentityError::from)?)?;
    let certificates = client.ca_certificates().await?;
    let printed = certificates.iter().find(|der| cardea_protocol::claim::fingerprint(der) == *ca_sha256);
    let printed = printed.ok_or_else(|| EstError::Fingerprint { host: client.host() })?;
    Ok(keys::pem("CERTIFICATE", printed).into_bytes())
}

/// TLS that takes any certificate. For the one question above.
fn unverified() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let anyone = Arc::new(Anyone { provider: Arc::clone(&provider) });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(anyone)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

#[derive(Debug)]
struct Anyone {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
