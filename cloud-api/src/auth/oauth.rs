//! What the OAuth endpoints share: forms, refusals in the shape of RFC 6749 §5.2, the audit.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::api::web::extract;
use crate::auth::scope::ScopeRefused;
use crate::keys::KeyError;
use crate::problem::{Problem, Slug};
use crate::state::App;
use crate::storage::StorageError;
use crate::storage::audit::NewAction;
use crate::storage::principals::Principal;

const FORM: &str = "application/x-www-form-urlencoded";

/// RFC 6749 §5.2, and what the transport adds.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("send the parameters, each once, as a form")]
    InvalidRequest,
    #[error("the client is unknown, or its certificate is not the registered one")]
    InvalidClient,
    #[error("the credential is not valid")]
    InvalidGrant,
    #[error("the token was issued to another client")]
    AnothersToken,
    #[error("use password, client_credentials, refresh_token or authorization_code")]
    UnsupportedGrantType,
    #[error("the scope of an account is its role, and openid where a person logs in")]
    InvalidScope,
    #[error("too many failed attempts: wait {0} seconds")]
    Wait(u64),
    #[error(transparent)]
    Problem(#[from] Problem),
}

impl From<StorageError> for Refusal {
    fn from(error: StorageError) -> Self {
        Self::Problem(error.into())
    }
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        Self::Problem(Problem::internal(&error))
    }
}

impl From<ScopeRefused> for Refusal {
    fn from(ScopeRefused: ScopeRefused) -> Self {
        Self::InvalidScope
    }
}

impl Refusal {
    /// The code a client programs against.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant | Self::AnothersToken => "invalid_grant",
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
pub(crate) struct OAuthError {
    /// The code of RFC 6749 §5.2.
    error: String,
    /// What to do about it, for people.
    error_description: String,
}

impl IntoResponse for Refusal {
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

/// Reads a form. Unknown and repeated fields are refused by the types themselves.
pub(crate) async fn read_form<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Refusal> {
    extract::require_media_type(headers, &[FORM], "a form: Content-Type application/x-www-form-urlencoded")?;
    let bytes = Zeroizing::new(extract::read_body(headers, body, extract::JSON_LIMIT_BYTES).await?);
    serde_urlencoded::from_bytes(&bytes).map_err(|_| Refusal::InvalidRequest)
}

/// Writes down what became of a call; `known` is the existing account that it named.
pub(crate) async fn audit(
    app: &App,
    known: Option<Principal>,
    action: &'static str,
    outcome: &'static str,
) -> Result<(), Problem> {
    let action = NewAction {
        customer: known.as_ref().and_then(|principal| principal.customer.clone()),
        site: None,
        // What does not name an account may be anything, a password typed into the wrong field included.
        principal_id: known.map(|principal| principal.principal_id),
        action,
        target: None,
    };
    Ok(app.storage.audit_done(action, outcome, app.now()).await?)
}
