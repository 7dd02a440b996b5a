//! Templates sealed to one controller: HPKE (RFC 9180) base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
//! ChaCha20-Poly1305. The associated data binds a box to its controller and template, so that a box cannot be moved.

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::id::{ControllerId, TemplateId};

const INFO: &[u8] = b"cardea template v1";

type PublicKey = <X25519HkdfSha256 as Kem>::PublicKey;
type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;
type Encapped = <X25519HkdfSha256 as Kem>::EncappedKey;

/// Why sealing or opening failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not 32 bytes of an X25519 key.
    #[error("the sealing key is not an X25519 key of 32 bytes")]
    Key,
    /// The box is not for this controller and template, or was changed.
    #[error("the sealed template does not open with this controller's key")]
    Box,
}

/// A controller's public sealing key, 32 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealingKey(#[serde(with = "crate::cbor::bytes")] pub Vec<u8>);

/// A controller's private sealing key. `Debug` prints `…`; memory is wiped on drop.
pub struct OpeningKey(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for OpeningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpeningKey(…)")
    }
}

impl OpeningKey {
    /// Derives a key pair from 32 secret random bytes (RFC 9180 §7.1.3).
    pub fn derive(ikm: &Zeroizing<[u8; 32]>) -> (Self, SealingKey) {
        let (private, public) = X25519HkdfSha256::derive_keypair(ikm.as_slice());
        (Self(Zeroizing::new(private.to_bytes().to_vec())), SealingKey(public.to_bytes().to_vec()))
    }

    /// Opens a template that was sealed to this key.
    pub fn open(
        &self,
        controller: &ControllerId,
        template: &TemplateId,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let private = PrivateKey::from_bytes(&self.0).map_err(|_| SealError::Key)?;
        let encapped = Encapped::from_bytes(&sealed.enc).map_err(|_| SealError::Box)?;
        hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &private,
            &encapped,
            INFO,
            &sealed.ct,
            &aad(controller, template),
        )
        .map(Zeroizing::new)
        .map_err(|_| SealError::Box)
    }
}

/// A sealed template: the encapsulated key and the ciphertext with its tag.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Encapsulated key, 32 bytes.
    #[serde(with = "crate::cbor::bytes")]
    pub enc: Vec<u8>,
    /// Ciphertext and tag.
    #[serde(with = "crate::cbor::bytes")]
    pub ct: Vec<u8>,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed(… {} bytes)", self.ct.len())
    }
}

/// Seals `plaintext` so that only `controller` can open it, and only as `template`.
pub fn seal(
    key: &SealingKey,
    controller: &ControllerId,
    template: &TemplateId,
    plaintext: &[u8],
) -> Result<Sealed, SealError> {
    let public = PublicKey::from_bytes(&key.0).map_err(|_| SealError::Key)?;
    let (enc, ct) = hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &public,
        INFO,
        plaintext,
        &aad(controller, template),
    )
    .map_err(|_| SealError::Key)?;
    Ok(Sealed { enc: enc.to_bytes().to_vec(), ct })
}

fn aad(controller: &ControllerId, template: &TemplateId) -> Vec<u8> {
    // Neither id can contain a newline, so the pair is unambiguous.
    format!("{controller}\n{template}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> (ControllerId, TemplateId) {
        (ControllerId::new("gate-1").unwrap(), TemplateId::new("t-1").unwrap())
    }

    #[test]
    fn a_box_opens_only_for_its_controller_template_and_key() {
        let (controller, template) = names();
        let (open, key) = OpeningKey::derive(&Zeroizing::new([7; 32]));
        let (other, _) = OpeningKey::derive(&Zeroizing::new([8; 32]));
        let sealed = seal(&key, &controller, &template, b"biometric").unwrap();
        assert_eq!(open.open(&controller, &template, &sealed).unwrap().as_slice(), b"biometric");
        assert_eq!(other.open(&controller, &template, &sealed).unwrap_err(), SealError::Box);
        let elsewhere = ControllerId::new("gate-2").unwrap();
        assert_eq!(open.open(&elsewhere, &template, &sealed).unwrap_err(), SealError::Box);
        let another = TemplateId::new("t-2").unwrap();
        assert_eq!(open.open(&controller, &another, &sealed).unwrap_err(), SealError::Box);
    }

    #[test]
    fn a_changed_box_does_not_open() {
        let (controller, template) = names();
        let (open, key) = OpeningKey::derive(&Zeroizing::new([7; 32]));
        let sealed = seal(&key, &controller, &template, b"biometric").unwrap();
        for i in 0..sealed.ct.len() {
            let mut changed = sealed.clone();
            changed.ct[i] ^= 1;
            assert!(open.open(&controller, &template, &changed).is_err());
        }
    }
}
