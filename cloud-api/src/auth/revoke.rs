//! `POST /oauth2/revoke`: a token ends before its time (RFC 7009).

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use cardea_protocol::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::auth::client::Asker;
use crate::auth::oauth::{OAuthError, Refusal, audit, read_form};
use crate::auth::token::token_hash;
use crate::listener::Peer;
use crate::problem::Problem;
use crate::state::{App, Shared};
use crate::storage::principals::Principal;

// === doc ===

/// A token to revoke.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevocationRequest {
    /// An access token, or a refresh token: with that one its whole login ends, access tokens included.
    token: String,
    /// `access_token` or `refresh_token`; it is found without.
    #[expect(dead_code, reason = "a hint is all it is, and both kinds are told apart without")]
    token_type_hint: Option<String>,
    /// The account that the token was issued to, by its registered certificate. Not needed on a connection with the very
    /// certificate that the token is bound to.
    client_id: Option<String>,
}

/// Revoke a token. A token that is unknown or has expired is answered like a good one: it does not work either way.
#[utoipa::path(post, path = "/oauth2/revoke", operation_id = "revoke_token", tag = "tokens",
    request_body(content = RevocationRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "It is worth nothing from now on"),
        (status = 400, description = "Another client's token", body = OAuthError),
        (status = 401, description = "Not this client's certificate", body = OAuthError)))]
pub(crate) async fn revoke(State(app): State<Shared>, peer: Peer, headers: HeaderMap, body: Body) -> Response {
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
    let (outcome, response) = match carry_out(app, peer, form, &mut known).await {
        Ok(()) => ("done", StatusCode::OK.into_response()),
        Err(error) => (error.code(), error.into_response()),
    };
    if let Err(problem) = audit(app, known, "revoke_token", outcome).await {
        return problem.into_response();
    }
    response
}

async fn carry_out(
    app: &App,
    peer: &Peer,
    form: RevocationRequest,
    known: &mut Option<Principal>,
) -> Result<(), Refusal> {
    let token = Zeroizing::new(form.token);
    let asker = Asker::of(app, peer, form.client_id.as_deref(), known).await?;
    if let Ok(claims) = app.tokens.inspect(app.now(), &token) {
        *known = app.storage.principal(&claims.sub).await?;
        if !asker.holds(&claims.client_id, &claims.cnf.thumbprint) {
            return Err(Refusal::AnothersToken);
        }
        let expires_at = Timestamp(claims.exp.saturating_mul(1_000));
        return Ok(app.storage.revoke_access_token(claims.jti, expires_at, app.now()).await?);
    }
    let Some(login) = app.storage.login_of(token_hash(&token)).await? else { return Ok(()) };
    *known = app.storage.principal(&login.principal_id).await?;
    if !asker.holds(&login.client_id, &login.thumbprint) {
        return Err(Refusal::AnothersToken);
    }
    Ok(app.storage.revoke_login(login.family_id, app.now()).await?)
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::tokens::*;
    use crate::testing::{Api, peer};

    #[tokio::test]
    async fn a_revoked_access_token_is_refused_at_once_and_no_other() {
        let api = Api::new().await;
        let (first, second) = (by_certificate(&api, "service").await, by_certificate(&api, "service").await);
        for _ in 0..2 {
            assert_eq!(revoke(&api, first.text("access_token"), None).await.status, 200);
        }
        assert_refused(&use_token(&api, first.text("access_token")).await, "it was revoked");
        assert_eq!(use_token(&api, second.text("access_token")).await.status, 200);
        let refreshed = refresh(&api, first.text("refresh_token")).await;
        assert_eq!(use_token(&api, refreshed.text("access_token")).await.status, 200, "the login goes on");
    }

    #[tokio::test]
    async fn a_revoked_refresh_token_ends_its_login() {
        let api = api_with_login().await;
        let first = login(&api, None).await;
        let second = refresh(&api, first.text("refresh_token")).await;
        // A spent one ends it too: whoever holds it wants it over.
        assert_eq!(revoke(&api, first.text("refresh_token"), None).await.status, 200);
        for token in [&first, &second] {
            assert_refused(&use_token(&api, token.text("access_token")).await, "it was revoked");
            assert_eq!(refresh(&api, token.text("refresh_token")).await.error(), (400, "invalid_grant"));
        }
    }

    #[tokio::test]
    async fn only_whom_it_was_issued_to_revokes_it() {
        let mut api = Api::new().await;
        let tokens = by_certificate(&api, "service").await;
        let own = api.peer.clone();
        api.peer = peer(&[(rcgen::DnType::CommonName, "thief")]);
        for token in [tokens.text("access_token"), tokens.text("refresh_token")] {
            assert_eq!(revoke(&api, token, None).await.error(), (400, "invalid_grant"));
            assert_eq!(revoke(&api, token, Some("service")).await.error(), (401, "invalid_client"));
        }
        // The same account, by a renewed certificate.
        api.peer = peer(&[(rcgen::DnType::OrganizationName, "Birch Homes"), (rcgen::DnType::CommonName, "backend")]);
        assert_eq!(revoke(&api, tokens.text("access_token"), None).await.error(), (400, "invalid_grant"));
        assert_eq!(revoke(&api, tokens.text("access_token"), Some("service")).await.status, 200);
        api.peer = own;
        assert_refused(&use_token(&api, tokens.text("access_token")).await, "it was revoked");
        assert_eq!(refresh(&api, tokens.text("refresh_token")).await.status, 200);
    }

    #[tokio::test]
    async fn what_is_no_token_needs_no_revoking() {
        let api = Api::new().await;
        assert_eq!(revoke(&api, "nonsense", None).await.status, 200);
        let (action, _, _, outcome) = api.app.storage.recent_actions(1).await.unwrap().remove(0);
        assert_eq!((action.as_str(), outcome.as_str()), ("revoke_token", "done"));
        assert_eq!(api.post_form("/oauth2/revoke", &[("x", "y")]).await.error(), (400, "invalid_request"));
    }
}
