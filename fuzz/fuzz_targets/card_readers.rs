//! Card readers: edges on two wires, lines of a scanner, and frames of OSDP out of any bytes. No panic, no frame longer than a
//! card, and nothing read from bits that parity refuses.
#![no_main]

use cardea_hardware::reader::bits::{BitFormat, MAX_BITS, read};
use cardea_hardware::reader::line::{LineDecoder, LineFormat, LineRules, MAX_LINE};
use cardea_hardware::reader::osdp::framing::Framer;
use cardea_hardware::reader::pulses::{DataLine, Decoder, Edge, PulseTiming};
use libfuzzer_sys::fuzz_target;

const FORMATS: [BitFormat; 3] = [BitFormat::W26, BitFormat::W34, BitFormat::W37];

/// Three bytes for each edge: which and how, and when after the last one.
fn wires(data: &[u8], both_edges: bool) {
    let mut decoder = Decoder::new(PulseTiming { both_edges, ..PulseTiming::default() });
    let mut at_ns = 0_u64;
    let mut told = Vec::new();
    for chunk in data.chunks_exact(3) {
        let after_us = u64::from(u16::from_le_bytes([chunk[1], chunk[2]]));
        at_ns = if chunk[0] & 4 == 0 { at_ns + after_us * 1_000 } else { at_ns.saturating_sub(after_us * 1_000) };
        let line = if chunk[0] & 1 == 0 { DataLine::D0 } else { DataLine::D1 };
        told.extend(decoder.edge(Edge { line, low: chunk[0] & 2 == 0, at_ns }));
    }
    told.extend(decoder.deadline_ns().and_then(|at| decoder.tick(at)));
    for frame in told.into_iter().flatten() {
        assert!(frame.bits.len() <= MAX_BITS);
        if read(frame.bits, &FORMATS).is_ok() {
            for position in 0..frame.bits.len() {
                assert!(read(frame.bits.flipped(position), &FORMATS).is_err());
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    match kind % 4 {
        0 => wires(data, false),
        1 => wires(data, true),
        2 => {
            for format in [LineFormat::Hex, LineFormat::Decimal, LineFormat::Text] {
                let (prefix, suffix) = (String::new(), String::new());
                let mut decoder = LineDecoder::new(LineRules { format, prefix, suffix, max_length: MAX_LINE });
                for number in data.iter().filter_map(|byte| decoder.byte(*byte)).flatten() {
                    assert!(number.expose().len() <= MAX_LINE);
                }
            }
        }
        _ => {
            let mut framer = Framer::default();
            for piece in data.chunks(64) {
                framer.push(piece);
                while let Some(frame) = framer.next_frame() {
                    assert_eq!(frame.first(), Some(&0x53));
                }
            }
        }
    }
});
