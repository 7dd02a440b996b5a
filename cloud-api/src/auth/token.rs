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
use crate::auth::verify_password;
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
        access_token: app.tokens.issue(app.now(), &principal.principal_id, principal.role, &peer.thumbprint)?,
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
mod tests {
    use axum::body::Body;
    use axum::http::Request;

    use crate::auth::hash_password;
    use crate::auth::roles::Role;
    use crate::storage::principals::Principal;
    use crate::testing::{Answer, Api, PASSWORD, START, peer};
    use cardea_protocol::clock::Clock as _;
    use zeroize::Zeroizing;

    async fn api_with_login() -> Api {
        let api = Api::new().await;
        let login = Principal {
            principal_id: "login".to_owned(),
            customer: None,
            role: Role::Operator,
            password_hash: Some(hash_password(&Zeroizing::new(PASSWORD.to_owned())).unwrap()),
            subject_dn: None,
        };
        api.app.storage.register_principal(login, START).await.unwrap();
        api
    }

    async fn login(api: &Api, password: &str) -> Answer {
        let form = [("grant_type", "password"), ("username", "login"), ("password", password)];
        api.post_form("/oauth2/token", &form).await
    }

    async fn by_certificate(api: &Api, account: &str) -> Answer {
        api.post_form("/oauth2/token", &[("grant_type", "client_credentials"), ("client_id", account)]).await
    }

