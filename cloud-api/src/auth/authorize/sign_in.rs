//! `POST /oauth2/sign-in`: the form of the page. A right password leads back to the client with a code.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::form::{Browser, SealedForm};
use super::page::fault;
use super::request::Wanted;
use super::{back, back_with_error, registered, show};
use crate::auth::oauth::{Refusal, audit, read_form};
use crate::auth::redirect_uri::RedirectUri;
use crate::auth::scope::AskedScope;
use crate::auth::token::{check_password, token_hash};
use crate::keys::random;
use crate::listener::Peer;
use crate::problem::Problem;
use crate::state::{App, Shared};
use crate::storage::codes::Code;
use crate::storage::principals::Principal;

/// A code lives this long (RFC 6749 §4.1.2 allows ten minutes).
const CODE_LIFETIME_MS: i64 = 60_000;

// === doc ===

/// The form of the page.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    /// The client's request, as the page carries it.
    request: String,
    /// Proof that the page was made for this browser.
    csrf: String,
    /// Login.
    username: String,
    /// Password.
    password: String,
    /// `sign-in` or `cancel`.
    answer: String,
}

/// Log in on the page.
#[utoipa::path(post, path = "/oauth2/sign-in", operation_id = "sign_in", tag = "tokens",
    request_body(content = SignIn, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "Back to the client, with a code or an error"),
        (status = 400, description = "Wrong password, or not the form of this browser", content_type = "text/html"),
        (status = 429, description = "Too many failed attempts", content_type = "text/html")))]
pub(crate) async fn sign_in(State(app): State<Shared>, peer: Peer, headers: HeaderMap, body: Body) -> Response {
    let task = tokio::spawn(async move { handle(&app, &peer, &headers, body).await });
    let answer = task.await.unwrap_or_else(|error| Err(Problem::internal(&error)));
    answer.unwrap_or_else(Problem::into_response)
}

// === handler ===

async fn handle(app: &App, peer: &Peer, headers: &HeaderMap, body: Body) -> Result<Response, Problem> {
    let stale =
        || Ok(fault(StatusCode::BAD_REQUEST, "This form is too old, or was made for another browser. Start again."));
    let form: SignIn = match read_form(headers, body).await {
        Ok(form) => form,
        Err(Refusal::Problem(problem)) => return Err(problem),
        Err(_) => return stale(),
    };
    let password = Zeroizing::new(form.password);
    let sealed = SealedForm { request: form.request, csrf: form.csrf };
    let Some(browser) = Browser::known(headers).filter(|_| from_here(app, headers)) else { return stale() };
    let Some(wanted) = sealed.open(&app.vault, &browser, app.now()) else { return stale() };
    let Ok(redirect_uri) = RedirectUri::new(&wanted.redirect_uri) else { return stale() };
    // It may have been taken away while somebody was typing.
    if peer.is_controller || !registered(app, &wanted.client_id, &redirect_uri).await? {
        return stale();
    }
    if form.answer != "sign-in" {
        let error = ("access_denied", "the person has cancelled");
        return back_with_error(app, &redirect_uri, wanted.state.as_deref(), error);
    }
    let mut known = None;
    let result = code(app, peer, &form.username, password, &wanted, &mut known).await;
    audit(app, known, "sign_in", result.as_ref().map_or_else(Refusal::code, |_| "done")).await?;
    let again = |alert: &str, status| show(app, &browser, &wanted, &redirect_uri, Some(alert), status);
    match result {
        Ok(code) => back(app, &redirect_uri, wanted.state.as_deref(), &[("code", Some(code.as_str()))]),
        Err(Refusal::InvalidGrant) => again("Login or password is wrong.", StatusCode::BAD_REQUEST),
        Err(Refusal::Wait(seconds)) => {
            let alert = format!("Too many wrong tries. Wait {seconds} s.");
            let mut response = again(&alert, StatusCode::TOO_MANY_REQUESTS)?;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            Ok(response)
        }
        Err(Refusal::Problem(problem)) => Err(problem),
        Err(_) => {
            let error = ("invalid_scope", "the scope of an account is its role, and openid");
            back_with_error(app, &redirect_uri, wanted.state.as_deref(), error)
        }
    }
}

/// Browsers say where a form comes from. None says `null` for ours, since our pages let it be known.
fn from_here(app: &App, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let own = url::Url::parse(app.tokens.issuer()).map(|issuer| issuer.origin().ascii_serialization());
    own.is_ok_and(|own| origin.as_bytes() == own.as_bytes())
}

/// A code for whoever has that password, if the client is of the same customer.
async fn code(
    app: &App,
    peer: &Peer,
    username: &str,
    password: Zeroizing<String>,
    wanted: &Wanted,
    known: &mut Option<Principal>,
) -> Result<Zeroizing<String>, Refusal> {
    let principal = check_password(app, peer, username, password, known).await?;
    let client = app.storage.principal(&wanted.client_id).await?.ok_or(Refusal::InvalidGrant)?;
    // One customer's application logs in nobody of another's.
    if client.customer != principal.customer {
        return Err(Refusal::InvalidGrant);
    }
    let scope = AskedScope::parse(wanted.scope.as_deref())?.granted(principal.role)?;
    let code = Zeroizing::new(URL_SAFE_NO_PAD.encode(random::<32>()?));
    let now = app.now();
    let stands_for = Code {
        client_id: wanted.client_id.clone(),
        principal_id: principal.principal_id,
        redirect_uri: wanted.redirect_uri.clone(),
        challenge: wanted.challenge.clone(),
        openid: scope.openid,
        nonce: wanted.nonce.clone(),
        auth_time: now,
        expires_at: now.plus_ms(CODE_LIFETIME_MS),
    };
    app.storage.add_code(token_hash(&code), stands_for, now).await?;
    Ok(code)
}
