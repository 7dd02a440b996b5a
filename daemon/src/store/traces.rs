//! Looks for erased bytes in the database's own files.
//!
//! The files are opened once and kept open: closing any descriptor of a file drops all of a process's POSIX locks on it
//! (fcntl(2)), SQLite's too.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::StoreError;

/// Bytes that are looked for at a time: long enough never to occur by chance, short enough to find a remnant.
pub(super) const MARK_LEN: usize = 12;
const BLOCK: usize = 256 * 1024;

/// The database, its write-ahead log and, where there is one, its shared-memory index.
pub(super) struct RawFiles(Vec<(PathBuf, File)>);

impl RawFiles {
    /// Opens them for reading; none for a database in memory.
    pub(super) fn open(database: Option<&Path>) -> Result<Self, StoreError> {
        let mut files = Vec::new();
        for suffix in ["", "-wal", "-shm"] {
            let Some(database) = database else { break };
            let path = super::with_suffix(database, suffix);
            match File::open(&path) {
                Ok(file) => files.push((path, file)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && !suffix.is_empty() => {}
                Err(source) => return Err(StoreError::File { path, source }),
            }
        }
        Ok(Self(files))
    }

    /// Whether any of `marks` stands in any of the files.
    pub(super) fn contain(&self, marks: &Marks) -> Result<bool, StoreError> {
        for (path, file) in &self.0 {
            if contains(file, marks, BLOCK).map_err(|source| StoreError::File { path: path.clone(), source })? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn contains(file: &File, marks: &Marks, block_len: usize) -> std::io::Result<bool> {
    let mut block = Zeroizing::new(vec![0; block_len]);
    let mut offset = 0;
    loop {
        let mut filled = 0;
        while filled < block_len {
            match file.read_at(&mut block[filled..], offset + filled as u64)? {
                0 => break,
                n => filled += n,
            }
        }
        if marks.occur_in(&block[..filled]) {
            return Ok(true);
        }
        if filled < block_len {
            return Ok(false);
        }
        // A mark may lie across two blocks.
        offset += (block_len - MARK_LEN + 1) as u64;
    }
}

/// Short pieces of what was erased, in memory only and wiped on drop. Found by their first two bytes.
#[derive(Default)]
pub(super) struct Marks {
    by_start: HashMap<[u8; 2], Vec<Zeroizing<[u8; MARK_LEN]>>>,
    /// One bit for each possible start: most of a file is passed over by it.
    starts: Vec<u64>,
}

impl Marks {
    /// Adds `content`, piece by piece. Pieces of nearly equal bytes would be found everywhere and say nothing.
    pub(super) fn add(&mut self, content: &[u8]) {
        for piece in content.chunks_exact(MARK_LEN) {
            let Ok(piece) = <[u8; MARK_LEN]>::try_from(piece) else { continue };
            let mut seen: Vec<u8> = piece.to_vec();
            seen.sort_unstable();
            seen.dedup();
            if seen.len() >= MARK_LEN / 2 {
                let (word, bit) = start_bit(piece[0], piece[1]);
                self.starts.resize(1 << 10, 0);
                self.starts[word] |= bit;
                self.by_start.entry([piece[0], piece[1]]).or_default().push(Zeroizing::new(piece));
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_start.is_empty()
    }

    fn occur_in(&self, bytes: &[u8]) -> bool {
        !self.is_empty()
            && bytes.windows(MARK_LEN).any(|window| {
                let (word, bit) = start_bit(window[0], window[1]);
                self.starts[word] & bit != 0
                    && self
                        .by_start
                        .get(&[window[0], window[1]])
                        .is_some_and(|marks| marks.iter().any(|mark| mark.as_slice() == window))
            })
    }
}

fn start_bit(first: u8, second: u8) -> (usize, u64) {
    let start = usize::from(first) << 8 | usize::from(second);
    (start >> 6, 1 << (start & 63))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write as _;

    proptest! {
        #[test]
        fn any_remnant_of_two_pieces_is_found_wherever_it_lies(
            content in prop::collection::vec(any::<u8>(), 4 * MARK_LEN..8 * MARK_LEN),
            start in 0usize..2 * MARK_LEN,
            before in 0usize..600,
        ) {
            let mut marks = Marks::default();
            marks.add(&content);
            prop_assume!(marks.by_start.values().map(Vec::len).sum::<usize>() == content.len() / MARK_LEN);
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&vec![0; before]).unwrap();
            prop_assert!(!contains(&file, &marks, 256).unwrap());
            file.write_all(&content[start..start + 2 * MARK_LEN]).unwrap();
            file.write_all(&[0; 100]).unwrap();
            prop_assert!(contains(&file, &marks, 256).unwrap());
        }
    }
}
