//! One exchange after the other with one reader: a command out, its reply in, in plain or within a session.

use std::time::Duration;

use osdp::{
    packet::{Address, ControlByte, CtrlFlags, PacketBuilder, ParsedPacket, Scb, ScsType, Sqn},
    reply::CCrypt,
    secure::{
        self, Direction, Session,
        session::{Disconnected, Secure},
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::{sleep, timeout},
};

use super::framing::Framer;
use crate::DeviceError;

/// How long a reply may take. The reader begins within 200 ms (SIA OSDP v2.2, section 5.7); the rest is for the line.
const REPLY_WITHIN: Duration = Duration::from_millis(400);
/// A command is sent once more, byte for byte, when its reply does not come: the reader then repeats its reply.
const ATTEMPTS: u32 = 3;
/// How long a busy reader is left alone.
const BUSY: Duration = Duration::from_millis(50);
const MAX_BUSY: u32 = 20;

/// Codes of commands and replies (annex A).
pub(super) mod code {
    pub(crate) const POLL: u8 = 0x60;
    pub(crate) const ID: u8 = 0x61;
    pub(crate) const LSTAT: u8 = 0x64;
    pub(crate) const LED: u8 = 0x69;
    pub(crate) const BUZ: u8 = 0x6A;
    pub(crate) const KEYSET: u8 = 0x75;
    pub(crate) const CHLNG: u8 = 0x76;
    pub(crate) const SCRYPT: u8 = 0x77;
    pub(crate) const ACK: u8 = 0x40;
    pub(crate) const NAK: u8 = 0x41;
    pub(crate) const PDID: u8 = 0x45;
    pub(crate) const LSTATR: u8 = 0x48;
    pub(crate) const RAW: u8 = 0x50;
    pub(crate) const CCRYPT: u8 = 0x76;
    pub(crate) const RMAC_I: u8 = 0x78;
    pub(crate) const BUSY: u8 = 0x79;
}

/// What a reader answered.
pub(super) struct Reply {
    pub(super) code: u8,
    pub(super) data: zeroize::Zeroizing<Vec<u8>>,
    /// Type and data of its security block.
    block: Option<(ScsType, Vec<u8>)>,
}

/// Which key a session is made with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// The default key, SCBK-D.
    Default = 0,
    /// The reader's own, SCBK.
    Own = 1,
}

/// Why there is no session.
pub(super) enum NoSession {
    /// The reader does not have this key.
    Key,
    /// Something else.
    Device(DeviceError),
}

impl From<DeviceError> for NoSession {
    fn from(error: DeviceError) -> Self {
        Self::Device(error)
    }
}

/// The line to one reader.
pub(super) struct Wire<P> {
    device: String,
    port: P,
    address: u8,
    next: Sqn,
    framer: Framer,
    session: Option<Session<Secure>>,
}

impl<P: AsyncRead + AsyncWrite + Unpin + Send> Wire<P> {
    pub(super) fn new(device: &str, port: P, address: u8) -> Self {
        let (next, framer) = (Sqn::ZERO, Framer::default());
        Self { device: device.into(), port, address, next, framer, session: None }
    }

    /// Begins anew: the reader forgets its session at sequence number 0.
    pub(super) fn restart(&mut self) {
        (self.next, self.session) = (Sqn::ZERO, None);
        self.framer.clear();
    }

    fn nonsense(&self, action: &str, reason: impl ToString) -> DeviceError {
        DeviceError::protocol(&self.device, action, reason)
    }

    /// One command, within the session if there is one.
    pub(super) async fn ask(&mut self, action: &str, command: u8, data: &[u8]) -> Result<Reply, DeviceError> {
        let address = Address::pd(self.address).map_err(|error| self.nonsense(action, error))?;
        let sent = match &mut self.session {
            Some(session) => {
                let encrypt = !data.is_empty();
                secure::seal(session, address, self.next, Direction::AcuToPd, encrypt, command, data)
            }
            None => {
                let control = ControlByte::new(self.next, CtrlFlags::USE_CRC);
                PacketBuilder::plain(address, control, command, data.to_vec()).encode()
            }
        };
        let sent = zeroize::Zeroizing::new(sent.map_err(|error| self.nonsense(action, error))?);
        let frame = self.exchange(action, &sent).await?;
        let (parsed, _) = ParsedPacket::parse(&frame).map_err(|error| self.nonsense(action, error))?;
        match &mut self.session {
            Some(session) => {
                let wanted = matches!(parsed.scb.map(|block| block.ty), Some(ScsType::Scs16 | ScsType::Scs18));
                if !wanted {
                    return Err(self.nonsense(action, "a reply outside the secure channel"));
                }
                let opened = secure::unseal(session, &parsed, &frame);
                // No word about what exactly was wrong: whoever forges replies learns nothing.
                let data =
                    opened.map_err(|_| self.nonsense(action, "a reply that the secure channel does not admit"))?;
                Ok(Reply { code: parsed.code, data: data.into(), block: None })
            }
            None => Ok(reply(&parsed)),
        }
    }

