//! The header of a Raspberry Pi 3B: what `cardead` says of the machine, what it reads in a picture, what it does to a pin.
//!
//! The pin is driven by rppal through the registers, and looked at by the kernel: through `/dev/gpiochip0`, by a program of
//! its own, and through the pin controller's list in debugfs, which also tells direction. A car comes onto the loop when the
//! test writes the level of that pin into the registers: the emulated controller keeps one level a pin, whoever drives it.

use std::fmt::Write as _;
use std::path::Path;

use cardea_daemon::config::Config;
use cardea_models::{Frame, Pack, Runtime};
use cardea_protocol::clock::{Clock as _, SystemClock};
use cardea_tests::look::{base_pack, onnxruntime};
use serde_json::Value;

use super::board::{Board, Machine};
use super::card::{self, CONFIG, ONNXRUNTIME, PACK, SCENE};
use super::{RUN, at_the_gate, decision, said, times, uptime_ms};

/// The plate in `car-day.jpg`. That of `car-other.jpg` has one more digit.
const PLATE: &str = "A123BC77";
/// BCM numbers: the relay, and the loop.
const RELAY: u32 = 17;
const LOOP: u32 = 27;
const PULSE_MS: u64 = 5_000;
/// What the kernel's pin controller says of the relay's pin.
const PIN: &str = "grep '^pin 17 ' /sys/kernel/debug/pinctrl/3f200000.gpio-pinctrl-bcm2835/pins";
/// The registers that set and clear the pins' levels (BCM2835 ARM Peripherals, section 6.1: GPSET0, GPCLR0).
const SET: &str = "0x3f20001c";
const CLEAR: &str = "0x3f200028";
/// The status of a controller that has its board and its plate.
const READY: [&str; 2] = ["\"header\": true", "\"plates\": 1"];

/// A barrier with one relay, a loop and a camera: what a small Pi with a relay HAT drives.
fn config(board: &str) -> String {
    // The kernel's own debouncing waits for interrupts, which the emulated GPIO does not raise; without it, a line is polled.
    let debounce_ms = if board.contains("gpio-cdev") { 0 } else { 20 };
    let mut text = format!(
        r#"
state_dir = "/var/lib/cardea"

[recognition]
pack = "{PACK}"
onnxruntime = "{ONNXRUNTIME}"
allow_demo_models = true

[plates]
min_frames = 1 # an emulated processor needs longer for a second frame than a track waits for it

[local]
socket = "/run/cardead.sock"

[[board]]
id = "header"
{board}

[[camera]]
id = "plate-cam"
driver = "http-snapshot"
url = "http://127.0.0.1:8080/scene.jpg"

[[access_point]]
kind = "barrier"
id = "barrier-1"
credentials = ["plate"]
camera = "plate-cam"
zone = [[0.3, 0.45], [0.7, 0.45], [0.7, 0.85], [0.3, 0.85]]
open = "barrier-open"
loop = "barrier-loop"
pulse_ms = {PULSE_MS}
travel_ms = 1000
clear_ms = 0
"#
    );
    writeln!(text, "\n[[output]]\nid = \"barrier-open\"\nboard = \"header\"\nchannel = {RELAY}").unwrap();
    writeln!(text, "\n[[input]]\nid = \"barrier-loop\"\nboard = \"header\"\nchannel = {LOOP}").unwrap();
    writeln!(text, "bias = \"pull-down\"\ndebounce_ms = {debounce_ms}").unwrap();
    Config::parse(&text, Path::new(CONFIG)).expect("the configuration of the card");
    text
}

/// A board that has booted with this configuration, and its camera.
async fn boot(board: &str) -> Board {
    let folder = tempfile::tempdir().unwrap();
    let card = folder.path().join("card");
    card::write(&config(board), PLATE, &card).await;
    let mut board = Board::boot(Machine::RaspberryPi3B, &card).await;
    let up = board.sh("cut -d' ' -f1 /proc/uptime").await;
    said("booted", &format!("{} s after its kernel began", up.trim()));
    // A board without a clock of its own has one from the network; here it is the host's.
    let now = SystemClock.now().0 / 1_000;
    board.sh(&format!("date -s @{now} >/dev/null && httpd -p 127.0.0.1:8080 -h /srv")).await;
    board
}

