//! `/oauth2/authorize`: people log in with a browser, and the client gets a code (RFC 6749 §4.1 with PKCE, OpenID Connect
//! Core 1.0 §3.1). Their browser shows a client certificate like everybody else; what they type is a login and a password.
//!
//! Nothing is kept between the page and its form but what the form carries. A browser stays logged in nowhere: each
//! request asks for the password.

mod form;
mod page;
mod request;
pub(crate) mod sign_in;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use crate::auth::oauth::{Refusal, read_form};
use crate::auth::redirect_uri::RedirectUri;
use crate::listener::Peer;
use crate::problem::Problem;
use crate::state::{App, Shared};
use form::{Browser, SealedForm};
use page::{SignInPage, fault};
use request::{AuthorizationRequest, Returned, Wanted};

// === doc ===

/// The page to log in on. It leads back to the client with `code`, `state` and `iss` (RFC 9207), or with `error`.
#[utoipa::path(get, path = "/oauth2/authorize", operation_id = "authorize", tag = "tokens",
    params(AuthorizationRequest),
    responses(
        (status = 200, description = "The page", content_type = "text/html"),
        (status = 303, description = "Back to the client, with an error"),
        (status = 400, description = "No client to go back to", content_type = "text/html")))]
pub(crate) async fn authorize(
    State(app): State<Shared>,
    peer: Peer,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let request = serde_urlencoded::from_str(query.as_deref().unwrap_or_default());
    handle(&app, &peer, &headers, request.ok()).await
}

/// The same by POST, as OpenID Connect asks for it.
#[utoipa::path(post, path = "/oauth2/authorize", operation_id = "authorize_by_post", tag = "tokens",
    request_body(content = AuthorizationRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The page", content_type = "text/html"),
        (status = 303, description = "Back to the client, with an error"),
        (status = 400, description = "No client to go back to", content_type = "text/html")))]
pub(crate) async fn authorize_by_post(
    State(app): State<Shared>,
    peer: Peer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    match read_form(&headers, body).await {
        Ok(request) => handle(&app, &peer, &headers, Some(request)).await,
        Err(Refusal::Problem(problem)) => Err(problem),
        Err(_) => handle(&app, &peer, &headers, None).await,
    }
}

// === handler ===

async fn handle(
    app: &App,
    peer: &Peer,
    headers: &HeaderMap,
    request: Option<AuthorizationRequest>,
) -> Result<Response, Problem> {
    let nowhere = |what| Ok(fault(StatusCode::BAD_REQUEST, what));
    if peer.is_controller {
        return nowhere("This is for people; a controller's certificate is no person's.");
    }
    let Some(request) = request else { return nowhere("The address has a parameter twice, or cannot be read.") };
    let target = request.target();
    let Some((client_id, redirect_uri)) = target else {
        return nowhere("The application has not said who it is, or where to go back to.");
    };
    if !registered(app, client_id, &redirect_uri).await? {
        return nowhere("The application is not registered here, or not with this address to go back to.");
    }
    match request.check(client_id, &redirect_uri) {
        Ok(wanted) => show(app, &Browser::of(headers)?, &wanted, &redirect_uri, None, StatusCode::OK),
        Err(error) => back_with_error(app, &redirect_uri, request.state.as_deref(), error),
    }
}

/// Whether the client is there, and this address is one of its own.
async fn registered(app: &App, client_id: &str, redirect_uri: &RedirectUri) -> Result<bool, Problem> {
    let known = app.storage.principal(client_id).await?.is_some();
    Ok(known && app.storage.has_redirect_uri(client_id, redirect_uri.as_str()).await?)
}

/// The page, and the cookie that its form is bound to.
fn show(
    app: &App,
    browser: &Browser,
    wanted: &Wanted,
    redirect_uri: &RedirectUri,
    alert: Option<&str>,
    status: StatusCode,
) -> Result<Response, Problem> {
    let form = SealedForm::seal(&app.vault, browser, wanted, app.now())?;
    let page = SignInPage {
        client_id: &wanted.client_id,
        request: &form.request,
        csrf: &form.csrf,
        leads_to: &redirect_uri.origin(),
        alert,
    };
    let mut response = page.response(status);
    response.headers_mut().insert(header::SET_COOKIE, browser.cookie()?);
    Ok(response)
}

fn back_with_error(
    app: &App,
    redirect_uri: &RedirectUri,
    state: Option<&str>,
    (error, description): Returned,
) -> Result<Response, Problem> {
    let error = [("error", Some(error)), ("error_description", Some(description))];
    back(app, redirect_uri, state, &error)
}

/// Sends the browser back to the client.
fn back(
    app: &App,
    redirect_uri: &RedirectUri,
    state: Option<&str>,
    answer: &[(&str, Option<&str>)],
) -> Result<Response, Problem> {
    let always = [("state", state), ("iss", Some(app.tokens.issuer()))];
    let location = redirect_uri.with(&[answer, &always].concat());
    let location = HeaderValue::try_from(location).map_err(|error| Problem::internal(&error))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}

// === tests ===

#[cfg(test)]
mod tests;
