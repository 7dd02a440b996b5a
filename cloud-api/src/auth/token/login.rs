//! Beginning a login: a family of refresh tokens, of which each is derived from the family's id and its position.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::auth::oauth::Refusal;
use crate::auth::scope::GrantedScope;
use crate::keys::{Vault, random};
use crate::listener::Peer;
use crate::state::App;
use crate::storage::logins::NewLogin;
use crate::storage::principals::Principal;
use crate::storage::tokens::{NewFamily, TokenHash};

use super::Granted;

/// The token of a family at a position: nothing but the vault can tell it, so that a retry gets the same one.
pub(super) fn rotating_token(vault: &Vault, family: &str, generation: u32) -> Zeroizing<String> {
    let secret = vault.derive("refresh token", format!("{family}/{generation}").as_bytes());
    Zeroizing::new(URL_SAFE_NO_PAD.encode(secret.as_slice()))
}

/// What is stored of a refresh token.
pub(crate) fn token_hash(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

/// A login that has just been earned, ready to be stored.
pub(super) fn prepare(
    app: &App,
    peer: &Peer,
    principal: &Principal,
    client_id: &str,
    scope: GrantedScope,
    rotates: bool,
) -> Result<(NewLogin, Granted), Refusal> {
    let family_id = hex::encode(random::<16>()?);
    let (token, now) = (rotating_token(&app.vault, &family_id, 0), app.now());
    let family = NewFamily {
        family_id: family_id.clone(),
        principal_id: principal.principal_id.clone(),
        thumbprint: peer.thumbprint.to_string(),
        rotates,
        first: token_hash(&token),
        expires_at: now.plus_ms(i64::from(app.config.tokens.refresh_lifetime_s) * 1_000),
    };
    let login = NewLogin { family, client_id: client_id.to_owned(), openid: scope.openid, auth_time: now };
    let granted = Granted {
        principal: principal.clone(),
        client_id: client_id.to_owned(),
        scope,
        auth_time: now,
        nonce: None,
        login_id: family_id,
        refresh_token: token.to_string(),
    };
    Ok((login, granted))
}

/// Begins a login of an account that is its own client.
pub(super) async fn begin(
    app: &App,
    peer: &Peer,
    principal: &Principal,
    scope: GrantedScope,
    rotates: bool,
) -> Result<Granted, Refusal> {
    let (login, granted) = prepare(app, peer, principal, &principal.principal_id, scope, rotates)?;
    app.storage.begin_login(login, app.now()).await?;
    Ok(granted)
}
