//! Looking for bytes that must be gone: in every file of a folder, and in the memory of a running program.
//!
//! A secret is cut into pieces of [`PIECE`] bytes, so that any remnant of two pieces' length is found wherever it lies and
//! whatever surrounds it. Where files are compressed or encrypted as a whole, as a disk may be, nothing here sees through that.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Bytes of a piece: too many to occur by chance.
pub const PIECE: usize = 16;
/// A piece with fewer different bytes occurs everywhere and says nothing.
const DIFFERENT: usize = PIECE / 2;
/// How much of a program's memory is read at a time.
const BLOCK: usize = 1 << 20;

/// Pieces of secrets, each with what it is a piece of.
pub struct Needles {
    pieces: HashMap<[u8; PIECE], usize>,
    /// One bit for each possible start of three bytes: nearly everything is passed over by it.
    starts: Vec<u64>,
    names: Vec<String>,
}

impl Default for Needles {
    fn default() -> Self {
        Self { pieces: HashMap::new(), starts: vec![0; 1 << 18], names: Vec::new() }
    }
}

impl Needles {
    /// Adds a secret under a name.
    pub fn add(&mut self, name: &str, secret: &[u8]) {
        let number = self.names.len();
        self.names.push(name.to_owned());
        for piece in secret.chunks_exact(PIECE) {
            let Ok(piece) = <[u8; PIECE]>::try_from(piece) else { continue };
            let mut seen = piece;
            seen.sort_unstable();
            let different = 1 + seen.windows(2).filter(|pair| pair[0] != pair[1]).count();
            if different < DIFFERENT {
                continue;
            }
            let (word, bit) = start(&piece);
            self.starts[word] |= bit;
            self.pieces.insert(piece, number);
        }
    }

    /// How many pieces there are.
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// One of the pieces.
    pub fn some(&self) -> Option<&[u8; PIECE]> {
        self.pieces.keys().next()
    }

    /// What of it stands in `bytes`, which lie at `place`.
    fn look(&self, bytes: &[u8], place: &str, found: &mut Found) {
        // One block of zeroes is like the other, and memory is full of them.
        if bytes.iter().take(64).all(|byte| *byte == 0) && bytes[..bytes.len() - 1] == bytes[1..] {
            return;
        }
        let Some(last) = bytes.len().checked_sub(PIECE) else { return };
        let mut at = 0;
        while at <= last {
            let (word, bit) = start(&bytes[at..]);
            if self.starts[word] & bit != 0
                && let Some(number) = self.pieces.get(&bytes[at..at + PIECE])
            {
                let pieces = found.pieces.entry((self.names[*number].clone(), place.to_owned())).or_default();
                *pieces += 1;
            }
            at += 1;
        }
    }

    /// What of it stands in any file under `folder`, whatever its name.
    pub fn in_files(&self, folder: &Path) -> anyhow::Result<Found> {
        let mut found = Found::default();
        for file in files(folder)? {
            match std::fs::read(&file) {
                Ok(bytes) => {
                    found.searched += bytes.len() as u64;
                    let place = file.strip_prefix(folder).unwrap_or(&file).display().to_string();
                    if !bytes.is_empty() {
                        self.look(&bytes, &place, &mut found);
                    }
                }
                // Gone while the others were looked at.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| format!("reading {}", file.display())),
            }
        }
        Ok(found)
    }

    /// What of it stands in the memory that a process can write to: heap, stacks, mappings of its own (proc(5)). `None`
    /// where the system does not let it be read.
    pub fn in_memory(&self, pid: u32) -> anyhow::Result<Option<Found>> {
        let memory = match File::open(format!("/proc/{pid}/mem")) {
            Ok(memory) => memory,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("opening the memory of process {pid}")),
        };
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let mut found = Found::default();
        let mut block = vec![0; BLOCK + PIECE - 1];
        for (from, to, name) in maps.lines().filter_map(writable) {
            let mut at = from;
            while at < to {
                let len = usize::try_from(to - at).unwrap_or(usize::MAX).min(block.len());
                // What cannot be read is not the program's own, such as a device.
                if let Ok(read) = memory.read_at(&mut block[..len], at)
                    && read > 0
                {
                    found.searched += read as u64;
                    self.look(&block[..read], name, &mut found);
                }
                at += BLOCK as u64;
            }
        }
        Ok(Some(found))
    }
}

