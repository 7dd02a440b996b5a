//! `grant_type=authorization_code` (RFC 6749 §4.1.3, RFC 7636 §4.6): the client exchanges what the browser has brought it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::auth::client;
use crate::auth::oauth::Refusal;
use crate::auth::scope::GrantedScope;
use crate::listener::Peer;
use crate::state::App;
use crate::storage::codes::{Redeemed, ShownCode};
use crate::storage::principals::Principal;

use super::login::token_hash;
use super::{Granted, login};

/// RFC 7636 §4.1: 43 to 128 unreserved characters.
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
}

/// RFC 7636 §4.2: the challenge of a verifier, by S256.
fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

pub(super) async fn grant(
    app: &App,
    peer: &Peer,
    client_id: &str,
    code: Zeroizing<String>,
    redirect_uri: String,
    verifier: Zeroizing<String>,
    known: &mut Option<Principal>,
) -> Result<Granted, Refusal> {
    client::authenticate(app, peer, client_id, known).await?;
    if !is_verifier(&verifier) {
        return Err(Refusal::InvalidRequest);
    }
    let hash = token_hash(&code);
    let stands_for = app.storage.code(hash).await?.ok_or(Refusal::InvalidGrant)?;
    *known = app.storage.principal(&stands_for.principal_id).await?;
    let prepared = match known {
        Some(principal) => {
            let scope = GrantedScope { role: principal.role, openid: stands_for.openid };
            Some(login::prepare(app, peer, principal, client_id, scope, true)?)
        }
        None => None,
    };
    let (new_login, granted) = prepared.unzip();
    let new_login = new_login.map(|mut login| {
        login.auth_time = stands_for.auth_time;
        login
    });
    let challenge = challenge_of(&verifier);
    let shown = ShownCode { hash, client_id: client_id.to_owned(), redirect_uri, challenge };
    match (app.storage.redeem_code(shown, new_login, app.now()).await?, granted) {
        (Redeemed::Good, Some(granted)) => {
            Ok(Granted { auth_time: stands_for.auth_time, nonce: stands_for.nonce, ..granted })
        }
        (Redeemed::Reused, _) => {
            tracing::warn!(client_id, "an authorization code was used again: the login it has begun is revoked");
            Err(Refusal::InvalidGrant)
        }
        _ => Err(Refusal::InvalidGrant),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7636_appendix_b() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert!(is_verifier(verifier));
        assert_eq!(challenge_of(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(
            !is_verifier(&verifier[1..]) && !is_verifier(&format!("{verifier}+")) && !is_verifier(&"a".repeat(129))
        );
    }
}
