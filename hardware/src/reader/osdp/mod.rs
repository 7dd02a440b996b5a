//! OSDP readers on RS-485 (SIA OSDP v2.2, IEC 60839-11-5): supervised, encrypted, and with a key of their own.
//!
//! ```text
//! silence -> ID -> secure channel with the reader's key -> LSTAT -> POLL, POLL, POLL …  cards, tamper
//!                   |  the reader has another key
//!                   +-> in install mode only: default key -> a fresh random key is kept and set -> from the beginning
//! ```
//!
//! Frames and the cryptography of the secure channel are the crate `osdp`'s; why that one is in `docs/design/0015-readers.md`.
//!
//! * **Without the channel, no cards** (`secure_channel = "required"`, the default): the default key SCBK-D, which everybody
//!   knows, is used for nothing but to set another one, within ten minutes of being asked to.
//! * **What a reader had stored is thrown away.** After each connection cards are read only once the reader has said that it
//!   has nothing more to tell.
//! * **What was decided is shown** by the reader's light and beeper, if it has them, and while it is news.
//! * **A reply that the channel does not admit ends the session.** So does a lost one. A new session has new keys, by which no
//!   reply of an old one can be made to pass.

pub mod framing;
pub mod keys;
mod show;
mod wire;

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use osdp::{reply::Raw, secure::SCBK_D};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep},
};
use tokio_serial::{ClearBuffer, SerialPort as _, SerialPortBuilderExt as _};
use tracing::{info, warn};

use self::{
    keys::KeyFiles,
    wire::{KeyKind, NoSession, Wire, code},
};
use super::{
    Answer, Publisher, Source,
    bits::{self, BitFormat, Bits},
};
use crate::DeviceError;

/// One reader at one address of a line.
pub(crate) struct Osdp {
    pub(crate) path: PathBuf,
    pub(crate) baud: u32,
    pub(crate) address: u8,
    /// The file of its key; `None` for a reader that is spoken to in plain.
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) poll: Duration,
    pub(crate) formats: Vec<BitFormat>,
    /// Whether its light and beeper show what was decided.
    pub(crate) feedback: bool,
}

#[async_trait]
impl Source for Osdp {
    async fn serve(&self, publisher: &mut Publisher) -> DeviceError {
        let device = publisher.device().to_owned();
        let opened = tokio_serial::new(self.path.to_string_lossy(), self.baud).open_native_async();
        let port = opened.and_then(|port| port.clear(ClearBuffer::All).map(|()| port));
        match port {
            Ok(port) => self.follow(port, publisher).await.err().unwrap_or_else(|| {
                DeviceError::unreachable(&device, "speak to it", "a new key was set; connecting with it", false)
            }),
            Err(error) => DeviceError::unreachable(&device, "open the serial port", error, false),
        }
    }
}

