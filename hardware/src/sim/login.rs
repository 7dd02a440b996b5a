//! Who may see the simulated cameras: HTTP Digest (RFC 7616), or Basic (RFC 7617), as the server.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use digest_auth::{AuthContext, AuthorizationHeader, HttpMethod};
use serde::Deserialize;

const REALM: &str = "cardea-sim";

/// A user of the simulated cameras. Nothing real is protected by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimLogin {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
    /// Whether the cameras know nothing better than Basic.
    #[serde(default)]
    pub basic: bool,
    /// After how many requests a nonce has expired; never without it.
    pub nonce_uses: Option<u32>,
}

/// Asks who it is.
pub(super) struct Doorman {
    login: Option<SimLogin>,
    nonces: AtomicU64,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is not the right one.
    Wrong,
    /// It would be, but its nonce has expired.
    Stale,
}

impl Doorman {
    pub(super) fn new(login: Option<SimLogin>) -> Self {
        Self { login, nonces: AtomicU64::new(1) }
    }

    /// The value of a `WWW-Authenticate` header.
    pub(super) fn challenge(&self, refusal: Refusal) -> String {
        if self.login.as_ref().is_some_and(|login| login.basic) {
            return format!("Basic realm=\"{REALM}\"");
        }
        let nonce = self.nonces.fetch_add(1, Ordering::Relaxed);
        let stale = if refusal == Refusal::Stale { ", stale=true" } else { "" };
        format!("Digest realm=\"{REALM}\", nonce=\"{nonce:016x}\", qop=\"auth\"{stale}")
    }

    /// Whether the value of an `Authorization` header is right for a request.
    pub(super) fn admits(&self, method: &str, authorization: &str) -> Result<(), Refusal> {
        let Some(login) = &self.login else { return Ok(()) };
        if login.basic {
            let expected = STANDARD.encode(format!("{}:{}", login.username, login.password));
            let right = authorization.strip_prefix("Basic ").is_some_and(|given| given == expected);
            return if right { Ok(()) } else { Err(Refusal::Wrong) };
        }
        let given = AuthorizationHeader::parse(authorization).map_err(|_| Refusal::Wrong)?;
        let method = HttpMethod(method.into());
        let context =
            AuthContext::new_with_method(&*login.username, &*login.password, &*given.uri, None::<&[u8]>, method);
        let mut expected = given.clone();
        expected.digest(&context);
        if given.username != login.username || given.realm != REALM || given.response != expected.response {
            return Err(Refusal::Wrong);
        }
        if login.nonce_uses.is_some_and(|most| given.nc > most) { Err(Refusal::Stale) } else { Ok(()) }
    }

    /// The answer to a request over HTTP that may not see anything; `None` for one that may.
    pub(super) fn turns_away(&self, headers: &HeaderMap) -> Option<Response> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let refusal = self.admits("GET", given).err()?;
        Some((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, self.challenge(refusal))]).into_response())
    }
}
