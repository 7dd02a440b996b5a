//! Timestamps in messages: milliseconds since 1970, UTC, as one whole number; for `#[serde(with = "crate::millis")]`.

use cardea_access::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Serialises as a number.
pub(crate) fn serialize<S: Serializer>(t: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
    t.0.serialize(s)
}

/// Deserialises from a number.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
    i64::deserialize(d).map(Timestamp)
}

/// The same for `Option<Timestamp>`.
pub(crate) mod option {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Timestamp};

    /// Serialises as a number or null.
    #[expect(clippy::ref_option, reason = "what serde calls")]
    pub(crate) fn serialize<S: Serializer>(t: &Option<Timestamp>, s: S) -> Result<S::Ok, S::Error> {
        t.map(|t| t.0).serialize(s)
    }

    /// Deserialises from a number or null.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<i64>::deserialize(d)?.map(Timestamp))
    }
}
