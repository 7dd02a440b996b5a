//! ID tokens: who has logged in, and when (OpenID Connect Core 1.0 §2). For the client; this API takes none as a credential.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cardea_access::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha512};

use super::{AccessTokens, Grant};
use crate::problem::Problem;

const TYP: &str = "JWT";

/// What an ID token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdClaims {
    /// Issuer.
    pub(crate) iss: String,
    /// The account that has logged in.
    pub(crate) sub: String,
    /// The client it is for.
    pub(crate) aud: String,
    /// When, seconds since the epoch.
    pub(crate) iat: i64,
    /// Until when it is to be believed, seconds since the epoch.
    pub(crate) exp: i64,
    /// When the credential was shown, seconds since the epoch.
    pub(crate) auth_time: i64,
    /// What the client has sent along, so that it can tell its own login from a replayed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nonce: Option<String>,
    /// Ties the access token to it.
    pub(crate) at_hash: String,
}

/// An ID token to go with `access_token`.
pub(super) fn issue(
    tokens: &AccessTokens,
    now: Timestamp,
    grant: &Grant<'_>,
    auth_time: Timestamp,
    nonce: Option<&str>,
    access_token: &str,
) -> Result<String, Problem> {
    let iat = now.0.div_euclid(1_000);
    let claims = IdClaims {
        iss: tokens.issuer().to_owned(),
        sub: grant.principal.to_owned(),
        aud: grant.client.to_owned(),
        iat,
        exp: iat + i64::from(tokens.lifetime_s()),
        auth_time: auth_time.0.div_euclid(1_000),
        nonce: nonce.map(str::to_owned),
        at_hash: at_hash(access_token),
    };
    tokens.sign(now, TYP, &claims)
}

/// §3.1.3.6: the left half of the token's hash, by the hash function of the signature: SHA-512 for Ed25519 (RFC 8032 §5.1).
fn at_hash(access_token: &str) -> String {
    let hash = Sha512::digest(access_token.as_bytes());
    URL_SAFE_NO_PAD.encode(&hash[..hash.len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_left_half_of_sha_512() {
        // sha512("abc"), FIPS 180-4's example, begins with ddaf35a1 93617aba cc417349 ae204131 12e6fa4e 89a97ea2 0a9eeee6 4b55d39a.
        let half = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a";
        assert_eq!(at_hash("abc"), URL_SAFE_NO_PAD.encode(hex::decode(half).unwrap()));
    }
}
