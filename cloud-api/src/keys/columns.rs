//! Values that rest in the database under the vault, column by column: encrypted, and found again by a keyed fingerprint.
//!
//! A plate has some hundred million values and a card's number fewer, so that neither is kept from whoever reads the database
//! by a hash alone. Each column has two keys of its own: one encrypts (a random nonce, so equal values differ), one makes
//! the fingerprint that equal values share. A ciphertext is bound to its row, a fingerprint to its site: moved elsewhere,
//! the one does not open and the other is not found.

use aws_lc_rs::hmac;
use cardea_protocol::at_rest;
use zeroize::Zeroizing;

use super::{KeyError, Vault};

/// A column under the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// A plate in canonical form.
    Plate,
    /// The hash of a card's number.
    Card,
    /// The digest of what a controller holds: of a single plate it tells as much as the plate's own hash.
    Digest,
    /// A caller's `Idempotency-Key`, which may hold anything.
    IdempotencyKey,
}

impl Column {
    const ALL: [Self; 4] = [Self::Plate, Self::Card, Self::Digest, Self::IdempotencyKey];

    /// What its keys are derived for; it never changes.
    const fn name(self) -> &'static str {
        match self {
            Self::Plate => "plates.plate",
            Self::Card => "cards.hash",
            Self::Digest => "controllers.digest",
            Self::IdempotencyKey => "idempotency_key",
        }
    }
}

/// Where a value stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// In which column.
    pub(crate) column: Column,
    /// At which site.
    pub(crate) site: &'a str,
    /// In which row.
    pub(crate) row: &'a str,
}

struct Pair {
    seal: Zeroizing<[u8; 32]>,
    lookup: Zeroizing<[u8; 32]>,
}

/// The keys of all columns.
pub(crate) struct ColumnKeys([Pair; Column::ALL.len()]);

impl std::fmt::Debug for ColumnKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ColumnKeys(…)")
    }
}

impl ColumnKeys {
    pub(crate) fn of(vault: &Vault) -> Self {
        let key = |purpose: &str, column: Column| vault.derive(purpose, column.name().as_bytes());
        Self(Column::ALL.map(|column| Pair { seal: key("column seal", column), lookup: key("column lookup", column) }))
    }

    fn pair(&self, column: Column) -> &Pair {
        &self.0[column as usize]
    }

    /// Nonce and ChaCha20-Poly1305 ciphertext (RFC 8439) of `value`; associated data is its place.
    pub(crate) fn seal(&self, place: Place<'_>, value: &str) -> Result<Vec<u8>, KeyError> {
        let key = &self.pair(place.column).seal;
        Ok(at_rest::encrypt(key.as_slice(), &context(&[place.site, place.row]), value.as_bytes())?)
    }

    /// What [`ColumnKeys::seal`] has sealed for that place.
    pub(crate) fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Zeroizing<String>, KeyError> {
        let key = &self.pair(place.column).seal;
        let bytes = at_rest::decrypt(key.as_slice(), &context(&[place.site, place.row]), sealed)?;
        std::str::from_utf8(&bytes).map(|text| Zeroizing::new(text.to_owned())).map_err(|_| KeyError::Decrypt)
    }

    /// HMAC-SHA-256 of `value` within `scope`: what is equal there is found, and nothing can be read back.
    pub(crate) fn lookup(&self, column: Column, scope: &str, value: &str) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.pair(column).lookup.as_slice());
        let tag = hmac::sign(&key, &Zeroizing::new(context(&[scope, value])));
        let mut lookup = [0; 32];
        lookup.copy_from_slice(tag.as_ref());
        lookup
    }
}

/// Each part with its length before it, so that no two lists of parts are one text.
fn context(parts: &[&str]) -> Vec<u8> {
    let mut context = Vec::new();
    for part in parts {
        context.extend_from_slice(&(part.len() as u64).to_be_bytes());
        context.extend_from_slice(part.as_bytes());
    }
    context
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn keys(byte: u8) -> ColumnKeys {
        ColumnKeys::of(&Vault::from_bytes([byte; 32]))
    }

    const HERE: Place<'static> = Place { column: Column::Plate, site: "house-1", row: "p-1" };

    #[test]
    fn a_value_opens_in_its_own_row_under_its_own_vault_only() {
        let sealed = keys(7).seal(HERE, "A123BC77").unwrap();
        assert_eq!(*keys(7).open(HERE, &sealed).unwrap(), "A123BC77");
        assert!(keys(8).open(HERE, &sealed).is_err());
        for elsewhere in [
            Place { column: Column::Card, ..HERE },
            Place { site: "house-2", ..HERE },
            Place { row: "p-2", ..HERE },
            Place { site: "house-1p", row: "-1", ..HERE },
        ] {
            assert!(keys(7).open(elsewhere, &sealed).is_err(), "{elsewhere:?}");
        }
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(keys(7).open(HERE, &changed).is_err());
        assert_ne!(sealed, keys(7).seal(HERE, "A123BC77").unwrap(), "equal values do not show");
    }

    #[test]
    fn equal_values_of_a_column_and_site_are_found_and_no_others() {
        let here = keys(7).lookup(Column::Plate, "house-1", "A123BC77");
        assert_eq!(here, keys(7).lookup(Column::Plate, "house-1", "A123BC77"));
        for other in [
            keys(8).lookup(Column::Plate, "house-1", "A123BC77"),
            keys(7).lookup(Column::Card, "house-1", "A123BC77"),
            keys(7).lookup(Column::Plate, "house-2", "A123BC77"),
            keys(7).lookup(Column::Plate, "house-1A", "123BC77"),
            keys(7).lookup(Column::Plate, "house-1", "A123BC777"),
        ] {
            assert_ne!(here, other);
        }
    }

    #[test]
    fn each_column_has_its_keys_and_debug_shows_none() {
        for (place, column) in Column::ALL.into_iter().enumerate() {
            assert_eq!(column as usize, place);
        }
        assert_eq!(format!("{:?}", keys(7)), "ColumnKeys(…)");
    }
}
