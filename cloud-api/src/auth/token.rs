//! `POST /oauth2/token`: an access token for a password, a client certificate, or a refresh token (RFC 6749, RFC 8705).
//!
//! Every token is bound to the certificate of the connection it was asked for on. A password login yields refresh tokens
//! that rotate; a login by certificate yields one that does not, since the certificate already binds it (RFC 6749 §4.4.3
//! advises against it there; requirement S2 asks for it).

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::api::extract;
use crate::auth::{Grant, verify_password};
use crate::keys::{KeyError, Vault, random};
use crate::listener::Peer;
use crate::problem::{Problem, Slug};
use crate::state::{App, Shared};
use crate::storage::StorageError;
use crate::storage::audit::NewAction;
use crate::storage::principals::Principal;
use crate::storage::tokens::{NewFamily, Presentation, Presented, TokenHash};

const FORM: &str = "application/x-www-form-urlencoded";

// === error ===

/// RFC 6749 §5.2, and what the transport adds.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("send the parameters of the grant, each once, as a form")]
    InvalidRequest,
    #[error("the client is unknown, or its certificate is not the registered one")]
    InvalidClient,
    #[error("the credential is not valid")]
    InvalidGrant,
    #[error("use password, client_credentials or refresh_token")]
    UnsupportedGrantType,
    #[error("the scope of an account is its role")]
    InvalidScope,
    #[error("too many failed attempts: wait {0} seconds")]
    Wait(u64),
    #[error(transparent)]
    Problem(#[from] Problem),
}

impl From<StorageError> for TokenError {
    fn from(error: StorageError) -> Self {
        Self::Problem(error.into())
    }
}

impl From<KeyError> for TokenError {
    fn from(error: KeyError) -> Self {
        Self::Problem(Problem::internal(&error))
    }
}

impl TokenError {
    fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            // RFC 6749 has no word for it; clients treat it as any other refusal, with the standard header beside it.
            Self::Wait(_) => "slow_down",
            Self::Problem(problem) => problem.parts().0,
        }
    }
}

/// The members of an error answer.
#[derive(Serialize, ToSchema)]
pub struct OAuthError {
    /// The code of RFC 6749 §5.2.
    error: String,
    /// What to do about it, for people.
    error_description: String,
}

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Problem(problem) => return problem.clone().into_response(),
            Self::InvalidClient => StatusCode::UNAUTHORIZED,
            Self::Wait(_) => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::BAD_REQUEST,
        };
        let body = OAuthError { error: self.code().to_owned(), error_description: self.to_string() };
        let mut response = (status, axum::Json(body)).into_response();
        if let Self::Wait(seconds) = self {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Slug(self.code()));
        response
    }
}

// === doc ===

/// The form. Which fields are needed depends on `grant_type`; the others are refused.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// `password`, `client_credentials` or `refresh_token`.
    grant_type: String,
    /// Login of the password grant.
    username: Option<String>,
    /// Password of the password grant.
    password: Option<String>,
    /// Account of the client_credentials grant, whose registered subject the client certificate must carry.
    client_id: Option<String>,
    /// Token of the refresh_token grant.
    refresh_token: Option<String>,
    /// The account's role, or nothing.
    scope: Option<String>,
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
    /// The account's role.
    scope: String,
}

/// An access token for a password, a client certificate, or a refresh token.
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

async fn handle(app: &App, peer: &Peer, headers: &HeaderMap, body: Body) -> Response {
    let form = match read_form(headers, body).await {
        Ok(form) => form,
        Err(error) => return error.into_response(),
    };
    let mut known = None;
    let result = grant(app, peer, form, &mut known).await;
    let (outcome, response) = match result {
        Ok(tokens) => ("done", axum::Json(tokens).into_response()),
        Err(error) => (error.code(), error.into_response()),
    };
    if let Err(problem) = audit(app, known, outcome).await {
        return problem.into_response();
    }
    response
}

async fn read_form(headers: &HeaderMap, body: Body) -> Result<TokenRequest, TokenError> {
    extract::require_media_type(headers, &[FORM], "a form: Content-Type application/x-www-form-urlencoded")?;
    let bytes = Zeroizing::new(extract::read_body(headers, body, extract::JSON_LIMIT_BYTES).await?);
    serde_urlencoded::from_bytes(&bytes).map_err(|_| TokenError::InvalidRequest)
}

/// Carries out the grant; `known` is set once an existing account is named, for the audit.
async fn grant(
    app: &App,
    peer: &Peer,
    form: TokenRequest,
    known: &mut Option<Principal>,
) -> Result<TokenResponse, TokenError> {
    let TokenRequest { grant_type, username, password, client_id, refresh_token, scope } = form;
    let (password, refresh_token) = (password.map(Zeroizing::new), refresh_token.map(Zeroizing::new));
    let (principal, refresh) = match (grant_type.as_str(), username, password, client_id, refresh_token) {
        ("password", Some(username), Some(password), None, None) => {
            let principal = by_password(app, peer, &username, password, known).await?;
            let refresh = begin_family(app, peer, &principal, true).await?;
            (principal, refresh)
        }
        ("client_credentials", None, None, Some(client_id), None) => {
            let principal = by_certificate(app, peer, &client_id, known).await?;
            let refresh = begin_family(app, peer, &principal, false).await?;
            (principal, refresh)
        }
        ("refresh_token", None, None, None, Some(token)) => by_refresh_token(app, peer, token, known).await?,
        ("password" | "client_credentials" | "refresh_token", ..) => return Err(TokenError::InvalidRequest),
        _ => return Err(TokenError::UnsupportedGrantType),
    };
    if scope.is_some_and(|scope| scope != principal.role.name()) {
        return Err(TokenError::InvalidScope);
    }
    Ok(TokenResponse {
        access_token: app.tokens.issue(
            app.now(),
            &Grant {
                principal: &principal.principal_id,
                client: &principal.principal_id,
                role: principal.role,
                scope: principal.role.name(),
                thumbprint: &peer.thumbprint,
                login: None,
            },
        )?,
        token_type: "Bearer".to_owned(),
        expires_in: app.tokens.lifetime_s(),
        refresh_token: refresh,
        scope: principal.role.name().to_owned(),
    })
}

