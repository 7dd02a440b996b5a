//! Allow-lists made to be mistaken: plates one or two characters away from a given one.
//!
//! A gate's list of a thousand plates drawn at random is hardly ever near the plate before the camera, and a false-accept
//! rate measured with it says nothing. Here every listed plate is a neighbour, the most confusable ones first: look-alike
//! characters (0/O, 8/B, 1/7, 5/6), a region with a digit more or less (77/777), then any other single character, then
//! two of them.

use std::collections::BTreeSet;

use cardea_access::grammar::Grammars;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

/// First digits of the regions with three that are in use.
const REGION_HUNDREDS: &str = "1279";
/// Lengths of plates that are of no grammar in use.
const OTHER_LENGTH: std::ops::RangeInclusive<usize> = 2..=12;
const CHARACTERS: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Characters that dirt, blur and low light turn into one another.
const CONFUSABLE: [&str; 16] =
    ["0ODQC", "0689", "8B3", "1I7TL", "56S", "2Z7", "4A", "6G", "KX", "KH", "HMN", "EBF", "PRB", "VYU", "TY", "14"];

/// Whether `text` could be on the list of a gate whose list has `truth`.
fn could_be_listed(text: &str, truth: &str, grammars: &Grammars) -> bool {
    if grammars.matches(truth) {
        return grammars.matches(text);
    }
    OTHER_LENGTH.contains(&text.len()) && text.chars().all(|c| CHARACTERS.contains(c))
}

/// `count` distinct plates like `truth`, never one of `truth` and `others`, all of the grammars in use (where `truth` is);
/// fewer where there are no more. The same seed gives the same list.
pub(crate) fn similar(
    truth: &str,
    others: &BTreeSet<String>,
    grammars: &Grammars,
    count: usize,
    seed: u64,
) -> Vec<String> {
    let mut rng = StdRng::seed_from_u64(seed ^ fingerprint(truth));
    let mut seen: BTreeSet<String> = others.clone();
    seen.insert(truth.to_owned());
    let mut list = Vec::with_capacity(count);
    let one_confusable = [substitutions(truth, confusable), lengthened_and_shortened(truth)].concat();
    let two_confusable: Vec<String> = one_confusable.iter().flat_map(|near| substitutions(near, confusable)).collect();
    for mut tier in [one_confusable, substitutions(truth, any_other), exchanges(truth), two_confusable] {
        tier.retain(|text| could_be_listed(text, truth, grammars));
        // sorted before it is shuffled: the order depends on the seed alone
        tier.sort_unstable();
        tier.dedup();
        tier.shuffle(&mut rng);
        list.extend(tier.into_iter().filter(|text| seen.insert(text.clone())));
    }
    list.truncate(count);
    // any two characters; a grammar without enough plates ends the search
    let mut misses = 0;
    while list.len() < count && misses < 1_000 {
        let text = two_changed(truth, &mut rng);
        if could_be_listed(&text, truth, grammars) && seen.insert(text.clone()) {
            list.push(text);
            misses = 0;
        } else {
            misses += 1;
        }
    }
    list
}

/// FNV-1a: gives each plate a list of its own.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn confusable(c: char) -> String {
    CONFUSABLE.iter().filter(|group| group.contains(c)).flat_map(|group| group.chars()).collect()
}

fn any_other(_: char) -> String {
    CHARACTERS.into()
}

/// `text` with each character replaced by each of its `rivals`.
fn substitutions(text: &str, rivals: impl Fn(char) -> String) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    for (i, c) in characters.iter().enumerate() {
        for rival in rivals(*c).chars().filter(|rival| rival != c) {
            let mut changed = characters.clone();
            changed[i] = rival;
            found.push(changed.into_iter().collect());
        }
    }
    found
}

/// A character seen twice, one overlooked, or a digit more at the end or before the region.
fn lengthened_and_shortened(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut with = |at: usize, c: char| {
        let mut longer = characters.clone();
        longer.insert(at, c);
        found.push(longer.into_iter().collect::<String>());
    };
    for (i, c) in characters.iter().enumerate() {
        with(i, *c);
    }
    let region = characters.len().saturating_sub(2);
    REGION_HUNDREDS.chars().for_each(|c| with(region, c));
    ('0'..='9').for_each(|c| with(characters.len(), c));
    for i in 0..characters.len() {
        let mut shorter = characters.clone();
        shorter.remove(i);
        found.push(shorter.into_iter().collect());
    }
    found
}

