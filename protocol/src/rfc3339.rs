//! RFC 3339 timestamps at millisecond precision, for `#[serde(with = "cardea_protocol::rfc3339")]` and for people.

use cardea_access::time::Timestamp;
use serde::{Deserialize, Deserializer, Serializer, de::Error as _};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// `2026-11-23T16:45:00.123Z`. Out-of-range values (years past 9999) are shown as plain milliseconds.
pub fn format(t: Timestamp) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(t.0) * 1_000_000)
        .ok()
        .and_then(|t| t.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{} ms", t.0))
}

/// Parses an RFC 3339 timestamp; anything finer than a millisecond is cut off.
pub fn parse(text: &str) -> Result<Timestamp, time::error::Parse> {
    let t = OffsetDateTime::parse(text, &Rfc3339)?;
    Ok(Timestamp(i64::try_from(t.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)))
}

/// Serialises as an RFC 3339 string.
pub fn serialize<S: Serializer>(t: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&format(*t))
}

/// Deserialises from an RFC 3339 string.
pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(d)?;
    parse(&text).map_err(|_| D::Error::custom("expected an RFC 3339 timestamp such as 2026-11-23T16:45:00Z"))
}

/// The same for `Option<Timestamp>`: `#[serde(default, with = "cardea_protocol::rfc3339::option")]`.
pub mod option {
    use super::{Deserialize, Deserializer, Serializer, Timestamp};

    /// Serialises as an RFC 3339 string or null.
    pub fn serialize<S: Serializer>(t: &Option<Timestamp>, s: S) -> Result<S::Ok, S::Error> {
        match t {
            Some(t) => super::serialize(t, s),
            None => s.serialize_none(),
        }
    }

    /// Deserialises from an RFC 3339 string or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Timestamp>, D::Error> {
        use serde::de::Error as _;
        Option::<String>::deserialize(d)?
            .map(|text| super::parse(&text).map_err(|_| D::Error::custom("expected an RFC 3339 timestamp")))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_formatted_parses_back(ms in 0i64..253_402_300_799_000) {
            prop_assert_eq!(parse(&format(Timestamp(ms))).unwrap(), Timestamp(ms));
        }
    }
}