async fn by_password(
    app: &App,
    peer: &Peer,
    username: &str,
    password: Zeroizing<String>,
    known: &mut Option<Principal>,
) -> Result<Principal, TokenError> {
    app.throttle
        .take(app.clock.monotonic(), username, &peer.thumbprint)
        .map_err(|wait_ms| TokenError::Wait(wait_ms.div_ceil(1_000)))?;
    *known = app.storage.principal(username).await?;
    let phc = known.as_ref().and_then(|principal| principal.password_hash.clone());
    let turn = app.throttle.turn().await;
    let right = tokio::task::spawn_blocking(move || verify_password(phc.as_deref(), &password))
        .await
        .map_err(|error| Problem::internal(&error))?;
    drop(turn);
    let principal = known.clone().filter(|_| right).ok_or(TokenError::InvalidGrant)?;
    app.throttle.succeeded(username, &peer.thumbprint);
    Ok(principal)
}

async fn by_certificate(
    app: &App,
    peer: &Peer,
    client_id: &str,
    known: &mut Option<Principal>,
) -> Result<Principal, TokenError> {
    *known = app.storage.principal(client_id).await?;
    let principal = known.clone().ok_or(TokenError::InvalidClient)?;
    // A controller's certificate says who it is within Cardea only; it is no customer's and no operator's credential.
    let registered = principal.subject_dn.as_deref().filter(|_| !peer.is_controller);
    let matches = registered.is_some_and(|dn| dn.as_bytes().ct_eq(peer.subject_dn.as_bytes()).into());
    if matches { Ok(principal) } else { Err(TokenError::InvalidClient) }
}

async fn by_refresh_token(
    app: &App,
    peer: &Peer,
    token: Zeroizing<String>,
    known: &mut Option<Principal>,
) -> Result<(Principal, String), TokenError> {
    let vault = app.vault.clone();
    let presentation = Presentation {
        hash: Sha256::digest(token.as_bytes()).into(),
        thumbprint: peer.thumbprint.to_string(),
        at: app.now(),
        retry_ms: i64::from(app.config.tokens.refresh_retry_s) * 1_000,
        derive: move |family: &str, generation| hash_of(&rotating_token(&vault, family, generation)),
    };
    let (principal_id, refresh) = match app.storage.present_refresh_token(presentation).await? {
        Presented::Same { principal_id } => (principal_id, token.to_string()),
        Presented::Successor { principal_id, family_id, generation } => {
            (principal_id, rotating_token(&app.vault, &family_id, generation).to_string())
        }
        Presented::Invalid => return Err(TokenError::InvalidGrant),
        Presented::Reused { principal_id } => {
            tracing::warn!(principal_id, "a spent refresh token was used again: its family is revoked");
            *known = app.storage.principal(&principal_id).await?;
            return Err(TokenError::InvalidGrant);
        }
    };
    *known = app.storage.principal(&principal_id).await?;
    let principal = known.clone().ok_or(TokenError::InvalidGrant)?;
    Ok((principal, refresh))
}

/// The token of a family at a position: nothing but the vault can tell it, so that a retry gets the same one.
fn rotating_token(vault: &Vault, family: &str, generation: u32) -> Zeroizing<String> {
    let secret = vault.derive("refresh token", format!("{family}/{generation}").as_bytes());
    Zeroizing::new(URL_SAFE_NO_PAD.encode(secret.as_slice()))
}

fn hash_of(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

async fn begin_family(app: &App, peer: &Peer, principal: &Principal, rotates: bool) -> Result<String, TokenError> {
    let family_id = hex::encode(random::<16>()?);
    let token = rotating_token(&app.vault, &family_id, 0);
    let family = NewFamily {
        family_id,
        principal_id: principal.principal_id.clone(),
        thumbprint: peer.thumbprint.to_string(),
        rotates,
        first: hash_of(&token),
        expires_at: app.now().plus_ms(i64::from(app.config.tokens.refresh_lifetime_s) * 1_000),
    };
    app.storage.begin_family(family, app.now()).await?;
    Ok(token.to_string())
}

async fn audit(app: &App, known: Option<Principal>, outcome: &'static str) -> Result<(), Problem> {
    let action = NewAction {
        customer: known.as_ref().and_then(|principal| principal.customer.clone()),
        site: None,
        // What does not name an account may be anything, a password typed into the wrong field included.
        principal_id: known.map(|principal| principal.principal_id),
        action: "token",
        target: None,
    };
    let row = app.storage.audit_begin(action, app.now()).await?;
    Ok(app.storage.audit_end(row, outcome, None).await?)
}

// === tests ===

#[cfg(test)]
mod tests;
