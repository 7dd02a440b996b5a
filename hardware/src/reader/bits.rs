//! Card data as bits, and the formats that give them a meaning.
//!
//! A Wiegand frame and the raw card data of an OSDP reader are the same bits, so both are read here and the same card has the
//! same number. Bit 0 is the one that was sent first.
//!
//! # What parity catches
//!
//! A format has two parity bits, each over one group of data bits. In the 26- and 34-bit formats the groups split the frame, in
//! the 37-bit formats the middle data bit belongs to both. So:
//! * every single flipped bit is refused, and every odd number of flips within one group;
//! * an even number of flips within a group is *not* seen: two flipped bits in one half of a card give another card's number.
//!   No reader with Wiegand wires can do better; OSDP protects the whole message with a CRC and a MAC.

use serde::{Deserialize, Serialize};

use super::CardNumber;

/// The longest card data that is looked at, in bits.
pub const MAX_BITS: u32 = 128;
/// What a whole chip serial number has, in bits: 4 to 10 bytes.
const UID_BITS: std::ops::RangeInclusive<u32> = 32..=80;

/// Bits in the order in which they were sent. They are never printed.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Bits {
    /// The bits as a number; the one sent last is the least.
    value: u128,
    count: u32,
}

impl std::fmt::Debug for Bits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bits({} of …)", self.count)
    }
}

impl Bits {
    /// The lowest `count` bits of `value`; at most [`MAX_BITS`].
    pub fn new(value: u128, count: u32) -> Self {
        let count = count.min(MAX_BITS);
        let mask = 1_u128.checked_shl(count).map_or(u128::MAX, |bit| bit - 1);
        Self { value: value & mask, count }
    }

    /// Bits out of bytes, the most significant bit of the first byte first, as OSDP sends them. `None` if there are more than
    /// [`MAX_BITS`] or fewer than the bytes promise.
    pub fn from_bytes(bytes: &[u8], count: u32) -> Option<Self> {
        if count > MAX_BITS || bytes.len() < count.div_ceil(8) as usize {
            return None;
        }
        let mut bits = Self::default();
        for position in 0..count {
            let byte = bytes[(position / 8) as usize];
            bits.push(byte & (0x80 >> (position % 8)) != 0);
        }
        Some(bits)
    }

    /// One more bit at the end; whether there was room.
    pub fn push(&mut self, bit: bool) -> bool {
        if self.count == MAX_BITS {
            return false;
        }
        self.value = (self.value << 1) | u128::from(bit);
        self.count += 1;
        true
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The bit at `position`, counted from the first one sent; false beyond the end.
    pub fn get(&self, position: u32) -> bool {
        position < self.count && (self.value >> (self.count - 1 - position)) & 1 == 1
    }

    /// The same bits with the one at `position` flipped.
    pub fn flipped(mut self, position: u32) -> Self {
        if position < self.count {
            self.value ^= 1 << (self.count - 1 - position);
        }
        self
    }

    /// `count` bits from `first` on, as a number.
    fn field(self, first: u32, count: u32) -> u64 {
        (0..count).fold(0, |value, offset| (value << 1) | u64::from(self.get(first + offset)))
    }

    fn ones(self, first: u32, count: u32) -> u32 {
        (first..first + count).filter(|position| self.get(*position)).count() as u32
    }

    /// Whole bytes, the first one sent first; `None` if the count is not a multiple of eight.
    fn bytes(self) -> Option<zeroize::Zeroizing<Vec<u8>>> {
        if !self.count.is_multiple_of(8) {
            return None;
        }
        Some((0..self.count / 8).map(|byte| self.field(8 * byte, 8) as u8).collect::<Vec<u8>>().into())
    }
}

/// A format of card data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BitFormat {
    /// 26 bits (H10301): even parity over the first 12 data bits, 8 bits of facility, 16 bits of number, odd parity over the
    /// last 12.
    W26,
    /// 34 bits: even parity over the first 16 data bits, 32 bits of number, odd parity over the last 16.
    W34,
    /// 37 bits (H10302): even parity over the first 18 data bits, 35 bits of number, odd parity over the last 18.
    W37,
    /// 37 bits (H10304): parities as `w37`, 16 bits of facility, 19 bits of number.
    W37Facility,
    /// Whole bytes, 4 to 10 of them, without parity: the serial number of the card's chip. For OSDP only: on two wires, bits
    /// without parity are bits without any check.
    Uid,
}

