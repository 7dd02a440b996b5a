//! `POST /oauth2/token`: an access token for a password, a client certificate, a refresh token, or the code of a login by
//! browser (RFC 6749, RFC 8705). One grant, one file.
//!
//! Every token is bound to the certificate of the connection it was asked for on. A login of a person yields refresh tokens
//! that rotate; a login by certificate yields one that does not, since the certificate already binds it (RFC 6749 §4.4.3
//! advises against it there; requirement S2 asks for it).

mod certificate;
mod code;
mod login;
mod password;
mod refresh;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use cardea_protocol::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::auth::oauth::{OAuthError, Refusal, audit, read_form};
use crate::auth::scope::{AskedScope, GrantedScope};
use crate::auth::{Grant, id_token};
use crate::listener::Peer;
use crate::problem::Problem;
use crate::state::{App, Shared};
use crate::storage::principals::Principal;

pub(crate) use login::token_hash;
pub(crate) use password::check as check_password;

// === doc ===

/// The form. Which fields are needed depends on `grant_type`; the others are refused.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// `password`, `client_credentials`, `refresh_token` or `authorization_code`.
    grant_type: String,
    /// Login of the password grant.
    username: Option<String>,
    /// Password of the password grant.
    password: Option<String>,
    /// Account of the client_credentials and authorization_code grants, whose registered name the client certificate must
    /// carry. With a refresh token, the account it was issued to, or nothing.
    client_id: Option<String>,
    /// Token of the refresh_token grant.
    refresh_token: Option<String>,
    /// The account's role, `openid` where a person logs in, or nothing. A code has its scope already.
    scope: Option<String>,
    /// Code of the authorization_code grant.
    code: Option<String>,
    /// Where the code was sent.
    redirect_uri: Option<String>,
    /// What the code challenge was made of (RFC 7636).
    code_verifier: Option<String>,
}

/// RFC 6749 §5.1.
#[derive(Serialize, ToSchema)]
pub struct TokenResponse {
    /// A JWT (RFC 9068), bound to the client certificate.
    access_token: String,
    /// `Bearer`.
    token_type: String,
    /// Seconds; at most 3600.
    expires_in: u32,
    /// For the refresh_token grant, with the same client certificate.
    refresh_token: String,
    /// The account's role, and `openid` where it was asked for.
    scope: String,
    /// With the scope `openid`: who has logged in, and when (OpenID Connect Core 1.0 §2).
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
}

/// An access token for a password, a client certificate, a refresh token, or the code of a login by browser.
#[utoipa::path(post, path = "/oauth2/token", operation_id = "token", tag = "tokens",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "Tokens", body = TokenResponse),
        (status = 400, description = "Not a valid grant", body = OAuthError),
        (status = 401, description = "Not this client's certificate", body = OAuthError),
        (status = 429, description = "Too many failed attempts", body = OAuthError)))]
pub(crate) async fn token(State(app): State<Shared>, peer: Peer, headers: HeaderMap, body: Body) -> Response {
    // Spent or not, a refresh token must not be lost half-way because the client hung up.
    let task = tokio::spawn(async move { handle(&app, &peer, &headers, body).await });
    task.await.unwrap_or_else(|error| Problem::internal(&error).into_response())
}

// === handler ===

/// What a grant has established.
struct Granted {
    principal: Principal,
    /// Whom the tokens are issued to.
    client_id: String,
    scope: GrantedScope,
    /// When the credential was shown.
    auth_time: Timestamp,
    /// What the client wants to find in the ID token.
    nonce: Option<String>,
    /// The login it belongs to.
    login_id: String,
    refresh_token: String,
}

async fn handle(app: &App, peer: &Peer, headers: &HeaderMap, body: Body) -> Response {
    let form = match read_form(headers, body).await {
        Ok(form) => form,
        Err(error) => return error.into_response(),
    };
    let mut known = None;
    let result = match grant(app, peer, form, &mut known).await {
        Ok(granted) => answer(app, peer, granted),
        Err(error) => Err(error),
    };
    let (outcome, response) = match result {
        Ok(tokens) => ("done", axum::Json(tokens).into_response()),
        Err(error) => (error.code(), error.into_response()),
    };
    if let Err(problem) = audit(app, known, "token", outcome).await {
        return problem.into_response();
    }
    response
}

/// Carries out the grant; `known` is set once an existing account is named, for the audit.
async fn grant(app: &App, peer: &Peer, form: TokenRequest, known: &mut Option<Principal>) -> Result<Granted, Refusal> {
    // Whoever has stolen a controller gets no token with it, whatever else they know.
    if peer.is_controller {
        return Err(Refusal::InvalidClient);
    }
    let TokenRequest { grant_type, username, password, client_id, refresh_token, scope, .. } = form;
    let [password, refresh_token, code, verifier] =
        [password, refresh_token, form.code, form.code_verifier].map(|secret| secret.map(Zeroizing::new));
    let asked = AskedScope::parse(scope.as_deref())?;
    let exchange = (code, form.redirect_uri, verifier);
    match (grant_type.as_str(), client_id, (username, password), refresh_token, exchange) {
        ("password", None, (Some(username), Some(password)), None, (None, None, None)) => {
            password::grant(app, peer, &username, password, &asked, known).await
        }
        ("client_credentials", Some(client_id), (None, None), None, (None, None, None)) => {
            certificate::grant(app, peer, &client_id, &asked, known).await
        }
        ("refresh_token", client_id, (None, None), Some(token), (None, None, None)) => {
            refresh::grant(app, peer, client_id.as_deref(), token, scope.is_some().then_some(&asked), known).await
        }
        ("authorization_code", Some(client_id), (None, None), None, (Some(code), Some(uri), Some(verifier)))
            if scope.is_none() =>
        {
            code::grant(app, peer, &client_id, code, uri, verifier, known).await
        }
        ("password" | "client_credentials" | "refresh_token" | "authorization_code", ..) => {
            Err(Refusal::InvalidRequest)
        }
        _ => Err(Refusal::UnsupportedGrantType),
    }
}

fn answer(app: &App, peer: &Peer, granted: Granted) -> Result<TokenResponse, Refusal> {
    let Granted { principal, client_id, scope, auth_time, nonce, login_id, refresh_token } = granted;
    let (now, text) = (app.now(), scope.to_string());
    let grant = Grant {
        principal: &principal.principal_id,
        client: &client_id,
        role: scope.role,
        scope: &text,
        thumbprint: &peer.thumbprint,
        login: Some(&login_id),
    };
    let access_token = app.tokens.issue(now, &grant)?;
    let id_token = if scope.openid {
        Some(id_token::issue(&app.tokens, now, &grant, auth_time, nonce.as_deref(), &access_token)?)
    } else {
        None
    };
    Ok(TokenResponse {
        access_token,
        token_type: "Bearer".to_owned(),
        expires_in: app.tokens.lifetime_s(),
        refresh_token,
        scope: text,
        id_token,
    })
}

// === tests ===

#[cfg(test)]
mod tests;
