//! The LCUS protocol, byte for byte, over an in-memory stream and over a pseudo-terminal.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{DuplexStream, duplex},
    time::timeout,
};
use tokio_serial::SerialStream;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    Health, Output as _,
    board::{self, OutputLine},
    config::Timing,
};

fn bus<P>(port: P, feedback: bool) -> LcusBus<P> {
    LcusBus { device: "relays".into(), port, feedback, channels: vec![1, 2] }
}

async fn received<P: AsyncRead + Unpin>(board: &mut P, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    timeout(Duration::from_secs(10), board.read_exact(&mut bytes)).await.expect("bytes").unwrap();
    bytes
}

#[test]
fn commands_carry_their_sum() {
    assert_eq!(command(1, true), [0xA0, 0x01, 0x01, 0xA2]);
    assert_eq!(command(1, false), [0xA0, 0x01, 0x00, 0xA1]);
    assert_eq!(command(8, true), [0xA0, 0x08, 0x01, 0xA9]);
    assert_eq!(command(0x60, false), [0xA0, 0x60, 0x00, 0x00], "modulo 256");
}

#[test]
fn states_are_read_from_whole_lines_only() {
    let answer = b"CH1: OFF\r\nCH2:ON \r\nCH12: ON\r\nCH3: O";
    assert_eq!(status_of(answer, 1), Some(false));
    assert_eq!(status_of(answer, 2), Some(true));
    assert_eq!(status_of(answer, 12), Some(true));
    assert_eq!(status_of(answer, 3), None, "its line is not complete");
    assert_eq!(status_of(b"\xff\xfe\x00\n", 1), None);
    assert_eq!(status_of(b"CH1: MAYBE\n", 1), None);
}

#[tokio::test]
async fn without_feedback_bytes_are_sent_and_a_vanished_adapter_is_noticed() {
    let (port, mut board) = duplex(64);
    let mut bus = bus(port, false);
    bus.write(2, true).await.unwrap();
    assert_eq!(received(&mut board, 4).await, command(2, true));
    board.write_all(b"unasked").await.unwrap();
    bus.poll(&mut []).await.unwrap();
    drop(board);
    let gone = bus.poll(&mut []).await.unwrap_err();
    assert!(matches!(gone, DeviceError::Unreachable { .. }), "{gone}");
}

/// Answers one command and one query, in small pieces.
async fn board_that_says(mut board: DuplexStream, answer: &'static str) -> DuplexStream {
    assert_eq!(received(&mut board, 5).await, [&command(2, true)[..], &[QUERY]].concat());
    for piece in answer.as_bytes().chunks(3) {
        board.write_all(piece).await.unwrap();
    }
    board
}

#[tokio::test]
async fn feedback_confirms_the_switch_or_denies_it() {
    let (port, board) = duplex(64);
    let (done, _board) =
        tokio::join!(async { bus(port, true).write(2, true).await }, board_that_says(board, "CH1: OFF\r\nCH2: ON\r\n"));
    done.unwrap();

    let (port, board) = duplex(64);
    let (refused, _board) =
        tokio::join!(async { bus(port, true).write(2, true).await }, board_that_says(board, "CH1: ON\r\nCH2: OFF\r\n"));
    let refused = refused.unwrap_err();
    assert!(refused.to_string().contains("relay 2 did not switch"), "{refused}");
}

#[tokio::test]
async fn an_answer_without_a_state_is_nonsense() {
    let (port, mut board) = duplex(1024);
    board.write_all(&[b'x'; 8]).await.unwrap();
    let chatter = async {
        received(&mut board, 5).await;
        board.write_all(&[b'x'; MAX_STATUS_BYTES + 1]).await.unwrap();
        board
    };
    let (refused, _board) = tokio::join!(async { bus(port, true).write(2, true).await }, chatter);
    assert!(matches!(refused.unwrap_err(), DeviceError::Protocol { .. }));
}

/// The whole board task over the pseudo-terminal's device file, unplugged and plugged in again.
#[tokio::test]
async fn an_adapter_that_is_replugged_comes_back_safe() {
    use tokio_serial::SerialPort as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relays");
    let plug = |path: &std::path::Path| {
        let (master, slave) = SerialStream::pair().unwrap();
        std::os::unix::fs::symlink(slave.name().unwrap(), path).unwrap();
        (master, slave)
    };
    let (mut board, slave) = plug(&path);
    let driver = SerialLcus {
        config: SerialLcusConfig {
            id: "usb".into(),
            path: path.clone(),
            baud: 9600,
            feedback: false,
            timing: Timing::default(),
        },
    };
    let plan = Plan {
        device: "relays".into(),
        outputs: vec![OutputLine {
            id: "lock".into(),
            channel: 1,
            active_low: false,
            safe: false,
            max_pulse: Duration::from_secs(5),
        }],
        inputs: Vec::new(),
        timing: Timing { poll_ms: 10, reconnect_max_ms: 100, ..Timing::default() },
        waits: Duration::ZERO,
    };
    let shutdown = CancellationToken::new();
    let started = board::start(plan, Arc::new(driver), shutdown.clone());
    assert_eq!(received(&mut board, 4).await, command(1, false), "safe first");
    let mut health = started.health.clone();
    timeout(Duration::from_secs(10), health.wait_for(Health::is_up)).await.expect("up").unwrap();
    started.outputs[0].pulse(Duration::from_millis(30)).await.unwrap();
    assert_eq!(received(&mut board, 8).await, [command(1, true), command(1, false)].concat());

    drop((board, slave));
    std::fs::remove_file(&path).unwrap();
    let down = health.wait_for(|health| matches!(health, Health::Down { .. }));
    timeout(Duration::from_secs(10), down).await.expect("down").unwrap();
    let (mut board, _slave) = plug(&path);
    assert_eq!(received(&mut board, 4).await, command(1, false), "safe first, again");
    timeout(Duration::from_secs(10), health.wait_for(Health::is_up)).await.expect("up again").unwrap();
    shutdown.cancel();
    started.task.await.unwrap();
    assert_eq!(received(&mut board, 4).await, command(1, false), "and at the end");
}
