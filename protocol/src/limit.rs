//! How much of each thing is read. A message with more is not understood.
//!
//! A limit never stands in the way of a revocation: whoever sends keeps within the limits, by cutting what it sends into more messages.
//! So what goes down has no limit that the cloud could not keep: the texts that people chose are bounded by the message alone.

use std::marker::PhantomData;

use crate::cbor::{self, CborError};
use crate::message::Change;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// Bytes of a whole message of the cloud, signature included: the broker takes no longer packet.
pub const DOWN_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of a whole message of a controller: a hundred events take a third of it.
pub const UP_BYTES: usize = 1024 * 1024;
/// Changes in one message.
pub const CHANGES: usize = 100;
/// Bytes of them, before another message is begun.
pub const CHANGES_BYTES: usize = DOWN_BYTES / 2;
/// Plates, cards, and templates, in one page of a snapshot.
pub const PAGE: usize = 100;
/// Pages of one snapshot.
pub const PAGES: u32 = 10_000;
/// Events in one message.
pub const EVENTS: usize = 100;
/// Barriers and doors of one controller.
pub const EQUIPMENT: usize = 256;
/// Kinds of credential of one of them.
pub const CREDENTIALS: usize = 16;
/// Bytes of a code or a version: what programs call things.
pub const NAME: usize = 128;
/// Bytes of what people call things, and of a sentence for them.
pub const SENTENCE: usize = 1_024;
/// Bytes of a receipt.
pub const RECEIPT: usize = 4_096;

/// How many of `changes` one message takes, from the first on; none where the first alone is too long.
pub fn fitting(changes: &[Change]) -> Result<usize, CborError> {
    let mut bytes = 0;
    for (n, change) in changes.iter().enumerate() {
        bytes += cbor::encode(change)?.len();
        if n == CHANGES || bytes > CHANGES_BYTES {
            return Ok(n);
        }
    }
    Ok(changes.len())
}

/// A list of at most `MAX`.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MAX: usize>(d: D) -> Result<Vec<T>, D::Error> {
    struct List<T, const MAX: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for List<T, MAX> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "a list of at most {MAX}")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(item) = items.next_element()? {
                if list.len() == MAX {
                    return Err(A::Error::invalid_length(MAX + 1, &self));
                }
                list.push(item);
            }
            Ok(list)
        }
    }

    d.deserialize_seq(List::<T, MAX>(PhantomData))
}

/// A text of at most `MAX` bytes.
pub(crate) fn text<'de, D: Deserializer<'de>, const MAX: usize>(d: D) -> Result<String, D::Error> {
    bounded::<D, MAX>(String::deserialize(d)?)
}

/// A text of at most `MAX` bytes, or none.
pub(crate) fn optional_text<'de, D: Deserializer<'de>, const MAX: usize>(d: D) -> Result<Option<String>, D::Error> {
    Option::<String>::deserialize(d)?.map(bounded::<D, MAX>).transpose()
}

fn bounded<'de, D: Deserializer<'de>, const MAX: usize>(text: String) -> Result<String, D::Error> {
    if text.len() <= MAX { Ok(text) } else { Err(D::Error::invalid_length(text.len(), &"a shorter text")) }
}

/// As much of `text` as `max` bytes hold.
pub(crate) fn cut(text: &mut String, max: usize) {
    text.truncate(text.floor_char_boundary(max));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Envelope;
    use crate::id::{CardId, ControllerId, PlateId, Revision, SaleId, SessionId};
    use crate::message::{AccessPoint, AccessPointKind, Down, Up};
    use cardea_access::time::Timestamp;

    fn sale(plates: usize) -> Change {
        let plate_ids = (0..plates).map(|_| PlateId::random()).collect();
        Change::PropertySold { sale: SaleId::random(), plate_ids, card_ids: vec![], subjects: vec![] }
    }

    /// A revocation that does not fit with others is sent all the same.
    #[test]
    fn a_hundred_large_sales_come_in_messages_that_are_taken() {
        let mut rest: Vec<Change> = (0..250).map(|n| sale(if n % 50 == 0 { 60_000 } else { 2_000 })).collect();
        let mut taken = Vec::new();
        while !rest.is_empty() {
            let fitting = fitting(&rest).unwrap();
            assert!(fitting > 0, "each of them fits alone");
            let changes: Vec<Change> = rest.drain(..fitting).collect();
            let (from, to) = (Revision(0), Revision(changes.len() as u64));
            let message = Down::Changes { from, to, changes, digest: None };
            let (controller, session) = (ControllerId::random(), SessionId::random());
            let envelope = Envelope { controller, session, seq: 1, at: Timestamp(0), message };
            let bytes = cbor::encode(&envelope).unwrap();
            assert!(bytes.len() + 1_024 < DOWN_BYTES);
            let read: Envelope<Down> = cbor::decode(&bytes).unwrap();
            let Down::Changes { changes, .. } = read.message else { panic!("changes") };
            taken.extend(changes);
        }
        assert_eq!(taken.len(), 250);
        assert_eq!(fitting(&[sale(150_000), sale(1)]), Ok(0), "too long for any message");
    }

    #[test]
    fn what_is_longer_than_it_may_be_is_not_understood() {
        let door = |credentials: usize, state: usize| AccessPoint {
            id: crate::id::AccessPointId::random(),
            kind: AccessPointKind::Door,
            credentials: vec!["card".to_owned(); credentials],
            reachable: true,
            state: "x".repeat(state),
        };
        let equipment = |n, door: AccessPoint| Up::Equipment { equipment: vec![door; n] };
        let is_read = |message: &Up| cbor::decode::<Up>(&cbor::encode(message).unwrap()).is_ok();
        assert!(is_read(&equipment(EQUIPMENT, door(CREDENTIALS, NAME))));
        assert!(!is_read(&equipment(EQUIPMENT + 1, door(1, 1))));
        assert!(!is_read(&equipment(1, door(CREDENTIALS + 1, 1))));
        assert!(!is_read(&equipment(1, door(1, NAME + 1))));
        let receipt = |n| Up::Receipt { receipt_jws: "x".repeat(n) };
        assert!(is_read(&receipt(RECEIPT)) && !is_read(&receipt(RECEIPT + 1)));

        let is_read = |message: &Down| cbor::decode::<Down>(&cbor::encode(message).unwrap()).is_ok();
        let changes = |n: u64| Down::Changes {
            from: Revision(0),
            to: Revision(n),
            changes: (0..n).map(|_| Change::CardRemoved { card_id: CardId::random() }).collect(),
            digest: None,
        };
        assert!(is_read(&changes(CHANGES as u64)) && !is_read(&changes(CHANGES as u64 + 1)));
    }
}
