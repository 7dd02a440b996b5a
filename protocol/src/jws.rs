//! Keys, and what they sign for people to keep: JSON Web Signatures (RFC 7515, compact form), EdDSA by the cloud, ES256 by a
//! controller. Messages are signed with the same keys in the form of [`crate::cose`].
//!
//! Each use has a `typ` of its own (RFC 8725 §3.11), so that a receipt is never taken for a command or a token.

use crate::limit;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, UnparsedPublicKey,
};
use coset::iana;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

/// What a signature is for; becomes the header's `typ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// A message from the cloud to a controller.
    Down,
    /// A message from a controller to the cloud.
    Up,
    /// A controller's receipt of an erasure, kept as evidence.
    Receipt,
    /// The head of an incident export's hash chain.
    Export,
    /// An act of destruction of personal data, kept as evidence.
    Act,
}

impl Use {
    /// The header's `typ`.
    pub(crate) const fn typ(self) -> &'static str {
        match self {
            Self::Down => "cardea-down+cose",
            Self::Up => "cardea-up+cose",
            Self::Receipt => "cardea-receipt+jws",
            Self::Export => "cardea-export+jws",
            Self::Act => "cardea-act+jws",
        }
    }
}

impl Use {
    /// The longest message of this use.
    pub(crate) const fn max_bytes(self) -> usize {
        if matches!(self, Self::Up) { limit::UP_BYTES } else { limit::DOWN_BYTES }
    }
}

/// Why a signature could not be made or believed. Says nothing of the content.
#[derive(Debug, thiserror::Error)]
pub enum JwsError {
    /// The key is not a PKCS#8 or SPKI PEM of the expected kind.
    #[error("the {0} key cannot be read: expected PEM with an {0} key")]
    Key(&'static str),
    /// Signing failed inside the crypto library.
    #[error("signing failed")]
    Sign,
    /// Wrong signature, wrong algorithm, or not a JWS at all.
    #[error("the signature does not verify")]
    Signature,
    /// A valid signature made for another purpose.
    #[error("the signature was made for another use")]
    Use,
}

/// A private key. `Debug` prints `…`.
#[derive(Clone)]
pub struct Signer {
    key: EncodingKey,
    algorithm: Algorithm,
    kid: String,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(…)")
    }
}

impl Signer {
    /// The cloud's Ed25519 key (RFC 8032), as PKCS#8 PEM.
    pub fn ed25519(pem: &Zeroizing<String>, kid: impl Into<String>) -> Result<Self, JwsError> {
        let key = EncodingKey::from_ed_pem(pem.as_bytes()).map_err(|_| JwsError::Key("Ed25519"))?;
        Ok(Self { key, algorithm: Algorithm::EdDSA, kid: kid.into() })
    }

    /// A controller's P-256 key, as PKCS#8 PEM.
    pub fn p256(pem: &Zeroizing<String>, kid: impl Into<String>) -> Result<Self, JwsError> {
        let key = EncodingKey::from_ec_pem(pem.as_bytes()).map_err(|_| JwsError::Key("P-256"))?;
        Ok(Self { key, algorithm: Algorithm::ES256, kid: kid.into() })
    }

    /// Signs `claims` for `usage`; the result is a compact JWS.
    pub fn sign<T: Serialize>(&self, usage: Use, claims: &T) -> Result<String, JwsError> {
        let mut header = Header::new(self.algorithm);
        header.typ = Some(usage.typ().to_owned());
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.key).map_err(|_| JwsError::Sign)
    }

    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    pub(crate) fn cose_algorithm(&self) -> iana::Algorithm {
        cose_algorithm(self.algorithm)
    }

    /// The bare signature of `bytes` (64 bytes either way, RFC 8032 §5.1.6 and RFC 9053 §2.1).
    pub(crate) fn sign_bytes(&self, bytes: &[u8]) -> Result<Vec<u8>, JwsError> {
        let key = self.key.as_bytes();
        if self.algorithm == Algorithm::EdDSA {
            let pair = Ed25519KeyPair::from_pkcs8(key).map_err(|_| JwsError::Key("Ed25519"))?;
            return Ok(pair.sign(bytes).as_ref().to_vec());
        }
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key).map_err(|_| JwsError::Key("P-256"))?;
        let signature = pair.sign(&SystemRandom::new(), bytes).map_err(|_| JwsError::Sign)?;
        Ok(signature.as_ref().to_vec())
    }
}

/// The algorithm of a message's signature. The keys say the curve: Ed25519 and P-256.
fn cose_algorithm(algorithm: Algorithm) -> iana::Algorithm {
    if algorithm == Algorithm::EdDSA { iana::Algorithm::EdDSA } else { iana::Algorithm::ES256 }
}

/// A public key.
#[derive(Clone)]
pub struct Verifier {
    key: DecodingKey,
    algorithm: Algorithm,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verifier({:?})", self.algorithm)
    }
}

impl Verifier {
    /// The cloud's Ed25519 public key, as SPKI PEM.
    pub fn ed25519(spki_pem: &str) -> Result<Self, JwsError> {
        let key = DecodingKey::from_ed_pem(spki_pem.as_bytes()).map_err(|_| JwsError::Key("Ed25519"))?;
        Ok(Self { key, algorithm: Algorithm::EdDSA })
    }

    /// A controller's P-256 public key, as SPKI PEM.
    pub fn p256(spki_pem: &str) -> Result<Self, JwsError> {
        let key = DecodingKey::from_ec_pem(spki_pem.as_bytes()).map_err(|_| JwsError::Key("P-256"))?;
        Ok(Self { key, algorithm: Algorithm::ES256 })
    }

    /// A P-256 public key as it stands in a certificate: the uncompressed point (SEC 1 §2.3.3), 65 bytes.
    pub fn p256_point(point: &[u8]) -> Self {
        Self { key: DecodingKey::from_ec_der(point), algorithm: Algorithm::ES256 }
    }

    pub(crate) fn cose_algorithm(&self) -> iana::Algorithm {
        cose_algorithm(self.algorithm)
    }

    /// Checks a bare signature.
    pub(crate) fn verify_bytes(&self, bytes: &[u8], signature: &[u8]) -> Result<(), JwsError> {
        let key = self.key.try_get_as_bytes().map_err(|_| JwsError::Signature)?;
        if self.algorithm == Algorithm::EdDSA {
            UnparsedPublicKey::new(&ED25519, key).verify(bytes, signature)
        } else {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(bytes, signature)
        }
        .map_err(|_| JwsError::Signature)
    }

    /// Checks signature and use, and returns the claims. Time is the caller's to check, with the caller's clock.
    pub fn verify<T: DeserializeOwned>(&self, usage: Use, jws: &str) -> Result<T, JwsError> {
        let mut validation = Validation::new(self.algorithm);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let token = jsonwebtoken::decode::<T>(jws, &self.key, &validation).map_err(|_| JwsError::Signature)?;
        if token.header.typ.as_deref() == Some(usage.typ()) { Ok(token.claims) } else { Err(JwsError::Use) }
    }
}
