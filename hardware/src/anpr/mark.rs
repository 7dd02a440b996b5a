//! What tells an event from every other.

use sha2::{Digest as _, Sha256};

/// A digest of what identifies an event: of any length, and nothing of it can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark([u8; 32]);

impl Mark {
    /// Of these fields, all of each. `None` if all are empty: what has no mark cannot be told from others.
    pub(crate) fn of(fields: &[&str]) -> Option<Self> {
        if fields.iter().all(|field| field.is_empty()) {
            return None;
        }
        let mut digest = Sha256::new();
        for field in fields {
            // Its length before it: moving a letter from one field to the next makes another event.
            digest.update((field.len() as u64).to_le_bytes());
            digest.update(field);
        }
        Some(Self(digest.finalize().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_every_field_counts() {
        let long = "é".repeat(300);
        assert_eq!(Mark::of(&[&long, "1"]), Mark::of(&[&long, "1"]));
        assert_ne!(Mark::of(&[&long, "1"]), Mark::of(&[&long, "2"]));
        assert_ne!(Mark::of(&[&format!("{long}a")]), Mark::of(&[&format!("{long}b")]));
        assert_ne!(Mark::of(&["ab", "c"]), Mark::of(&["a", "bc"]));
        assert_eq!((Mark::of(&[]), Mark::of(&["", ""])), (None, None));
    }
}
