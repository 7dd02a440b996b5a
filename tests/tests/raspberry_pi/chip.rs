//! A GPIO chip with interrupts, which the emulated Raspberry Pi has not: a door on the kernel's character device of another
//! board, with somebody's finger on the exit button, and a card before its reader.

use std::path::Path;

use cardea_daemon::config::Config;

use super::board::{Board, Hand};
use super::card::{self, CONFIG};
use super::reader::{self, D0, D1, SILENCE_MS};
use super::{RUN, at_the_gate, decision, said, times, uptime_ms};

/// Lines of the chip: the lock, the exit button, the door contact.
const LOCK: u32 = 0;
const BUTTON: u32 = 1;
const CONTACT: u32 = 2;
const RELEASE_MS: u64 = 5_000;
/// What the kernel says of the lock's line.
const LINE: &str = "grep 'gpio-504 ' /sys/kernel/debug/gpio || echo nobody has it";

fn config() -> String {
    let text = format!(
        r#"
state_dir = "/var/lib/cardea"

[local]
socket = "/run/cardead.sock"

[[board]]
id = "chip"
driver = "gpio-cdev"
chip = "/dev/gpiochip0"

[[output]]
id = "door-lock"
board = "chip"
channel = {LOCK}

[[input]]
id = "exit-button"
board = "chip"
channel = {BUTTON}
debounce_ms = 100

[[input]]
id = "door-contact"
board = "chip"
channel = {CONTACT}

[[reader]]
id = "door-reader"
driver = "wiegand"
chip = "/dev/gpiochip0"
d0 = {D0}
d1 = {D1}
pulses = {{ silence_ms = {SILENCE_MS} }}

[[access_point]]
kind = "door"
id = "door-1"
credentials = ["card", "remote"]
reader = "door-reader"
lock = "door-lock"
exit_button = "exit-button"
contact = "door-contact"
release_ms = {RELEASE_MS}
"#
    );
    Config::parse(&text, Path::new(CONFIG)).expect("the configuration of the card");
    text
}

#[tokio::test]
#[ignore = "needs the programs for arm64 and QEMU: make test-pi"]
async fn a_finger_on_the_button_and_a_card_open_a_bounce_does_not_and_a_kill_locks() {
    let folder = tempfile::tempdir().unwrap();
    let card = folder.path().join("card");
    card::write(&config(), "A123BC77", &card).await;
    let (mut board, mut hand) = Board::boot_with_hand(&card, folder.path()).await;
    times::edges(&mut board, &mut hand).await;

    hand.set(CONTACT, true).await;
    reader::rest(&mut hand).await;
    board.sh(RUN).await;
    at_the_gate(&mut board, &["\"chip\": true"]).await;
    let line = board.sh(LINE).await;
    assert!(line.contains("out lo"), "the lock's line at start: {line}");

    bounces_open_nothing(&mut board, &mut hand).await;

    hand.set(BUTTON, true).await;
    let released = board.until("the lock is released", LINE, |line| line.contains("out hi")).await;
    hand.set(BUTTON, false).await;
    decision(&mut board, "exit-button").await;
    said("the exit button", &format!("the kernel said {}", released.trim()));
    board.until("the door is locked again", LINE, |line| line.contains("out lo")).await;

    reader::a_card_is_read_and_a_disturbed_one_is_not(&mut board, &mut hand).await;
    board.until("the door is locked after the card", LINE, |line| line.contains("out lo")).await;

    hand.set(BUTTON, true).await;
    board.until("the lock is released again", LINE, |line| line.contains("out hi")).await;
    let risen = uptime_ms(&mut board).await;
    board.sh("kill -9 $(cat /tmp/pid)").await;
    let fallen = board.until("the line of the killed program is let go", LINE, |line| !line.contains("out hi")).await;
    let held = uptime_ms(&mut board).await - risen;
    said("killed while released", &format!("{held} ms later the kernel said {}", fallen.trim()));
    assert!(held < RELEASE_MS - 1_000, "it was let go when the time was over");
}

/// Contacts that touch for less than the time of debouncing, again and again: the interrupts come, and no decision.
async fn bounces_open_nothing(board: &mut Board, hand: &mut Hand) {
    for _ in 0..20 {
        hand.set(BUTTON, true).await;
        hand.set(BUTTON, false).await;
    }
    // The door contact's change is reported after those of the button before it: then they are over.
    hand.set(CONTACT, false).await;
    let status = format!("cardead status --config {CONFIG} 2>/tmp/status.log");
    board.until("the door is seen open", &status, |told| told.contains("forced")).await;
    let told = board.sh(&status).await;
    assert!(told.contains("\"recent\": []"), "a bounce was taken for a finger: {told}");
    hand.set(CONTACT, true).await;
    board.until("the door is shut", &status, |told| told.contains("\"closed\"")).await;
}
