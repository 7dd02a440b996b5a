//! A card's number in its one canonical form.
//!
//! The same card may be read by a Wiegand reader at the gate and by an OSDP reader at the door, and its owner types in what is
//! printed on it. Two cards are the same exactly when their canonical texts are equal, so each way of reading leads to one of
//! these forms, in this spelling only:
//!
//! | form | what it is | spelling |
//! |---|---|---|
//! | `w26:F:N` | 26-bit Wiegand (H10301) | facility 0 to 255, number 0 to 65535, decimal without leading zeros |
//! | `w34:N` | 34-bit Wiegand: 32 bits between two parities | 0 to 4294967295, decimal |
//! | `w37:N` | 37-bit Wiegand without a facility (H10302) | 0 to 34359738367, decimal |
//! | `w37f:F:N` | 37-bit Wiegand with a facility (H10304) | facility 0 to 65535, number 0 to 524287, decimal |
//! | `uid:HEX` | the chip's own serial number, as the reader sends its bytes | 4 to 10 bytes, capital hexadecimal digits |
//! | `text:T` | a printed or displayed code (QR, barcode) | 4 to 64 of `A-Z a-z 0-9 - _ . + / =`, as they are |
//!
//! A `uid` and a `w34` are never the same card here, even where one reader makes the one of the other's bytes: makers disagree
//! about the order of the bytes, and a guess would open to somebody else's card.

use std::fmt;

/// The longest `text:` code, in characters.
pub const MAX_TEXT: usize = 64;
/// The shortest `text:` code, in characters: anything shorter is guessed by trying.
pub const MIN_TEXT: usize = 4;

/// A card's canonical text. `Debug` hides it, because it opens doors; [`CardNumber::as_str`] gives it to those who mean it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CardNumber(String);

/// Why a text is not a card's number. The text itself is never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// No form, or one that does not exist.
    #[error("the card number does not begin with w26:, w34:, w37:, w37f:, uid: or text:, for example w26:12:34567")]
    UnknownForm,
    /// Another count of parts than the form has.
    #[error("the card number does not have the parts of its form, for example w26:12:34567 or w34:305419896")]
    Parts,
    /// Not a decimal number without sign and leading zeros.
    #[error("a part of the card number is not a decimal number, written without sign and leading zeros")]
    NotDecimal,
    /// A number that does not fit its bits.
    #[error("a part of the card number is larger than its form can carry")]
    TooLarge,
    /// Not whole bytes of hexadecimal digits, or too few or too many of them.
    #[error("a uid: has 4 to 10 bytes of hexadecimal digits, for example uid:04A1B2C3")]
    NotUid,
    /// Too short, too long, or with a character that no code has.
    #[error("a text: code has {MIN_TEXT} to {MAX_TEXT} letters, digits or characters of - _ . + / =")]
    NotText,
}

impl CardNumber {
    /// Parses what somebody typed. Blanks around it are dropped, and the hexadecimal digits of a `uid` may be small and
    /// separated by `:` or blanks; everything else must be canonical.
    pub fn parse(input: &str) -> Result<Self, CardError> {
        let (form, rest) = input.trim().split_once(':').ok_or(CardError::UnknownForm)?;
        let text = match form {
            "w26" => format!("w26:{}", pair(rest, 0xFF, 0xFFFF)?),
            "w34" => format!("w34:{}", decimal(rest, 0xFFFF_FFFF)?),
            "w37" => format!("w37:{}", decimal(rest, (1 << 35) - 1)?),
            "w37f" => format!("w37f:{}", pair(rest, 0xFFFF, (1 << 19) - 1)?),
            "uid" => format!("uid:{}", uid(rest)?),
            "text" => format!("text:{}", code(rest)?),
            _ => return Err(CardError::UnknownForm),
        };
        Ok(Self(text))
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CardNumber(…)")
    }
}

fn pair(text: &str, largest_facility: u64, largest_number: u64) -> Result<String, CardError> {
    let (facility, number) = text.split_once(':').ok_or(CardError::Parts)?;
    Ok(format!("{}:{}", decimal(facility, largest_facility)?, decimal(number, largest_number)?))
}

fn decimal(text: &str, largest: u64) -> Result<u64, CardError> {
    if text.contains(':') {
        return Err(CardError::Parts);
    }
    let leading_zero = text.len() > 1 && text.starts_with('0');
    if text.is_empty() || leading_zero || !text.bytes().all(|c| c.is_ascii_digit()) {
        return Err(CardError::NotDecimal);
    }
    text.parse().ok().filter(|value| *value <= largest).ok_or(CardError::TooLarge)
}

fn uid(text: &str) -> Result<String, CardError> {
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | ' ')).map(|c| c.to_ascii_uppercase()).collect();
    let whole = digits.len().is_multiple_of(2) && (8..=20).contains(&digits.len());
    if whole && digits.bytes().all(|c| c.is_ascii_hexdigit()) { Ok(digits) } else { Err(CardError::NotUid) }
}

fn code(text: &str) -> Result<&str, CardError> {
    let known = |c: u8| c.is_ascii_alphanumeric() || b"-_.+/=".contains(&c);
    if (MIN_TEXT..=MAX_TEXT).contains(&text.len()) && text.bytes().all(known) {
        Ok(text)
    } else {
        Err(CardError::NotText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_has_one_spelling() {
        for text in [
            "w26:0:0",
            "w26:255:65535",
            "w34:4294967295",
            "w37:34359738367",
            "w37f:65535:524287",
            "uid:04A1B2C3",
            "uid:04A1B2C3D4E5F6",
            "text:A-b_9.+/=",
        ] {
            assert_eq!(CardNumber::parse(text).unwrap().as_str(), text);
        }
        assert_eq!(CardNumber::parse(" uid:04:a1 b2:c3 ").unwrap().as_str(), "uid:04A1B2C3");
    }

    #[test]
    fn what_is_not_a_card_is_refused_with_a_reason_that_does_not_repeat_it() {
        for (text, expected) in [
            ("12345678", CardError::UnknownForm),
            ("w27:1:2", CardError::UnknownForm),
            ("w26:12", CardError::Parts),
            ("w26:1:2:3", CardError::Parts),
            ("w34:1:2", CardError::Parts),
            ("w26:01:2", CardError::NotDecimal),
            ("w26:+1:2", CardError::NotDecimal),
            ("w26::", CardError::NotDecimal),
            ("w26:256:1", CardError::TooLarge),
            ("w26:1:65536", CardError::TooLarge),
            ("w34:4294967296", CardError::TooLarge),
            ("w37:99999999999999999999999", CardError::TooLarge),
            ("uid:04A1B2", CardError::NotUid),
            ("uid:04A1B2C3D", CardError::NotUid),
            ("uid:04A1B2CG", CardError::NotUid),
            ("text:abc", CardError::NotText),
            ("text:ab cd", CardError::NotText),
            ("text:тест", CardError::NotText),
        ] {
            let refused = CardNumber::parse(text).unwrap_err();
            assert_eq!(refused, expected, "{text}");
        }
    }

    #[test]
    fn a_number_never_reaches_a_log() {
        assert_eq!(format!("{:?}", CardNumber::parse("w26:12:34567").unwrap()), "CardNumber(…)");
    }
}
