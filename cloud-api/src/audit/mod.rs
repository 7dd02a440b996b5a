//! The audit proves itself: a chain of entries, signed now and then.
//!
//! Each entry is a line of JSON that holds the hash of the one before ([`line`](mod@line)); storage appends them under its
//! one writer, and the database refuses to change or delete one. The head is signed every [`EVERY_ENTRIES`] entries, after
//! [`EVERY_MS`], at every export and when the cloud ends. Retention takes from the beginning only, and leaves a signed note
//! of where. So a changed, removed, moved or invented entry shows ([`verify`](mod@verify)), and a cut-off end up to the
//! newest signature. What was appended since and is rewritten before the next signature does not show, and neither does what
//! is done by somebody who has the signing key.

pub mod line;
pub mod verify;

use std::time::Duration;

use cardea_access::time::Timestamp;
use cardea_protocol::jws::{JwsError, Signer, Use, Verifier};

pub use line::Entry;
pub use verify::{Fault, Noted, Summary, verify};

use crate::chain::Seal;
use crate::state::Shared;
use crate::storage::audit_chain::SealKind;
use crate::storage::{Storage, StorageError};

/// What a signature over the head signs, and its version.
pub const FORMAT: &str = "cardea-audit/1";
/// What a signature over a cut-off beginning signs, and its version.
pub const CUT: &str = "cardea-audit-cut/1";
/// So many entries are signed at once at most.
pub const EVERY_ENTRIES: u64 = 1_000;
/// An entry is signed at this age at the latest, milliseconds.
pub const EVERY_MS: i64 = 3_600_000;
/// How often the job looks.
const LOOK: Duration = Duration::from_secs(30);
/// Entries read at once.
const PAGE: u32 = 1_000;

/// Why the audit could not be signed or checked.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Signing failed.
    #[error(transparent)]
    Sign(#[from] JwsError),
    /// The database.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// An entry could not be written as a line.
    #[error("an entry of the audit could not be written as a line")]
    Line(#[from] serde_json::Error),
    /// It is not to be believed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Signs the head, unless nothing was appended since the last time.
pub async fn sign(storage: &Storage, signer: &Signer, now: Timestamp) -> Result<(), AuditError> {
    sign_if(storage, signer, now, |_, _| true).await
}

async fn sign_if(
    storage: &Storage,
    signer: &Signer,
    now: Timestamp,
    due: impl Fn(u64, Timestamp) -> bool,
) -> Result<(), AuditError> {
    let Some(head) = storage.audit_head().await? else { return Ok(()) };
    if head.unsigned == 0 || !due(head.unsigned, head.unsigned_since) {
        return Ok(());
    }
    let seal = Seal { format: FORMAT.to_owned(), lines: head.entry, head: head.hash.clone() };
    storage.add_audit_seal(SealKind::Head, head.entry, signer.sign(Use::Export, &seal)?, now).await?;
    // Where the log goes elsewhere, it tells what the audit must still say later.
    tracing::info!(entry = head.entry, hash = head.hash, "the head of the audit was signed");
    Ok(())
}

/// Takes the entries from before `before` off the beginning, in small steps, and leaves a signed note of where; answers how
/// many. The newest entry stays, and so does what the clock says is older than an entry before it.
pub async fn cut_before(
    storage: &Storage,
    signer: &Signer,
    before: Timestamp,
    now: Timestamp,
) -> Result<u64, AuditError> {
    let Some((entry, hash)) = storage.audit_cut_at(before).await? else { return Ok(0) };
    let seal = Seal { format: CUT.to_owned(), lines: entry, head: hash };
    storage.add_audit_seal(SealKind::Cut, entry, signer.sign(Use::Export, &seal)?, now).await?;
    let mut taken = 0;
    loop {
        match storage.take_off_audit().await? {
            0 => return Ok(taken),
            some => taken += some as u64,
        }
    }
}

/// Signs whenever it is due, for as long as the cloud runs.
pub async fn run(app: Shared) {
    loop {
        tokio::time::sleep(LOOK).await;
        let now = app.now();
        let due = |unsigned, since| unsigned >= EVERY_ENTRIES || now.since_ms(since) >= EVERY_MS;
        let signed = match app.signing.signer() {
            Ok(signer) => sign_if(&app.storage, &signer, now, due).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = signed {
            tracing::error!(%error, "the head of the audit could not be signed");
        }
    }
}

/// Checks what the database holds, and calls `each` with every line of it as an exported audit has them.
pub async fn check(
    storage: &Storage,
    verifier: &Verifier,
    noted: Option<&Noted>,
    mut each: impl FnMut(&[u8]),
) -> Result<Summary, AuditError> {
    let mut check = verify::Check::new(verifier, noted);
    let seals = storage.audit_seals().await?;
    if let Some((_, jws)) = &seals.cut {
        check.cut(jws)?;
        each(&serde_json::to_vec(&verify::SealLine::Cut(jws.clone()))?);
    }
    let mut heads = seals.heads.into_iter().filter(|(entry, _)| *entry > check.last()).collect::<Vec<_>>().into_iter();
    let mut next = heads.next();
    loop {
        let entries = storage.audit_chain(check.last(), PAGE).await?;
        if entries.is_empty() {
            break;
        }
        for (entry, hash) in entries {
            let line = entry.line(check.head())?;
            check.line(&line)?;
            if check.head() != hash {
                return Err(Fault::Changed(entry.entry).into());
            }
            each(&line);
            if let Some((_, jws)) = next.take_if(|(at, _)| *at == entry.entry) {
                check.sealed(&jws)?;
                each(&serde_json::to_vec(&verify::SealLine::Head(jws))?);
                next = heads.next();
            }
        }
    }
    match next {
        Some((signed, _)) => Err(Fault::Truncated { found: check.last(), signed }.into()),
        None => Ok(check.end()?),
    }
}

#[cfg(test)]
mod tests;
