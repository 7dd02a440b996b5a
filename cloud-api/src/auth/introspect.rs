//! `POST /oauth2/introspect`: is a token good, and what for (RFC 7662)?
//!
//! An account learns of tokens of its own customer, one of the operator's of all; a certificate alone, of the tokens that
//! are bound to it. Whatever else is asked about is `{"active": false}`, so that nobody can try tokens out here.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::auth::client::Asker;
use crate::auth::oauth::{OAuthError, Refusal, audit, read_form};
use crate::auth::scope::GrantedScope;
use crate::auth::token::token_hash;
use crate::listener::Peer;
use crate::state::{App, Shared};

// === doc ===

/// A token to ask about.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IntrospectionRequest {
    /// An access token or a refresh token.
    token: String,
    /// `access_token` or `refresh_token`; it is found without.
    #[expect(dead_code, reason = "a hint is all it is, and both kinds are told apart without")]
    token_type_hint: Option<String>,
    /// The account that asks, by its registered certificate. Not needed on a connection with the very certificate that
    /// the token is bound to.
    client_id: Option<String>,
}

/// RFC 7662 §2.2. Of a token that is not good here, nothing but `active`.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct IntrospectionResponse {
    /// Whether the token is good, now, here.
    active: bool,
    /// The account's role, and `openid` where it was granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// Whom it was issued to.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// `Bearer` for an access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<String>,
    /// Until when, seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    /// Since when, seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<String>,
    /// Who has issued it.
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    /// The certificate it is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = BoundTo)]
    cnf: Option<BoundTo>,
}

/// RFC 8705 §3.2.
#[derive(Serialize, ToSchema)]
pub(crate) struct BoundTo {
    /// SHA-256 thumbprint of the client certificate, base64url.
    #[serde(rename = "x5t#S256")]
    thumbprint: String,
}

/// Is a token good, and what for?
#[utoipa::path(post, path = "/oauth2/introspect", operation_id = "introspect_token", tag = "tokens",
    request_body(content = IntrospectionRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "What there is to know of it", body = IntrospectionResponse),
        (status = 400, description = "Not such a form", body = OAuthError),
        (status = 401, description = "Not this client's certificate", body = OAuthError)))]
pub(crate) async fn introspect(
    State(app): State<Shared>,
    peer: Peer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let form: IntrospectionRequest = read_form(&headers, body).await?;
    let mut known = None;
    let asker = match Asker::of(&app, &peer, form.client_id.as_deref(), &mut known).await {
        Ok(asker) => asker,
        Err(refusal) => {
            audit(&app, known, "introspect_token", refusal.code()).await?;
            return Err(refusal);
        }
    };
    let found = look_at(&app, &asker, &Zeroizing::new(form.token)).await?;
    Ok(axum::Json(found.unwrap_or_default()).into_response())
}

// === handler ===

