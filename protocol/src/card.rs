//! A card's number as it is registered, sent and held: as its hash alone.
//!
//! A reader's number opens doors to whoever can copy it onto another card, so neither the cloud nor a controller keeps one. Both
//! compute the same hash, the cloud of what a customer registers, the controller of what a reader reads, and compare.
//!
//! What that hides depends on the form: a chip's number of 7 bytes cannot be found by trying, one of 26 bits can, in a moment.
//! A hash is therefore still treated as a credential: it never prints, and it is gone when the card is.

use cardea_access::card::CardNumber;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// SHA-256 over `cardea-card`, a zero byte and the number's canonical text: 32 bytes in messages, kept as 64 lower-case
/// hexadecimal digits. `Debug` prints `…`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Bytes", into = "Bytes")]
pub struct CardHash(String);

/// As it travels.
#[derive(Serialize, Deserialize)]
struct Bytes(#[serde(with = "crate::cbor::bytes")] [u8; 32]);

/// Not 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hash of a card is 64 lower-case hexadecimal digits")]
pub struct CardHashError;

impl CardHash {
    /// The hash of `number`.
    pub fn of(number: &CardNumber) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"cardea-card\0");
        hash.update(number.as_str().as_bytes());
        Self(hex::encode(hash.finalize()))
    }

    /// Checks the form.
    pub fn new(text: impl Into<String>) -> Result<Self, CardHashError> {
        let text = text.into();
        let hexadecimal = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if text.len() == 64 && text.bytes().all(hexadecimal) { Ok(Self(text)) } else { Err(CardHashError) }
    }

    /// The hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for CardHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CardHash(…)")
    }
}

impl From<Bytes> for CardHash {
    fn from(Bytes(hash): Bytes) -> Self {
        Self(hex::encode(hash))
    }
}

impl From<CardHash> for Bytes {
    fn from(CardHash(text): CardHash) -> Self {
        let mut hash = [0; 32];
        // A hash's digits are checked when it is made.
        let _ = hex::decode_to_slice(text, &mut hash);
        Self(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: &str) -> CardHash {
        CardHash::of(&CardNumber::parse(number).unwrap())
    }

    #[test]
    fn one_card_has_one_hash_however_it_is_written() {
        assert_eq!(hash("uid:04:a1:b2:c3"), hash("uid:04A1B2C3"));
        assert_ne!(hash("w26:12:34567"), hash("w34:34567"));
        // Computed with sha256sum over the bytes that the documentation names.
        assert_eq!(hash("w26:12:34567").as_str(), "13a94473f8319297fd5ef1df6b9aad5b234a9203da45c0b5f911a5df8a190904");
    }

    #[test]
    fn a_hash_is_checked_and_never_prints() {
        let text = hash("w26:12:34567").as_str().to_owned();
        assert_eq!(CardHash::new(text.clone()), Ok(hash("w26:12:34567")));
        for wrong in ["", "abc", &text.to_uppercase(), &format!("{text}0")] {
            assert_eq!(CardHash::new(wrong), Err(CardHashError));
        }
        assert_eq!(format!("{:?}", hash("w26:12:34567")), "CardHash(…)");
    }
}
