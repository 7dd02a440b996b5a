//! Which people a model may be measured on: those it was not trained on.

use std::str::FromStr;

use serde::Serialize;
use sha2::{Digest, Sha256};

/// A split by a hash of the name, as in `models/train/faces_data.py`: a person is held out when the first four bytes of
/// SHA-256 of `SALT:NAME`, as a share of all there are, lie below `share`. Written `SALT:SHARE`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeldOut {
    salt: String,
    share: f64,
}

impl HeldOut {
    /// Whether training never saw `identity`.
    pub(crate) fn holds_out(&self, identity: &str) -> bool {
        let digest = Sha256::digest(format!("{}:{identity}", self.salt));
        let first = digest.iter().take(4).fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        first as f64 / 4_294_967_296.0 < self.share
    }
}

impl FromStr for HeldOut {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no rule; SALT:SHARE is expected, for example cardea-faces:0.3");
        let (salt, share) = text.rsplit_once(':').ok_or_else(wrong)?;
        let share: f64 = share.parse().map_err(|_| wrong())?;
        if salt.is_empty() || !(0.0..=1.0).contains(&share) {
            return Err(wrong());
        }
        Ok(Self { salt: salt.to_owned(), share })
    }
}

impl std::fmt::Display for HeldOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.salt, self.share)
    }
}

/// `First_Last_0001.jpg` -> `First_Last`, as LFW names its portraits.
pub(crate) fn identity_of(file: &str) -> &str {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    stem.rsplit_once('_').map_or(stem, |(identity, _)| identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_split_is_that_of_the_training() {
        // worked out with models/train/faces_data.py
        let rule: HeldOut = "cardea-faces:0.3".parse().unwrap();
        let expected = [("Person_A", true), ("Person_B", false), ("Person_C", false), ("Person_D", true)];
        for (identity, held_out) in expected {
            assert_eq!(rule.holds_out(identity), held_out, "{identity}");
        }
        let all: HeldOut = "x:1".parse().unwrap();
        let none: HeldOut = "x:0".parse().unwrap();
        assert!(all.holds_out("Anybody") && !none.holds_out("Anybody"));
    }

    #[test]
    fn a_rule_that_says_nothing_is_refused() {
        for wrong in ["", "cardea-faces", ":0.3", "a:x", "a:1.5", "a:-0.1", "a:NaN"] {
            assert!(wrong.parse::<HeldOut>().unwrap_err().contains("SALT:SHARE"), "{wrong}");
        }
        assert_eq!("a:b:0.25".parse::<HeldOut>().unwrap().to_string(), "a:b:0.25");
    }

    #[test]
    fn names_of_portraits() {
        assert_eq!(identity_of("Ann_Maria_Lee_0012.jpg"), "Ann_Maria_Lee");
        assert_eq!(identity_of("portrait"), "portrait");
    }
}
