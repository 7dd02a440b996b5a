//! The status socket: who connects gets one JSON document, a line, and the end of the stream.
//!
//! ```text
//! socat - UNIX-CONNECT:/run/cardea/local.sock | jq      or      cardead status
//! ```
//!
//! It only ever says; it takes no orders, and reads nothing from whoever connects: orders have a socket of their own. The socket is a file of mode 0660: its
//! group is the people who may look.

mod orders;
mod status;

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cardea_protocol::clock::SharedClock;
use cardea_protocol::id::BootId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::store::{Store, StoreError};
use crate::sync::SyncStatus;
pub(crate) use orders::take as take_orders;
pub use orders::{Answer, Carried, LocalOrder, OrderRefusal, PostureOrder, order};
pub use status::{CaptureStatus, CloudStatus, HoldingsStatus, PostureStatus, RecentDecision, Status, StatusBoard};

/// Who connects gets the status within this time, or is let go.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections at once.
const CONNECTIONS: usize = 8;
/// No status is larger than this, in bytes.
const MAX_STATUS: u64 = 1 << 20;
const MODE: u32 = 0o660;

/// Why the status socket, or the answer from it, could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The socket cannot be made.
    #[error("the status socket {path} cannot be made: check that its folder exists and that this user may write to it")]
    Bind {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another program listens there.
    #[error("another cardead already answers at {path}: stop it first, or give this one another [local] socket")]
    Taken {
        /// Where.
        path: PathBuf,
    },
    /// Nobody answers.
    #[error("no cardead answers at {path}: start it, or check that this user may open the socket")]
    Silent {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What came is no status.
    #[error("what answers at {path} is no cardead of this version")]
    Foreign {
        /// Where.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// What the status is put together from.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    pub(crate) board: StatusBoard,
    pub(crate) store: Store,
    pub(crate) clock: SharedClock,
    pub(crate) boot_id: BootId,
    pub(crate) sync_status: watch::Receiver<SyncStatus>,
}

/// The socket, listening.
pub(crate) struct Listening {
    listener: UnixListener,
    path: PathBuf,
}

impl Listening {
    /// Makes the socket. One that a killed program left behind is replaced; one that answers, or a file that is no socket,
    /// is not touched.
    pub(crate) async fn bind(path: &Path) -> Result<Self, LocalError> {
        if UnixStream::connect(path).await.is_ok() {
            return Err(LocalError::Taken { path: path.to_owned() });
        }
        let failed = |source| LocalError::Bind { path: path.to_owned(), source };
        match std::fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path).map_err(failed)?,
            Ok(_) => {
                return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket")));
            }
            Err(_) => {}
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE)).map_err(failed)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Answers until `cancel`; then the file is removed.
    pub(crate) async fn serve(self, sources: Sources, cancel: CancellationToken) {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            let accepted = tokio::select! {
                () = cancel.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let sources = sources.clone();
                    tokio::spawn(async move {
                        if timeout(PATIENCE, answer(stream, &sources)).await.is_err() {
                            tracing::debug!("whoever asked for the status did not take it");
                        }
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the status socket failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // A socket that stays behind is replaced at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn answer(mut stream: UnixStream, sources: &Sources) {
    let status = match sources.status().await {
        Ok(status) => status,
        Err(error) => {
            tracing::error!(%error, "the status cannot be told");
            return;
        }
    };
    if let Ok(mut line) = serde_json::to_vec(&status) {
        line.push(b'\n');
        // Whoever asked may have gone.
        let _ = stream.write_all(&line).await;
        let _ = stream.shutdown().await;
    }
}

/// Asks the program that listens at `path`.
pub async fn ask(path: &Path) -> Result<Status, LocalError> {
    let silent = |source| LocalError::Silent { path: path.to_owned(), source };
    let read = async {
        let mut text = Vec::new();
        UnixStream::connect(path).await?.take(MAX_STATUS).read_to_end(&mut text).await?;
        Ok(text)
    };
    let text = timeout(PATIENCE, read).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(silent)?;
    serde_json::from_slice(&text).map_err(|source| LocalError::Foreign { path: path.to_owned(), source })
}

impl Sources {
    async fn status(&self) -> Result<Status, StoreError> {
        let standing = self.store.standing().await?;
        let outbox_events = self.store.events_waiting().await?;
        let posted = self.board.posted();
        Ok(Status {
            software: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: self.boot_id.clone(),
            at: self.clock.now(),
            rss_bytes: resident_bytes(),
            cloud: CloudStatus::from(&*self.sync_status.borrow()),
            access_points: posted.access_points.clone(),
            postures: posted.postures.clone(),
            inside: posted.inside.clone(),
            devices: posted.devices.clone(),
            holdings: HoldingsStatus {
                cursor: standing.cursor.0,
                digest: standing.digest.to_string(),
                freshness_age_ms: posted.word_age_ms,
                counts_for_ms: posted.of_each(|of| of.counts_for_ms),
                staleness_limits_s: posted.of_each(|of| of.limit_s),
                plates: posted.plates,
                templates: posted.templates,
                outbox_events,
            },
            captures: posted.captures.clone(),
            recent: posted.recent.iter().cloned().collect(),
        })
    }
}

/// Resident memory of this process (proc(5), `VmRSS`, kibibytes).
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EventsConfig;
    use crate::store::{DeviceKey, StoreOptions};
    use cardea_protocol::clock::ManualClock;

    fn sources() -> Sources {
        let options = StoreOptions {
            device_key: DeviceKey::from_bytes([7; 32]),
            events: EventsConfig::default(),
            machine_boot: None,
        };
        Sources {
            board: StatusBoard::default(),
            store: Store::in_memory(options).unwrap(),
            clock: ManualClock::at(cardea_access::time::Timestamp(1_000)),
            boot_id: BootId::random(),
            sync_status: watch::channel(SyncStatus::Unclaimed).1,
        }
    }

    #[tokio::test]
    async fn who_connects_gets_the_status() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("local.sock");
        let (sources, cancel) = (sources(), CancellationToken::new());
        let listening = Listening::bind(&path).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        let serving = tokio::spawn(listening.serve(sources.clone(), cancel.clone()));
        let status = ask(&path).await.unwrap();
        assert_eq!(status.boot_id, sources.boot_id);
        assert!(status.rss_bytes > Some(1 << 20));
        assert_eq!((status.holdings.freshness_age_ms, status.cloud), (None, CloudStatus::Unclaimed));
        assert!(matches!(Listening::bind(&path).await, Err(LocalError::Taken { .. })));
        cancel.cancel();
        serving.await.unwrap();
        assert!(matches!(ask(&path).await, Err(LocalError::Silent { .. })));
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced_and_a_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("local.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(Listening::bind(&path).await.unwrap());
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(Listening::bind(&path).await, Err(LocalError::Bind { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