#[tokio::test]
#[ignore = "needs the programs for arm64 and QEMU: make test-pi"]
async fn a_raspberry_pi_reads_a_plate_drives_its_relay_and_lets_go_when_killed() {
    let mut board = boot("driver = \"gpio-rppal\"").await;
    reads_as_this_machine_does(&mut board).await;
    check_names_the_board(&mut board).await;
    times::orders(&mut board, "gpio-rppal", RELAY).await;

    board.sh(&format!("gpio-levels /dev/gpiochip0 {RELAY} {LOOP} > /tmp/levels & echo $! > /tmp/levels.pid")).await;
    board.until("the levels are watched", "cat /tmp/levels", |levels| levels.contains("27 low")).await;
    board.sh(RUN).await;
    at_the_gate(&mut board, &READY).await;
    assert_eq!(pin(&mut board).await, ("gpio_out".into(), "lo".into()), "the relay's pin, before anybody came");

    a_stranger_is_refused(&mut board).await;
    a_registered_car_raises_the_boom(&mut board).await;
    a_killed_program_lets_go(&mut board).await;
    an_orderly_end_lets_go(&mut board).await;
}

#[tokio::test]
#[ignore = "needs the programs for arm64 and QEMU: make test-pi"]
async fn the_kernels_character_device_drives_the_same_header() {
    let mut board = boot("driver = \"gpio-cdev\"\nchip = \"/dev/gpiochip0\"").await;
    let findings = board.try_sh(&format!("cardead check --config {CONFIG} 2>/tmp/check.log")).await.0;
    assert!(findings.contains("/dev/gpiochip0 is there and may be opened"), "{findings}");
    times::orders(&mut board, "gpio-cdev", RELAY).await;
    board.sh(RUN).await;
    at_the_gate(&mut board, &READY).await;
    assert_eq!(pin(&mut board).await, ("gpio_out".into(), "lo".into()), "before anybody came");
    arrive(&mut board, "car-day.jpg").await;
    let risen = board.until("the relay's pin rises", PIN, is_driven_high).await;
    board.until("the pulse ends", PIN, |told| !is_driven_high(told)).await;
    let decision = decision(&mut board, "plate-admitted").await;
    said("gpio-cdev, a registered plate", &format!("the kernel said {}; {}", risen.trim(), decision["timings"]));
    leave(&mut board).await;

    arrive(&mut board, "car-day.jpg").await;
    board.until("the relay's pin rises", PIN, is_driven_high).await;
    let risen = uptime_ms(&mut board).await;
    board.sh("kill -9 $(cat /tmp/pid)").await;
    let fallen = board.until("the pin of the killed program is let go", PIN, |told| !is_driven_high(told)).await;
    let held = uptime_ms(&mut board).await - risen;
    said("gpio-cdev, killed in the pulse", &format!("{held} ms later the kernel said {}", fallen.trim()));
    assert!(held < PULSE_MS - 1_000, "it was let go when the pulse was over");
}

/// Whether the kernel says of the pin that it is an output, and high.
fn is_driven_high(told: &str) -> bool {
    told.contains("function gpio_out in hi")
}

