//! The decoder of line readers: bytes go in, numbers and refusals come out. Pure.
//!
//! A scanner or reader on a serial or USB line sends one credential for each line, ended by CR, LF or both. A line that is not
//! ended in time is thrown away, so that half a code is never completed by the next one.

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::CardNumber;

/// The longest line that can be configured, in bytes.
pub const MAX_LINE: usize = 256;
/// The shortest and longest `text:` code, as `access` takes it.
const TEXT: std::ops::RangeInclusive<usize> = 4..=64;

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineFormat {
    /// 4 to 10 bytes of hexadecimal digits: the serial number of a chip, `uid:`.
    Hex,
    /// A decimal number of 32 bits, leading zeros allowed: what a 34-bit Wiegand reader sends of the same card, `w34:`.
    Decimal,
    /// The code itself, `text:`: letters, digits and `-_.+/=`, 4 to 64 of them.
    Text,
}

/// How lines are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineRules {
    /// What they say.
    pub format: LineFormat,
    /// What every line begins with, and is taken off.
    pub prefix: String,
    /// What every line ends with, and is taken off.
    pub suffix: String,
    /// The longest line, in bytes, prefix and suffix included.
    pub max_length: usize,
}

/// Why a line was not read. Nothing of it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineRefused {
    /// Too long.
    #[error("a line is longer than max_length; check the scanner's settings and the baud rate")]
    TooLong,
    /// Without the configured beginning or end.
    #[error("a line lacks the configured prefix or suffix; check the scanner's settings")]
    Frame,
    /// Not what the format takes.
    #[error("a line is not what `format` takes; check the scanner's settings, the baud rate and the cable")]
    Format,
    /// Broken off.
    #[error("a line broke off; check the cable and that the scanner ends its lines with CR or LF")]
    Partial,
}

/// The decoder of one reader.
pub struct LineDecoder {
    rules: LineRules,
    /// What has come of the present line; cleared whenever it ends.
    line: Zeroizing<Vec<u8>>,
    /// The present line was refused; the rest of it is skipped.
    skipping: bool,
}

impl LineDecoder {
    /// Nothing has come yet.
    pub fn new(rules: LineRules) -> Self {
        let line = Zeroizing::new(Vec::with_capacity(rules.max_length.min(MAX_LINE)));
        Self { rules, line, skipping: false }
    }

    /// Takes one byte; answers what a line says when it ends.
    pub fn byte(&mut self, byte: u8) -> Option<Result<CardNumber, LineRefused>> {
        if matches!(byte, b'\r' | b'\n') {
            let skipped = std::mem::take(&mut self.skipping);
            if skipped || self.line.is_empty() {
                return None;
            }
            let outcome = self.rules.read(&self.line);
            self.forget();
            return Some(outcome);
        }
        if self.skipping {
            return None;
        }
        if self.line.len() >= self.rules.max_length.min(MAX_LINE) {
            self.forget();
            self.skipping = true;
            return Some(Err(LineRefused::TooLong));
        }
        self.line.push(byte);
        None
    }

    /// Whether a line is under way.
    pub fn under_way(&self) -> bool {
        !self.line.is_empty() || self.skipping
    }

    /// Nothing has come for so long that the line under way is over.
    pub fn silence(&mut self) -> Option<LineRefused> {
        let partial = !self.line.is_empty();
        self.forget();
        self.skipping = false;
        partial.then_some(LineRefused::Partial)
    }

    fn forget(&mut self) {
        self.line.as_mut_slice().zeroize();
        self.line.clear();
    }
}

impl LineRules {
    fn read(&self, line: &[u8]) -> Result<CardNumber, LineRefused> {
        let body = line.strip_prefix(self.prefix.as_bytes()).ok_or(LineRefused::Frame)?;
        let body = body.strip_suffix(self.suffix.as_bytes()).ok_or(LineRefused::Frame)?;
        let text = std::str::from_utf8(body).map_err(|_| LineRefused::Format)?;
        let number = match self.format {
            LineFormat::Hex => hex(text),
            LineFormat::Decimal => decimal(text),
            LineFormat::Text => code(text),
        };
        number.ok_or(LineRefused::Format)
    }
}

