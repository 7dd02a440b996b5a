//! A serial adapter: a pseudo-terminal under a path that stays the same, as those under `/dev/serial/by-id/` do. It can be
//! pulled out and plugged in again.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _},
    time::sleep,
};
use tokio_serial::{SerialPort as _, SerialStream};

use super::{
    SimError, World,
    fault::{Fault, FaultSwitch},
    part::Part,
};

/// The faults of whatever hangs on an adapter: `dead` is an adapter that was pulled out, `garbage` a line with noise on it.
const FAULTS: [&str; 4] = ["slow", "dead", "silent", "garbage"];
/// What noise looks like.
const NOISE: [u8; 3] = [0x00, 0x55, 0xFD];

/// A part on a serial adapter.
pub(super) struct Plug {
    name: &'static str,
    pub(super) path: PathBuf,
    pub(super) fault: FaultSwitch,
}

impl Part for Plug {
    fn name(&self) -> &str {
        self.name
    }

    fn fault(&self) -> &FaultSwitch {
        &self.fault
    }

    fn faults(&self) -> &'static [&'static str] {
        &FAULTS
    }
}

/// What hangs on the adapter.
pub(super) trait Device: Send {
    /// Talks until the adapter is pulled out.
    fn talk(&mut self, port: &mut SerialStream, plug: &Plug) -> impl Future<Output = io::Result<()>> + Send;
}

impl Plug {
    pub(super) fn new(name: &'static str, path: &Path) -> Arc<Self> {
        Arc::new(Self { name, path: path.to_owned(), fault: FaultSwitch::default() })
    }

    /// Plugs the adapter in, so that whoever starts the house finds it.
    pub(super) fn insert(&self) -> Result<(SerialStream, SerialStream), SimError> {
        self.plug_in().map_err(|source| SimError::Adapter { path: self.path.display().to_string(), source })
    }

    fn plug_in(&self) -> io::Result<(SerialStream, SerialStream)> {
        let (ours, theirs) = SerialStream::pair()?;
        let terminal = theirs.name().ok_or_else(|| io::Error::other("the pseudo-terminal has no name"))?;
        self.pull_out()?;
        std::os::unix::fs::symlink(terminal, &self.path)?;
        Ok((ours, theirs))
    }

    /// Only ever removes what this made, a link.
    fn pull_out(&self) -> io::Result<()> {
        match self.path.symlink_metadata() {
            Ok(found) if found.is_symlink() => std::fs::remove_file(&self.path),
            Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no link")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Lets the device talk while the adapter is plugged in, until the house ends.
    pub(super) async fn serve(
        self: Arc<Self>,
        world: Arc<World>,
        first: (SerialStream, SerialStream),
        mut device: impl Device,
    ) {
        let mut plugged = Some(first);
        while let Some((mut ours, theirs)) = plugged.take() {
            tokio::select! {
                () = world.shutdown.cancelled() => {}
                () = self.fault.until(|fault| *fault == Fault::Dead) => {}
                ended = device.talk(&mut ours, &self) => tracing::debug!(?ended, name = self.name, "the line ended"),
            }
            if let Err(error) = self.pull_out() {
                tracing::error!(%error, path = %self.path.display(), "the adapter's path could not be removed");
            }
            drop((ours, theirs));
            let back = self.fault.until(|fault| *fault != Fault::Dead);
            if world.shutdown.run_until_cancelled(back).await.is_none() || world.shutdown.is_cancelled() {
                return;
            }
            plugged = self.plug_in().inspect_err(|error| tracing::error!(%error, "the adapter is broken")).ok();
        }
    }

    /// Whether the device gets to see what was sent to it; after a delay, if it is slow.
    pub(super) async fn arrives(&self) -> bool {
        if let Fault::Slow { ms } = self.fault.get() {
            sleep(Duration::from_millis(ms)).await;
        }
        self.fault.get() != Fault::Silent
    }

    /// Sends an answer, with noise before, in and after it if there is noise on the line.
    pub(super) async fn answer(&self, port: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
        if self.fault.get() != Fault::Garbage {
            return port.write_all(bytes).await;
        }
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        port.write_all(&[&NOISE, head, &NOISE, tail, &NOISE].concat()).await
    }
}