impl Osdp {
    /// Speaks to the reader until something is wrong. Ends in order only after a key was set: then all begins anew.
    async fn follow<P>(&self, port: P, publisher: &mut Publisher) -> Result<(), DeviceError>
    where
        P: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let device = publisher.device().to_owned();
        let mut wire = Wire::new(&device, port, self.address);
        self.greet(&mut wire, &device).await?;
        if let Some(path) = &self.key_file
            && self.secure(&mut wire, &device, &KeyFiles::new(path.clone())).await? == Secured::KeySet
        {
            return Ok(());
        }
        let status = wire.ask("tell its local status", code::LSTAT, &[]).await?;
        if status.code == code::LSTATR {
            publisher.tamper(status.data.first().map(|tamper| *tamper != 0));
        }
        publisher.up();
        self.poll_forever(&mut wire, &device, publisher).await
    }

    async fn greet<P: AsyncRead + AsyncWrite + Unpin + Send>(
        &self,
        wire: &mut Wire<P>,
        device: &str,
    ) -> Result<(), DeviceError> {
        wire.restart();
        let action = "say what it is";
        let identity = wire.ask(action, code::ID, &[0]).await?;
        if identity.code == code::PDID {
            Ok(())
        } else {
            Err(DeviceError::protocol(device, action, refusal(&identity)))
        }
    }

    /// Makes a session with a key of ours or, in install mode, gives the reader one.
    async fn secure<P: AsyncRead + AsyncWrite + Unpin + Send>(
        &self,
        wire: &mut Wire<P>,
        device: &str,
        files: &KeyFiles,
    ) -> Result<Secured, DeviceError> {
        let action = "open the secure channel";
        let unreadable = |error: std::io::Error| {
            let reason = format!("its key file cannot be used: {error}; run cardead reader-install for it");
            DeviceError::unsupported(device, action, reason)
        };
        for (key, path) in files.known().map_err(unreadable)? {
            match wire.secure(&key, KeyKind::Own).await {
                Ok(()) => {
                    files.proved(&path).map_err(unreadable)?;
                    return Ok(Secured::Session);
                }
                Err(NoSession::Device(error)) => return Err(error),
                Err(NoSession::Key) => self.greet(wire, device).await?,
            }
        }
        if !files.install_mode(wall_clock()) {
            let reason = "it does not have the key that is kept for it; put it into its own install mode and run \
                          cardead reader-install for it, which lasts ten minutes";
            return Err(DeviceError::unsupported(device, action, reason));
        }
        match wire.secure(&SCBK_D, KeyKind::Default).await {
            Ok(()) => {}
            Err(NoSession::Device(error)) => return Err(error),
            Err(NoSession::Key) => {
                let reason = "it takes neither its own key nor the default key; reset it as its maker describes";
                return Err(DeviceError::unsupported(device, action, reason));
            }
        }
        let key = files.make().map_err(unreadable)?;
        let mut order = zeroize::Zeroizing::new(vec![1, 16]);
        order.extend_from_slice(key.as_slice());
        let action = "take a new key";
        // Some readers acknowledge outside the channel. The next session proves which key it has.
        match wire.ask(action, code::KEYSET, &order).await {
            Ok(answer) if answer.code == code::NAK => Err(DeviceError::protocol(device, action, refusal(&answer))),
            Ok(_) => {
                info!(device, "a new key was set");
                files.end_install_mode();
                Ok(Secured::KeySet)
            }
            Err(error) => {
                warn!(device, %error, "whether the reader took its new key shows when it is connected again");
                Ok(Secured::KeySet)
            }
        }
    }

    async fn poll_forever<P: AsyncRead + AsyncWrite + Unpin + Send>(
        &self,
        wire: &mut Wire<P>,
        device: &str,
        publisher: &mut Publisher,
    ) -> Result<(), DeviceError> {
        let action = "answer a poll";
        // When the reader was last asked and had nothing to tell: what it tells now has happened since. Never, until it has
        // nothing left of what it stored before.
        let mut idle_at: Option<Instant> = None;
        let mut lacks = Vec::new();
        loop {
            let decided = tokio::select! {
                () = sleep(self.poll) => None,
                answer = publisher.answer() => Some(answer),
            };
            if let Some(answer) = decided {
                self.show(wire, device, answer, &mut lacks).await?;
            }
            let asked = Instant::now();
            let answer = wire.ask(action, code::POLL, &[]).await?;
            match (answer.code, idle_at) {
                (code::ACK, _) => idle_at = Some(asked),
                (code::RAW, Some(since)) => self.card(&answer.data, since, publisher),
                (code::RAW, None) => info!(device, "a card from before the connection was passed by"),
                (code::LSTATR, _) => publisher.tamper(answer.data.first().map(|tamper| *tamper != 0)),
                (code::NAK, _) => return Err(DeviceError::protocol(device, action, refusal(&answer))),
                _ => {}
            }
        }
    }

    /// Shows what was decided. A reader is not asked again for what it has refused: it `lacks` that.
    async fn show<P: AsyncRead + AsyncWrite + Unpin + Send>(
        &self,
        wire: &mut Wire<P>,
        device: &str,
        answer: Answer,
        lacks: &mut Vec<u8>,
    ) -> Result<(), DeviceError> {
        for (command, data) in show::commands(answer) {
            if self.feedback && !lacks.contains(&command) {
                let reply = wire.ask("show what was decided", command, &data).await?;
                if reply.code == code::NAK {
                    info!(device, command, "the reader has no such light or beeper");
                    lacks.push(command);
                }
            }
        }
        Ok(())
    }

    fn card(&self, data: &[u8], since: Instant, publisher: &mut Publisher) {
        let Ok(raw) = Raw::decode(data) else {
            publisher.refused("card data whose length is not what it says");
            return;
        };
        let mut raw = raw;
        let bits = Bits::from_bytes(&raw.bits, u32::from(raw.bit_count));
        zeroize::Zeroize::zeroize(&mut raw.bits);
        let unreadable = bits::Unreadable::Length { count: u32::from(raw.bit_count) };
        match bits.ok_or(unreadable).and_then(|bits| bits::read(bits, &self.formats)) {
            Ok(number) => publisher.read(number, since),
            Err(unreadable) => publisher.refused(unreadable),
        }
    }
}

/// How the secure channel came about.
#[derive(PartialEq, Eq)]
enum Secured {
    /// A session with the reader's own key.
    Session,
    /// The reader was given a key.
    KeySet,
}

fn refusal(answer: &wire::Reply) -> String {
    match (answer.code, answer.data.first()) {
        (code::NAK, Some(6)) => "it refuses to speak in plain; set secure_channel = \"required\"".to_owned(),
        (code::NAK, Some(reason)) => format!("it refuses (NAK {reason}); check its address and baud rate"),
        (other, _) => format!("an answer of another kind ({other:#04x})"),
    }
}

#[expect(clippy::disallowed_methods, reason = "the age of a file that was made by another program")]
fn wall_clock() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

#[cfg(test)]
mod tests;
