//! The shapes a registration plate may have.
//!
//! Source: GOST R 50577-2018 (types of plates and the order of their characters). Letters are the twelve that look alike
//! in Cyrillic and Latin: `A B E K M H O P C T Y X`. A pattern is written with `L` (one of the twelve), `D` (a digit) and
//! `R` (a digit of the region's code).
//!
//! A canonical text carries no border between number and region, so two types can share a text: `AB123777` is the taxi
//! `AB 123` of region 777 and the trailer `AB 1237` of region 77. A site that must tell them apart leaves one of the
//! two grammars out.
//!
//! **To extend:** add a variant, its name and its patterns; for a country with other letters use
//! [`Grammar::GenericLatin`] until its own rules are written.

use std::str::FromStr;

/// Longest canonical text, in characters.
pub const MAX_CHARACTERS: usize = 12;

/// The twelve letters of GOST R 50577 in their Latin form.
pub const LETTERS: &str = "ABEKMHOPCTYX";
const DIGITS: &str = "0123456789";
const LATIN: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// One family of plates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grammar {
    /// Cars, lorries, buses: types 1 (one line) and 1A (two lines, same characters).
    GostCar,
    /// Licensed taxis and buses, yellow: type 1Б.
    GostTaxi,
    /// Trailers: type 2.
    GostTrailer,
    /// Motorcycles and tractors: types 3 and 4.
    GostMotorcycle,
    /// Police: type 20.
    GostPolice,
    /// Anything of 4 to 12 Latin letters and digits with at least one digit: for sites with visitors from abroad.
    GenericLatin,
}

impl Grammar {
    /// Every grammar there is.
    pub const ALL: [Self; 6] =
        [Self::GostCar, Self::GostTaxi, Self::GostTrailer, Self::GostMotorcycle, Self::GostPolice, Self::GenericLatin];

    /// The name used in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GostCar => "gost-car",
            Self::GostTaxi => "gost-taxi",
            Self::GostTrailer => "gost-trailer",
            Self::GostMotorcycle => "gost-motorcycle",
            Self::GostPolice => "gost-police",
            Self::GenericLatin => "generic-latin",
        }
    }

    /// The patterns of this grammar, in the notation of the module; none for [`Grammar::GenericLatin`].
    pub const fn patterns(self) -> &'static [&'static str] {
        match self {
            Self::GostCar => &["LDDDLLRR", "LDDDLLRRR"],
            Self::GostTaxi => &["LLDDDRR", "LLDDDRRR"],
            Self::GostTrailer => &["LLDDDDRR", "LLDDDDRRR"],
            Self::GostMotorcycle => &["DDDDLLRR", "DDDDLLRRR"],
            Self::GostPolice => &["LDDDDRR", "LDDDDRRR"],
            Self::GenericLatin => &[],
        }
    }

    /// Whether `text`, already canonical (Latin capitals and digits), is of this grammar.
    pub fn matches(self, text: &str) -> bool {
        match self {
            Self::GenericLatin => {
                (4..=MAX_CHARACTERS).contains(&text.len())
                    && text.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
                    && text.bytes().any(|c| c.is_ascii_digit())
            }
            gost => gost.patterns().iter().any(|pattern| fits(pattern, text)),
        }
    }

    /// The shapes of this grammar's texts: for each position the characters that may stand there. For recognisers, which
    /// weigh a text's shape but know no grammar; a region of zeros is left to [`Grammar::matches`].
    pub fn shapes(self) -> Vec<Vec<&'static str>> {
        if self == Self::GenericLatin {
            return (4..=MAX_CHARACTERS).map(|length| vec![LATIN; length]).collect();
        }
        self.patterns().iter().map(|pattern| shape(pattern)).collect()
    }

    /// Whether `letter`, a Latin capital, can occur in this grammar.
    pub fn uses(self, letter: char) -> bool {
        self == Self::GenericLatin && letter.is_ascii_uppercase() || LETTERS.contains(letter)
    }
}

impl FromStr for Grammar {
    type Err = UnknownGrammar;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|g| g.name() == name).ok_or_else(|| UnknownGrammar(name.to_owned()))
    }
}

/// A name in the configuration that is no grammar.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no plate grammar is called `{0}`: use gost-car, gost-taxi, gost-trailer, gost-motorcycle, gost-police or generic-latin"
)]
pub struct UnknownGrammar(String);

/// The grammars in use at a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grammars(Vec<Grammar>);

impl Grammars {
    /// Exactly these grammars. With none, no plate is ever valid.
    pub fn new(grammars: impl IntoIterator<Item = Grammar>) -> Self {
        Self(grammars.into_iter().collect())
    }

