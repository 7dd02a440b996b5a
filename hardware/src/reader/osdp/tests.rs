//! The driver against a reader put together here, over an in-memory line with its troubles.

use std::{collections::VecDeque, path::Path, sync::Arc};

use osdp::{
    packet::{Address, ControlByte, CtrlFlags, PacketBuilder, ParsedPacket, Scb, ScsType, Sqn},
    reply::CCrypt,
    secure::{
        self, Direction, Session,
        crypto::{SessionKeys, client_cryptogram},
        session::{Disconnected, Secure},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    sync::Mutex,
    time::timeout,
};

use super::*;
use crate::reader::{Handle, Reader as _, ends};

const PATIENCE: Duration = Duration::from_secs(20);
const KEY: [u8; 16] = [7; 16];

/// A peripheral device, and how it misbehaves.
#[derive(Default)]
struct Device {
    key: [u8; 16],
    takes_default_key: bool,
    events: VecDeque<Vec<u8>>,
    noise: bool,
    wrong_mac: bool,
    /// Answers with the bytes of its first card again.
    replays: bool,
    recorded: Option<Vec<u8>>,
    sessions: u32,
}

impl Device {
    /// The answer to a command within a session.
    fn within(&mut self, open: &mut Session<Secure>, command: u8, parsed: &ParsedPacket<'_>, frame: &[u8]) -> Vec<u8> {
        let data = secure::unseal(open, parsed, frame).unwrap();
        let (code, body) = match command {
            code::LSTAT => (code::LSTATR, vec![0, 0]),
            code::KEYSET => {
                self.key = data[2..].try_into().unwrap();
                self.takes_default_key = false;
                (code::ACK, Vec::new())
            }
            _ => match self.events.pop_front() {
                Some(event) if event.len() == 2 => (code::LSTATR, event),
                Some(event) => (code::RAW, event),
                None => (code::ACK, Vec::new()),
            },
        };
        let (address, sqn) = (Address::reply(5).unwrap(), parsed.ctrl.sqn);
        let encrypt = !body.is_empty();
        let mut sealed = secure::seal(open, address, sqn, Direction::PdToAcu, encrypt, code, &body).unwrap();
        if code == code::RAW {
            if self.replays
                && let Some(recorded) = &self.recorded
            {
                sealed.clone_from(recorded);
            }
            self.recorded.get_or_insert_with(|| sealed.clone());
        }
        if self.wrong_mac && code == code::RAW {
            let end = sealed.len();
            sealed[end - 3] ^= 1;
            let crc = osdp::packet::crc16(&sealed[..end - 2]);
            sealed[end - 2..].copy_from_slice(&crc.to_le_bytes());
        }
        sealed
    }
}

fn card(data: u64) -> Vec<u8> {
    let frame = BitFormat::W26.frame(data).unwrap();
    let mut bytes = vec![0; 4];
    for position in 0..26 {
        bytes[position as usize / 8] |= u8::from(frame.get(position)) << (7 - position % 8);
    }
    [&[0, 1, 26, 0][..], &bytes].concat()
}

fn plain(sqn: Sqn, scb: Option<Scb>, code: u8, data: Vec<u8>) -> Vec<u8> {
    let flags = if scb.is_some() { CtrlFlags::USE_CRC | CtrlFlags::HAS_SCB } else { CtrlFlags::USE_CRC };
    let (addr, ctrl) = (Address::reply(5).unwrap(), ControlByte::new(sqn, flags));
    PacketBuilder { addr, ctrl, scb, code, data }.encode().unwrap()
}

async fn serve(device: Arc<Mutex<Device>>, mut line: DuplexStream) {
    let mut framer = framing::Framer::default();
    let mut session: Option<Session<Secure>> = None;
    let mut shaking = None;
    let mut last: Option<(Sqn, Vec<u8>)> = None;
    let mut chunk = [0; 256];
    loop {
        let Ok(count @ 1..) = line.read(&mut chunk).await else { return };
        framer.push(&chunk[..count]);
        while let Some(frame) = framer.next_frame() {
            let (parsed, _) = ParsedPacket::parse(&frame).unwrap();
            let sqn = parsed.ctrl.sqn;
            let mut device = device.lock().await;
            if let Some((_, answer)) = last.as_ref().filter(|(before, _)| *before == sqn && sqn != Sqn::ZERO) {
                if line.write_all(answer).await.is_err() {
                    return;
                }
                continue;
            }
            if sqn == Sqn::ZERO {
                session = None;
            }
            let answer = match (parsed.code, &mut session) {
                (code::ID, None) => plain(sqn, None, code::PDID, vec![0; 12]),
                (code::CHLNG, None) => {
                    let kind = parsed.scb.unwrap().data[0];
                    let key = if kind == 0 { SCBK_D } else { device.key };
                    if kind == 0 && !device.takes_default_key {
                        plain(sqn, None, code::NAK, vec![5])
                    } else {
                        let rnd_a: [u8; 8] = parsed.data.try_into().unwrap();
                        let keys = SessionKeys::derive(&key, &rnd_a);
                        let client_cryptogram = client_cryptogram(&keys.s_enc, &rnd_a, &[9; 8]);
                        let ccrypt = CCrypt { cuid: [1; 8], rnd_b: [9; 8], client_cryptogram };
                        let begun = Session::<Disconnected>::new(key).challenge(rnd_a);
                        shaking = Some(begun.receive_ccrypt(&ccrypt).map_err(|_| ()).unwrap());
                        plain(sqn, Some(Scb::new(ScsType::Scs12, [kind])), code::CCRYPT, ccrypt.encode().unwrap())
                    }
                }
                (code::SCRYPT, None) => {
                    let half = shaking.take().unwrap();
                    assert_eq!(parsed.data, half.server_cryptogram());
                    let mac = half.initial_rmac();
                    session = Some(half.confirm_rmac_i(&mac).map_err(|_| ()).unwrap());
                    device.sessions += 1;
                    plain(sqn, Some(Scb::new(ScsType::Scs14, [1])), code::RMAC_I, mac.to_vec())
                }
                (command, Some(open)) => device.within(open, command, &parsed, &frame),
                // In plain, like a reader that wants to be spoken to securely.
                _ => plain(sqn, None, code::NAK, vec![6]),
            };
            last = Some((sqn, answer.clone()));
            if device.noise {
                let junk = [0x53, 0x85, 0xFF, 0x00, 0x53];
                if line.write_all(&junk).await.is_err() {
                    return;
                }
            }
            if line.write_all(&answer).await.is_err() {
                return;
            }
        }
    }
}

struct Site {
    device: Arc<Mutex<Device>>,
    handle: Handle,
    publisher: Publisher,
    driver: Osdp,
    _folder: tempfile::TempDir,
}

fn site(device: Device, kept: Option<&[u8]>) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("door.key");
    if let Some(key) = kept {
        std::fs::write(&key_file, key).unwrap();
    }
    let driver = Osdp {
        path: "/dev/null".into(),
        baud: 9600,
        address: 5,
        key_file: Some(key_file),
        poll: Duration::from_millis(5),
        formats: vec![BitFormat::W26],
        feedback: true,
    };
    let (handle, publisher) = ends("door", "reader \"door\"".into());
    Site { device: Arc::new(Mutex::new(device)), handle, publisher, driver, _folder: folder }
}