/// Where a piece that begins like `bytes` has its bit.
fn start(bytes: &[u8]) -> (usize, u64) {
    let start = usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]);
    (start >> 6, 1 << (start & 63))
}

/// A line of `/proc/PID/maps` that says of memory which can be read and written.
fn writable(line: &str) -> Option<(u64, u64, &str)> {
    let mut words = line.split_ascii_whitespace();
    let (range, rights) = (words.next()?, words.next()?);
    if !rights.starts_with("rw") {
        return None;
    }
    let (from, to) = range.split_once('-')?;
    let name = words.nth(3).unwrap_or("anonymous memory");
    Some((u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?, name))
}

/// Every file under a folder.
pub(super) fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            all.extend(files(&entry.path())?);
        } else if kind.is_file() {
            all.push(entry.path());
        }
    }
    Ok(all)
}

/// What was found, and in how much.
#[derive(Debug, Default)]
pub struct Found {
    /// Pieces found, by secret and place.
    pub pieces: BTreeMap<(String, String), usize>,
    /// Bytes looked through.
    pub searched: u64,
}

impl Found {
    /// How many pieces were found of secrets whose name begins like that.
    pub fn of(&self, name: &str) -> usize {
        self.pieces.iter().filter(|((secret, _), _)| secret.starts_with(name)).map(|(_, pieces)| pieces).sum()
    }

    /// Pieces found by what they are of, whoever's.
    pub fn kinds(&self) -> BTreeMap<String, usize> {
        let mut kinds = BTreeMap::new();
        for ((secret, _), pieces) in &self.pieces {
            let kind = secret.split(" of ").next().unwrap_or_default();
            *kinds.entry(kind.to_owned()).or_default() += pieces;
        }
        kinds
    }

    /// Where something was found, each once.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        self.pieces.keys().map(|(_, place)| place.as_str()).collect::<BTreeSet<_>>().into_iter()
    }

    /// An error that says what was found, if anything was.
    pub fn nothing(&self) -> anyhow::Result<()> {
        let lines: Vec<String> = self
            .pieces
            .iter()
            .take(40)
            .map(|((secret, place), pieces)| format!("{pieces} pieces of {secret} in {place}"))
            .collect();
        anyhow::ensure!(lines.is_empty(), "of what was erased, this is still there:\n{}", lines.join("\n"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn needle() -> Vec<u8> {
        (0..8 * PIECE).map(|n| (n * 37 % 251) as u8).collect()
    }

    proptest! {
        #[test]
        fn any_remnant_of_two_pieces_is_found_wherever_it_lies(from in 0usize..6 * PIECE, before in 0usize..5_000) {
            let mut needles = Needles::default();
            needles.add("secret", &needle());
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("deep").join("file");
            std::fs::create_dir(file.parent().unwrap()).unwrap();
            std::fs::write(&file, vec![0; before]).unwrap();
            prop_assert!(needles.in_files(folder.path()).unwrap().nothing().is_ok());
            let remnant = [&vec![0; before], &needle()[from..from + 2 * PIECE], &[7; 100]].concat();
            std::fs::write(&file, remnant).unwrap();
            let found = needles.in_files(folder.path()).unwrap();
            prop_assert!(found.nothing().is_err() && found.of("secret") > 0);
        }
    }

    #[test]
    fn what_a_process_holds_is_found_in_its_memory() {
        // The pieces themselves are held by this process.
        let mut needles = Needles::default();
        needles.add("secret", &needle());
        let Some(found) = needles.in_memory(std::process::id()).unwrap() else { return };
        assert!(found.of("secret") >= needles.len());
        assert!(found.searched > 1_000_000);
    }

    #[test]
    fn pieces_of_nearly_equal_bytes_are_not_looked_for() {
        let mut needles = Needles::default();
        needles.add("zeroes", &[0; 64]);
        needles.add("a count", &(0..16).flat_map(|n: u8| [n % 4, 0, 0, 0]).collect::<Vec<_>>());
        assert!(needles.is_empty());
    }
}