    /// Makes a session with `key`; everything is said within it from then on.
    pub(super) async fn secure(&mut self, key: &[u8; 16], kind: KeyKind) -> Result<(), NoSession> {
        let action = "open the secure channel";
        let mut rnd_a = [0; 8];
        rand::TryRngCore::try_fill_bytes(&mut rand::rngs::OsRng, &mut rnd_a)
            .map_err(|error| self.nonsense(action, error))?;
        let session = Session::<Disconnected>::new(*key).challenge(rnd_a);
        let answer = self.shake(action, ScsType::Scs11, kind, code::CHLNG, &rnd_a).await?;
        if answer.code == code::NAK {
            return Err(NoSession::Key);
        }
        let kept = answer
            .block
            .as_ref()
            .is_some_and(|(ty, data)| *ty == ScsType::Scs12 && data.first() == Some(&(kind as u8)));
        if answer.code != code::CCRYPT || !kept {
            return Err(NoSession::Key);
        }
        let cryptogram = CCrypt::decode(&answer.data).map_err(|error| self.nonsense(action, error))?;
        let session = session.receive_ccrypt(&cryptogram).map_err(|_| NoSession::Key)?;
        let proof = session.server_cryptogram();
        let answer = self.shake(action, ScsType::Scs13, kind, code::SCRYPT, &proof).await?;
        let agreed = answer.block.as_ref().is_some_and(|(ty, data)| *ty == ScsType::Scs14 && data.first() == Some(&1));
        let mac: Option<[u8; 16]> = answer.data.as_slice().try_into().ok();
        match mac.filter(|_| answer.code == code::RMAC_I && agreed) {
            Some(mac) => {
                self.session = Some(session.confirm_rmac_i(&mac).map_err(|_| NoSession::Key)?);
                Ok(())
            }
            None => Err(NoSession::Key),
        }
    }

    async fn shake(
        &mut self,
        action: &str,
        block: ScsType,
        kind: KeyKind,
        command: u8,
        data: &[u8],
    ) -> Result<Reply, DeviceError> {
        let addr = Address::pd(self.address).map_err(|error| self.nonsense(action, error))?;
        let ctrl = ControlByte::new(self.next, CtrlFlags::USE_CRC | CtrlFlags::HAS_SCB);
        let scb = Some(Scb::new(block, [kind as u8]));
        let frame = PacketBuilder { addr, ctrl, scb, code: command, data: data.to_vec() }.encode();
        let frame = frame.map_err(|error| self.nonsense(action, error))?;
        let answer = self.exchange(action, &frame).await?;
        let (parsed, _) = ParsedPacket::parse(&answer).map_err(|error| self.nonsense(action, error))?;
        Ok(reply(&parsed))
    }

    /// Sends a frame until its reply comes. The sequence number goes on only then.
    async fn exchange(&mut self, action: &str, frame: &[u8]) -> Result<Vec<u8>, DeviceError> {
        let (mut attempts, mut busy) = (0, 0);
        while attempts < ATTEMPTS && busy < MAX_BUSY {
            self.framer.clear();
            let sent = async {
                self.port.write_all(frame).await?;
                self.port.flush().await
            };
            sent.await.map_err(|error| DeviceError::unreachable(&self.device, action, error, true))?;
            match timeout(REPLY_WITHIN, self.receive(action)).await {
                Err(_) => attempts += 1,
                Ok(Err(error)) => return Err(error),
                Ok(Ok(None)) => {
                    busy += 1;
                    sleep(BUSY).await;
                }
                Ok(Ok(Some(answer))) => {
                    self.next = self.next.next();
                    return Ok(answer);
                }
            }
        }
        let after_ms = REPLY_WITHIN.as_millis() as u64 * u64::from(attempts.max(1));
        Err(DeviceError::Timeout { device: self.device.clone(), action: action.into(), after_ms, sent: true })
    }

    /// The reply to the last command; `None` if the reader is busy. Other readers' frames, echoes and repetitions are passed by.
    async fn receive(&mut self, action: &str) -> Result<Option<Vec<u8>>, DeviceError> {
        let mut chunk = [0; 256];
        loop {
            while let Some(frame) = self.framer.next_frame() {
                let Ok((parsed, _)) = ParsedPacket::parse(&frame) else { continue };
                if !parsed.addr.is_reply() || parsed.addr.pd_addr() != self.address {
                    continue;
                }
                if parsed.code == code::BUSY {
                    return Ok(None);
                }
                if parsed.ctrl.sqn == self.next {
                    return Ok(Some(frame));
                }
            }
            match self.port.read(&mut chunk).await {
                Ok(0) => return Err(DeviceError::unreachable(&self.device, action, "the adapter is gone", true)),
                Ok(count) => self.framer.push(&chunk[..count]),
                Err(error) => return Err(DeviceError::unreachable(&self.device, action, error, true)),
            }
        }
    }
}

fn reply(parsed: &ParsedPacket<'_>) -> Reply {
    let block = parsed.scb.map(|block| (block.ty, block.data.to_vec()));
    Reply { code: parsed.code, data: parsed.data.to_vec().into(), block }
}
