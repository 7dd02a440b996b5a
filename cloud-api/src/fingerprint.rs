//! What a property sale's tombstone remembers: a keyed fingerprint, from which the value cannot be read back.

use cardea_access::plate::Plate;
use cardea_protocol::card::CardHash;
use cardea_protocol::id::SubjectToken;

use crate::keys::Vault;

/// Of a plate.
pub fn plate(vault: &Vault, plate: &Plate) -> [u8; 32] {
    stored_plate(vault, plate.as_str())
}

/// Of a plate's text as it is stored.
pub fn stored_plate(vault: &Vault, plate: &str) -> [u8; 32] {
    vault.hmac(format!("plate\0{plate}").as_bytes())
}

/// Of a card.
pub fn card(vault: &Vault, card: &CardHash) -> [u8; 32] {
    vault.hmac(format!("card\0{}", card.as_str()).as_bytes())
}

/// Of a subject.
pub fn subject(vault: &Vault, subject: &SubjectToken) -> [u8; 32] {
    vault.hmac(format!("subject\0{}", subject.as_str()).as_bytes())
}