impl Site {
    /// One connection, until `enough` or until it ends by itself; answers how it ended.
    async fn connect(&mut self, enough: impl AsyncFnOnce(&Handle, &Mutex<Device>)) -> Option<Result<(), DeviceError>> {
        let (ours, theirs) = duplex(4096);
        let peer = tokio::spawn(serve(self.device.clone(), theirs));
        let ended = tokio::select! {
            ended = self.driver.follow(ours, &mut self.publisher) => Some(ended),
            () = enough(&self.handle, &self.device) => None,
            () = sleep(PATIENCE) => panic!("nothing of what was waited for"),
        };
        peer.abort();
        ended
    }

    fn key_file(&self) -> &Path {
        self.driver.key_file.as_deref().unwrap()
    }
}

async fn until_read(handle: &Handle, number: &str) {
    let mut reads = handle.watch();
    let wanted = reads.wait_for(|reads| reads.last.as_ref().is_some_and(|read| read.number.expose() == number));
    timeout(PATIENCE, wanted).await.expect("a card").unwrap();
}

/// Waits until the reader has said everything that it had stored.
async fn until_idle(handle: &Handle, device: &Mutex<Device>) {
    timeout(PATIENCE, handle.health().wait_for(crate::Health::is_up)).await.expect("up").unwrap();
    while !device.lock().await.events.is_empty() {
        sleep(Duration::from_millis(5)).await;
    }
    sleep(Duration::from_millis(50)).await;
}

