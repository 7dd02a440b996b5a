//! Boards that answer nonsense, late, for another, or not at all.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{collections::VecDeque, io, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    time::{sleep, timeout},
};
use tokio_modbus::prelude::Slave;

use super::{rtu_tests::with_crc, tcp::Connection, *};
use crate::{
    board::{Driver as _, InputLine, OutputLine},
    config::{Bias, ModbusRtuConfig, Parity, Profile, Timing},
};

const PATIENCE: Duration = Duration::from_secs(10);
const UNIT: u8 = 7;
/// How long a board may take in these tests.
const LIMIT: Duration = Duration::from_millis(150);

fn plan() -> Plan {
    let timing = Timing { request_timeout_ms: LIMIT.as_millis() as u64, ..Timing::default() };
    Plan {
        device: "board".into(),
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
        timing,
        waits: Duration::ZERO,
    }
}

fn unit_on(line: &Arc<Line>, unit: u8, profile: Profile) -> ModbusRtu {
    let (timing, path) = (plan().timing, "/dev/null".into());
    let config =
        ModbusRtuConfig { id: "b".into(), path, baud: 9600, parity: Parity::None, unit, profile, map: None, timing };
    ModbusRtu { config, line: Arc::clone(line) }
}

/// A line, and the boards' end of it.
fn line() -> (Arc<Line>, DuplexStream) {
    let (ours, theirs) = duplex(1024);
    let mut port = Some(ours);
    let open = move || port.take().ok_or_else(|| io::Error::other("it is gone"));
    (Arc::new(Line::start_on(open, Duration::ZERO).0), theirs)
}

async fn rtu(profile: Profile) -> (Box<dyn Bus>, DuplexStream) {
    let (line, theirs) = line();
    (unit_on(&line, UNIT, profile).connect(&plan()).await.unwrap(), theirs)
}

fn tcp() -> (Box<dyn Bus>, DuplexStream) {
    let (ours, theirs) = duplex(1024);
    let connection = Connection::new(ours, Slave(UNIT));
    (Box::new(ModbusBus::new(&plan(), Profile::Plain.map(), connection).unwrap()), theirs)
}

async fn heard(board: &mut DuplexStream, count: usize) -> Vec<u8> {
    let mut request = vec![0; count];
    timeout(PATIENCE, board.read_exact(&mut request)).await.expect("a request").unwrap();
    request
}

/// Plays a story against a board that answers requests of eight bytes with these bytes, one after the other, and is silent
/// then.
async fn against<T>(
    mut board: DuplexStream,
    answers: impl IntoIterator<Item = Vec<u8>>,
    story: impl Future<Output = T>,
) -> T {
    let answering = async {
        for answer in answers {
            heard(&mut board, 8).await;
            board.write_all(&answer).await.unwrap();
        }
        std::future::pending::<T>().await
    };
    tokio::select! {
        told = story => told,
        told = answering => told,
    }
}

async fn poll(bus: &mut dyn Bus) -> Result<bool, DeviceError> {
    let mut levels = [false];
    bus.poll(&mut levels).await.map(|()| levels[0])
}