fn hex(text: &str) -> Option<CardNumber> {
    let digits: Zeroizing<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<Vec<u8>>>()?.into();
    let whole = digits.len().is_multiple_of(2) && (8..=20).contains(&digits.len());
    let bytes: Zeroizing<Vec<u8>> =
        digits.chunks(2).map(|pair| pair.iter().fold(0, |b, d| b << 4 | d)).collect::<Vec<u8>>().into();
    whole.then(|| CardNumber::uid(&bytes))
}

fn decimal(text: &str) -> Option<CardNumber> {
    let digits = (1..=12).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
    let value: u32 = digits.then(|| text.parse().ok())??;
    Some(CardNumber::new(format!("w34:{value}")))
}

fn code(text: &str) -> Option<CardNumber> {
    let known = |c: u8| c.is_ascii_alphanumeric() || b"-_.+/=".contains(&c);
    let fits = TEXT.contains(&text.len()) && text.bytes().all(known);
    fits.then(|| CardNumber::new(format!("text:{text}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(format: LineFormat) -> LineRules {
        LineRules { format, prefix: String::new(), suffix: String::new(), max_length: 80 }
    }

    fn decoded(rules: LineRules, bytes: &[u8]) -> Vec<Result<String, LineRefused>> {
        let mut decoder = LineDecoder::new(rules);
        let outcomes = bytes.iter().filter_map(|byte| decoder.byte(*byte));
        outcomes.map(|outcome| outcome.map(|number| number.expose().to_owned())).collect()
    }

    #[test]
    fn each_format_has_its_form() {
        assert_eq!(decoded(rules(LineFormat::Hex), b"04a1B2c3\r\n"), [Ok("uid:04A1B2C3".into())]);
        assert_eq!(decoded(rules(LineFormat::Decimal), b"0012345678\n"), [Ok("w34:12345678".into())]);
        assert_eq!(decoded(rules(LineFormat::Text), b"A-b_9.+/=\r"), [Ok("text:A-b_9.+/=".into())]);
    }

    #[test]
    fn prefix_and_suffix_are_taken_off_and_missed() {
        let framed = LineRules { prefix: "QR:".into(), suffix: ";".into(), ..rules(LineFormat::Text) };
        assert_eq!(decoded(framed.clone(), b"QR:abcd;\n"), [Ok("text:abcd".into())]);
        assert_eq!(decoded(framed.clone(), b"abcd;\nQR:abcd\n"), [Err(LineRefused::Frame), Err(LineRefused::Frame)]);
        assert_eq!(decoded(framed, b"QR:;\n"), [Err(LineRefused::Format)]);
    }

    #[test]
    fn junk_is_refused_and_the_next_line_is_read() {
        let lines = b"\xff\xfe\x00junk\n\n\r\n04A1B2\n04A1B2CX\n04A1B2C3\n";
        let told = decoded(rules(LineFormat::Hex), lines);
        assert_eq!(
            told,
            [Err(LineRefused::Format), Err(LineRefused::Format), Err(LineRefused::Format), Ok("uid:04A1B2C3".into())]
        );
        let told = decoded(rules(LineFormat::Decimal), b"4294967296\n+5\n\n");
        assert_eq!(told, [Err(LineRefused::Format), Err(LineRefused::Format)]);
    }

    #[test]
    fn an_endless_line_is_one_refusal() {
        let mut bytes = vec![b'A'; 100_000];
        bytes.extend_from_slice(b"\nabcd\n");
        assert_eq!(decoded(rules(LineFormat::Text), &bytes), [Err(LineRefused::TooLong), Ok("text:abcd".into())]);
    }

    #[test]
    fn half_a_line_is_not_completed_by_the_next() {
        let mut decoder = LineDecoder::new(rules(LineFormat::Text));
        for byte in b"abcd" {
            assert!(decoder.byte(*byte).is_none());
        }
        assert!(decoder.under_way());
        assert_eq!(decoder.silence(), Some(LineRefused::Partial));
        assert_eq!(decoder.silence(), None);
        let rest: Vec<_> = b"efgh\n".iter().filter_map(|byte| decoder.byte(*byte)).collect();
        assert_eq!(rest[0].as_ref().unwrap().expose(), "text:efgh");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..2000), text: bool) {
            let format = if text { LineFormat::Text } else { LineFormat::Hex };
            for number in decoded(rules(format), &bytes).into_iter().flatten() {
                prop_assert!(number.len() <= 5 + 80);
            }
        }
    }
}
