//! `grant_type=refresh_token` (RFC 6749 §6, RFC 9700 §4.14): the login goes on, on a connection with the same certificate.

use zeroize::Zeroizing;

use crate::auth::oauth::Refusal;
use crate::auth::scope::{AskedScope, GrantedScope};
use crate::listener::Peer;
use crate::state::App;
use crate::storage::principals::Principal;
use crate::storage::tokens::{Presentation, Presented};

use super::Granted;
use super::login::{rotating_token, token_hash};

pub(super) async fn grant(
    app: &App,
    peer: &Peer,
    client_id: Option<&str>,
    token: Zeroizing<String>,
    asked: Option<&AskedScope>,
    known: &mut Option<Principal>,
) -> Result<Granted, Refusal> {
    let login = app.storage.login_of(token_hash(&token)).await?.ok_or(Refusal::InvalidGrant)?;
    *known = app.storage.principal(&login.principal_id).await?;
    // What is refused for its scope or its sender must not be spent.
    let bound = login.thumbprint == *peer.thumbprint && client_id.is_none_or(|id| id == login.client_id);
    let principal = known.clone().filter(|_| bound).ok_or(Refusal::InvalidGrant)?;
    if login.client_id != login.principal_id && app.storage.principal(&login.client_id).await?.is_none() {
        return Err(Refusal::InvalidGrant);
    }
    let scope = match asked {
        None => GrantedScope { role: principal.role, openid: login.openid },
        Some(asked) if asked.openid && !login.openid => return Err(Refusal::InvalidScope),
        Some(asked) => asked.granted(principal.role)?,
    };
    let vault = app.vault.clone();
    let presentation = Presentation {
        hash: token_hash(&token),
        thumbprint: peer.thumbprint.to_string(),
        at: app.now(),
        retry_ms: i64::from(app.config.tokens.refresh_retry_s) * 1_000,
        derive: move |family: &str, generation| token_hash(&rotating_token(&vault, family, generation)),
    };
    let refresh_token = match app.storage.present_refresh_token(presentation).await? {
        Presented::Same { .. } => token.to_string(),
        Presented::Successor { family_id, generation, .. } => {
            rotating_token(&app.vault, &family_id, generation).to_string()
        }
        Presented::Invalid => return Err(Refusal::InvalidGrant),
        Presented::Reused { principal_id } => {
            tracing::warn!(principal_id, "a spent refresh token was used again: its login is revoked");
            return Err(Refusal::InvalidGrant);
        }
    };
    Ok(Granted {
        principal,
        client_id: login.client_id,
        scope,
        auth_time: login.auth_time,
        // OpenID Connect Core 1.0 §12.2: the nonce was for the login itself.
        nonce: None,
        login_id: login.family_id,
        refresh_token,
    })
}
