//! The key of a reader's secure channel (SCBK), in a file of its own, and the ten minutes in which a new one may be set.
//!
//! A new key is written to `….new` before the reader is told it, and takes the place of the old one once a session with it has
//! been made: whenever this machine or the reader loses its power, one of the two files is right.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use osdp::secure::SCBK_D;
use rand::{TryRngCore as _, rngs::OsRng};
use zeroize::Zeroizing;

/// How long an install mode lasts.
pub const INSTALL_MODE: Duration = Duration::from_mins(10);

/// A key; cleared when dropped, and without any way to print it.
pub(super) type Key = Zeroizing<[u8; 16]>;

/// The files of one reader.
#[derive(Clone)]
pub(super) struct KeyFiles {
    path: PathBuf,
}

impl KeyFiles {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The keys that the reader may have, likeliest first: the present one, and one that was being set.
    pub(super) fn known(&self) -> io::Result<Vec<(Key, PathBuf)>> {
        let mut keys = Vec::new();
        for path in [self.path.clone(), with(&self.path, "new")] {
            if let Some(key) = read(&path)? {
                keys.push((key, path));
            }
        }
        Ok(keys)
    }

    /// A session was made with the key of `path`.
    pub(super) fn proved(&self, path: &Path) -> io::Result<()> {
        if path != self.path {
            fs::rename(path, &self.path)?;
            sync_folder(&self.path)?;
        }
        Ok(())
    }

    /// Makes a key and keeps it beside the present one.
    pub(super) fn make(&self) -> io::Result<Key> {
        let mut key = Key::default();
        OsRng.try_fill_bytes(key.as_mut_slice()).map_err(io::Error::other)?;
        let path = with(&self.path, "new");
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(key.as_slice())?;
        file.sync_all()?;
        sync_folder(&path)?;
        Ok(key)
    }

    /// Whether the default key may be used at `now`.
    pub(super) fn install_mode(&self, now: SystemTime) -> bool {
        let asked = fs::metadata(with(&self.path, "install")).and_then(|file| file.modified());
        let Ok(asked) = asked else { return false };
        // A date in the future proves nothing.
        let lasts = now.duration_since(asked).is_ok_and(|age| age < INSTALL_MODE);
        if !lasts {
            // A clock that is set back must not bring the ten minutes back.
            self.end_install_mode();
        }
        lasts
    }

    /// A key has been set: the install mode is over.
    pub(super) fn end_install_mode(&self) {
        if let Err(error) = fs::remove_file(with(&self.path, "install")) {
            tracing::debug!(%error, "the install mode ends by itself");
        }
    }
}

/// Begins the ten minutes in which a reader whose key is kept in `key_file` may be given one.
pub fn begin_install_mode(key_file: &Path) -> io::Result<()> {
    if let Some(folder) = key_file.parent() {
        fs::create_dir_all(folder)?;
    }
    let path = with(key_file, "install");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?.sync_all()
}

fn read(path: &Path) -> io::Result<Option<Key>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let key = <[u8; 16]>::try_from(bytes.as_slice()).map(Key::new);
    let key = key.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a key has 16 bytes"))?;
    if *key == SCBK_D {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it holds the default key, which everybody knows"));
    }
    Ok(Some(key))
}

fn with(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_new_key_waits_beside_the_old_one_until_it_is_proved() {
        let folder = tempfile::tempdir().unwrap();
        let files = KeyFiles::new(folder.path().join("readers/door.key"));
        assert!(files.known().unwrap().is_empty());
        let first = files.make().unwrap();
        let (_, path) = files.known().unwrap().remove(0);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        files.proved(&path).unwrap();
        let second = files.make().unwrap();
        let keys: Vec<_> = files.known().unwrap().into_iter().map(|(key, _)| key).collect();
        assert!(first != second && keys == [first, second.clone()]);
        let (_, path) = files.known().unwrap().remove(1);
        files.proved(&path).unwrap();
        assert!(files.known().unwrap()[0].0 == second && files.known().unwrap().len() == 1);
    }

    #[test]
    fn the_default_key_and_a_torn_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("door.key");
        for bad in [&SCBK_D[..], b"short"] {
            fs::write(&path, bad).unwrap();
            assert!(KeyFiles::new(path.clone()).known().is_err());
        }
    }

    #[test]
    fn an_install_mode_lasts_ten_minutes_and_neither_a_late_nor_an_early_clock_brings_it_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("door.key");
        let files = KeyFiles::new(path.clone());
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
        assert!(!files.install_mode(far), "nobody has asked");
        begin_install_mode(&path).unwrap();
        let asked = fs::metadata(folder.path().join("door.key.install")).unwrap().modified().unwrap();
        assert!(files.install_mode(asked + Duration::from_secs(599)));
        assert!(!files.install_mode(asked + Duration::from_mins(10)));
        assert!(!files.install_mode(asked + Duration::from_secs(1)), "over is over, also when the clock is set back");
        begin_install_mode(&path).unwrap();
        assert!(!files.install_mode(asked - Duration::from_mins(1)), "a clock before the marker proves nothing");
        files.end_install_mode();
        assert!(!files.install_mode(asked));
    }
}
