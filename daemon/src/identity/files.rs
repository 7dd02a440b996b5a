//! Secret files: mode 0600 from their first moment, replaced whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// No key, certificate or answer of a cloud is longer.
const MAX_LEN: u64 = 1024 * 1024;

/// A file of the state folder could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: check that state_dir exists and belongs to the user cardead runs as")]
pub struct FileError {
    /// What was tried.
    pub action: &'static str,
    /// On what.
    pub path: PathBuf,
    /// Why it failed.
    pub source: std::io::Error,
}

/// Stands before each operation. In tests the power can be cut at any of them ([`power`]).
#[cfg(not(test))]
const fn step() -> std::io::Result<()> {
    Ok(())
}
#[cfg(test)]
use power::step;

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError { action, path, source }
}

/// Makes a folder that only this user may enter, with its parents.
pub fn make_private_dir(path: &Path) -> Result<(), FileError> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("make the folder", path))
}

/// The content of a file, `None` if there is none.
pub fn read_secret(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed("open", path))?,
    };
    // Reserved at once, so that no half-filled copy is left behind by a growing buffer.
    let len = file.metadata().map_err(failed("read", path))?.len().min(MAX_LEN);
    let mut content = Zeroizing::new(Vec::with_capacity(len as usize + 1));
    file.take(MAX_LEN).read_to_end(&mut content).map_err(failed("read", path))?;
    Ok(Some(content))
}

/// The same as text; a file that is not UTF-8 is an error.
pub fn read_secret_text(path: &Path) -> Result<Option<Zeroizing<String>>, FileError> {
    let Some(bytes) = read_secret(path)? else { return Ok(None) };
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| failed("read (it is not text)", path)(ErrorKind::InvalidData.into()))?;
    Ok(Some(Zeroizing::new(text.to_owned())))
}

/// Writes a whole file, mode 0600: beside it first, then synced, then renamed over it, then the folder synced.
pub fn write_secret(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    // What a crash left there may have another mode.
    remove(&temporary)?;
    let mut file = step()
        .and_then(|()| OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary))
        .map_err(failed("create", &temporary))?;
    let (half, rest) = content.split_at(content.len() / 2);
    file.write_all(half)
        .and_then(|()| step())
        .and_then(|()| file.write_all(rest))
        .and_then(|()| step())
        .and_then(|()| file.sync_all())
        .map_err(failed("write", &temporary))?;
    rename(&temporary, path)
}

/// Puts `from` in the place of `to`, durably.
pub fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    step().and_then(|()| std::fs::rename(from, to)).map_err(failed("replace", to))?;
    let folder = to.parent().unwrap_or(Path::new("."));
    step()
        .and_then(|()| File::open(folder))
        .and_then(|folder| folder.sync_all())
        .map_err(failed("sync the folder", folder))
}

/// Removes a file that may not be there.
pub fn remove(path: &Path) -> Result<(), FileError> {
    match step().and_then(|()| std::fs::remove_file(path)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(super) mod power {
    //! Cuts the power of this thread at a chosen operation: that one and all after it fail.

    use std::cell::Cell;
    use std::io;

    thread_local! {
        static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    }

    /// So many operations work from here on; `None`: all.
    pub(crate) fn lasts(operations: Option<u32>) {
        LEFT.set(operations);
    }

    /// Whether it was cut.
    pub(crate) fn is_gone() -> bool {
        LEFT.get() == Some(0)
    }

    pub(super) fn step() -> io::Result<()> {
        match LEFT.get() {
            Some(0) => Err(io::Error::other("the power is cut")),
            left => {
                LEFT.set(left.map(|left| left - 1));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_secret_is_replaced_whole_and_stays_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(read_secret(&path).unwrap().is_none());
        // A forgotten half of an earlier write, readable by all.
        std::fs::write(dir.path().join("key.tmp"), b"half").unwrap();
        write_secret(&path, b"first").unwrap();
        write_secret(&path, b"second").unwrap();
        assert_eq!(read_secret(&path).unwrap().unwrap().as_slice(), b"second");
        assert!(!dir.path().join("key.tmp").exists());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_new_secret_is_for_this_user_only() {
        let dir = tempfile::tempdir().unwrap();
        make_private_dir(&dir.path().join("state")).unwrap();
        let path = dir.path().join("state/key");
        write_secret(&path, b"secret").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&dir.path().join("state"))), (0o600, 0o700));
    }
}
