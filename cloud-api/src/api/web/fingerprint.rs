//! What a property sale's tombstone remembers: a keyed fingerprint, from which the value cannot be read back.

use cardea_access::plate::Plate;
use cardea_protocol::card::CardHash;
use cardea_protocol::id::SubjectToken;

use crate::keys::Vault;

pub(in crate::api) fn plate(vault: &Vault, plate: &Plate) -> [u8; 32] {
    vault.hmac(format!("plate\0{}", plate.as_str()).as_bytes())
}

pub(in crate::api) fn card(vault: &Vault, card: &CardHash) -> [u8; 32] {
    vault.hmac(format!("card\0{}", card.as_str()).as_bytes())
}

pub(in crate::api) fn subject(vault: &Vault, subject: &SubjectToken) -> [u8; 32] {
    vault.hmac(format!("subject\0{}", subject.as_str()).as_bytes())
}