/// Neighbouring characters in exchanged order.
fn exchanges(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    (1..characters.len())
        .map(|i| {
            let mut exchanged = characters.clone();
            exchanged.swap(i - 1, i);
            exchanged.into_iter().collect()
        })
        .collect()
}

fn two_changed(text: &str, rng: &mut StdRng) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for _ in 0..2 {
        let at = rng.random_range(0..characters.len());
        let letter = characters[at].is_ascii_alphabetic();
        // mostly a letter for a letter and a digit for a digit: what most grammars ask for
        let any = rng.random_ratio(1, 4);
        let class: Vec<char> = CHARACTERS.chars().filter(|c| any || c.is_ascii_alphabetic() == letter).collect();
        characters[at] = class[rng.random_range(0..class.len())];
    }
    characters.into_iter().collect()
}

/// Characters to change, insert or remove to make `b` of `a` (Levenshtein, 1966).
pub(crate) fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let kept = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = kept.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use cardea_access::grammar::Grammar;

    fn list(truth: &str, count: usize, seed: u64) -> Vec<String> {
        let grammars = if Grammars::default().matches(truth) {
            Grammars::default()
        } else {
            Grammars::new([Grammar::GenericLatin])
        };
        similar(truth, &BTreeSet::new(), &grammars, count, seed)
    }

    #[test]
    fn the_most_confusable_come_first() {
        let all = list("A010BC77", 80, 7);
        for near in ["A018BC77", "A070BC77", "A010BC777", "A010BC177", "A010EC77", "A010BO77", "A010BC17", "A910BC77"] {
            assert!(all.iter().any(|text| text == near), "{near} is missing from {all:?}");
        }
        // other countries' plates mix letters and digits
        let all = list("OYO9FEU", 80, 7);
        for near in ["0YO9FEU", "OYO0FEU", "DYO9FEU", "OOYO9FEU", "YO9FEU"] {
            assert!(all.iter().any(|text| text == near), "{near} is missing from {all:?}");
        }
    }

    #[test]
    fn a_region_differs_by_a_digit_in_both_directions() {
        assert!(list("E260EE777", 80, 1).contains(&"E260EE77".to_owned()));
        assert!(list("E260EE77", 80, 1).contains(&"E260EE777".to_owned()));
        // a police plate and a taxi's differ by the letter O for a digit 0
        assert!(list("A012377", 80, 1).contains(&"AO12377".to_owned()));
    }

    #[test]
    fn what_else_is_before_the_camera_is_not_on_the_list() {
        let others: BTreeSet<String> = list("A010BC77", 10, 3).into_iter().collect();
        let all = similar("A010BC77", &others, &Grammars::default(), 500, 3);
        assert!(all.len() == 500 && all.iter().all(|text| !others.contains(text)));
    }

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("A123BC77", "A123BC77", 0),
            ("A123BC77", "A123BC777", 1),
            ("ABC", "", 3),
            ("ABCD", "BADC", 3),
            ("K1", "X7", 2),
        ] {
            assert_eq!((edit_distance(a, b), edit_distance(b, a)), (expected, expected), "{a} {b}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn neighbours_are_distinct_grammatical_and_not_the_plate_itself(
            truth in "[ABEKMHOPCTYX][0-9]{3}[ABEKMHOPCTYX]{2}(77|199|02|750)|[0-9]{4}[ABEKMHOPCTYX]{2}[0-9]{2}|[A-Z0-9]{4,9}",
            count in 1_usize..600,
            seed in any::<u64>(),
        ) {
            let all = list(&truth, count, seed);
            let grammars = Grammars::default();
            prop_assert_eq!(all.len(), count);
            prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), count);
            for text in &all {
                prop_assert!(*text != truth && (grammars.matches(text) || !grammars.matches(&truth)), "{}", text);
                prop_assert!(edit_distance(text, &truth) <= 3, "{} is far from {}", text, truth);
            }
            prop_assert_eq!(list(&truth, count, seed), all);
        }
    }
}
