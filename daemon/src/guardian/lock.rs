//! Who drives the outputs: the holder of a lock that the kernel takes away from the dead.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

const TRY_EVERY: Duration = Duration::from_millis(20);

/// Held by whoever drives the outputs; given up when it is dropped, or its process has ended.
#[derive(Debug)]
pub struct OutputsLock {
    _file: File,
}

/// Why the lock cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error("another cardead drives the outputs: stop it first ({path} is locked)")]
    Taken {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be used.
    #[error("the file {path} cannot be locked: check that its folder exists and that this user may write to it")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl OutputsLock {
    /// Where the lock is in a state folder.
    pub fn path(state_dir: &Path) -> PathBuf {
        state_dir.join("outputs.lock")
    }

    /// Takes the lock, waiting for as long as `patience`: a guard that is making the outputs safe is soon done.
    pub async fn take(path: &Path, patience: Duration) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).mode(0o600).open(path).map_err(failed)?;
        let end = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < end => sleep(TRY_EVERY).await,
                Err(TryLockError::WouldBlock) => return Err(LockError::Taken { path: path.to_owned() }),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = OutputsLock::path(folder.path());
        let first = OutputsLock::take(&path, Duration::ZERO).await.unwrap();
        let refused = OutputsLock::take(&path, Duration::from_millis(50)).await.unwrap_err();
        assert!(refused.to_string().contains("stop it first"), "{refused}");
        let waiting = OutputsLock::take(&path, Duration::from_secs(10));
        let (taken, ()) = tokio::join!(waiting, async { drop(first) });
        taken.unwrap();
        let nowhere = OutputsLock::take(Path::new("/nonexistent/outputs.lock"), Duration::ZERO).await.unwrap_err();
        assert!(matches!(nowhere, LockError::Io { .. }));
    }
}