/// Why card data was not read. No bit of it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// No configured format has this many bits.
    #[error("{count} bits came, which none of the reader's formats has; check `formats` and the cables of D0 and D1")]
    Length {
        /// How many.
        count: u32,
    },
    /// The first parity bit is wrong.
    #[error("the leading parity of {count} bits is wrong; check the cable's length, its screen and the common ground")]
    LeadingParity {
        /// How many bits came.
        count: u32,
    },
    /// The last parity bit is wrong.
    #[error("the trailing parity of {count} bits is wrong; check the cable's length, its screen and the common ground")]
    TrailingParity {
        /// How many bits came.
        count: u32,
    },
}

impl BitFormat {
    /// Bits of a frame; `None` where that depends on the card.
    pub fn length(self) -> Option<u32> {
        match self {
            Self::W26 => Some(26),
            Self::W34 => Some(34),
            Self::W37 | Self::W37Facility => Some(37),
            Self::Uid => None,
        }
    }

    fn takes(self, count: u32) -> bool {
        match self.length() {
            Some(length) => length == count,
            None => UID_BITS.contains(&count) && count.is_multiple_of(8),
        }
    }

    /// The number of data bits under each parity bit.
    fn group(self) -> u32 {
        match self {
            Self::W26 => 12,
            Self::W34 => 16,
            Self::W37 | Self::W37Facility => 18,
            Self::Uid => 0,
        }
    }

    fn read(self, bits: Bits) -> Result<CardNumber, Unreadable> {
        let (count, group) = (bits.len(), self.group());
        if group > 0 && !bits.ones(0, 1 + group).is_multiple_of(2) {
            return Err(Unreadable::LeadingParity { count });
        }
        if group > 0 && bits.ones(count - 1 - group, 1 + group).is_multiple_of(2) {
            return Err(Unreadable::TrailingParity { count });
        }
        Ok(match self {
            Self::W26 => CardNumber::new(format!("w26:{}:{}", bits.field(1, 8), bits.field(9, 16))),
            Self::W34 => CardNumber::new(format!("w34:{}", bits.field(1, 32))),
            Self::W37 => CardNumber::new(format!("w37:{}", bits.field(1, 35))),
            Self::W37Facility => CardNumber::new(format!("w37f:{}:{}", bits.field(1, 16), bits.field(17, 19))),
            Self::Uid => CardNumber::uid(&bits.bytes().unwrap_or_default()),
        })
    }

    /// The frame of a card with these data bits, parities and all; what the simulator sends. `None` for `uid`, which has no
    /// fixed length.
    pub fn frame(self, data: u64) -> Option<Bits> {
        let length = self.length()?;
        let mut bits = Bits::new(u128::from(data) << 1, length - 1);
        bits.count = length;
        let group = self.group();
        if !bits.ones(1, group).is_multiple_of(2) {
            bits = bits.flipped(0);
        }
        if bits.ones(length - 1 - group, group).is_multiple_of(2) {
            bits = bits.flipped(length - 1);
        }
        Some(bits)
    }
}

/// Reads `bits` under the first of `formats` that has their length.
pub fn read(bits: Bits, formats: &[BitFormat]) -> Result<CardNumber, Unreadable> {
    let format = formats.iter().find(|format| format.takes(bits.len()));
    format.ok_or(Unreadable::Length { count: bits.len() })?.read(bits)
}

#[cfg(test)]
#[path = "bits_tests.rs"]
mod tests;