/// ONNX Runtime and the base pack's models give the same answer on both processors.
async fn reads_as_this_machine_does(board: &mut Board) {
    let told =
        board.sh(&format!("cardea-models read {PACK} /srv/car-day.jpg --json --onnxruntime {ONNXRUNTIME}")).await;
    let told: Value = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"));
    assert_eq!(told["arch"], "aarch64");
    let there = &told["pictures"][0]["plates"][0];

    let mut pipeline = Pack::load(&base_pack(), &Runtime::load(&onnxruntime()).unwrap(), 1).unwrap();
    let mut pipeline = pipeline.take_plate_pipeline().unwrap();
    let here = pipeline.run(&Frame::decode(&card::picture("car-day.jpg")).unwrap()).unwrap().plates.remove(0);
    let reading = here.reading.unwrap();
    let best = &reading.hypotheses(1)[0];

    assert_eq!((there["text"].as_str().unwrap(), best.text.as_str()), (PLATE, PLATE));
    let mut furthest: f64 = 0.0;
    for (there, here) in there["corners"].as_array().unwrap().iter().zip(here.detection.corners) {
        for (there, here) in [(&there[0], here.x), (&there[1], here.y)] {
            furthest = furthest.max((there.as_f64().unwrap() - f64::from(here)).abs());
        }
    }
    let apart = |key: &str, here: f64| (there[key].as_f64().unwrap() - here).abs();
    let detection = apart("detection", here.detection.score.into());
    let weight = apart("log_weight", best.log_weight());
    said(
        "read",
        &format!(
            "{PLATE} on aarch64 as on {}; corners differ by {furthest:.4} px, detection by {detection:.1e}, ln weight by {weight:.1e}; \
             {:.0} ms to detect, {:.0} ms to read (emulated)",
            std::env::consts::ARCH,
            told["pictures"][0]["detect_ms"].as_f64().unwrap(),
            told["pictures"][0]["read_ms"].as_f64().unwrap(),
        ),
    );
    // The processors round differently, and those for x86-64 among themselves: without VNNI (an instruction of newer ones) sums of
    // 8-bit products saturate, which moves a corner by up to a pixel. A wrong library, a wrong byte order or another model
    // would be far beyond this.
    assert!(furthest < 2.0 && detection < 1e-2 && weight < 1e-3, "{told}");
}

async fn check_names_the_board(board: &mut Board) {
    let (told, _) = board.try_sh(&format!("cardead check --config {CONFIG} --json 2>/tmp/check.log")).await;
    let findings: Vec<Value> = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"));
    let found = |check: &str, verdict: &str| {
        let of = |finding: &&Value| finding["check"] == check && finding["verdict"] == verdict;
        let finding = findings.iter().find(of).unwrap_or_else(|| panic!("no {verdict} of {check}: {told}"));
        finding["found"].as_str().unwrap().to_owned()
    };
    let machine = found("machine", "ok");
    said("cardead check", &machine);
    assert!(machine.contains("Raspberry Pi 3 Model B (aarch64)"), "{machine}");
    for check in ["configuration", "clock", "ONNX Runtime", "model pack", "board", "camera"] {
        found(check, "ok");
    }
    assert!(found("device file", "warning").contains("/dev/mem"), "Debian's kernel has no /dev/gpiomem");
    assert!(found("identity", "failure").contains("claim"), "the board of the test belongs to no cloud");
}

/// Direction and level of the relay's pin, as the kernel tells them.
async fn pin(board: &mut Board) -> (String, String) {
    let told = board.sh(PIN).await;
    let mut words = told.split_whitespace().skip_while(|word| *word != "function").skip(1);
    let (function, level) = (words.next(), words.nth(1));
    let clean = |word: Option<&str>| {
        word.unwrap_or_else(|| panic!("no function and level: {told}")).trim_end_matches(';').to_owned()
    };
    (clean(function), clean(level))
}

/// A car with this picture of it drives onto the loop.
async fn arrive(board: &mut Board, picture: &str) {
    board.sh(&format!("ln -sf {picture} {SCENE} && devmem {SET} 32 $((1 << {LOOP}))")).await;
}

/// The car drives away, and the boom comes down behind it.
async fn leave(board: &mut Board) {
    drive_away(board).await;
    let status = format!("cardead status --config {CONFIG} 2>/tmp/status.log");
    // Without limit switches, a boom that has never moved is where nobody knows.
    let down = ["closed", "unknown"].map(|state| format!("\"state\": \"{state}\""));
    board.until("the boom is down", &status, |told| down.iter().any(|state| told.contains(state))).await;
}

