//! Every card at any legal timing, and every way in which wires lie.

use proptest::prelude::*;

use super::*;
use crate::reader::bits::{BitFormat, read};

const MS: u64 = 1_000_000;

fn both() -> PulseTiming {
    PulseTiming { both_edges: true, ..PulseTiming::default() }
}

/// All that comes out of `edges` and the silence after them.
fn decoded(timing: PulseTiming, edges: &[Edge]) -> Vec<Outcome> {
    let mut decoder = Decoder::new(timing);
    let mut outcomes: Vec<Outcome> = edges.iter().filter_map(|edge| decoder.edge(*edge)).collect();
    outcomes.extend(decoder.deadline_ns().and_then(|at| decoder.tick(at)));
    assert_eq!(decoder.deadline_ns(), None, "after a silence nothing is under way");
    outcomes
}

fn card() -> Vec<Edge> {
    edges_of(BitFormat::W26.frame(0x0C_8707).unwrap(), 7 * MS, 50, 1_000)
}

fn spoiled(timing: PulseTiming, edges: &[Edge]) -> Spoiled {
    let outcomes = decoded(timing, edges);
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    outcomes[0].unwrap_err()
}

#[test]
fn two_presentations_are_two_frames() {
    let mut edges = card();
    edges.extend(edges_of(BitFormat::W34.frame(5).unwrap(), 900 * MS, 40, 2_000));
    let frames = decoded(both(), &edges);
    let told: Vec<_> = frames.iter().map(|f| f.as_ref().unwrap()).collect();
    assert_eq!((told[0].bits.len(), told[0].began_ns, told[1].bits.len()), (26, 7 * MS, 34));
}

#[test]
fn a_spike_spoils_the_frame_it_falls_into() {
    let mut edges = card();
    let at_ns = 7 * MS + 500_000;
    edges.splice(
        2..2,
        [Edge { line: DataLine::D1, low: true, at_ns }, Edge { line: DataLine::D1, low: false, at_ns: at_ns + 3_000 }],
    );
    assert_eq!(spoiled(both(), &edges), Spoiled::TooShort { us: 3 });
    // Where only beginnings are seen, the spike is one bit too many, which no format has.
    let outcomes = decoded(PulseTiming::default(), &edges);
    assert_eq!(outcomes[0].as_ref().unwrap().bits.len(), 27);
    assert!(read(outcomes[0].unwrap().bits, &[BitFormat::W26]).is_err());
}

#[test]
fn both_lines_at_once_are_no_card() {
    let both_low: Vec<Edge> = card()
        .into_iter()
        .flat_map(|edge| [Edge { line: DataLine::D0, ..edge }, Edge { line: DataLine::D1, ..edge }])
        .collect();
    assert_eq!(spoiled(PulseTiming::default(), &both_low), Spoiled::TooClose { apart_us: 0 });
    let lenient = PulseTiming { min_period_us: 0, ..both() };
    assert_eq!(spoiled(lenient, &both_low), Spoiled::BothLow);
}

#[test]
fn bouncing_contacts_a_held_line_and_lost_edges_are_refused() {
    let mut bouncing = card();
    bouncing.insert(2, Edge { at_ns: bouncing[0].at_ns + 60_000, ..bouncing[0] });
    assert_eq!(spoiled(PulseTiming::default(), &bouncing), Spoiled::TooClose { apart_us: 60 });

    let cut = [Edge { line: DataLine::D0, low: true, at_ns: MS }];
    assert!(matches!(spoiled(both(), &cut), Spoiled::TooLong { .. }));

    let mut missing = card();
    missing.remove(1);
    assert!(matches!(spoiled(both(), &missing), Spoiled::Lost | Spoiled::BothLow));

    let mut backwards = card();
    backwards[10].at_ns = MS;
    assert_eq!(spoiled(PulseTiming::default(), &backwards), Spoiled::Lost);

    let mut decoder = Decoder::new(PulseTiming::default());
    for edge in card() {
        decoder.edge(edge);
    }
    decoder.lost(60 * MS);
    assert_eq!(decoder.tick(600 * MS), Some(Err(Spoiled::Lost)));
}

#[test]
fn a_flood_is_one_refusal_and_the_card_after_it_is_read() {
    let mut edges: Vec<Edge> =
        (0..100_000_u64).map(|n| Edge { line: DataLine::D1, low: true, at_ns: n * 300_000 }).collect();
    edges.extend(edges_of(BitFormat::W26.frame(1).unwrap(), 60_000 * MS, 50, 1_000));
    let outcomes = decoded(PulseTiming::default(), &edges);
    assert_eq!(outcomes[0], Err(Spoiled::Endless));
    assert_eq!((outcomes.len(), outcomes[1].unwrap().bits), (2, BitFormat::W26.frame(1).unwrap()));
}

proptest! {
    #[test]
    fn every_card_is_read_at_any_legal_timing(
        data in 0..1_u64 << 24,
        (format, number) in prop_oneof![Just((BitFormat::W26, "w26:")), Just((BitFormat::W34, "w34:")), Just((BitFormat::W37, "w37:"))],
        pulse_us in 20..200_u64,
        gap_us in 180..19_000_u64,
        start in 0..u64::from(u32::MAX),
        both_edges: bool,
    ) {
        let bits = format.frame(data).unwrap();
        let edges = edges_of(bits, start, pulse_us, pulse_us + gap_us);
        let outcomes = decoded(PulseTiming { both_edges, ..PulseTiming::default() }, &edges);
        prop_assert_eq!(outcomes.len(), 1);
        let read = read(outcomes[0].unwrap().bits, &[format]).unwrap();
        prop_assert!(read.expose().starts_with(number));
        prop_assert_eq!(outcomes[0].unwrap().bits, bits);
    }

    /// Whatever the wires do: a frame comes only after a silence, is never longer than a card, and nothing panics.
    #[test]
    fn any_edges_at_all_are_survived(
        edges in prop::collection::vec((any::<bool>(), any::<bool>(), any::<u32>()), 0..400),
        both_edges: bool,
    ) {
        let edges: Vec<Edge> = edges
            .into_iter()
            .map(|(one, low, at)| Edge { line: if one { DataLine::D1 } else { DataLine::D0 }, low, at_ns: u64::from(at) })
            .collect();
        for frame in decoded(PulseTiming { both_edges, ..PulseTiming::default() }, &edges).into_iter().flatten() {
            prop_assert!(frame.bits.len() <= crate::reader::bits::MAX_BITS);
        }
    }
}
