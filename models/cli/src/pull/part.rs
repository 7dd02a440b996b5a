//! A file on its way: `NAME.part`, and beside it `NAME.from`, which says what may be resumed with whom.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use url::Url;

use super::digest::{Digest, feed};
use super::exchange::strong;

/// Bytes that have come, and their hash so far.
pub(crate) struct Part {
    path: PathBuf,
    from: PathBuf,
    file: File,
    hasher: Sha256,
    bytes: u64,
}

impl Part {
    /// Opens what an earlier run left of `name` in `folder`, or begins. More than `limit` bytes are of no use.
    pub(crate) fn open(folder: &Path, name: &str, limit: u64) -> io::Result<Self> {
        let path = folder.join(format!("{name}.part"));
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let mut hasher = Sha256::new();
        let length = file.metadata()?.len();
        let bytes = if (1..=limit).contains(&length) { feed(&mut file, &mut hasher)? } else { 0 };
        let mut part = Self { from: folder.join(format!("{name}.from")), path, file, hasher, bytes };
        if part.bytes == 0 {
            part.clear()?;
        }
        Ok(part)
    }

    /// How many bytes are here.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The hash of what is here.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(self.hasher.clone())
    }

    /// The strong validator of what is here, if it came from `url`.
    pub(crate) fn validator(&self, url: &Url) -> Option<String> {
        let text = fs::read_to_string(&self.from).ok()?;
        let (from, etag) = text.split_once('\n')?;
        (from == address(url)).then(|| strong(etag.trim_end())).flatten().map(str::to_owned)
    }

    /// Throws away what is here.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        if self.file.metadata()?.len() > 0 {
            self.file.set_len(0)?;
        }
        self.file.seek(SeekFrom::Start(0))?;
        self.hasher = Sha256::new();
        self.bytes = 0;
        match fs::remove_file(&self.from) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Begins anew with what `url` sends, whose validator is `etag`.
    pub(crate) fn begin(&mut self, url: &Url, etag: Option<&str>) -> io::Result<()> {
        self.clear()?;
        match etag.and_then(strong) {
            Some(etag) => fs::write(&self.from, format!("{}\n{etag}\n", address(url))),
            _ => Ok(()),
        }
    }

    /// Adds bytes at the end.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Leaves what is here to the next run, if it is anything.
    pub(crate) fn leave(self) {
        if self.bytes == 0 {
            // an empty file in the way of nothing
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Puts the file on the disk under its own name, in the same folder.
    pub(crate) fn finish(self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, path)?;
        match fs::remove_file(&self.from) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Stands for an address on the disk, which should not learn a password in it.
fn address(url: &Url) -> String {
    Digest::of_bytes(url.as_str().as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_an_earlier_run_left_counts_into_size_and_hash() {
        let dir = tempfile::tempdir().unwrap();
        let url: Url = "https://example.org/a".parse().unwrap();
        let mut part = Part::open(dir.path(), "a", 10).unwrap();
        part.begin(&url, Some("\"1\"")).unwrap();
        part.append(b"hello ").unwrap();
        drop(part);
        let mut part = Part::open(dir.path(), "a", 20).unwrap();
        assert_eq!(part.bytes(), 6);
        assert_eq!(part.validator(&url).as_deref(), Some("\"1\""));
        assert_eq!(part.validator(&"https://example.org/b".parse().unwrap()), None);
        part.append(b"world").unwrap();
        assert_eq!(part.digest(), Digest::of_bytes(b"hello world"));
        part.finish(&dir.path().join("a")).unwrap();
        assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"hello world");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn more_than_the_limit_is_thrown_away() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.part"), [0; 11]).unwrap();
        let part = Part::open(dir.path(), "a", 10).unwrap();
        assert_eq!((part.bytes(), part.digest()), (0, Digest::of_bytes(b"")));
        assert_eq!(fs::metadata(dir.path().join("a.part")).unwrap().len(), 0);
    }

    #[test]
    fn a_weak_validator_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let url: Url = "https://example.org/a".parse().unwrap();
        let mut part = Part::open(dir.path(), "a", 10).unwrap();
        part.begin(&url, Some("W/\"1\"")).unwrap();
        assert_eq!(part.validator(&url), None);
    }
}
