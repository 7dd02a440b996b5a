//! `grant_type=password` (RFC 6749 §4.3): a login and its password, with limited tries.

use zeroize::Zeroizing;

use crate::auth::oauth::Refusal;
use crate::auth::scope::AskedScope;
use crate::auth::verify_password;
use crate::listener::Peer;
use crate::problem::Problem;
use crate::state::App;
use crate::storage::principals::Principal;

use super::{Granted, login};

/// Whose password it is. An unknown account costs the same time and gets the same answer.
pub(crate) async fn check(
    app: &App,
    peer: &Peer,
    username: &str,
    password: Zeroizing<String>,
    known: &mut Option<Principal>,
) -> Result<Principal, Refusal> {
    app.throttle
        .take(app.clock.monotonic(), username, &peer.thumbprint)
        .map_err(|wait_ms| Refusal::Wait(wait_ms.div_ceil(1_000)))?;
    *known = app.storage.principal(username).await?;
    let phc = known.as_ref().and_then(|principal| principal.password_hash.clone());
    let turn = app.throttle.turn().await;
    let right = tokio::task::spawn_blocking(move || verify_password(phc.as_deref(), &password))
        .await
        .map_err(|error| Problem::internal(&error))?;
    drop(turn);
    let principal = known.clone().filter(|_| right).ok_or(Refusal::InvalidGrant)?;
    app.throttle.succeeded(username, &peer.thumbprint);
    Ok(principal)
}

pub(super) async fn grant(
    app: &App,
    peer: &Peer,
    username: &str,
    password: Zeroizing<String>,
    asked: &AskedScope,
    known: &mut Option<Principal>,
) -> Result<Granted, Refusal> {
    let principal = check(app, peer, username, password, known).await?;
    let scope = asked.granted(principal.role)?;
    login::begin(app, peer, &principal, scope, true).await
}
