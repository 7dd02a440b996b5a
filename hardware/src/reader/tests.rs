//! The drivers through `Hardware::open`: over a pseudo-terminal and over the simulator's wires, unplugged and plugged in again.

use std::{path::Path, time::Duration};

use tokio::{
    io::AsyncWriteExt as _,
    net::{UnixListener, UnixStream},
    sync::watch,
    time::timeout,
};
use tokio_serial::{SerialPort as _, SerialStream};

use super::{
    bits::BitFormat,
    edges::monotonic_ns,
    pulses::{DataLine, edges_of},
    *,
};
use crate::{Hardware, HardwareConfig};

const PATIENCE: Duration = Duration::from_secs(15);

fn open(text: &str) -> Hardware {
    let config: HardwareConfig = toml::from_str(text).unwrap();
    Hardware::open(&config).unwrap()
}

async fn until<T>(watched: &mut watch::Receiver<T>, wanted: impl FnMut(&T) -> bool) {
    timeout(PATIENCE, watched.wait_for(wanted)).await.expect("what was waited for").unwrap();
}

fn down(health: &Health) -> bool {
    matches!(health, Health::Down { .. })
}

/// A scanner that has said `before` when it appears at `path`.
async fn plug(path: &Path, before: &[u8]) -> (SerialStream, SerialStream) {
    let (mut master, slave) = SerialStream::pair().unwrap();
    master.write_all(before).await.unwrap();
    std::os::unix::fs::symlink(slave.name().unwrap(), path).unwrap();
    (master, slave)
}

#[tokio::test]
async fn a_scanner_is_read_and_survives_junk_and_replugging() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scanner");
    let (mut scanner, slave) = plug(&path, b"").await;
    let hardware = open(&format!(
        "[[reader]]\nid = \"scanner\"\ndriver = \"serial-line\"\npath = {path:?}\nformat = \"text\"\nwithin_ms = 100\n"
    ));
    let reader = &hardware.readers["scanner"];
    let (mut health, mut reads) = (reader.health(), reader.watch());
    until(&mut health, Health::is_up).await;
    scanner.write_all(b"\xff\x00\r\nhalf-a-co").await.unwrap();
    until(&mut reads, |reads| reads.refused == 2).await;
    scanner.write_all(b"visitor-4711\r\n").await.unwrap();
    until(&mut reads, |reads| reads.sequence == 1).await;
    assert_eq!(reads.borrow().last.as_ref().unwrap().number.expose(), "text:visitor-4711");
    assert!(!format!("{:?}", reads.borrow()).contains("4711"), "a number never prints");

    drop((scanner, slave));
    std::fs::remove_file(&path).unwrap();
    until(&mut health, down).await;
    let (mut scanner, _slave) = plug(&path, b"stale-code\r\n").await;
    until(&mut health, Health::is_up).await;
    scanner.write_all(b"fresh-code\r\n").await.unwrap();
    until(&mut reads, |reads| reads.last.as_ref().is_some_and(|read| read.number.expose() == "text:fresh-code")).await;
    assert_eq!(reads.borrow().sequence, 2, "the stale one never came");
    hardware.shutdown().await;
}

async fn show(wires: &mut UnixStream, data: u64) {
    let mut text = String::new();
    for edge in edges_of(BitFormat::W26.frame(data).unwrap(), monotonic_ns(), 50, 1_000) {
        let line = u8::from(edge.line == DataLine::D1);
        text.push_str(&format!("{line} {} {}\n", u8::from(!edge.low), edge.at_ns));
    }
    wires.write_all(text.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn pulses_on_two_wires_are_a_card_and_lost_wires_are_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("wires.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let hardware = open(&format!(
        "[[reader]]\nid = \"gate\"\ndriver = \"wiegand-sim\"\nsocket = {socket:?}\n[reader.pulses]\nedges = \"both\"\n"
    ));
    let reader = &hardware.readers["gate"];
    let (mut health, mut reads) = (reader.health(), reader.watch());
    let (mut wires, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    until(&mut health, Health::is_up).await;
    let shown = Instant::now();
    show(&mut wires, 0x0C_8707).await;
    until(&mut reads, |reads| reads.sequence == 1).await;
    {
        let reads = reads.borrow();
        let read = reads.last.as_ref().unwrap();
        assert_eq!(read.number.expose(), "w26:12:34567");
        assert!(read.at >= shown - Duration::from_millis(1) && read.at <= Instant::now(), "dated by its first pulse");
    }
    // A held line, and then a card.
    wires.write_all(format!("0 0 {}\n", monotonic_ns()).as_bytes()).await.unwrap();
    until(&mut reads, |reads| reads.refused == 1).await;
    show(&mut wires, 1).await;
    until(&mut reads, |reads| reads.sequence == 2).await;
    wires.write_all(b"nonsense\n").await.unwrap();
    until(&mut health, down).await;
    let (mut wires, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    until(&mut health, Health::is_up).await;
    show(&mut wires, 2).await;
    until(&mut reads, |reads| reads.sequence == 3).await;
    hardware.shutdown().await;
}

#[tokio::test]
async fn a_chip_that_is_not_there_is_explained() {
    let hardware =
        open("[[reader]]\nid = \"r\"\ndriver = \"wiegand\"\nchip = \"/dev/gpiochip-none\"\nd0 = 1\nd1 = 2\n");
    let mut health = hardware.readers["r"].health();
    until(&mut health, |health| matches!(health, Health::Down { reason } if reason.contains("gpiodetect"))).await;
    hardware.shutdown().await;
}