    async fn refresh(api: &Api, token: &str) -> Answer {
        api.post_form("/oauth2/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    async fn use_token(api: &Api, token: &str) -> Answer {
        let request = Request::get("/v1/sites").header("authorization", format!("Bearer {token}"));
        api.call(request.body(Body::empty()).unwrap()).await
    }

    fn text<'a>(answer: &'a Answer, member: &str) -> &'a str {
        answer.json[member].as_str().unwrap_or_default()
    }

    fn error(answer: &Answer) -> (u16, &str) {
        (answer.status, text(answer, "error"))
    }

    #[tokio::test]
    async fn a_password_gets_a_token_that_works_for_an_hour() {
        let api = api_with_login().await;
        let tokens = login(&api, PASSWORD).await;
        assert_eq!((tokens.status, &tokens.json["expires_in"]), (200, &3_600.into()));
        assert_eq!(tokens.header("cache-control"), "no-store");
        let token = text(&tokens, "access_token");
        assert_eq!(use_token(&api, token).await.status, 200);
        api.clock.advance_ms(3_600_000);
        let expired = use_token(&api, token).await;
        assert_eq!(expired.problem(), (401, "token-invalid"));
        assert!(expired.header("www-authenticate").contains("invalid_token"));
    }

    #[tokio::test]
    async fn a_token_is_worth_nothing_with_another_certificate() {
        let mut api = api_with_login().await;
        let tokens = login(&api, PASSWORD).await;
        api.peer = peer(&[(rcgen::DnType::CommonName, "thief")]);
        assert_eq!(use_token(&api, text(&tokens, "access_token")).await.problem(), (401, "token-invalid"));
        assert_eq!(error(&refresh(&api, text(&tokens, "refresh_token")).await), (400, "invalid_grant"));
    }

    #[tokio::test]
    async fn wrong_passwords_slow_down() {
        let api = api_with_login().await;
        for _ in 0..4 {
            assert_eq!(error(&login(&api, "wrong").await), (400, "invalid_grant"));
        }
        assert_eq!(error(&login(&api, "wrong").await), (400, "invalid_grant"));
        let limited = login(&api, PASSWORD).await;
        assert_eq!((limited.status, limited.header("retry-after").as_str()), (429, "1"));
        api.clock.advance_ms(1_000);
        assert_eq!(login(&api, PASSWORD).await.status, 200);
    }

    #[tokio::test]
    async fn a_certificate_gets_a_token_for_the_account_it_is_registered_for() {
        let mut api = Api::new().await;
        let tokens = by_certificate(&api, "service").await;
        assert_eq!((tokens.status, text(&tokens, "scope")), (200, "customer-service"));
        assert_eq!(error(&by_certificate(&api, "nobody").await), (401, "invalid_client"));
        api.peer = peer(&[(rcgen::DnType::CommonName, "backend")]);
        assert_eq!(error(&by_certificate(&api, "service").await), (401, "invalid_client"));
    }

    #[tokio::test]
    async fn a_controllers_certificate_is_no_accounts() {
        let mut api = Api::new().await;
        api.peer.is_controller = true;
        assert_eq!(error(&by_certificate(&api, "service").await), (401, "invalid_client"));
    }

    #[tokio::test]
    async fn a_password_logins_refresh_token_rotates_and_reuse_ends_it() {
        let api = api_with_login().await;
        let first = login(&api, PASSWORD).await;
        let first = text(&first, "refresh_token");
        let second = refresh(&api, first).await;
        let retry = refresh(&api, first).await;
        assert_eq!(text(&second, "refresh_token"), text(&retry, "refresh_token"));
        assert_ne!(text(&second, "refresh_token"), first);
        assert_eq!(use_token(&api, text(&second, "access_token")).await.status, 200);
        api.clock.advance_ms(31_000);
        assert_eq!(error(&refresh(&api, first).await), (400, "invalid_grant"));
        assert_eq!(error(&refresh(&api, text(&second, "refresh_token")).await), (400, "invalid_grant"));
    }

    #[tokio::test]
    async fn a_certificates_refresh_token_stays_the_same() {
        let api = Api::new().await;
        let tokens = by_certificate(&api, "service").await;
        let first = text(&tokens, "refresh_token");
        assert_eq!(text(&refresh(&api, first).await, "refresh_token"), first);
        api.clock.advance_ms(40_000);
        assert_eq!(text(&refresh(&api, first).await, "refresh_token"), first);
    }

    #[tokio::test]
    async fn a_disabled_account_ends_at_once() {
        let api = api_with_login().await;
        let tokens = login(&api, PASSWORD).await;
        let disable = |tx: &rusqlite::Transaction<'_>| {
            tx.execute("UPDATE principals SET disabled_at = 1 WHERE principal_id = 'login'", [])?;
            Ok::<_, crate::storage::StorageError>(())
        };
        api.app.storage.write(disable).await.unwrap();
        assert_eq!(use_token(&api, text(&tokens, "access_token")).await.problem(), (401, "token-invalid"));
        assert_eq!(error(&refresh(&api, text(&tokens, "refresh_token")).await), (400, "invalid_grant"));
    }

    #[tokio::test]
    async fn malformed_requests_are_told_apart() {
        let api = Api::new().await;
        assert!(api.clock.now() == START);
        for (form, expected) in [
            (&[("grant_type", "implicit")][..], "unsupported_grant_type"),
            (&[("grant_type", "password"), ("username", "login")], "invalid_request"),
            (&[("grant_type", "password"), ("grant_type", "password")], "invalid_request"),
            (&[("grant_type", "client_credentials"), ("client_id", "service"), ("phone", "1")], "invalid_request"),
            (&[("grant_type", "client_credentials"), ("client_id", "service"), ("scope", "operator")], "invalid_scope"),
        ] {
            assert_eq!(error(&api.post_form("/oauth2/token", form).await), (400, expected), "{form:?}");
        }
        let json =
            api.post_bytes("/oauth2/token", "application/json", b"{}".to_vec(), crate::testing::as_nobody()).await;
        assert_eq!(json.problem(), (415, "unsupported-media-type"));
    }

    #[tokio::test]
    async fn failed_logins_are_audited_without_what_was_typed() {
        let api = api_with_login().await;
        login(&api, "wrong").await;
        let form = [("grant_type", "password"), ("username", "ivan@example.org"), ("password", "x")];
        api.post_form("/oauth2/token", &form).await;
        let rows = api.app.storage.recent_actions(2).await.unwrap();
        assert_eq!(rows[0], ("token".to_owned(), None, None, "invalid_grant".to_owned()));
        assert_eq!(rows[1].1.as_deref(), Some("login"));
    }
}
