//! Formats: known frames, every single flipped bit, and what two flips can do.

use proptest::prelude::*;

use super::*;

fn told(bits: Bits, format: BitFormat) -> Result<String, Unreadable> {
    read(bits, &[format]).map(|number| number.expose().to_owned())
}

#[test]
fn a_card_of_each_format_is_read() {
    // Facility 12, number 34567: leading parity over 0000 1100 1000 (three ones), trailing over 0111 0000 0111 (six ones).
    assert_eq!(told(Bits::new(0b10_0001_1001_0000_1110_0000_1111, 26), BitFormat::W26).unwrap(), "w26:12:34567");
    for (format, data, number) in [
        (BitFormat::W26, 0x0C_8707, "w26:12:34567"),
        (BitFormat::W34, 305_419_896, "w34:305419896"),
        (BitFormat::W37, (1 << 35) - 1, "w37:34359738367"),
        (BitFormat::W37Facility, 4242 * 0x8_0000 + 123_456, "w37f:4242:123456"),
    ] {
        assert_eq!(told(format.frame(data).unwrap(), format).unwrap(), number);
    }
    assert_eq!(told(Bits::from_bytes(&[4, 0xA1, 0xB2, 0xC3], 32).unwrap(), BitFormat::Uid).unwrap(), "uid:04A1B2C3");
}

#[test]
fn a_length_without_a_format_is_refused_with_its_count() {
    for count in [0, 1, 25, 27, 35, 36, 38, 128] {
        let formats = [BitFormat::W26, BitFormat::W34, BitFormat::W37];
        assert_eq!(read(Bits::new(u128::MAX, count), &formats).unwrap_err(), Unreadable::Length { count });
    }
    assert_eq!(read(Bits::new(0, 36), &[BitFormat::Uid]).unwrap_err(), Unreadable::Length { count: 36 });
    assert_eq!(read(Bits::new(0, 24), &[BitFormat::Uid]).unwrap_err(), Unreadable::Length { count: 24 });
}

#[test]
fn more_bits_than_fit_are_not_taken() {
    let mut bits = Bits::new(0, MAX_BITS);
    assert!(!bits.push(true));
    assert_eq!(Bits::from_bytes(&[0; 40], 300), None);
    assert_eq!(Bits::from_bytes(&[0; 3], 26), None, "fewer bytes than the count promises");
}

#[test]
fn bits_never_print() {
    assert_eq!(format!("{:?}", Bits::new(0xABCD, 26)), "Bits(26 of …)");
}

fn any_card() -> impl Strategy<Value = (BitFormat, u64)> {
    prop_oneof![
        (Just(BitFormat::W26), 0..1_u64 << 24),
        (Just(BitFormat::W34), 0..1_u64 << 32),
        (Just(BitFormat::W37), 0..1_u64 << 35),
        (Just(BitFormat::W37Facility), 0..1_u64 << 35),
    ]
}

proptest! {
    #[test]
    fn a_flipped_bit_is_always_refused((format, data) in any_card(), position in 0..37_u32) {
        let frame = format.frame(data).unwrap();
        prop_assert!(told(frame, format).is_ok());
        prop_assume!(position < frame.len());
        prop_assert!(told(frame.flipped(position), format).is_err());
    }

    /// Exactly what parity can catch of two flips in the 26-bit format: those in different halves. Two in one half go through,
    /// as another card's number unless a parity bit is one of them.
    #[test]
    fn two_flips_are_refused_exactly_if_they_are_in_different_halves(data in 0..1_u64 << 24, one in 0..26_u32, other in 0..26_u32) {
        prop_assume!(one != other);
        let frame = BitFormat::W26.frame(data).unwrap();
        let garbled = frame.flipped(one).flipped(other);
        let different_halves = (one < 13) != (other < 13);
        prop_assert_eq!(told(garbled, BitFormat::W26).is_err(), different_halves);
    }
}