async fn look_at(app: &App, asker: &Asker<'_>, token: &str) -> Result<Option<IntrospectionResponse>, Refusal> {
    let now = app.now();
    let access = app.tokens.inspect(now, token).ok();
    let found = match access {
        Some(claims) => {
            let revoked = app.storage.is_revoked(&claims.jti, claims.sid.as_deref(), now).await?;
            let Some(owner) = app.storage.principal(&claims.sub).await?.filter(|_| !revoked) else { return Ok(None) };
            let visible = asker.oversees(&owner) || asker.holds(&claims.client_id, &claims.cnf.thumbprint);
            visible.then(|| IntrospectionResponse {
                active: true,
                scope: Some(claims.scope),
                client_id: Some(claims.client_id),
                token_type: Some("Bearer".to_owned()),
                exp: Some(claims.exp),
                iat: Some(claims.iat),
                sub: Some(claims.sub),
                aud: Some(claims.aud),
                iss: Some(claims.iss),
                jti: Some(claims.jti),
                cnf: Some(BoundTo { thumbprint: claims.cnf.thumbprint }),
            })
        }
        None => {
            let login = app.storage.login_of(token_hash(token)).await?;
            let Some(login) = login.filter(|login| !login.revoked && !login.spent && login.expires_at > now) else {
                return Ok(None);
            };
            let Some(owner) = app.storage.principal(&login.principal_id).await? else { return Ok(None) };
            let visible = asker.oversees(&owner) || asker.holds(&login.client_id, &login.thumbprint);
            visible.then(|| IntrospectionResponse {
                active: true,
                scope: Some(GrantedScope { role: owner.role, openid: login.openid }.to_string()),
                client_id: Some(login.client_id),
                exp: Some(login.expires_at.0.div_euclid(1_000)),
                sub: Some(login.principal_id),
                iss: Some(app.tokens.issuer().to_owned()),
                cnf: Some(BoundTo { thumbprint: login.thumbprint }),
                ..IntrospectionResponse::default()
            })
        }
    };
    Ok(found)
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::tokens::*;
    use crate::testing::{Answer, Api, peer};
    use serde_json::json;

    async fn ask(api: &Api, token: &str, client_id: Option<&str>) -> Answer {
        let mut form = vec![("token", token), ("token_type_hint", "access_token")];
        form.extend(client_id.map(|id| ("client_id", id)));
        api.post_form("/oauth2/introspect", &form).await
    }

    #[tokio::test]
    async fn a_good_token_is_told_about() {
        let api = Api::new().await;
        let tokens = by_certificate(&api, "service").await;
        let found = ask(&api, tokens.text("access_token"), None).await.json;
        assert_eq!(
            (&found["active"], &found["sub"], &found["scope"]),
            (&json!(true), &json!("service"), &json!("resident-support"))
        );
        assert_eq!(found["cnf"]["x5t#S256"], json!(&*api.peer.thumbprint));
        assert_eq!(found["exp"].as_i64().unwrap() - found["iat"].as_i64().unwrap(), 3_600);
        let found = ask(&api, tokens.text("refresh_token"), None).await.json;
        assert_eq!((&found["active"], &found["client_id"]), (&json!(true), &json!("service")));
        assert!(found.get("token_type").is_none());
    }

    #[tokio::test]
    async fn of_anything_not_good_nothing_is_said() {
        let api = api_with_login().await;
        let nothing = json!({"active": false});
        let (revoked, ended, spent) = (login(&api, None).await, login(&api, None).await, login(&api, None).await);
        revoke(&api, revoked.text("access_token"), None).await;
        revoke(&api, ended.text("refresh_token"), None).await;
        refresh(&api, spent.text("refresh_token")).await;
        for token in [
            revoked.text("access_token"),
            ended.text("access_token"),
            ended.text("refresh_token"),
            spent.text("refresh_token"),
            "nonsense",
            "",
        ] {
            assert_eq!(ask(&api, token, None).await.json, nothing);
        }
        let expired = login(&api, None).await;
        assert_eq!(ask(&api, expired.text("access_token"), None).await.json["active"], true);
        api.clock.advance_ms(3_600_000);
        assert_eq!(ask(&api, expired.text("access_token"), None).await.json, nothing);
        disable(&api, "login").await;
        assert_eq!(ask(&api, expired.text("refresh_token"), None).await.json, nothing);
    }

    #[tokio::test]
    async fn another_customers_tokens_are_not_told_about() {
        let mut api = Api::new().await;
        let tokens = by_certificate(&api, "service").await;
        let owner = api.peer.clone();
        // Another certificate of the same subject, so that what is bound to the first one says nothing of it.
        api.peer = peer(&[(rcgen::DnType::OrganizationName, "Birch Homes"), (rcgen::DnType::CommonName, "backend")]);
        for (asker, active) in [("admin", true), ("operator", true), ("other", false)] {
            assert_eq!(ask(&api, tokens.text("access_token"), Some(asker)).await.json["active"], active, "{asker}");
            assert_eq!(ask(&api, tokens.text("refresh_token"), Some(asker)).await.json["active"], active, "{asker}");
        }
        assert_eq!(ask(&api, tokens.text("access_token"), None).await.json, json!({"active": false}));
        assert_eq!(ask(&api, tokens.text("access_token"), Some("nobody")).await.error(), (401, "invalid_client"));
        api.peer = owner;
        assert_eq!(ask(&api, tokens.text("access_token"), None).await.json["active"], true);
    }
}
