//! Which people a model may be measured on: those it was not trained on.

use std::collections::BTreeSet;
use std::str::FromStr;

use super::sets::FaceSet;

/// Everybody in one fold of the listed pairs, as `models/train/faces_data.py` holds people out. Written `fold:NUMBER`.
///
/// A fold's pairs are whole then, a test among strangers; a rule by name would leave a pair of two held-out people by
/// chance only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldOut {
    fold: u32,
}

impl HeldOut {
    /// The people training never saw.
    pub(crate) fn people(self, set: &FaceSet) -> BTreeSet<String> {
        let pairs = set.pairs.iter().filter(|pair| pair.fold == self.fold);
        pairs.flat_map(|pair| [&pair.a, &pair.b]).map(|picture| identity_of(picture).to_owned()).collect()
    }
}

impl FromStr for HeldOut {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fold = text.strip_prefix("fold:").and_then(|fold| fold.parse().ok());
        fold.map(|fold| Self { fold })
            .ok_or_else(|| format!("`{text}` is no rule; fold:NUMBER is expected, for example fold:3"))
    }
}

impl std::fmt::Display for HeldOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "fold:{}", self.fold)
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
    fn a_rule_that_says_nothing_is_refused() {
        for wrong in ["", "3", "fold", "fold:", "fold:x", "fold:-1"] {
            assert!(wrong.parse::<HeldOut>().unwrap_err().contains("fold:NUMBER"), "{wrong}");
        }
        assert_eq!("fold:3".parse::<HeldOut>().unwrap().to_string(), "fold:3");
    }

    #[test]
    fn names_of_portraits() {
        assert_eq!(identity_of("Ann_Maria_Lee_0012.jpg"), "Ann_Maria_Lee");
        assert_eq!(identity_of("portrait"), "portrait");
    }
}