#[tokio::test]
async fn every_exception_is_told_apart_and_none_is_taken_for_done() {
    for code in 1..=11 {
        let (mut bus, board) = rtu(Profile::Plain).await;
        let refusals = [with_crc(&[UNIT, 0x85, code]), with_crc(&[UNIT, 0x82, code])];
        let story = async { (bus.write(3, true).await.unwrap_err(), poll(&mut *bus).await.unwrap_err()) };
        let (write, read) = against(board, refusals, story).await;
        assert_eq!(write.may_have_acted(), code > 3, "{code}: {write}");
        assert_eq!(matches!(write, DeviceError::Unsupported { .. }), code <= 3, "{code}: {write}");
        assert!(write.to_string().contains("the board says"), "{write}");
        assert!(matches!(read, DeviceError::Unsupported { .. } | DeviceError::Unreachable { .. }), "{read}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_answer_to_a_switch_is_an_error_that_may_have_acted() {
    let good = with_crc(&[UNIT, 5, 0, 3, 0xFF, 0]);
    let mut wrong_crc = good.clone();
    wrong_crc[6] ^= 1;
    for (what, answer) in [
        ("wrong CRC", wrong_crc),
        ("short", good[..5].to_vec()),
        ("another unit", with_crc(&[UNIT + 1, 5, 0, 3, 0xFF, 0])),
        ("another function", with_crc(&[UNIT, 6, 0, 3, 0xFF, 0])),
        ("another coil", with_crc(&[UNIT, 5, 0, 4, 0xFF, 0])),
        ("another level", with_crc(&[UNIT, 5, 0, 3, 0, 0])),
        ("no level", with_crc(&[UNIT, 5, 0, 3, 0x12, 0x34])),
        ("noise", vec![0x55; 64]),
    ] {
        let (mut bus, board) = rtu(Profile::Plain).await;
        let refused = against(board, [answer], bus.write(3, true)).await;
        let refused = refused.expect_err(what);
        assert!(refused.may_have_acted() && refused.ends_connection(), "{what}: {refused}");
    }
}

#[tokio::test]
async fn an_answer_of_another_size_is_nonsense() {
    for answer in [with_crc(&[UNIT, 2, 2, 1, 0]), with_crc(&[UNIT, 2, 0]), with_crc(&[UNIT, 1, 1, 1])] {
        let (mut bus, board) = rtu(Profile::Plain).await;
        let refused = against(board, [answer.clone(), answer], poll(&mut *bus)).await;
        assert!(matches!(refused, Err(DeviceError::Protocol { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn noise_around_an_answer_is_skipped_and_noise_in_it_is_asked_again() {
    let good = with_crc(&[UNIT, 2, 1, 1]);
    let around = [&[0x00, 0xFE][..], &good, &[0x55, 0x00]].concat();
    let inside = [&good[..3], &[0x55], &good[3..]].concat();
    for first in [around, [&inside[..], &[0x55; 30]].concat()] {
        let (mut bus, board) = rtu(Profile::Plain).await;
        let story = async { (poll(&mut *bus).await, poll(&mut *bus).await) };
        let (one, two) = against(board, [first, good.clone(), good.clone()], story).await;
        assert_eq!((one, two), (Ok(true), Ok(true)));
    }
}

/// The unit is one answer behind: it is not believed before it has caught up.
#[tokio::test]
async fn a_late_answer_is_never_taken_for_the_next_one() {
    let (line, mut board) = line();
    let plan = Plan { outputs: Vec::new(), ..plan() };
    let behind = async {
        heard(&mut board, 8).await;
        heard(&mut board, 8).await;
        board.write_all(&with_crc(&[UNIT, 2, 1, 1])).await.unwrap();
        sleep(LIMIT / 3).await;
        board.write_all(&with_crc(&[UNIT, 2, 1, 0])).await.unwrap();
        heard(&mut board, 8).await;
        board.write_all(&with_crc(&[UNIT, 2, 1, 0])).await.unwrap();
    };
    let driver = unit_on(&line, UNIT, Profile::Plain);
    let story = async {
        let mut bus = driver.connect(&plan).await.unwrap();
        let silent = poll(&mut *bus).await.unwrap_err();
        assert!(matches!(silent, DeviceError::Timeout { sent: true, .. }), "{silent}");
        let mut bus = driver.connect(&plan).await.unwrap();
        // The first answer to the second request is the first request's; the one to its repetition is right.
        assert_eq!(poll(&mut *bus).await, Ok(false), "the late level was believed");
    };
    tokio::join!(story, behind);
}

#[tokio::test]
async fn what_came_unasked_is_thrown_away_before_a_request() {
    let (mut bus, mut board) = rtu(Profile::Plain).await;
    board.write_all(&with_crc(&[UNIT, 2, 1, 1])).await.unwrap();
    let level = against(board, [with_crc(&[UNIT, 2, 1, 0])], poll(&mut *bus)).await;
    assert_eq!(level, Ok(false));
}

#[tokio::test]
async fn a_silent_unit_costs_the_others_no_more_than_its_timeout() {
    let (line, mut board) = line();
    let patient = Plan { waits: LIMIT * 2, ..plan() };
    let mut dead = unit_on(&line, 1, Profile::Plain).connect(&patient).await.unwrap();
    let mut alive = unit_on(&line, 2, Profile::Plain).connect(&patient).await.unwrap();
    let second_only = async {
        loop {
            if heard(&mut board, 8).await[0] == 2 {
                board.write_all(&with_crc(&[2, 2, 1, 1])).await.unwrap();
            }
        }
    };
    let story = async {
        let (silent, first) = tokio::join!(poll(&mut *dead), async {
            let begun = Instant::now();
            let level = poll(&mut *alive).await;
            assert!(begun.elapsed() < LIMIT * 4, "{:?}", begun.elapsed());
            level
        });
        assert!(matches!(silent, Err(DeviceError::Timeout { .. })), "{silent:?}");
        assert_eq!(first, Ok(true));
        for _ in 0..5 {
            assert_eq!(poll(&mut *alive).await, Ok(true));
        }
    };
    tokio::select! {
        () = story => {}
        () = second_only => {}
    }
}

#[tokio::test]
async fn after_another_opening_of_the_port_the_outputs_come_first() {
    let (first, board) = duplex(64);
    let (second, _board) = duplex(64);
    let mut ports = VecDeque::from([first, second]);
    let line = Line::start_on(move || ports.pop_front().ok_or(io::ErrorKind::NotFound.into()), Duration::ZERO).0;
    let line = Arc::new(line);
    let driver = unit_on(&line, UNIT, Profile::Plain);
    let mut old = driver.connect(&plan()).await.unwrap();
    drop(board);
    let gone = poll(&mut *old).await.unwrap_err();
    assert!(matches!(gone, DeviceError::Unreachable { .. }), "{gone}");
    let _new = driver.connect(&plan()).await.unwrap();
    let replaced = old.write(3, true).await.unwrap_err();
    assert!(matches!(replaced, DeviceError::Unreachable { sent: false, .. }), "{replaced}");
}

/// An answer of Modbus TCP to the transaction of a request.
fn tcp_answer(request: &[u8], transaction: u16, pdu: &[u8]) -> Vec<u8> {
    let number = u16::from_be_bytes([request[0], request[1]]).wrapping_add(transaction);
    let length = (pdu.len() as u16 + 1).to_be_bytes();
    [&number.to_be_bytes()[..], &[0, 0], &length, &[UNIT], pdu].concat()
}

/// Makes an answer of a request.
type Shape = fn(&[u8]) -> Vec<u8>;

#[tokio::test]
async fn over_tcp_each_wrong_frame_is_an_error() {
    let pdu = [2, 1, 1];
    let shapes: [(&str, Shape); 6] = [
        ("another transaction", |request| tcp_answer(request, 1, &[2, 1, 1])),
        ("another protocol", |request| {
            let mut answer = tcp_answer(request, 0, &[2, 1, 1]);
            answer[2] = 1;
            answer
        }),
        ("length 0", |request| [&request[..4], &[0, 0, UNIT]].concat()),
        ("another unit", |request| {
            let mut answer = tcp_answer(request, 0, &[2, 1, 1]);
            answer[6] += 1;
            answer
        }),
        ("cut off", |request| tcp_answer(request, 0, &[2, 5, 1])),
        ("another size", |request| tcp_answer(request, 0, &[2, 2, 1, 0])),
    ];
    for (what, shape) in shapes {
        let (mut bus, mut board) = tcp();
        let wrong = async {
            let request = heard(&mut board, 12).await;
            board.write_all(&shape(&request)).await.unwrap();
            board
        };
        let (refused, _board) = tokio::join!(timeout(LIMIT, poll(&mut *bus)), wrong);
        let refused = refused.map(|answered| answered.expect_err(what));
        assert!(!matches!(refused, Ok(DeviceError::Unsupported { .. })), "{what}: {refused:?}");
    }
    let (mut bus, mut board) = tcp();
    let trailing = async {
        let request = heard(&mut board, 12).await;
        board.write_all(&[tcp_answer(&request, 0, &pdu), tcp_answer(&request, 0, &[2, 1, 0])].concat()).await.unwrap();
        let request = heard(&mut board, 12).await;
        board.write_all(&tcp_answer(&request, 0, &pdu)).await.unwrap();
        board
    };
    let ((one, two), _board) = tokio::join!(async { (poll(&mut *bus).await, poll(&mut *bus).await) }, trailing);
    assert_eq!(one, Ok(true));
    assert_ne!(two, Ok(false), "what trailed the first answer was taken for the second");
}
