//! Messages as bytes: CBOR in its one deterministic encoding (RFC 8949 §4.2.1), and nothing else.
//!
//! What is read must be what would be written: the shortest form of every number and length, no indefinite lengths, no
//! tags, keys that are texts, each once and in order. So no two readers can take one message for two different things.
//! Fields that a reader does not know are passed over.
//!
//! An error never repeats what was read: it may be personal data.

use ciborium::Value;
use serde::{Serialize, de::DeserializeOwned};

/// Maps and lists within each other; an envelope with a weekly schedule in a change has eight.
const MAX_DEPTH: usize = 12;

/// Why something is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CborError {
    /// It could not be written.
    #[error("the message has no encoding")]
    Write,
    /// Not CBOR, or not in the deterministic encoding.
    #[error("the message is not CBOR in the deterministic encoding")]
    Encoding,
    /// CBOR, but not the fields that it should have.
    #[error("the message does not have the fields it should")]
    Fields,
}

/// The encoding of `value`.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CborError> {
    let mut value = Value::serialized(value).map_err(|_| CborError::Write)?;
    sort(&mut value);
    write(&value)
}

/// Reads `bytes`, all of them.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CborError> {
    fields(&parse(bytes)?)
}

/// The items in `bytes`, without asking what they mean.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, CborError> {
    let mut rest = bytes;
    let value: Value =
        ciborium::de::from_reader_with_recursion_limit(&mut rest, MAX_DEPTH).map_err(|_| CborError::Encoding)?;
    if !rest.is_empty() || !is_plain(&value) || write(&value)? != bytes {
        return Err(CborError::Encoding);
    }
    Ok(value)
}

/// The fields of what [`parse`] has read.
pub(crate) fn fields<T: DeserializeOwned>(value: &Value) -> Result<T, CborError> {
    value.deserialized().map_err(|_| CborError::Fields)
}

fn write(value: &Value) -> Result<Vec<u8>, CborError> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|_| CborError::Write)?;
    Ok(bytes)
}

/// Where a key stands among others: by its encoding, which begins with its length.
fn place(key: &Value) -> (usize, &str) {
    let text = key.as_text().unwrap_or_default();
    (text.len(), text)
}

fn sort(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(sort),
        Value::Map(entries) => {
            entries.sort_by(|(a, _), (b, _)| place(a).cmp(&place(b)));
            for (_, value) in entries {
                sort(value);
            }
        }
        _ => {}
    }
}

/// Whether there are no tags, and every key is a text, stands once and in order.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Tag(..) => false,
        Value::Array(items) => items.iter().all(is_plain),
        Value::Map(entries) => {
            entries.iter().all(|(key, value)| key.is_text() && is_plain(value))
                && entries.is_sorted_by(|(a, _), (b, _)| place(a) < place(b))
        }
        _ => true,
    }
}

/// Bytes as a byte string, for serde; what reads them may ask for as many as it needs.
pub(crate) mod bytes {
    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;

    struct Bytes;

    impl Visitor<'_> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a byte string")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }

        fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
            Ok(bytes)
        }
    }

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(bytes)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, B: TryFrom<Vec<u8>>>(d: D) -> Result<B, D::Error> {
        let bytes = d.deserialize_byte_buf(Bytes)?;
        B::try_from(bytes).map_err(|_| D::Error::custom("a byte string of another length"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        hex::decode(text).unwrap()
    }

    #[test]
    fn one_encoding_is_read_and_no_other() {
        // {"a": 1, "bb": [h'00']}
        assert!(parse(&hex("a2616101626262814100")).is_ok());
        for (wrong, why) in [
            ("a2626262814100616101", "keys out of order"),
            ("a2616101616102", "a key twice"),
            ("a1616118 01", "a number not in its shortest form"),
            ("bf616101ff", "an indefinite length"),
            ("a16161c101", "a tag"),
            ("a16161c24101", "a small number as a big one"),
            ("a10101", "a key that is no text"),
            ("a1616101 00", "more than one item"),
            ("a16161", "less than one"),
            ("a16161fb3ff0000000000000", "a float not in its shortest form"),
            ("", "nothing"),
        ] {
            assert_eq!(parse(&hex(&wrong.replace(' ', ""))), Err(CborError::Encoding), "{why}");
        }
    }

    #[test]
    fn depth_and_promised_lengths_are_no_danger() {
        let nested = |depth: usize| [vec![0x81; depth], vec![0x00]].concat();
        assert!(parse(&nested(MAX_DEPTH - 1)).is_ok());
        assert_eq!(parse(&nested(MAX_DEPTH + 1)), Err(CborError::Encoding));
        assert_eq!(parse(&nested(1_000_000)), Err(CborError::Encoding));
        for promise in ["9b7fffffffffffffff", "5b7fffffffffffffff", "bb7fffffffffffffff", "7b7fffffffffffffff"] {
            assert_eq!(parse(&hex(promise)), Err(CborError::Encoding));
        }
    }
}
