//! Lines that hold each other: what incident bundles ([`crate::export`]) and the audit ([`crate::audit`]) have in common.
//!
//! Each line carries its number and the SHA-256 of the line before it; a [`Seal`] over a number and a hash is signed (JWS,
//! [`Use::Export`]). `format` says what was signed, so that no seal passes for one of another kind.
//!
//! [`Use::Export`]: cardea_protocol::jws::Use::Export

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What a seal signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seal {
    /// Names the format, and its version.
    pub(crate) format: String,
    /// How many lines there are up to the one sealed.
    pub(crate) lines: u64,
    /// SHA-256 of that line, hexadecimal.
    pub(crate) head: String,
}

/// The members of a line that hold the chain together.
#[derive(Deserialize)]
pub(crate) struct Link {
    /// Its number.
    pub(crate) n: u64,
    /// SHA-256 of the line before, hexadecimal.
    pub(crate) prev: String,
}

/// SHA-256 of a line without its end, hexadecimal.
pub(crate) fn line_hash(line: &[u8]) -> String {
    hex::encode(Sha256::digest(line))
}
