//! A Wiegand reader at the chip: every bit of a card is an edge on a wire, an interrupt, the kernel's date, and so on to the door.

use std::time::Duration;

use cardea_hardware::reader::bits::{BitFormat, Bits};
use cardea_tests::bench::median;
use tokio::time::{Instant, sleep, sleep_until};

use super::board::{Board, Hand};
use super::card::CONFIG;
use super::{decision, said};

/// Lines of the chip.
pub(crate) const D0: u32 = 4;
pub(crate) const D1: u32 = 5;
/// The silence that ends a card is a long one: the hand that moves the wires is a process on a busy host.
pub(crate) const SILENCE_MS: u64 = 200;
/// Of a pulse, at least, and from pulse to pulse: as slow as readers are.
const PULSE: Duration = Duration::from_micros(100);
const PERIOD: Duration = Duration::from_millis(10);
/// Whoever's card is not read shows it again.
const PRESENTATIONS: u32 = 5;
const NOT_READ: &str = "a presentation could not be read";
const LOG: &str = "cat /tmp/cardead.log";

/// Both wires rest high.
pub(crate) async fn rest(hand: &mut Hand) {
    hand.set_all(&[(D0, true), (D1, true)]).await;
}

/// A card with a disturbed bit does nothing, the same card without it is admitted.
pub(crate) async fn a_card_is_read_and_a_disturbed_one_is_not(board: &mut Board, hand: &mut Hand) {
    board.until("the reader's wires are watched", LOG, |told| told.contains("reader up")).await;
    let card = BitFormat::W26.frame(12 << 16 | 0x8707).expect("a number of 26 bits");
    present(hand, card.flipped(7)).await;
    board.until("the disturbed card is refused", LOG, |told| told.contains(NOT_READ)).await;
    let status = format!("cardead status --config {CONFIG} 2>/tmp/status.log");
    let told = board.sh(&status).await;
    assert!(!told.contains("card-"), "a card with a wrong parity was judged: {told}");
    for presentation in 1..=PRESENTATIONS {
        let pulses = present(hand, card).await;
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if board.try_sh(&status).await.0.contains("card-admitted") {
                let decision = decision(board, "card-admitted").await;
                said(
                    "a card over Wiegand",
                    &format!("26 bits, {pulses}, read at presentation {presentation}; {}", decision["timings"]),
                );
                assert_eq!((&decision["credential"], &decision["granted"]), (&"card".into(), &true.into()));
                return;
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
    panic!("the card was not read; the controller says:\n{}", board.sh("tail -n 20 /tmp/cardead.log").await);
}

/// Sends the bits; how wide the pulses came out, and how far apart, by the host's clock.
async fn present(hand: &mut Hand, bits: Bits) -> String {
    let begun = Instant::now();
    let mut widths = Vec::new();
    for position in 0..bits.len() {
        sleep_until(begun + PERIOD * position).await;
        let line = if bits.get(position) { D1 } else { D0 };
        let low = Instant::now();
        hand.set(line, false).await;
        // The timer of the runtime is too coarse for this.
        while low.elapsed() < PULSE {
            std::hint::spin_loop();
        }
        hand.set(line, true).await;
        widths.push(low.elapsed().as_secs_f64() * 1e6);
    }
    let apart = begun.elapsed().as_secs_f64() * 1e3 / f64::from(bits.len());
    sleep(Duration::from_millis(2 * SILENCE_MS)).await;
    format!("pulses of {:.0} µs, {apart:.1} ms apart", median(widths))
}
