//! Who may see the simulated cameras: HTTP Digest (RFC 7616), as the server.

use std::sync::atomic::{AtomicU64, Ordering};

use digest_auth::{AuthContext, AuthorizationHeader, HttpMethod};
use serde::Deserialize;

const REALM: &str = "cardea-sim";

/// A user of the simulated cameras. Nothing real is protected by it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimLogin {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
}

/// Asks who it is.
pub(super) struct Doorman {
    login: Option<SimLogin>,
    nonces: AtomicU64,
}

impl Doorman {
    pub(super) fn new(login: Option<SimLogin>) -> Self {
        Self { login, nonces: AtomicU64::new(1) }
    }

    /// The value of a `WWW-Authenticate` header.
    pub(super) fn challenge(&self) -> String {
        let nonce = self.nonces.fetch_add(1, Ordering::Relaxed);
        format!("Digest realm=\"{REALM}\", nonce=\"{nonce:016x}\", qop=\"auth\"")
    }

    /// Whether the value of an `Authorization` header is right for a request.
    pub(super) fn admits(&self, method: &str, authorization: &str) -> bool {
        let Some(login) = &self.login else { return true };
        let Ok(given) = AuthorizationHeader::parse(authorization) else { return false };
        let method = HttpMethod(method.into());
        let context =
            AuthContext::new_with_method(&*login.username, &*login.password, &*given.uri, None::<&[u8]>, method);
        let mut expected = given.clone();
        expected.digest(&context);
        given.username == login.username && given.realm == REALM && given.response == expected.response
    }
}
