//! Keeps a file with the controllers' certificates that count no longer, for a broker that is not the cloud's own.
//!
//! It spares that broker connections; nothing rests on it. A controller that is revoked gets nothing from the cloud whether the
//! broker lets it in or not: its messages verify with no key, and none is sent to it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cardea_protocol::Timestamp;
use cardea_protocol::clock::SharedClock;
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::pki::{Authority, PkiError, write_whole};
use crate::storage::certificates::EndedCertificate;
use crate::storage::{Storage, StorageError};

/// How often it looks for certificates that were superseded, of which nobody tells it.
const LOOK: Duration = Duration::from_mins(1);
/// A list is made anew after this even if it says the same, milliseconds.
const OLD_MS: i64 = 86_400_000;

/// Why a list was not written.
#[derive(Debug, thiserror::Error)]
pub enum RevocationListError {
    /// The storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The CA.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The file system refused.
    #[error("the list of revocations cannot be written to {file}: make its folder, as the service's own")]
    File {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The file and what is in it.
pub struct RevocationList {
    storage: Storage,
    authority: Arc<Authority>,
    clock: SharedClock,
    file: PathBuf,
    written: Option<(Vec<EndedCertificate>, Timestamp)>,
}

impl std::fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RevocationList({})", self.file.display())
    }
}

impl RevocationList {
    /// Of a file that is still to be written.
    pub fn new(storage: Storage, authority: Arc<Authority>, clock: SharedClock, file: PathBuf) -> Self {
        Self { storage, authority, clock, file, written: None }
    }

    /// Writes the file, unless it says the same already and is not old. Everybody may read it: it holds serial numbers.
    pub async fn write(&mut self) -> Result<(), RevocationListError> {
        let now = self.clock.now();
        let ended = self.storage.ended_certificates(now).await?;
        if self.written.as_ref().is_some_and(|(written, at)| *written == ended && now.since_ms(*at) < OLD_MS) {
            return Ok(());
        }
        let pem = self.authority.revocation_list(&ended, now)?;
        let partial = self.file.with_extension("new");
        let written = write_whole(&partial, pem.as_bytes(), 0o644)
            .and_then(|()| std::fs::set_permissions(&partial, std::fs::Permissions::from_mode(0o644)))
            .and_then(|()| std::fs::rename(&partial, &self.file));
        written.map_err(|source| RevocationListError::File { file: self.file.clone(), source })?;
        tracing::info!(certificates = ended.len(), "the list of revocations was written");
        self.written = Some((ended, now));
        Ok(())
    }

    /// Writes it whenever `revoked` says that a certificate has ended, and looks by itself, until cancelled.
    pub(crate) async fn keep(mut self, revoked: Arc<Notify>, cancel: CancellationToken) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = revoked.notified() => {}
                _ = look.tick() => {}
            }
            if let Err(error) = self.write().await {
                tracing::error!(error = &error as &dyn std::error::Error, "the list of revocations was not written");
            }
        }
    }
}