    /// The grammars, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = Grammar> + '_ {
        self.0.iter().copied()
    }

    /// Whether any grammar in use allows `text`, already canonical.
    pub fn matches(&self, text: &str) -> bool {
        self.iter().any(|g| g.matches(text))
    }
}

/// All the GOST grammars; foreign plates only on request.
impl Default for Grammars {
    fn default() -> Self {
        Self::new(Grammar::ALL.into_iter().filter(|g| *g != Grammar::GenericLatin))
    }
}

/// The characters that may stand at each position of `pattern`. A region of three digits does not begin with 0.
fn shape(pattern: &str) -> Vec<&'static str> {
    let region = pattern.find('R');
    let characters = pattern.bytes().enumerate().map(|(position, class)| match class {
        b'L' => LETTERS,
        b'R' if region == Some(position) && pattern.len() - position == 3 => &DIGITS[1..],
        _ => DIGITS,
    });
    characters.collect()
}

/// Whether `text` has the shape of `pattern`, with a region that can exist.
fn fits(pattern: &str, text: &str) -> bool {
    pattern.len() == text.len()
        && pattern.bytes().zip(text.bytes()).all(|(class, c)| match class {
            b'L' => LETTERS.as_bytes().contains(&c),
            b'D' | b'R' => c.is_ascii_digit(),
            _ => false,
        })
        && pattern.find('R').is_none_or(|start| region_exists(&text[start..]))
}

/// Regions are 01 to 99, and three-digit codes that begin with another digit than 0.
fn region_exists(code: &str) -> bool {
    if code.len() == 3 { !code.starts_with('0') } else { code != "00" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_grammar_takes_its_own_shape() {
        for (grammar, yes, no) in [
            (Grammar::GostCar, "A123BC77", "AB123C77"),
            (Grammar::GostCar, "A123BC777", "A123BC7777"),
            (Grammar::GostTaxi, "AB12377", "A12377"),
            (Grammar::GostTrailer, "AB123477", "AB1234"),
            (Grammar::GostMotorcycle, "1234AB77", "123AB77"),
            (Grammar::GostPolice, "A123477", "A1234"),
            (Grammar::GenericLatin, "WOB1234D", "WOBD"),
        ] {
            assert!(grammar.matches(yes), "{grammar:?} takes {yes}");
            assert!(!grammar.matches(no), "{grammar:?} refuses {no}");
        }
    }

    #[test]
    fn letters_outside_the_twelve_are_not_gost() {
        assert!(!Grammar::GostCar.matches("D123BC77"));
        assert!(Grammar::GenericLatin.matches("D123BC77"));
        assert!(Grammar::GenericLatin.uses('D') && !Grammar::GostCar.uses('D'));
    }

    #[test]
    fn a_region_of_zeros_does_not_exist() {
        assert!(!Grammar::GostCar.matches("A123BC00"));
        assert!(!Grammar::GostCar.matches("A123BC077"));
        assert!(Grammar::GostCar.matches("A123BC01"));
    }

    #[test]
    fn shapes_allow_what_the_grammar_matches() {
        let allowed = |grammar: Grammar, text: &str| {
            let fits = |shape: &Vec<&str>| {
                shape.len() == text.len() && shape.iter().zip(text.chars()).all(|(set, c)| set.contains(c))
            };
            grammar.shapes().iter().any(fits)
        };
        for (grammar, text) in [
            (Grammar::GostCar, "A123BC77"),
            (Grammar::GostCar, "A123BC777"),
            (Grammar::GostCar, "A123BC077"),
            (Grammar::GostCar, "4123BC77"),
            (Grammar::GostTaxi, "AB12377"),
            (Grammar::GostTrailer, "AB123477"),
            (Grammar::GostMotorcycle, "1234AB77"),
            (Grammar::GostPolice, "A123477"),
            (Grammar::GenericLatin, "WOB1234D"),
            (Grammar::GenericLatin, "WOB"),
        ] {
            assert_eq!(allowed(grammar, text), grammar.matches(text), "{grammar:?} {text}");
        }
    }

    #[test]
    fn names_round_trip() {
        for grammar in Grammar::ALL {
            assert_eq!(grammar.name().parse(), Ok(grammar));
        }
        assert_eq!("gost".parse::<Grammar>(), Err(UnknownGrammar("gost".into())));
    }

    #[test]
    fn foreign_plates_need_configuration() {
        assert!(!Grammars::default().matches("WOB1234D"));
        assert!(Grammars::new([Grammar::GenericLatin]).matches("WOB1234D"));
        assert!(!Grammars::new([]).matches("A123BC77"));
    }
}
