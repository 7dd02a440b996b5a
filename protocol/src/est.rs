//! Enrolment over Secure Transport (RFC 7030): paths, and the certs-only CMS message that answers an enrolment.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::SignedData;
use der::{Decode as _, Encode as _};
use x509_cert::{Certificate, PkiPath};

/// §4.1: the CA's certificates.
pub const CACERTS_PATH: &str = "/.well-known/est/cacerts";
/// §4.2.1: a first certificate, for a claim code in HTTP Basic authentication (§3.2.3).
pub const SIMPLEENROLL_PATH: &str = "/.well-known/est/simpleenroll";
/// §4.2.2: a further certificate, for the certificate in use.
pub const SIMPLEREENROLL_PATH: &str = "/.well-known/est/simplereenroll";
/// Content type of a request body (base64 of a DER PKCS#10 request).
pub const PKCS10: &str = "application/pkcs10";
/// Content type of an answer (base64 of a DER certs-only CMS message).
pub const PKCS7: &str = "application/pkcs7-mime; smime-type=certs-only";

/// Why an EST body could not be read or made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EstError {
    /// The body is not base64.
    #[error("the EST body is not base64 (RFC 7030 section 4.1.3)")]
    Base64,
    /// Not a certificate or not a certs-only message.
    #[error("the EST body is not a certs-only CMS message (RFC 5652)")]
    Cms,
}

/// Base64 of a request's body, in one line.
pub fn encode_body(der: &[u8]) -> String {
    STANDARD.encode(der)
}

/// Decodes a body, whatever its line breaks.
pub fn decode_body(text: &str) -> Result<Vec<u8>, EstError> {
    let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(compact).map_err(|_| EstError::Base64)
}

/// A certs-only message of these DER certificates, base64 in short lines.
pub fn certs_only(certificates: &[&[u8]]) -> Result<String, EstError> {
    let path = certificates
        .iter()
        .map(|der| Certificate::from_der(der).map_err(|_| EstError::Cms))
        .collect::<Result<PkiPath, _>>()?;
    let message = ContentInfo::try_from(path).map_err(|_| EstError::Cms)?;
    Ok(folded(&encode_body(&message.to_der().map_err(|_| EstError::Cms)?)))
}

/// RFC 7030 §4.1.3 names the transfer encoding of RFC 2045, whose §6.8 wants lines of 76 characters at most. openssl makes
/// nothing of a line without an end, and loses most of a long one.
fn folded(body: &str) -> String {
    const LINE: usize = 64;
    let mut text = String::with_capacity(body.len() + body.len() / LINE * 2 + 2);
    for start in (0..body.len()).step_by(LINE) {
        text.push_str(&body[start..body.len().min(start + LINE)]);
        text.push_str("\r\n");
    }
    text
}

/// The DER certificates in a base64 certs-only message. Their order is not significant.
pub fn read_certs_only(body: &str) -> Result<Vec<Vec<u8>>, EstError> {
    let der = decode_body(body)?;
    let message = ContentInfo::from_der(&der).map_err(|_| EstError::Cms)?;
    let signed: SignedData = message.content.decode_as().map_err(|_| EstError::Cms)?;
    let set = signed.certificates.ok_or(EstError::Cms)?;
    set.0
        .iter()
        .map(|choice| match choice {
            CertificateChoices::Certificate(certificate) => certificate.to_der().map_err(|_| EstError::Cms),
            CertificateChoices::Other(_) => Err(EstError::Cms),
        })
        .collect()
}
