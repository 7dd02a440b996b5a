//! The judges of tokens, and the names of certificates, as plain functions, for fuzz/.

use cardea_access::time::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls_pki_types::CertificateDer;
use serde_json::Value;

use super::external::judge;
use super::{AccessTokens, CertificateName, KeyRing, RedirectUri};
use crate::config::ExternalIssuer;
use crate::keys::{KeyError, SigningKey};
use crate::listener::Peer;

/// The time of the judges.
pub const NOW: Timestamp = Timestamp(1_800_000_000_000);
/// The issuer that both judges believe.
pub const ISSUER: &str = "https://issuer";
/// The thumbprint of the connection's certificate.
pub const THUMBPRINT: &str = "own";

/// Both judges, and the key that they believe.
pub struct Judges {
    key: SigningKey,
    own: AccessTokens,
    settings: ExternalIssuer,
}

impl std::fmt::Debug for Judges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Judges(…)")
    }
}

impl Judges {
    /// With a new key.
    ///
    /// # Errors
    ///
    /// No key could be made.
    pub fn new() -> Result<Self, KeyError> {
        let key = SigningKey::generate()?;
        let own = AccessTokens::new(KeyRing::of(&key)?, ISSUER.to_owned(), 3_600);
        let text = format!("issuer = '{ISSUER}'\naudience = '{ISSUER}'\n[roles]\nauditor = 'auditor'\n");
        let settings = toml::from_str(&text).map_err(|_| KeyError::Generate)?;
        Ok(Self { key, own, settings })
    }

    /// The id of the key.
    pub fn kid(&self) -> &str {
        self.key.kid()
    }

    /// A token of these claims, signed; nothing where it cannot be written.
    pub fn signed(&self, claims: &Value) -> Option<String> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(self.kid().to_owned());
        let key = EncodingKey::from_ed_pem(self.key.private_pem().as_bytes()).ok()?;
        jsonwebtoken::encode(&header, claims, &key).ok()
    }

    /// Whether the cloud takes it for a token of its own.
    pub fn own_takes(&self, token: &str) -> bool {
        self.own.verify(NOW, token, THUMBPRINT).is_ok()
    }

    /// Whether it is taken for a token of the other issuer.
    pub fn other_takes(&self, token: &str) -> bool {
        let Ok(header) = jsonwebtoken::decode_header(token) else { return false };
        let Ok(jwk) = serde_json::from_value(self.key.jwk()) else { return false };
        judge::header(&self.settings, &header).is_ok()
            && judge::token(&self.settings, &jwk, &header, token, NOW, THUMBPRINT).is_ok()
    }
}

/// The name's own way of being written, if it is one.
pub fn certificate_name(text: &str) -> Option<String> {
    text.parse::<CertificateName>().ok().map(|name| name.to_string())
}

/// Whether a certificate has this name; nothing where either is none.
pub fn certificate_has(certificate: &[u8], name: &str) -> Option<bool> {
    let peer = Peer::read(&CertificateDer::from(certificate), false)?;
    Some(name.parse::<CertificateName>().ok()?.is_of(&peer))
}

/// The text of a redirect URI, if it is one.
pub fn redirect_uri(text: &str) -> Option<String> {
    RedirectUri::new(text).ok().map(|uri| uri.as_str().to_owned())
}
