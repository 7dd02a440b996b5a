//! From bytes on the line to frames, through noise. Pure; what a frame says is the crate `osdp`'s.

use osdp::packet::ParsedPacket;

/// A frame begins with this byte (SIA OSDP v2.2, section 5.9).
const START: u8 = 0x53;
/// Start, address, length and control.
const HEADER_BYTES: usize = 5;
/// Header, code and a checksum of one byte.
const LEAST_BYTES: usize = HEADER_BYTES + 2;
/// Larger than any frame that a reader may send (section 5.6), and small enough to be over soon when noise claims it.
const MOST_BYTES: usize = 1440;

/// Collects bytes and gives whole frames whose CRC or checksum is right.
#[derive(Debug, Default)]
pub struct Framer {
    bytes: Vec<u8>,
}

impl Framer {
    /// More bytes have come. What no frame can need any more is forgotten.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let surplus = self.bytes.len().saturating_sub(2 * MOST_BYTES);
        self.bytes.drain(..surplus);
    }

    /// The line has been silent: what is half there will not be completed.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// The next whole frame. Noise that looks like the beginning of a long one does not hide a whole one behind it.
    pub fn next_frame(&mut self) -> Option<Vec<u8>> {
        let starts = (0..self.bytes.len()).filter(|at| self.bytes[*at] == START);
        let (at, length) = starts.into_iter().find_map(|at| Some((at, whole(&self.bytes[at..])?)))?;
        self.bytes.drain(..at);
        Some(self.bytes.drain(..length).collect())
    }
}

/// The length of the frame that `bytes` begin with, if it is all there and undamaged.
fn whole(bytes: &[u8]) -> Option<usize> {
    let header = bytes.get(..HEADER_BYTES)?;
    let length = usize::from(u16::from_le_bytes([header[2], header[3]]));
    if !(LEAST_BYTES..=MOST_BYTES).contains(&length) {
        return None;
    }
    let frame = bytes.get(..length)?;
    ParsedPacket::parse(frame).is_ok_and(|(_, used)| used == length).then_some(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A poll of address 5, with its CRC.
    const POLL: [u8; 8] = [0x53, 0x05, 0x08, 0x00, 0x04, 0x60, 0xBC, 0x89];

    #[test]
    fn a_frame_is_found_between_noise_and_in_pieces() {
        let mut framer = Framer::default();
        framer.push(&[0xFF, 0x00, 0x53, 0x85, 0xFF, 0x00, 0x53]);
        framer.push(&POLL[..3]);
        assert_eq!(framer.next_frame(), None);
        framer.push(&POLL[3..]);
        framer.push(&POLL);
        framer.push(&[0u8; 1500]);
        assert_eq!(framer.next_frame().as_deref(), Some(&POLL[..]));
        assert_eq!(framer.next_frame().as_deref(), Some(&POLL[..]));
        assert_eq!(framer.next_frame(), None);
    }

    #[test]
    fn a_damaged_frame_is_none() {
        for position in 0..POLL.len() {
            let mut damaged = POLL;
            damaged[position] ^= 0x10;
            let mut framer = Framer::default();
            framer.push(&damaged);
            assert_eq!(framer.next_frame(), None, "byte {position}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived_within_bounds(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..30)) {
            let mut framer = Framer::default();
            for piece in pieces {
                framer.push(&piece);
                while framer.next_frame().is_some() {}
                prop_assert!(framer.bytes.len() <= 2 * MOST_BYTES);
            }
        }
    }
}
