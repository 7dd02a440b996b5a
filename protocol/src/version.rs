//! Which version of the messages two sides speak. A controller says in its hello which it can, the cloud chooses.
//!
//! Nothing is sent to a side whose version does not have it, and what is not understood ends a session: it may have been a
//! revocation. `docs/reference/sync.md` says what may change within a version.

use serde::{Deserialize, Serialize};

/// Versions of the messages, from the lowest to the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions(u32, u32);

impl Versions {
    /// What this implementation speaks.
    pub const SPOKEN: Self = Self(1, 1);

    /// Those from `lowest` to `highest`.
    pub const fn new(lowest: u32, highest: u32) -> Self {
        Self(lowest, highest)
    }

    /// The lowest.
    pub const fn lowest(self) -> u32 {
        self.0
    }

    /// The highest.
    pub const fn highest(self) -> u32 {
        self.1
    }

    /// Whether `version` is one of them.
    pub const fn contains(self, version: u32) -> bool {
        self.0 <= version && version <= self.1
    }

    /// The highest that both speak.
    pub fn common(self, other: Self) -> Option<u32> {
        let (lowest, highest) = (self.0.max(other.0), self.1.min(other.1));
        (lowest <= highest).then_some(highest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_highest_that_both_speak_is_chosen(a in 0u32..6, b in 0u32..6, c in 0u32..6, d in 0u32..6) {
            let (one, other) = (Versions::new(a, b), Versions::new(c, d));
            let expected = (0..6).rev().find(|version| one.contains(*version) && other.contains(*version));
            prop_assert_eq!(one.common(other), expected);
            prop_assert_eq!(other.common(one), expected);
        }
    }
}
