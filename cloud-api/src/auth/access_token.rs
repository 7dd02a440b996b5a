//! Access tokens: JWTs of RFC 9068, bound to a client certificate (RFC 8705 §3), at most an hour old (requirement S2).

use std::sync::{Arc, PoisonError, RwLock};

use cardea_access::time::Timestamp;
use jsonwebtoken::{Algorithm, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use subtle::ConstantTimeEq as _;

use crate::auth::KeyRing;
use crate::auth::roles::Role;
use crate::config::MAX_TOKEN_LIFETIME_S;
use crate::problem::Problem;

/// §2.1: tells an access token from any other JWT of this issuer.
const TYP: &str = "at+jwt";
/// A token from the future by more than this was not issued by a clock like ours.
const CLOCK_SKEW_S: i64 = 60;

/// What a token says (RFC 9068 §2.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer.
    pub iss: String,
    /// Audience: the API, which is the issuer itself.
    pub aud: String,
    /// Whose it is: the principal.
    pub sub: String,
    /// Whom it was issued to.
    pub client_id: String,
    /// When, seconds since the epoch.
    pub iat: i64,
    /// Until when, seconds since the epoch.
    pub exp: i64,
    /// Not before, seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// Unique id.
    pub jti: String,
    /// The login it stems from, with which it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// What it is for.
    pub roles: Vec<Role>,
    /// The same as an OAuth scope.
    pub scope: String,
    /// The certificate it is bound to.
    pub cnf: Confirmation,
}

/// RFC 8705 §3.1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// SHA-256 thumbprint of the client certificate, base64url.
    #[serde(rename = "x5t#S256")]
    pub thumbprint: String,
}

/// What an access token is issued for.
#[derive(Clone, Copy, Debug)]
pub struct Grant<'a> {
    /// Whose it is.
    pub principal: &'a str,
    /// Whom it is issued to.
    pub client: &'a str,
    /// What the account may do.
    pub role: Role,
    /// The scope, space-separated.
    pub scope: &'a str,
    /// The certificate it is bound to.
    pub thumbprint: &'a str,
    /// The login it stems from.
    pub login: Option<&'a str>,
}

/// Issues and checks access tokens.
pub struct AccessTokens {
    keys: RwLock<Arc<KeyRing>>,
    issuer: String,
    lifetime_s: u32,
}

impl std::fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AccessTokens({}, …)", self.issuer)
    }
}

impl AccessTokens {
    /// `lifetime_s` above an hour is cut to an hour, whatever the configuration let through.
    pub fn new(keys: KeyRing, issuer: String, lifetime_s: u32) -> Self {
        let lifetime_s = lifetime_s.clamp(1, MAX_TOKEN_LIFETIME_S);
        Self { keys: RwLock::new(Arc::new(keys)), issuer, lifetime_s }
    }

    /// The issuer's URL.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Lifetime of a token, seconds.
    pub fn lifetime_s(&self) -> u32 {
        self.lifetime_s
    }

    /// From now on these keys sign and verify.
    pub fn set_keys(&self, keys: KeyRing) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    fn keys(&self) -> Arc<KeyRing> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The public keys, as JSON Web Keys.
    pub(crate) fn jwks(&self, now: Timestamp) -> Vec<Value> {
        self.keys().published(now)
    }

    /// Signs a JWT of that type with the key whose turn it is.
    pub(super) fn sign(&self, now: Timestamp, typ: &str, claims: &impl Serialize) -> Result<String, Problem> {
        let keys = self.keys();
        let key = keys.signing(now);
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(typ.to_owned());
        header.kid = Some(key.kid.clone());
        jsonwebtoken::encode(&header, claims, &key.encoding).map_err(|error| Problem::internal(&error))
    }

