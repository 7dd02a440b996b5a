//! An issuer's public keys, kept for a while. An unknown key id has them fetched again, but only so often: whoever makes
//! key ids up must not have us knock at somebody's door for each.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use cardea_access::time::Monotonic;
use jsonwebtoken::jwk::Jwk;
use tokio::sync::Mutex;

use super::source::{Source, SourceError};

/// Keys of this age are fetched again when one is needed.
const MAX_AGE_MS: u64 = 60 * 60 * 1_000;
/// Keys of this age count no longer, even if no others can be had: an issuer may have withdrawn one.
const MAX_STALE_MS: u64 = 24 * 60 * 60 * 1_000;
/// The issuer is not asked more often than this, whether it has answered or not.
const PAUSE_MS: u64 = 60 * 1_000;

#[derive(Debug, Default)]
struct Fetched {
    keys: HashMap<String, Jwk>,
    at: Monotonic,
}

/// The keys of one issuer.
#[derive(Debug)]
pub(super) struct IssuerKeys {
    source: Source,
    fetched: RwLock<Option<Arc<Fetched>>>,
    /// When the issuer was last asked; held while it is being asked.
    asked: Mutex<Option<Monotonic>>,
}

impl IssuerKeys {
    pub(super) fn new(source: Source) -> Self {
        Self { source, fetched: RwLock::default(), asked: Mutex::default() }
    }

    /// The key of that id. `None`: the issuer has none; an error: there are no keys to look among.
    pub(super) async fn get(&self, now: Monotonic, kid: &str) -> Result<Option<Jwk>, SourceError> {
        let known = |fetched: &Fetched| fetched.keys.get(kid).cloned();
        let found = self.kept(now, MAX_AGE_MS).and_then(|fetched| known(&fetched));
        if found.is_some() {
            return Ok(found);
        }
        let mut asked = self.asked.lock().await;
        // While this call was waiting for its turn, another one may have fetched them.
        let found = self.kept(now, MAX_AGE_MS).and_then(|fetched| known(&fetched));
        if found.is_some() {
            return Ok(found);
        }
        let mut failed = None;
        if asked.is_none_or(|asked| now.since_ms(asked) >= PAUSE_MS) {
            *asked = Some(now);
            match self.source.keys().await {
                Ok(keys) => {
                    let fetched = Arc::new(Fetched { keys, at: now });
                    *self.fetched.write().unwrap_or_else(PoisonError::into_inner) = Some(fetched);
                }
                Err(error) => {
                    tracing::warn!(issuer = self.source.issuer(), error = %error.chain(), "its keys were not fetched");
                    failed = Some(error);
                }
            }
        }
        match self.kept(now, MAX_STALE_MS) {
            Some(fetched) => Ok(known(&fetched)),
            None => Err(failed.unwrap_or(SourceError::Pause)),
        }
    }

    fn kept(&self, now: Monotonic, max_age_ms: u64) -> Option<Arc<Fetched>> {
        let fetched = self.fetched.read().unwrap_or_else(PoisonError::into_inner).clone();
        fetched.filter(|fetched| now.since_ms(fetched.at) < max_age_ms)
    }
}
