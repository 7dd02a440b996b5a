//! Access tokens: JWTs of RFC 9068, bound to a client certificate (RFC 8705 §3), at most an hour old (requirement S2).

use cardea_access::time::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::auth::roles::Role;
use crate::config::MAX_TOKEN_LIFETIME_S;
use crate::keys::{KeyError, SigningKey};
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
    /// Whom it was issued to: the same principal.
    pub client_id: String,
    /// When, seconds since the epoch.
    pub iat: i64,
    /// Until when, seconds since the epoch.
    pub exp: i64,
    /// Unique id.
    pub jti: String,
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

/// Issues and checks access tokens.
#[derive(Clone)]
pub struct AccessTokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    kid: String,
    jwk: serde_json::Value,
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
    pub fn new(key: &SigningKey, issuer: String, lifetime_s: u32) -> Result<Self, KeyError> {
        let encoding = EncodingKey::from_ed_pem(key.private_pem().as_bytes()).map_err(|_| KeyError::Generate)?;
        let decoding = DecodingKey::from_ed_pem(key.public_pem().as_bytes()).map_err(|_| KeyError::Generate)?;
        let lifetime_s = lifetime_s.clamp(1, MAX_TOKEN_LIFETIME_S);
        Ok(Self { encoding, decoding, kid: key.kid().to_owned(), jwk: key.jwk(), issuer, lifetime_s })
    }

    /// The issuer's URL.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Lifetime of a token, seconds.
    pub fn lifetime_s(&self) -> u32 {
        self.lifetime_s
    }

    /// The public key, as JSON Web Key.
    pub(crate) fn jwk(&self) -> &serde_json::Value {
        &self.jwk
    }

    /// A token for `principal`, bound to the certificate with `thumbprint`.
    pub fn issue(&self, now: Timestamp, principal: &str, role: Role, thumbprint: &str) -> Result<String, Problem> {
        let iat = now.0.div_euclid(1_000);
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.issuer.clone(),
            sub: principal.to_owned(),
            client_id: principal.to_owned(),
            iat,
            exp: iat + i64::from(self.lifetime_s),
            jti: uuid::Uuid::new_v4().to_string(),
            roles: vec![role],
            scope: role.name().to_owned(),
            cnf: Confirmation { thumbprint: thumbprint.to_owned() },
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYP.to_owned());
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, &claims, &self.encoding).map_err(|error| Problem::internal(&error))
    }

    /// The claims of a token that is genuine, current, and bound to the certificate with `thumbprint`.
    pub fn verify(&self, now: Timestamp, token: &str, thumbprint: &str) -> Result<Claims, Problem> {
        let mut validation = Validation::new(Algorithm::EdDSA);
        // Time is checked below, against the caller's clock; audience and issuer with the rest.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let refused = |why| Err(Problem::TokenInvalid(why));
        let Ok(token) = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation) else {
            return refused("it was not issued here");
        };
        if token.header.typ.as_deref() != Some(TYP) {
            return refused("it is not an access token");
        }
        let claims = token.claims;
        if claims.iss != self.issuer || claims.aud != self.issuer {
            return refused("it was issued by, or for, another service");
        }
        let now = now.0.div_euclid(1_000);
        if claims.exp <= now || claims.exp - claims.iat > i64::from(MAX_TOKEN_LIFETIME_S) {
            return refused("it has expired");
        }
        if claims.iat > now + CLOCK_SKEW_S {
            return refused("it is dated in the future");
        }
        if !bool::from(claims.cnf.thumbprint.as_bytes().ct_eq(thumbprint.as_bytes())) {
            return refused("it is bound to another client certificate");
        }
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn tokens() -> AccessTokens {
        AccessTokens::new(&SigningKey::generate().unwrap(), "https://cloud".to_owned(), 3_600).unwrap()
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
        let token = tokens.issue(NOW, "backend", Role::ResidentSupport, "thumb").unwrap();
        assert_eq!(tokens.verify(NOW, &token, "thumb").unwrap().sub, "backend");
        assert!(tokens.verify(NOW.plus_ms(3_599_000), &token, "thumb").is_ok());
        assert_eq!(why(tokens.verify(NOW.plus_ms(3_600_000), &token, "thumb")), "it has expired");
        assert_eq!(why(tokens.verify(NOW, &token, "other")), "it is bound to another client certificate");
        assert_eq!(why(tokens.verify(NOW.plus_ms(-120_000), &token, "thumb")), "it is dated in the future");
    }

    #[test]
    fn a_foreign_token_is_refused() {
        let token = tokens().issue(NOW, "backend", Role::Operator, "thumb").unwrap();
        assert_eq!(why(tokens().verify(NOW, &token, "thumb")), "it was not issued here");
    }

    #[test]
    fn another_signature_of_the_same_key_is_no_access_token() {
        let key = SigningKey::generate().unwrap();
        let tokens = AccessTokens::new(&key, "https://cloud".to_owned(), 60).unwrap();
        let claims = tokens.verify(NOW, &tokens.issue(NOW, "b", Role::Operator, "t").unwrap(), "t").unwrap();
        let other_use = key.signer().unwrap().sign(cardea_protocol::jws::Use::Down, &claims).unwrap();
        assert_eq!(why(tokens.verify(NOW, &other_use, "t")), "it is not an access token");
    }

    #[test]
    fn a_longer_lifetime_is_cut_to_an_hour() {
        let tokens = AccessTokens::new(&SigningKey::generate().unwrap(), "i".to_owned(), 86_400).unwrap();
        assert_eq!(tokens.lifetime_s(), 3_600);
    }

    proptest! {
        #[test]
        fn a_changed_token_is_refused(position in 0usize..400, flip in 1u8..127) {
            let tokens = tokens();
            let mut bytes = tokens.issue(NOW, "backend", Role::Auditor, "thumb").unwrap().into_bytes();
            let position = position % bytes.len();
            bytes[position] ^= flip;
            if let Ok(text) = String::from_utf8(bytes) {
                prop_assert!(tokens.verify(NOW, &text, "thumb").is_err());
            }
        }
    }
}
