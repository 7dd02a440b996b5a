//! Names that mean something within one bundle only.

use aws_lc_rs::hmac;

use crate::keys::{KeyError, random};

/// Makes pseudonyms under a key of its own, which is dropped with it.
pub struct Pseudonyms {
    key: hmac::Key,
}

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pseudonyms(…)")
    }
}

impl Pseudonyms {
    /// With a fresh random key.
    pub fn new() -> Result<Self, KeyError> {
        Ok(Self::from_key(&random::<32>()?))
    }

    /// With a key of the caller's: for tests.
    pub fn from_key(key: &[u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    /// The pseudonym of `value` among things of that kind: the kind and 64 bits.
    pub fn of(&self, kind: &str, value: &str) -> String {
        let tag = hmac::sign(&self.key, format!("{kind}\0{value}").as_bytes());
        format!("{kind}-{}", hex::encode(&tag.as_ref()[..8]))
    }
}
