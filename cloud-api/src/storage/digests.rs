//! The last digest of each site's holdings: after a change every controller of a site is compared with the same one, and
//! making it reads all that the site holds.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use cardea_protocol::digest::Digest;
use cardea_protocol::id::{Revision, SiteId};

use super::StorageError;
use super::changes::site_revision;
use super::engine::Transaction;

/// What a digest follows from. Each change of the data is a revision; a key may go before the data follows.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Basis {
    revision: Revision,
    keys: u64,
}

type Of = (SiteId, Option<String>);

/// By site and embedder.
#[derive(Default)]
pub(super) struct Digests(Mutex<HashMap<Of, (Basis, Digest)>>);

impl Digests {
    /// The site's revision and the digest there, made by `make` if it is not known. Only for a transaction that reads what is
    /// committed: a revision that is undone later would stand for another state.
    pub(super) fn of(
        &self,
        tx: &Transaction<'_>,
        site: &SiteId,
        embedder: Option<&str>,
        make: impl FnOnce() -> Result<Digest, StorageError>,
    ) -> Result<(Revision, Digest), StorageError> {
        let basis = Basis { revision: site_revision(tx, site)?, keys: tx.keys()?.version() };
        let of = (site.clone(), embedder.map(str::to_owned));
        let known = self.lock().get(&of).filter(|(known, _)| *known == basis).map(|(_, digest)| digest.clone());
        if let Some(digest) = known {
            return Ok((basis.revision, digest));
        }
        let digest = make()?;
        self.lock().insert(of, (basis, digest.clone()));
        Ok((basis.revision, digest))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Of, (Basis, Digest)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
