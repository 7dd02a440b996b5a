//! Reads messages under way. Whom they are from is for the receiver to verify, as in life: here it would only cost time.

use cardea_protocol::cbor;
use cardea_protocol::envelope::Envelope;
use serde::de::DeserializeOwned;

/// A tagged COSE_Sign1 (RFC 9052 §4.2): an array of four.
const FRAME: [u8; 2] = [0xD2, 0x84];
/// An unprotected header: empty.
const NO_HEADER: u8 = 0xA0;

/// The envelope in a message; `None` if it is none of this version.
pub(super) fn envelope<M: DeserializeOwned>(message: &[u8]) -> Option<Envelope<M>> {
    let (_, rest) = bytes(message.strip_prefix(&FRAME)?)?;
    let (payload, _) = bytes(rest.strip_prefix(&[NO_HEADER])?)?;
    cbor::decode(payload).ok()
}

/// A string of bytes (RFC 8949 §3.1) and what comes after it.
fn bytes(item: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = item.split_first()?;
    let kind = head.checked_sub(0x40)?;
    let (length, rest) = match kind {
        0..=23 => (usize::from(kind), rest),
        24..=26 => {
            let (length, rest) = rest.split_at_checked(1 << (kind - 24))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}
