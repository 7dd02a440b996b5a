//! A registration plate in its one canonical form.
//!
//! People write plates in Cyrillic or Latin, in capitals or not, with or without spaces. GOST R 50577 uses only the twelve
//! letters that look alike in both alphabets, so everything folds to Latin capitals and digits, and two plates are the
//! same exactly when their canonical texts are equal: never by a part of the text (`…77` is not `…777`), never by
//! similarity (`O` is not `0`, `B` is not `8`). What a camera misreads is weighed by likelihood elsewhere; here is only
//! what people say a plate *is*.

use std::fmt;

use crate::grammar::{Grammars, MAX_CHARACTERS};

/// A plate's canonical text: Latin capitals and digits, of a grammar that was in use when it was parsed.
///
/// `Debug` hides the text, because plates do not belong in logs; [`Plate::as_str`] and `Display` give it to those who
/// mean it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Plate(String);

/// Why a text is not a plate. The text itself is never repeated. Positions count characters of the input from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlateError {
    /// Nothing is left after spaces and hyphens.
    #[error("the plate is empty: give its letters and digits")]
    Empty,
    /// More than [`MAX_CHARACTERS`] letters and digits.
    #[error("the plate is longer than {MAX_CHARACTERS} letters and digits")]
    TooLong,
    /// A character that no plate of this site carries.
    #[error("character {} of the plate is not one used on plates here", .0 + 1)]
    BadCharacter(usize),
    /// Possible characters in an order no grammar in use knows.
    #[error("the letters and digits are not in the order of any kind of plate used here, for example A123BC77")]
    NoGrammar,
}

impl Plate {
    /// Parses `input` under the grammars in use.
    ///
    /// Spaces, hyphens and the separators people type (`_`, `.`, `|`, `/`) are dropped; Cyrillic look-alikes fold to Latin.
    pub fn parse(input: &str, grammars: &Grammars) -> Result<Self, PlateError> {
        let mut text = String::with_capacity(MAX_CHARACTERS);
        for (position, typed) in input.chars().enumerate() {
            if typed.is_whitespace() || is_separator(typed) {
                continue;
            }
            let c = fold(typed).ok_or(PlateError::BadCharacter(position))?;
            if !c.is_ascii_digit() && !grammars.iter().any(|g| g.uses(c)) {
                return Err(PlateError::BadCharacter(position));
            }
            if text.len() == MAX_CHARACTERS {
                return Err(PlateError::TooLong);
            }
            text.push(c);
        }
        match text.as_str() {
            "" => Err(PlateError::Empty),
            t if grammars.matches(t) => Ok(Self(text)),
            _ => Err(PlateError::NoGrammar),
        }
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The canonical text.
impl fmt::Display for Plate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Plate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plate(…)")
    }
}

fn is_separator(c: char) -> bool {
    matches!(c, '-' | '‐' | '‑' | '–' | '—' | '_' | '.' | '|' | '/')
}

/// The Latin capital or digit that `c` stands for.
fn fold(c: char) -> Option<char> {
    if c.is_ascii_alphanumeric() {
        return Some(c.to_ascii_uppercase());
    }
    let mut upper = c.to_uppercase();
    match (upper.next()?, upper.next()) {
        ('А', None) => Some('A'),
        ('В', None) => Some('B'),
        ('Е', None) => Some('E'),
        ('К', None) => Some('K'),
        ('М', None) => Some('M'),
        ('Н', None) => Some('H'),
        ('О', None) => Some('O'),
        ('Р', None) => Some('P'),
        ('С', None) => Some('C'),
        ('Т', None) => Some('T'),
        ('У', None) => Some('Y'),
        ('Х', None) => Some('X'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::Grammar;

    fn parse(input: &str) -> Result<Plate, PlateError> {
        Plate::parse(input, &Grammars::default())
    }

    #[test]
    fn cyrillic_latin_case_and_spacing_are_one_plate() {
        let plate = parse("A123BC77").unwrap();
        for same in ["а123вс77", "А 123 ВС 77", "a-123-bc 77", "A123BC|77", "\tА123вс\u{a0}77 "] {
            assert_eq!(parse(same).as_ref(), Ok(&plate), "{same}");
        }
        assert_eq!(parse("АВЕ").unwrap_err(), PlateError::NoGrammar);
        assert_eq!(parse("у555кх199").unwrap().as_str(), "Y555KX199");
    }

    #[test]
    fn region_77_is_never_region_777() {
        let (short, long) = (parse("A123BC77").unwrap(), parse("A123BC777").unwrap());
        assert_ne!(short, long);
    }

    #[test]
    fn letter_o_is_never_digit_0() {
        assert_eq!(parse("AOOOBC77"), Err(PlateError::NoGrammar));
        let motorcycle = parse("0123BC77").unwrap();
        assert_ne!(motorcycle, parse("O123BC77").unwrap(), "both exist, and are two plates");
    }

    #[test]
    fn letter_b_is_never_digit_8() {
        assert_eq!(parse("AB23BC77"), Err(PlateError::NoGrammar));
        let motorcycle = parse("8123BC77").unwrap();
        assert_ne!(motorcycle, parse("B123BC77").unwrap(), "both exist, and are two plates");
    }

    #[test]
    fn errors_say_which() {
        assert_eq!(parse(""), Err(PlateError::Empty));
        assert_eq!(parse(" -- "), Err(PlateError::Empty));
        assert_eq!(parse("A123BC7777777"), Err(PlateError::TooLong));
        assert_eq!(parse("A 12!BC77"), Err(PlateError::BadCharacter(4)));
        assert_eq!(parse("Я123ВС77"), Err(PlateError::BadCharacter(0)));
        assert_eq!(parse("D123BC77"), Err(PlateError::BadCharacter(0)));
        assert_eq!(parse("A12³BC77"), Err(PlateError::BadCharacter(3)));
        assert_eq!(PlateError::BadCharacter(4).to_string(), "character 5 of the plate is not one used on plates here");
    }

    #[test]
    fn generic_latin_takes_other_letters_when_configured() {
        let grammars = Grammars::new([Grammar::GenericLatin]);
        assert_eq!(Plate::parse("wob-zk 295", &grammars).unwrap().as_str(), "WOBZK295");
        assert_eq!(Plate::parse("Ж1234", &grammars), Err(PlateError::BadCharacter(0)));
    }

    #[test]
    fn debug_hides_the_text() {
        assert_eq!(format!("{:?}", parse("A123BC77").unwrap()), "Plate(…)");
    }
}
