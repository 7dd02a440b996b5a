//! The digest that proves "in sync": SHA-256 over what a controller really holds.
//!
//! Both sides compute it from their own rows: the controller after decrypting each template, the cloud from its
//! tables. Entries are sorted and length-prefixed, so that no two different holdings share an encoding.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::card::CardHash;
use crate::id::{CardId, SubjectToken, TemplateId};
use crate::message::{PlateEntry, Validity};
use crate::schedule::WeeklySchedule;

/// A digest; hexadecimal for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(#[serde(with = "crate::cbor::bytes")] [u8; 32]);

impl Digest {
    /// From its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Collects what is held and computes its digest.
#[derive(Debug, Default)]
pub struct Holdings {
    entries: Vec<[u8; 32]>,
}

impl Holdings {
    /// Nothing held.
    pub fn new() -> Self {
        Self::default()
    }

    /// An admitted plate. What it does not have at the end is left out, so that a plain one is five fields.
    pub fn plate(&mut self, entry: &PlateEntry) {
        let (from, until) = ends(entry.validity);
        let (id, plate) = (entry.plate_id.as_str().as_bytes(), entry.plate.as_bytes());
        let subject = entry.subject.as_ref().map_or("", SubjectToken::as_str);
        let schedule = entry.schedule.as_ref().map(WeeklySchedule::encode).unwrap_or_default();
        let once: &[u8] = if entry.single_entry { b"once" } else { b"" };
        let fields: [&[u8]; 8] = [b"plate", id, plate, &from, &until, subject.as_bytes(), schedule.as_bytes(), once];
        let said = fields.iter().rposition(|field| !field.is_empty()).map_or(0, |last| last + 1);
        self.entry(&fields[..said]);
    }

    /// An admitted card; nobody's has an empty subject.
    pub fn card(&mut self, id: &CardId, hash: &CardHash, subject: Option<&SubjectToken>, validity: Validity) {
        let (from, until) = ends(validity);
        let subject = subject.map_or("", SubjectToken::as_str);
        let fields =
            [b"card".as_slice(), id.as_str().as_bytes(), hash.as_str().as_bytes(), subject.as_bytes(), &from, &until];
        self.entry(&fields);
    }

    /// A biometric reference; `content` is [`template_hash`] of its plaintext.
    pub fn template(&mut self, id: &TemplateId, subject: &SubjectToken, content: &[u8; 32]) {
        self.entry(&[b"template", id.as_str().as_bytes(), subject.as_str().as_bytes(), content]);
    }

    fn entry(&mut self, fields: &[&[u8]]) {
        let mut hash = Sha256::new();
        for field in fields {
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field);
        }
        self.entries.push(hash.finalize().into());
    }

    /// The digest of all entries, whatever order they came in.
    pub fn digest(mut self) -> Digest {
        self.entries.sort_unstable();
        let mut hash = Sha256::new();
        for entry in &self.entries {
            hash.update(entry);
        }
        Digest(hash.finalize().into())
    }
}

fn ends(validity: Validity) -> ([u8; 8], [u8; 8]) {
    let (from, until) = (validity.from.map_or(i64::MIN, |t| t.0), validity.until.map_or(i64::MAX, |t| t.0));
    (from.to_be_bytes(), until.to_be_bytes())
}

/// SHA-256 of a template's plaintext bytes: enough to compare, and erased together with the template.
pub fn template_hash(plaintext: &[u8]) -> [u8; 32] {
    Sha256::digest(plaintext).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PlateId;
    use cardea_access::time::Timestamp;
    use proptest::prelude::*;

    fn of(plates: &[(usize, String)]) -> Digest {
        let mut holdings = Holdings::new();
        for (id, plate) in plates {
            holdings.plate(&PlateEntry::new(PlateId::new(format!("p{id}")).unwrap(), plate.clone()));
        }
        holdings.digest()
    }

    proptest! {
        #[test]
        fn order_does_not_matter_and_content_does(
            plates in prop::collection::btree_map(0usize..50, "[A-Z0-9]{1,9}", 1..12),
        ) {
            let plates: Vec<(usize, String)> = plates.into_iter().collect();
            let mut reversed = plates.clone();
            reversed.reverse();
            prop_assert_eq!(of(&plates), of(&reversed));
            prop_assert_ne!(of(&plates), of(&plates[1..]));
            let mut changed = plates.clone();
            changed[0].1.push('X');
            prop_assert_ne!(of(&plates), of(&changed));
        }

        #[test]
        fn everything_a_plate_has_counts(first in entry(), second in entry()) {
            let of = |entry: &PlateEntry| {
                let mut holdings = Holdings::new();
                holdings.plate(entry);
                holdings.digest()
            };
            prop_assert_eq!(of(&first) == of(&second), first == second);
        }
    }

    fn entry() -> impl Strategy<Value = PlateEntry> {
        let subject = proptest::option::of(0u32..2);
        let schedule = proptest::option::of(0usize..2);
        (subject, schedule, any::<bool>(), proptest::option::of(0i64..2)).prop_map(
            |(subject, schedule, single_entry, until)| PlateEntry {
                subject: subject.map(|n| SubjectToken::new(&format!("5f0c2f0e-8a1b-4c5e-9d1e-{n:012x}")).unwrap()),
                schedule: schedule
                    .map(|n| WeeklySchedule { time_zone: "UTC".into(), hours: vec!["mon 08:00-20:00".into(); n] }),
                single_entry,
                validity: Validity { from: None, until: until.map(Timestamp) },
                ..PlateEntry::new(PlateId::new("p").unwrap(), "A123BC77".into())
            },
        )
    }

    #[test]
    fn a_plain_plate_is_five_fields() {
        let mut entry = Vec::new();
        for field in [b"plate".as_slice(), b"p", b"A123BC77", &i64::MIN.to_be_bytes(), &i64::MAX.to_be_bytes()] {
            entry.extend_from_slice(&(field.len() as u64).to_be_bytes());
            entry.extend_from_slice(field);
        }
        let expected = hex::encode(Sha256::digest(Sha256::digest(&entry)));
        let mut holdings = Holdings::new();
        holdings.plate(&PlateEntry::new(PlateId::new("p").unwrap(), "A123BC77".into()));
        assert_eq!(holdings.digest().to_string(), expected);
    }
}
