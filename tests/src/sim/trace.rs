//! What happened, in order: hashed, so that two runs of a seed can be compared, and kept or printed where somebody looks.
//!
//! Nothing that is random beyond the seed (ids that the programs draw from the operating system, ciphertexts) may get into it.

use std::fmt;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::clock::TrueTime;

/// The last lines that are kept, to be shown with what went wrong.
const KEPT: usize = 60;

/// A trace. Cheap to clone.
#[derive(Clone)]
pub(super) struct Trace {
    time: TrueTime,
    loud: bool,
    told: Arc<Mutex<Told>>,
}

#[derive(Default)]
struct Told {
    hash: Sha256,
    last: std::collections::VecDeque<String>,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trace")
    }
}

impl Trace {
    /// An empty one; a loud one is printed as it grows.
    pub(super) fn new(time: TrueTime, loud: bool) -> Self {
        Self { time, loud, told: Arc::default() }
    }

    /// One line.
    pub(super) fn note(&self, what: fmt::Arguments<'_>) {
        let line = format!("{:>9} {what}", self.time.ms());
        if self.loud {
            // Whoever reads a history that long may have stopped.
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.hash.update(line.as_bytes());
        told.hash.update(b"\n");
        if told.last.len() == KEPT {
            told.last.pop_front();
        }
        told.last.push_back(line);
    }

    /// The hash of all of it, the first 16 digits.
    pub(super) fn hash(&self) -> String {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        hex::encode(&told.hash.clone().finalize()[..8])
    }

    /// Its end.
    pub(super) fn end(&self) -> Vec<String> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).last.iter().cloned().collect()
    }
}