#[tokio::test(start_paused = true)]
async fn a_card_comes_through_the_secure_channel_noise_or_not() {
    for noise in [false, true] {
        let device = Device { key: KEY, noise, events: [card(1)].into(), ..Device::default() };
        let mut site = site(device, Some(&KEY));
        let ended = site
            .connect(async |handle, device| {
                until_idle(handle, device).await;
                device.lock().await.events.extend([vec![1, 0], card(0x0C_8707)]);
                until_read(handle, "w26:12:34567").await;
            })
            .await;
        assert!(ended.is_none(), "{ended:?}");
        let reads = site.handle.watch();
        assert_eq!(reads.borrow().sequence, 1, "what was stored before the connection never came");
        assert_eq!(*site.handle.tamper().borrow(), Some(true));
    }
}

#[tokio::test(start_paused = true)]
async fn another_key_and_the_default_key_are_refused_outside_install_mode() {
    for (kept, device) in [
        (Some(&[8; 16][..]), Device { key: KEY, ..Device::default() }),
        (None, Device { takes_default_key: true, ..Device::default() }),
        (Some(&KEY[..]), Device { takes_default_key: true, key: [8; 16], ..Device::default() }),
    ] {
        let mut site = site(device, kept);
        let ended = site.connect(async |_, _| std::future::pending().await).await.unwrap().unwrap_err();
        assert!(ended.to_string().contains("reader-install"), "{ended}");
        assert_eq!(site.device.lock().await.sessions, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn install_mode_gives_the_reader_a_key_of_its_own_and_ends() {
    let mut site = site(Device { takes_default_key: true, ..Device::default() }, None);
    keys::begin_install_mode(site.key_file()).unwrap();
    site.connect(async |_, _| std::future::pending().await).await.unwrap().unwrap();
    let set = site.device.lock().await.key;
    assert!(set != SCBK_D && set != [0; 16]);
    assert!(!KeyFiles::new(site.key_file().to_owned()).install_mode(wall_clock()));
    let ended = site
        .connect(async |handle, device| {
            until_idle(handle, device).await;
            device.lock().await.events.push_back(card(3));
            until_read(handle, "w26:0:3").await;
        })
        .await;
    assert!(ended.is_none(), "{ended:?}");
    assert!(std::fs::read(site.key_file()).unwrap() == set, "the proved key took its place");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_mac_and_a_replayed_card_end_the_session() {
    for (wrong_mac, replays, expected) in [(true, false, 0), (false, true, 1)] {
        let mut site = site(Device { key: KEY, wrong_mac, replays, ..Device::default() }, Some(&KEY));
        let ended = site
            .connect(async |handle, device| {
                until_idle(handle, device).await;
                device.lock().await.events.extend([card(1), card(2)]);
                std::future::pending::<()>().await;
            })
            .await;
        // A replayed reply has an old MAC or, with its old sequence number, is no reply at all.
        let ended = ended.unwrap().unwrap_err();
        assert!(matches!(ended, DeviceError::Protocol { .. } | DeviceError::Timeout { .. }), "{ended}");
        assert_eq!(site.handle.watch().borrow().sequence, expected, "only the true one came");
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_without_a_reader_times_out() {
    let mut site = site(Device::default(), Some(&KEY));
    let (ours, _theirs) = duplex(64);
    let ended = site.driver.follow(ours, &mut site.publisher).await.unwrap_err();
    assert!(matches!(ended, DeviceError::Timeout { .. }), "{ended}");
}