    /// A token for a grant.
    pub fn issue(&self, now: Timestamp, grant: &Grant<'_>) -> Result<String, Problem> {
        let iat = now.0.div_euclid(1_000);
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.issuer.clone(),
            sub: grant.principal.to_owned(),
            client_id: grant.client.to_owned(),
            iat,
            exp: iat + i64::from(self.lifetime_s),
            nbf: None,
            jti: uuid::Uuid::new_v4().to_string(),
            sid: grant.login.map(str::to_owned),
            roles: vec![grant.role],
            scope: grant.scope.to_owned(),
            cnf: Confirmation { thumbprint: grant.thumbprint.to_owned() },
        };
        self.sign(now, TYP, &claims)
    }

    /// The claims of a token that is genuine, current, and bound to the certificate with `thumbprint`.
    pub fn verify(&self, now: Timestamp, token: &str, thumbprint: &str) -> Result<Claims, Problem> {
        let claims = self.inspect(now, token)?;
        if !bool::from(claims.cnf.thumbprint.as_bytes().ct_eq(thumbprint.as_bytes())) {
            return Err(Problem::TokenInvalid("it is bound to another client certificate"));
        }
        Ok(claims)
    }

    /// The claims of a token that is genuine and current, whichever certificate it is bound to.
    pub(super) fn inspect(&self, now: Timestamp, token: &str) -> Result<Claims, Problem> {
        let refused = |why| Err(Problem::TokenInvalid(why));
        let Ok(header) = jsonwebtoken::decode_header(token) else { return refused("it is not a signed JWT") };
        if header.typ.as_deref() != Some(TYP) {
            return refused("it is not an access token");
        }
        let keys = self.keys();
        let Some(key) = header.kid.as_deref().and_then(|kid| keys.verifying(now, kid)) else {
            return refused("no key of this issuer has signed it");
        };
        let mut validation = Validation::new(Algorithm::EdDSA);
        // Time is checked below, against the caller's clock; audience and issuer with the rest.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let Ok(token) = jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation) else {
            return refused("it was not issued here");
        };
        let claims = token.claims;
        if claims.iss != self.issuer || claims.aud != self.issuer {
            return refused("it was issued by, or for, another service");
        }
        let now = now.0.div_euclid(1_000);
        if claims.exp <= now || claims.exp.saturating_sub(claims.iat) > i64::from(MAX_TOKEN_LIFETIME_S) {
            return refused("it has expired");
        }
        if claims.iat > now + CLOCK_SKEW_S || claims.nbf.is_some_and(|nbf| nbf > now + CLOCK_SKEW_S) {
            return refused("it is dated in the future");
        }
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SigningKey;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn tokens() -> AccessTokens {
        with_key(&SigningKey::generate().unwrap())
    }

    fn with_key(key: &SigningKey) -> AccessTokens {
        AccessTokens::new(KeyRing::of(key).unwrap(), "https://cloud".to_owned(), 3_600)
    }

    fn issue(tokens: &AccessTokens, at: Timestamp) -> String {
        let role = Role::ResidentSupport;
        let grant = Grant {
            principal: "backend",
            client: "backend",
            role,
            scope: role.name(),
            thumbprint: "thumb",
            login: None,
        };
        tokens.issue(at, &grant).unwrap()
    }

    fn why(result: Result<Claims, Problem>) -> &'static str {
        match result {
            Err(Problem::TokenInvalid(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_token_is_good_for_its_hour_and_its_certificate() {
        let tokens = tokens();
        let token = issue(&tokens, NOW);
        assert_eq!(tokens.verify(NOW, &token, "thumb").unwrap().sub, "backend");
        assert!(tokens.verify(NOW.plus_ms(3_599_000), &token, "thumb").is_ok());
        assert_eq!(why(tokens.verify(NOW.plus_ms(3_600_000), &token, "thumb")), "it has expired");
        assert_eq!(why(tokens.verify(NOW, &token, "other")), "it is bound to another client certificate");
        assert_eq!(why(tokens.verify(NOW.plus_ms(-120_000), &token, "thumb")), "it is dated in the future");
    }

    #[test]
    fn a_foreign_token_is_refused() {
        let token = issue(&tokens(), NOW);
        assert_eq!(why(tokens().verify(NOW, &token, "thumb")), "no key of this issuer has signed it");
    }

    #[test]
    fn another_signature_of_the_same_key_is_no_access_token() {
        let key = SigningKey::generate().unwrap();
        let tokens = with_key(&key);
        let claims = tokens.verify(NOW, &issue(&tokens, NOW), "thumb").unwrap();
        let other_use = key.signer().unwrap().sign(cardea_protocol::jws::Use::Down, &claims).unwrap();
        assert_eq!(why(tokens.verify(NOW, &other_use, "thumb")), "it is not an access token");
    }

    #[test]
    fn a_relieved_keys_tokens_are_good_until_the_last_has_expired_and_not_after() {
        let (old, new) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let before = with_key(&old);
        let tokens = with_key(&old);
        let ring = KeyRing::new(vec![(NOW.plus_ms(-1_000_000), old), (NOW, new)]).unwrap().unwrap();
        tokens.set_keys(ring);
        let last = issue(&tokens, NOW.plus_ms(-1));
        assert!(tokens.verify(NOW.plus_ms(3_598_000), &last, "thumb").is_ok());
        // What somebody who has kept the old key signs after its time.
        let late = issue(&before, NOW.plus_ms(3_500_000));
        assert!(tokens.verify(NOW.plus_ms(3_599_999), &late, "thumb").is_ok());
        assert_eq!(why(tokens.verify(NOW.plus_ms(3_600_000), &late, "thumb")), "no key of this issuer has signed it");
        assert!(tokens.verify(NOW.plus_ms(3_600_000), &issue(&tokens, NOW.plus_ms(3_600_000)), "thumb").is_ok());
    }

    #[test]
    fn a_longer_lifetime_is_cut_to_an_hour() {
        let tokens = AccessTokens::new(KeyRing::of(&SigningKey::generate().unwrap()).unwrap(), "i".to_owned(), 86_400);
        assert_eq!(tokens.lifetime_s(), 3_600);
    }

    proptest! {
        #[test]
        fn a_changed_token_is_refused(position in 0usize..400, flip in 1u8..127) {
            let tokens = tokens();
            let mut bytes = issue(&tokens, NOW).into_bytes();
            let position = position % bytes.len();
            bytes[position] ^= flip;
            if let Ok(text) = String::from_utf8(bytes) {
                prop_assert!(tokens.verify(NOW, &text, "thumb").is_err());
            }
        }
    }
}
