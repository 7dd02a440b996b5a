//! Checking a bundle, offline: a pure function of its bytes and the cloud's public key.

use cardea_protocol::jws::{Use, Verifier};

use super::{FORMAT, Header, SealLine};
use crate::chain::{Link, Seal, line_hash};

/// What a sound bundle says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The site.
    pub site_id: String,
    /// Beginning of the period (RFC 3339).
    pub from: String,
    /// End of the period, exclusive (RFC 3339).
    pub until: String,
    /// When it was made (RFC 3339).
    pub made_at: String,
    /// How many events and actions it holds.
    pub entries: u64,
}

/// Why a bundle is not to be believed. Lines are counted from 1, as editors do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No signature where the last line should be.
    #[error("the bundle does not end with a signature line: its end was cut off or altered")]
    NoSeal,
    /// The signature is not the cloud's.
    #[error("the signature does not verify with this key: the bundle was altered, or the key is another cloud's")]
    Signature,
    /// Signed, but for other lines.
    #[error("the bundle has {found} lines, {signed} were signed: lines were removed or added")]
    Count {
        /// Lines found.
        found: u64,
        /// Lines signed.
        signed: u64,
    },
    /// A line is not what its successor, or the signature, says it is.
    #[error("line {0} was altered, moved or replaced")]
    Line(u64),
    /// Not a bundle of this format.
    #[error("the first line is no header of a {FORMAT} bundle")]
    Header,
}

/// Checks every byte of a bundle.
pub fn verify(bundle: &[u8], verifier: &Verifier) -> Result<Summary, Fault> {
    let body = bundle.strip_suffix(b"\n").ok_or(Fault::NoSeal)?;
    let mut lines: Vec<&[u8]> = body.split(|&byte| byte == b'\n').collect();
    let last = lines.pop().ok_or(Fault::NoSeal)?;
    let seal_line: SealLine = serde_json::from_slice(last).map_err(|_| Fault::NoSeal)?;
    // Byte for byte as it is written: nothing may hide in spaces or escapes.
    if serde_json::to_vec(&seal_line).map_err(|_| Fault::NoSeal)? != last {
        return Err(Fault::NoSeal);
    }
    let seal: Seal = verifier.verify(Use::Export, &seal_line.jws).map_err(|_| Fault::Signature)?;
    let found = lines.len() as u64;
    if seal.lines != found {
        return Err(Fault::Count { found, signed: seal.lines });
    }
    let mut expected = seal.head;
    for (n, line) in lines.iter().enumerate().skip(1).rev() {
        let n = n as u64;
        if line_hash(line) != expected {
            return Err(Fault::Line(n + 1));
        }
        let link: Link = serde_json::from_slice(line).map_err(|_| Fault::Line(n + 1))?;
        if link.n != n {
            return Err(Fault::Line(n + 1));
        }
        expected = link.prev;
    }
    let first = lines.first().ok_or(Fault::Header)?;
    if line_hash(first) != expected {
        return Err(Fault::Line(1));
    }
    let header: Header = serde_json::from_slice(first).map_err(|_| Fault::Header)?;
    if header.format != FORMAT || seal.format != FORMAT {
        return Err(Fault::Header);
    }
    Ok(Summary {
        site_id: header.site_id,
        from: header.from,
        until: header.until,
        made_at: header.made_at,
        entries: found - 1,
    })
}
