//! What a card says, in the canonical spelling that `docs/guide/hardware.md` lists: `w26:12:34567`, `uid:04A1B2C3`, ….

use std::fmt;

use zeroize::Zeroizing;

/// A card's number. It opens doors: it never shows in `Debug`, and its memory is cleared.
#[derive(Clone, PartialEq, Eq)]
pub struct CardNumber(Zeroizing<String>);

impl CardNumber {
    /// Takes a canonical text.
    pub(crate) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The bytes of a chip's serial number, in the order in which the reader sends them.
    pub fn uid(bytes: &[u8]) -> Self {
        let mut text = String::with_capacity(4 + 2 * bytes.len());
        text.push_str("uid:");
        for byte in bytes {
            for nibble in [byte >> 4, byte & 0xF] {
                text.push(char::from(b"0123456789ABCDEF"[usize::from(nibble)]));
            }
        }
        Self::new(text)
    }

    /// The text itself, for the place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
