//! The controller on emulated arm64 boards: the real `cardead`, built for them, under Debian's kernel. `make test-pi` builds what
//! is needed and runs it (docs/design/0017-a-pi-in-the-tests.md).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod board;
mod card;
mod chip;
mod header;
mod reader;
mod times;

use board::Board;
use card::CONFIG;
use serde_json::Value;

/// Starts the controller; its log is `/tmp/cardead.log`.
const RUN: &str =
    "RUST_LOG=info cardead run --config /etc/cardea/cardead.toml > /tmp/cardead.log 2>&1 & echo $! > /tmp/pid";

#[expect(clippy::print_stdout, reason = "what the test has seen, for who runs it")]
fn said(what: &str, seen: &str) {
    println!("  {what}: {}", seen.trim());
}

/// Waits until the running controller shows these signs of being ready in its status.
async fn at_the_gate(board: &mut Board, signs: &[&str]) {
    board
        .until(
            "cardead is at the gate",
            &format!("cardead status --config {CONFIG}; tail -n 5 /tmp/cardead.log"),
            |told| signs.iter().all(|sign| told.contains(sign)),
        )
        .await;
}

/// The newest decision with this reason, once there is one; of plates that opened, one
/// that switched the relay: on a slow processor a car that stands there is a new one every second.
async fn decision(board: &mut Board, reason: &str) -> Value {
    let find = |told: &str| {
        let status: Value = serde_json::from_str(told).ok()?;
        let decisions = status["recent"].as_array()?.iter();
        let mut wanted = decisions.filter(|d| {
            d["reason"] == reason
                && (d["credential"] != "plate" || d["granted"] == false || d["timings"]["relay_ms"].is_number())
        });
        wanted.next().cloned()
    };
    let status = format!("cardead status --config {CONFIG} 2>/tmp/status.log");
    let told = board.until(&format!("the decision {reason}"), &status, |told| find(told).is_some()).await;
    find(&told).unwrap()
}

/// Since the board's start.
async fn uptime_ms(board: &mut Board) -> u64 {
    let told = board.sh("cut -d' ' -f1 /proc/uptime").await;
    (told.trim().parse::<f64>().unwrap() * 1_000.0) as u64
}
