//! How long the GPIO drivers take on the emulated boards. The milliseconds are an emulator's: they say which way is longer than
//! which, and nothing of a real board.

use std::time::Duration;

use cardea_tests::bench::{median, percentile};
use tokio::time::sleep;

use super::board::{Board, Hand};
use super::said;

const ORDERS: usize = 300;
const EDGES: usize = 200;
/// Two lines of the chip that nothing else uses: they are moved together, and one of them is debounced.
const PLAIN: u32 = 6;
const DEBOUNCED: u32 = 7;
const DEBOUNCE_MS: u64 = 20;

/// From an order to the level on the line, as the chip shows it.
pub(crate) async fn orders(board: &mut Board, driver: &str, line: u32) {
    let told = board.sh(&format!("gpio-times orders {driver} /dev/gpiochip0 {line} {ORDERS}")).await;
    let times: Vec<f64> = told.lines().map(|time| time.trim().parse().unwrap()).collect();
    assert_eq!(times.len(), ORDERS, "{told}");
    said(&format!("{driver}, from an order to the level on the line"), &summary(times));
}

/// From the kernel's date of an edge to its event, with and without debouncing.
pub(crate) async fn edges(board: &mut Board, hand: &mut Hand) {
    let follow = format!("gpio-times edges /dev/gpiochip0 {PLAIN}:0 {DEBOUNCED}:{DEBOUNCE_MS}");
    board.sh(&format!("{follow} > /tmp/edges 2>&1 & echo $! > /tmp/edges.pid")).await;
    board.until("the lines are followed", "cat /tmp/edges", |told| told.contains("ready")).await;
    for edge in 0..EDGES {
        let high = edge % 2 == 0;
        hand.set_all(&[(PLAIN, high), (DEBOUNCED, high)]).await;
        sleep(Duration::from_millis(3 * DEBOUNCE_MS)).await;
    }
    let told = board.sh("kill $(cat /tmp/edges.pid); cat /tmp/edges").await;
    let events: Vec<Event> = told.lines().filter_map(Event::read).collect();
    let (plain, debounced): (Vec<Event>, Vec<Event>) = events.into_iter().partition(|event| event.line == PLAIN);
    // A host that stops the board for longer than a level stays makes edges of it that no debouncing lets through.
    assert!(plain.len() >= EDGES * 3 / 4 && debounced.len() >= EDGES * 3 / 4, "{told}");
    let (mut late, mut dated) = (Vec::new(), Vec::new());
    for event in &debounced {
        let before = plain.iter().rev().find(|edge| edge.at < event.told && edge.high == event.high);
        let edge = before.unwrap_or_else(|| panic!("a debounced event without an edge: {told}"));
        late.push(event.told - edge.at);
        dated.push((event.at - edge.at).abs());
    }
    let (count, of) = (plain.len(), debounced.len());
    let straight: Vec<f64> = plain.iter().map(|event| event.told - event.at).collect();
    said(&format!("gpio-cdev, {count} edges, from the interrupt to the event"), &summary(straight));
    said(&format!("gpio-cdev, {of} edges, the same, debounced for {DEBOUNCE_MS} ms"), &summary(late));
    // An input is dated by when its level was first seen, whoever debounces it.
    let apart = median(dated);
    said("gpio-cdev, between the date of an edge with and without debouncing", &format!("median {apart:.0} µs"));
    assert!(apart < DEBOUNCE_MS as f64 * 1e3 / 2.0, "a debounced edge is dated {apart} µs off");
}

fn summary(mut times_us: Vec<f64>) -> String {
    let p99 = percentile(&mut times_us, 0.99);
    format!("median {:.0} µs, 99th percentile {p99:.0} µs (emulated)", median(times_us))
}

/// A change of a line, as `gpio-times` tells it: when it is dated, and when it was told, in microseconds.
struct Event {
    line: u32,
    high: bool,
    at: f64,
    told: f64,
}

impl Event {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let mut next = || words.next();
        let (line, level) = (next()?.parse().ok()?, next()?);
        Some(Self { line, high: level == "high", at: next()?.parse().ok()?, told: next()?.parse().ok()? })
    }
}