async fn drive_away(board: &mut Board) {
    board.sh(&format!("devmem {CLEAR} 32 $((1 << {LOOP})); ln -sf yard.jpg {SCENE}")).await;
}

/// What was seen of the relay's pin so far: milliseconds, and the level from then on.
async fn levels(board: &mut Board) -> Vec<(u64, String)> {
    let told = board.sh("cat /tmp/levels").await;
    let of_relay = told.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (at, line, level) = (words.next()?, words.next()?, words.next()?);
        (line == RELAY.to_string()).then(|| (at.parse().unwrap(), level.to_owned()))
    });
    of_relay.collect()
}

/// Waits until so many levels of the relay's pin have been seen.
async fn until_levels(board: &mut Board, what: &str, count: usize) -> Vec<(u64, String)> {
    board.until(what, "cat /tmp/levels", |told| told.matches(" 17 ").count() >= count).await;
    levels(board).await
}

async fn a_stranger_is_refused(board: &mut Board) {
    arrive(board, "car-other.jpg").await;
    let decision = decision(board, "plate-unknown").await;
    said("a stranger's plate", "refused as plate-unknown");
    assert_eq!(decision["granted"], false, "{decision}");
    leave(board).await;
    assert_eq!(levels(board).await.len(), 1, "the pin moved for a stranger");
}

async fn a_registered_car_raises_the_boom(board: &mut Board) {
    arrive(board, "car-day.jpg").await;
    until_levels(board, "the relay's pin rises", 2).await;
    assert_eq!(pin(board).await, ("gpio_out".into(), "hi".into()), "the relay's pin, in the pulse");
    let seen = until_levels(board, "the pulse ends", 3).await;
    let names: Vec<&str> = seen.iter().map(|(_, level)| level.as_str()).collect();
    assert_eq!(names, ["low", "high", "low"]);
    let pulse = seen[2].0 - seen[1].0;
    let decision = decision(board, "plate-admitted").await;
    assert_eq!(decision["granted"], true, "{decision}");
    said("a registered plate", &format!("the kernel saw the pin high for {pulse} ms; {}", decision["timings"]));
    // A pulse may end late on a busy processor, but it neither ends early nor stays.
    assert!((PULSE_MS - 50..PULSE_MS + 2_000).contains(&pulse), "a pulse of {pulse} ms");
    leave(board).await;
}

async fn a_killed_program_lets_go(board: &mut Board) {
    arrive(board, "car-day.jpg").await;
    until_levels(board, "the relay's pin rises", 4).await;
    board.sh("kill -9 $(cat /tmp/pid)").await;
    let seen = until_levels(board, "the pin of the killed program falls", 5).await;
    let held = seen[4].0 - seen[3].0;
    said("killed in the pulse", &format!("the pin was low {held} ms after it had risen, of {PULSE_MS} ms"));
    assert!(held < PULSE_MS, "it fell when the pulse was over");
    assert_eq!(pin(board).await, ("gpio_out".into(), "lo".into()));
    drive_away(board).await;
}

async fn an_orderly_end_lets_go(board: &mut Board) {
    board.sh(RUN).await;
    at_the_gate(board, &READY).await;
    arrive(board, "car-day.jpg").await;
    until_levels(board, "the relay's pin rises again", 6).await;
    board.sh("kill -TERM $(cat /tmp/pid)").await;
    let seen = until_levels(board, "the pin falls", 7).await;
    said("ended in the pulse", &format!("the pin was low {} ms after it had risen", seen[6].0 - seen[5].0));
    assert!(seen[6].0 - seen[5].0 < PULSE_MS / 2, "some task did not end when it was told to");
    board
        .until("cardead has ended", "kill -0 $(cat /tmp/pid) 2>/dev/null || echo ended", |told| told.contains("ended"))
        .await;
    assert_eq!(levels(board).await.len(), 7, "starting, killing and ending moved the pin");
}
