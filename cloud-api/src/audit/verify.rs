//! Checking the audit: a function of its lines, its seals and the cloud's public key, one after the other.

use cardea_protocol::jws::{Use, Verifier};

use super::{CUT, FORMAT};
use crate::chain::{Link, Seal, line_hash};

/// What a sound audit says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The oldest entry that is there; retention has taken those before it.
    pub first: u64,
    /// The newest entry.
    pub last: u64,
    /// SHA-256 of the newest entry.
    pub head: String,
    /// The newest entry that a signature covers.
    pub signed: u64,
}

/// Why an audit is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not the number that comes next.
    #[error("entry {expected} is missing or moved: {found} stands in its place")]
    Missing {
        /// Which is missing.
        expected: u64,
        /// What comes instead.
        found: u64,
    },
    /// Its hash is not what its content says, or it does not follow the entry before.
    #[error("entry {0} was altered, or the one before it was")]
    Changed(u64),
    /// A line that is no entry.
    #[error("what follows entry {0} is no entry of an audit")]
    NoEntry(u64),
    /// A seal whose signature is not the cloud's.
    #[error("a signature at entry {0} does not verify with this key: it was altered, or the key is another cloud's")]
    Signature(u64),
    /// Signed, but another chain.
    #[error("at entry {0} another audit was signed: entries up to there were altered or made anew")]
    Forged(u64),
    /// Signed entries are missing at the end.
    #[error("the audit ends with entry {found}, and {signed} was signed: its end was cut off")]
    Truncated {
        /// The newest entry found.
        found: u64,
        /// The newest entry signed.
        signed: u64,
    },
    /// What was signed or noted earlier is not the hash of that entry.
    #[error("entry {0} is another one than the one that was noted: entries up to there were altered or made anew")]
    Noted(u64),
    /// An exported audit that does not end with a signature.
    #[error("the file does not end with a signature: its end was cut off")]
    NoSeal,
}

/// A head that was noted earlier, outside the database: from the log, or from what an earlier check has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// The number of the entry.
    pub entry: u64,
    /// Its hash, hexadecimal.
    pub hash: String,
}

impl std::str::FromStr for Noted {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rule = "write a noted head as NUMBER:HASH";
        let (entry, hash) = text.split_once(':').ok_or(rule)?;
        Ok(Self { entry: entry.parse().map_err(|_| rule)?, hash: hash.to_ascii_lowercase() })
    }
}

/// What has been checked so far.
#[derive(Debug)]
pub struct Check<'a> {
    verifier: &'a Verifier,
    noted: Option<&'a Noted>,
    first: u64,
    last: u64,
    head: String,
    signed: u64,
}

impl<'a> Check<'a> {
    /// Nothing yet.
    pub fn new(verifier: &'a Verifier, noted: Option<&'a Noted>) -> Self {
        Self { verifier, noted, first: 1, last: 0, head: String::new(), signed: 0 }
    }

    /// The number of the newest entry that was shown.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The hash of the newest entry that was shown.
    pub fn head(&self) -> &str {
        &self.head
    }

    fn seal(&self, format: &str, jws: &str) -> Result<Seal, Fault> {
        let seal: Result<Seal, _> = self.verifier.verify(Use::Export, jws);
        seal.ok().filter(|seal| seal.format == format).ok_or(Fault::Signature(self.last))
    }

    /// Where retention has cut off the beginning: before any line.
    pub fn cut(&mut self, jws: &str) -> Result<(), Fault> {
        let seal = self.seal(CUT, jws)?;
        if self.last != 0 {
            return Err(Fault::Forged(self.last));
        }
        (self.first, self.last, self.signed, self.head) = (seal.lines + 1, seal.lines, seal.lines, seal.head);
        Ok(())
    }

    /// The next line, without its end.
    pub fn line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let link: Link = serde_json::from_slice(line).map_err(|_| Fault::NoEntry(self.last))?;
        let expected = self.last + 1;
        if link.n != expected {
            return Err(Fault::Missing { expected, found: link.n });
        }
        if link.prev != self.head {
            return Err(Fault::Changed(expected));
        }
        self.last = expected;
        self.head = line_hash(line);
        match self.noted {
            Some(noted) if noted.entry == self.last && noted.hash != self.head => Err(Fault::Noted(self.last)),
            _ => Ok(()),
        }
    }

    /// A signature over all up to the newest entry shown.
    pub fn sealed(&mut self, jws: &str) -> Result<(), Fault> {
        let seal = self.seal(FORMAT, jws)?;
        if seal.lines > self.last {
            return Err(Fault::Truncated { found: self.last, signed: seal.lines });
        }
        if seal.lines != self.last || seal.head != self.head {
            return Err(Fault::Forged(self.last));
        }
        self.signed = self.last;
        Ok(())
    }

    /// All has been shown.
    pub fn end(self) -> Result<Summary, Fault> {
        if let Some(noted) = self.noted.filter(|noted| noted.entry > self.last) {
            return Err(Fault::Truncated { found: self.last, signed: noted.entry });
        }
        Ok(Summary { first: self.first, last: self.last, head: self.head, signed: self.signed })
    }
}

/// A line of an exported audit that is no entry.
#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) enum SealLine {
    /// The audit begins after this.
    Cut(String),
    /// All up to here.
    Head(String),
}

/// Checks an exported audit: JSON Lines, the last of which is a signature.
pub fn verify(file: &[u8], verifier: &Verifier, noted: Option<&Noted>) -> Result<Summary, Fault> {
    let body = file.strip_suffix(b"\n").ok_or(Fault::NoSeal)?;
    let mut check = Check::new(verifier, noted);
    let mut ends_sealed = false;
    for line in body.split(|&byte| byte == b'\n') {
        ends_sealed = false;
        match serde_json::from_slice::<SealLine>(line) {
            // Byte for byte as it is written: nothing may hide in spaces or escapes.
            Ok(seal) if serde_json::to_vec(&seal).ok().as_deref() != Some(line) => {
                return Err(Fault::NoEntry(check.last));
            }
            Ok(SealLine::Cut(jws)) => check.cut(&jws)?,
            Ok(SealLine::Head(jws)) => {
                check.sealed(&jws)?;
                ends_sealed = true;
            }
            Err(_) => check.line(line)?,
        }
    }
    if ends_sealed { check.end() } else { Err(Fault::NoSeal) }
}
