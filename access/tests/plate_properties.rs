//! Plates as people type them, against the promise of one canonical form.

use cardea_access::Plate;
use cardea_access::grammar::{Grammar, Grammars};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Pairs of Latin and Cyrillic look-alikes of GOST R 50577.
const PAIRS: [(char, char); 12] = [
    ('A', 'А'),
    ('B', 'В'),
    ('E', 'Е'),
    ('K', 'К'),
    ('M', 'М'),
    ('H', 'Н'),
    ('O', 'О'),
    ('P', 'Р'),
    ('C', 'С'),
    ('T', 'Т'),
    ('Y', 'У'),
    ('X', 'Х'),
];

fn canonical() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ABEKMHOPCTYX][0-9]{3}[ABEKMHOPCTYX]{2}[1-9][0-9]{1,2}",
        "[ABEKMHOPCTYX]{2}[0-9]{3,4}[1-9][0-9]{1,2}",
        "[0-9]{4}[ABEKMHOPCTYX]{2}[1-9][0-9]{1,2}",
        "[ABEKMHOPCTYX][0-9]{4}[1-9][0-9]{1,2}",
    ]
}

/// `text` as someone might type it: per character another alphabet, another case, a separator.
fn typed(text: &str, choices: &[(bool, bool, u8)]) -> String {
    let mut out = String::new();
    for (c, (cyrillic, lower, gap)) in text.chars().zip(choices.iter().cycle()) {
        let c = if *cyrillic { PAIRS.iter().find(|p| p.0 == c).map_or(c, |p| p.1) } else { c };
        if *lower {
            out.extend(c.to_lowercase());
        } else {
            out.push(c);
        }
        out.push_str(["", " ", "-", "  "][usize::from(*gap % 4)]);
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn every_way_of_typing_gives_the_canonical_text(
        text in canonical(),
        choices in prop::collection::vec((any::<bool>(), any::<bool>(), any::<u8>()), 1..12),
    ) {
        let plate = Plate::parse(&typed(&text, &choices), &Grammars::default()).expect("a plate");
        prop_assert_eq!(plate.as_str(), text);
    }

    #[test]
    fn parsing_what_is_displayed_changes_nothing(input in "\\PC{0,16}") {
        let all = Grammars::new(Grammar::ALL);
        if let Ok(plate) = Plate::parse(&input, &all) {
            prop_assert_eq!(Plate::parse(&plate.to_string(), &all), Ok(plate));
        }
    }

    /// No two texts of grammar that differ are one plate: no prefix, no part, no likeness.
    #[test]
    fn different_texts_are_different_plates(a in canonical(), b in canonical(), more in 0..10u8) {
        let parse = |t: &str| Plate::parse(t, &Grammars::default()).ok();
        prop_assert_eq!(parse(&a) == parse(&b), a == b);
        let longer = format!("{a}{more}");
        prop_assert!(parse(&longer).is_none_or(|p| Some(p) != parse(&a)));
    }

    #[test]
    fn an_error_never_repeats_the_input(input in "[A-Z]{5,16}") {
        let error = Plate::parse(&input, &Grammars::default()).expect_err("no digits");
        for shown in [error.to_string(), format!("{error:?}")] {
            prop_assert!(!shown.contains(&input), "{}", shown);
        }
    }
}
