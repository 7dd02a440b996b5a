//! What a client sends a browser with (RFC 6749 §4.1.1, RFC 7636 §4.3, OpenID Connect Core 1.0 §3.1.2.1), judged.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::redirect_uri::RedirectUri;
use crate::auth::scope::AskedScope;

/// Longest value of a parameter, bytes.
const MAX_VALUE_BYTES: usize = 2_000;

/// The parameters. Others are ignored (RFC 6749 §3.1); none may come twice.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(crate) struct AuthorizationRequest {
    /// `code`.
    pub(crate) response_type: Option<String>,
    /// The client's account.
    pub(crate) client_id: Option<String>,
    /// Where to go back to: one of the addresses that are registered for the client, letter by letter.
    pub(crate) redirect_uri: Option<String>,
    /// `openid`, the role of the account that will log in, or nothing.
    pub(crate) scope: Option<String>,
    /// Comes back with the answer.
    pub(crate) state: Option<String>,
    /// Comes back in the ID token.
    pub(crate) nonce: Option<String>,
    /// PKCE: base64url of the SHA-256 of a verifier of 43 to 128 characters.
    pub(crate) code_challenge: Option<String>,
    /// `S256`.
    pub(crate) code_challenge_method: Option<String>,
    /// `query`, or nothing.
    pub(crate) response_mode: Option<String>,
    /// `login`, or nothing: everybody is asked each time. `none` cannot succeed.
    pub(crate) prompt: Option<String>,
    /// Not supported (OpenID Connect Core 1.0 §6.1).
    pub(crate) request: Option<String>,
    /// Not supported (OpenID Connect Core 1.0 §6.2).
    pub(crate) request_uri: Option<String>,
}

/// A request that is good, whoever will log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) state: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) challenge: String,
}

/// An error that the client is told through the browser: code (RFC 6749 §4.1.2.1, OpenID Connect Core 1.0 §3.1.2.6), and why.
pub(crate) type Returned = (&'static str, &'static str);

impl AuthorizationRequest {
    /// Whom and where to answer, before anything else is looked at: without these, nobody is sent anywhere.
    pub(crate) fn target(&self) -> Option<(&str, RedirectUri)> {
        let uri = RedirectUri::new(self.redirect_uri.as_deref()?).ok()?;
        Some((self.client_id.as_deref()?, uri))
    }

    /// The rest of it.
    pub(crate) fn check(&self, client_id: &str, redirect_uri: &RedirectUri) -> Result<Wanted, Returned> {
        if self.request.is_some() {
            return Err(("request_not_supported", "send plain parameters"));
        }
        if self.request_uri.is_some() {
            return Err(("request_uri_not_supported", "send plain parameters"));
        }
        match self.response_type.as_deref() {
            Some("code") => {}
            Some(_) => return Err(("unsupported_response_type", "response_type is code")),
            None => return Err(("invalid_request", "response_type is missing")),
        }
        if self.response_mode.as_deref().is_some_and(|mode| mode != "query") {
            return Err(("invalid_request", "response_mode is query"));
        }
        let challenge = self.code_challenge.as_deref().filter(|challenge| is_challenge(challenge));
        let (Some(challenge), Some("S256")) = (challenge, self.code_challenge_method.as_deref()) else {
            return Err(("invalid_request", "PKCE is required: code_challenge, and code_challenge_method=S256"));
        };
        let values = [&self.state, &self.nonce, &self.scope];
        if values.into_iter().flatten().any(|value| value.len() > MAX_VALUE_BYTES) {
            return Err(("invalid_request", "a parameter is longer than 2000 bytes"));
        }
        if AskedScope::parse(self.scope.as_deref()).is_err() {
            return Err(("invalid_scope", "the scope of an account is its role, and openid"));
        }
        match self.prompt.as_deref() {
            None | Some("login" | "consent" | "select_account") => {}
            Some("none") => return Err(("login_required", "everybody is asked each time")),
            Some(_) => return Err(("invalid_request", "prompt is login or none")),
        }
        Ok(Wanted {
            client_id: client_id.to_owned(),
            redirect_uri: redirect_uri.as_str().to_owned(),
            state: self.state.clone(),
            nonce: self.nonce.clone(),
            scope: self.scope.clone(),
            challenge: challenge.to_owned(),
        })
    }
}

/// RFC 7636 §4.2: base64url of 32 bytes.
fn is_challenge(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> AuthorizationRequest {
        let some = |text: &str| Some(text.to_owned());
        AuthorizationRequest {
            response_type: some("code"),
            client_id: some("app"),
            redirect_uri: some("https://app.example.org/back"),
            scope: some("openid"),
            state: some("s"),
            nonce: some("n"),
            code_challenge: some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            code_challenge_method: some("S256"),
            ..AuthorizationRequest::default()
        }
    }

    fn code(change: impl FnOnce(&mut AuthorizationRequest)) -> &'static str {
        let mut request = good();
        change(&mut request);
        let uri = RedirectUri::new("https://app.example.org/back").unwrap();
        request.check("app", &uri).map_or_else(|(code, _)| code, |_| "good")
    }

    #[test]
    fn each_fault_has_its_code() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(code(|_| ()), "good");
        assert_eq!(code(|r| r.response_type = some("token")), "unsupported_response_type");
        assert_eq!(code(|r| r.response_type = some("code id_token")), "unsupported_response_type");
        assert_eq!(code(|r| r.response_type = None), "invalid_request");
        assert_eq!(code(|r| r.response_mode = some("fragment")), "invalid_request");
        assert_eq!(code(|r| r.code_challenge = None), "invalid_request");
        assert_eq!(code(|r| r.code_challenge = some("short")), "invalid_request");
        assert_eq!(code(|r| r.code_challenge_method = None), "invalid_request", "RFC 7636 would take that for plain");
        assert_eq!(code(|r| r.code_challenge_method = some("plain")), "invalid_request");
        assert_eq!(code(|r| r.scope = some("everything")), "invalid_scope");
        assert_eq!(code(|r| r.state = Some("x".repeat(2_001))), "invalid_request");
        assert_eq!(code(|r| r.prompt = some("none")), "login_required");
        assert_eq!(code(|r| r.prompt = some("none login")), "invalid_request");
        assert_eq!(code(|r| r.request = some("e30.e30.")), "request_not_supported");
        assert_eq!(code(|r| r.request_uri = some("https://x/")), "request_uri_not_supported");
    }
}
