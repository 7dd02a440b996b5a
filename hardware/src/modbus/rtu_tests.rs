//! Modbus RTU byte for byte, over a pseudo-terminal, against frames put together here.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};
use tokio_serial::{SerialPort as _, SerialStream};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    Health, Input as _, Output as _,
    board::{self, InputLine, OutputLine},
    config::{Bias, ModbusRtuConfig, Parity, Profile, Timing},
};

/// CRC-16 of Modbus over Serial Line V1.02, section 6.2.2, bit by bit.
pub(super) fn with_crc(frame: &[u8]) -> Vec<u8> {
    let mut crc = 0xFFFF_u16;
    for byte in frame {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 };
        }
    }
    [frame, &crc.to_le_bytes()].concat()
}

/// A board with one coil and eight inputs. Answers until that many writes of the coil were seen; returns them.
async fn serve(line: &mut SerialStream, inputs: u8, writes_wanted: usize) -> Vec<bool> {
    let mut writes = Vec::new();
    while writes.len() < writes_wanted {
        let mut request = [0; 8];
        timeout(Duration::from_secs(10), line.read_exact(&mut request)).await.expect("a request").unwrap();
        assert_eq!(with_crc(&request[..6]), request, "unit 7, CRC");
        let answer = match request[..2] {
            [7, 0x05] => {
                writes.push(request[4] == 0xFF);
                request.to_vec()
            }
            [7, 0x02] => with_crc(&[7, 0x02, 1, inputs]),
            _ => panic!("unexpected {request:?}"),
        };
        line.write_all(&answer).await.unwrap();
    }
    writes
}

#[test]
fn the_crc_is_the_standards() {
    // The example of the standard: 02 07 has the CRC 0x1241, sent low byte first.
    assert_eq!(with_crc(&[0x02, 0x07]), [0x02, 0x07, 0x41, 0x12]);
}

#[tokio::test]
async fn a_board_on_a_serial_line_switches_and_senses() {
    let (mut line, slave) = SerialStream::pair().unwrap();
    let path = slave.name().unwrap().into();
    let config = ModbusRtuConfig {
        id: "rs485".into(),
        path,
        baud: 9600,
        parity: Parity::None,
        unit: 7,
        profile: Profile::Plain,
        map: None,
        timing: Timing::default(),
    };
    let line_task = Line::start(LineSettings { path: config.path.clone(), baud: 9600, parity: Parity::None });
    let plan = Plan {
        device: "rs485".into(),
        outputs: vec![OutputLine {
            id: "lock".into(),
            channel: 3,
            active_low: false,
            safe: false,
            max_pulse: Duration::from_secs(5),
        }],
        inputs: vec![InputLine {
            id: "contact".into(),
            channel: 2,
            active_low: false,
            debounce: Duration::ZERO,
            bias: Bias::Off,
        }],
        timing: Timing { poll_ms: 10, ..Timing::default() },
        waits: Duration::ZERO,
    };
    let shutdown = CancellationToken::new();
    let started = board::start(plan, Arc::new(ModbusRtu { config, line: Arc::new(line_task.0) }), shutdown.clone());
    let (output, input) = (&started.outputs[0], &started.inputs[0]);
    let story = async {
        let mut health = started.health.clone();
        timeout(Duration::from_secs(10), health.wait_for(Health::is_up)).await.expect("up").unwrap();
        assert!(input.read().await.unwrap());
        output.pulse(Duration::from_millis(30)).await.unwrap();
    };
    // The request's second byte pair is the channel; inputs are asked for from channel 2, so its level is bit 0.
    let (writes, ()) = tokio::join!(serve(&mut line, 0b1, 3), story);
    assert_eq!(writes, [false, true, false], "safe, on, off");
    shutdown.cancel();
    let (writes, ended) = tokio::join!(serve(&mut line, 0b1, 1), started.task);
    ended.unwrap();
    assert_eq!(writes, [false]);
}
