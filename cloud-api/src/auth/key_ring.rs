//! The keys that sign tokens, in time: each takes over from the one before it, which goes on verifying until the last token
//! it can have signed has expired. Who signs, who verifies and what is published follow from the list and the clock.

use cardea_access::time::Timestamp;
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde_json::Value;

use crate::config::MAX_TOKEN_LIFETIME_S;
use crate::keys::{KeyError, SigningKey};

/// How long the last token of a key may live after the key has been relieved.
const LAST_TOKEN_MS: i64 = MAX_TOKEN_LIFETIME_S as i64 * 1_000;

/// One key of the ring.
#[derive(Clone)]
pub(super) struct RingKey {
    active_from: Timestamp,
    pub(super) kid: String,
    pub(super) encoding: EncodingKey,
    pub(super) decoding: DecodingKey,
    jwk: Value,
}

/// The keys, the oldest first; never empty.
#[derive(Clone)]
pub struct KeyRing {
    first: RingKey,
    later: Vec<RingKey>,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys().map(|key| &key.kid)).finish()
    }
}

impl RingKey {
    fn new(active_from: Timestamp, key: &SigningKey) -> Result<Self, KeyError> {
        Ok(Self {
            active_from,
            kid: key.kid().to_owned(),
            encoding: EncodingKey::from_ed_pem(key.private_pem().as_bytes()).map_err(|_| KeyError::Generate)?,
            decoding: DecodingKey::from_ed_pem(key.public_pem().as_bytes()).map_err(|_| KeyError::Generate)?,
            jwk: key.jwk(),
        })
    }
}

impl KeyRing {
    /// A ring of one key, which signs since ever.
    pub fn of(key: &SigningKey) -> Result<Self, KeyError> {
        Ok(Self { first: RingKey::new(Timestamp(i64::MIN), key)?, later: Vec::new() })
    }

    /// A ring of keys and when each begins to sign. `None` without keys.
    pub fn new(mut keys: Vec<(Timestamp, SigningKey)>) -> Result<Option<Self>, KeyError> {
        keys.sort_by_key(|(active_from, _)| *active_from);
        let mut keys = keys.iter().map(|(active_from, key)| RingKey::new(*active_from, key));
        let Some(first) = keys.next() else { return Ok(None) };
        Ok(Some(Self { first: first?, later: keys.collect::<Result<_, _>>()? }))
    }

    fn keys(&self) -> impl DoubleEndedIterator<Item = &RingKey> {
        std::iter::once(&self.first).chain(&self.later)
    }

    /// The key that signs at `now`: the newest that has begun, or the first one if the clock is behind them all.
    pub(super) fn signing(&self, now: Timestamp) -> &RingKey {
        self.keys().rev().find(|key| key.active_from <= now).unwrap_or(&self.first)
    }

    /// Keys that verify at `now`: those to come, the one that signs, and relieved ones whose tokens may still live.
    fn living(&self, now: Timestamp) -> impl Iterator<Item = &RingKey> {
        let relieved = self.later.iter().map(|next| Some(next.active_from)).chain([None]);
        let living = move |until: Option<Timestamp>| until.is_none_or(|until| now < until.plus_ms(LAST_TOKEN_MS));
        self.keys().zip(relieved).filter(move |(_, until)| living(*until)).map(|(key, _)| key)
    }

    /// The key of that id, while it verifies.
    pub(super) fn verifying(&self, now: Timestamp, kid: &str) -> Option<&RingKey> {
        self.living(now).find(|key| key.kid == kid)
    }

    /// Public keys for the JWKS.
    pub(super) fn published(&self, now: Timestamp) -> Vec<Value> {
        self.living(now).map(|key| key.jwk.clone()).collect()
    }

    /// Ids of keys that will never verify again.
    pub(super) fn gone(&self, now: Timestamp) -> Vec<String> {
        let living: Vec<&str> = self.living(now).map(|key| key.kid.as_str()).collect();
        self.keys().filter(|key| !living.contains(&key.kid.as_str())).map(|key| key.kid.clone()).collect()
    }

    /// When the newest key begins to sign.
    pub(super) fn newest(&self) -> Timestamp {
        self.keys().next_back().map_or(self.first.active_from, |key| key.active_from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> SigningKey {
        SigningKey::generate().unwrap()
    }

    #[test]
    fn a_relieved_key_verifies_until_its_last_token_has_expired() {
        let (old, new) = (key(), key());
        let ring = KeyRing::new(vec![(Timestamp(2_000_000), new.clone()), (Timestamp(1_000_000), old.clone())]);
        let ring = ring.unwrap().unwrap();
        let at = |ms: i64| Timestamp(2_000_000 + ms);
        assert_eq!(ring.signing(at(-1)).kid, old.kid());
        assert_eq!(ring.signing(at(0)).kid, new.kid());
        assert_eq!(ring.published(at(-1)).len(), 2, "the next key is announced");
        assert!(ring.verifying(at(3_599_999), old.kid()).is_some());
        assert_eq!(ring.gone(at(3_599_999)), Vec::<String>::new());
        assert!(ring.verifying(at(3_600_000), old.kid()).is_none());
        assert_eq!(ring.gone(at(3_600_000)), [old.kid()]);
        assert_eq!(ring.published(at(3_600_000)), [new.jwk()]);
        assert_eq!(ring.signing(Timestamp(0)).kid, old.kid(), "a clock set back signs with the first");
    }

    proptest! {
        #[test]
        fn whoever_signs_verifies_for_a_tokens_life(
            starts in prop::collection::vec(0i64..20_000_000, 1..6), now in 0i64..30_000_000, age in 0i64..3_600_000,
        ) {
            let keys = starts.iter().map(|start| (Timestamp(*start), key())).collect();
            let ring = KeyRing::new(keys).unwrap().unwrap();
            let signer = ring.signing(Timestamp(now)).kid.clone();
            prop_assert!(ring.verifying(Timestamp(now + age), &signer).is_some());
            prop_assert!(!ring.gone(Timestamp(now + age)).contains(&signer));
        }
    }
}
