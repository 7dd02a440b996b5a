//! `grant_type=client_credentials` by `tls_client_auth` (RFC 6749 §4.4, RFC 8705 §2.1): for programs.

use crate::auth::client;
use crate::auth::oauth::Refusal;
use crate::auth::scope::AskedScope;
use crate::listener::Peer;
use crate::state::App;
use crate::storage::principals::Principal;

use super::{Granted, login};

pub(super) async fn grant(
    app: &App,
    peer: &Peer,
    client_id: &str,
    asked: &AskedScope,
    known: &mut Option<Principal>,
) -> Result<Granted, Refusal> {
    let principal = client::authenticate(app, peer, client_id, known).await?;
    // An ID token tells of a person who has logged in; here there is none.
    if asked.openid {
        return Err(Refusal::InvalidScope);
    }
    let scope = asked.granted(principal.role)?;
    login::begin(app, peer, &principal, scope, false).await
}
