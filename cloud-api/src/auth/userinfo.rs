//! `GET` and `POST /oauth2/userinfo`: whose token is it (OpenID Connect Core 1.0 §5.3)? Cardea knows accounts, not people: no
//! name, no address.

use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::auth::roles::Role;
use crate::auth::scope::OPENID;
use crate::problem::Problem;

// === doc ===

/// An account, as its own token shows it.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserInfo {
    /// The account; the `sub` of its ID tokens.
    sub: String,
    /// What it may do.
    roles: Vec<Role>,
}

/// Whose token is it? Needs the scope `openid`.
#[utoipa::path(get, path = "/oauth2/userinfo", operation_id = "userinfo", tag = "tokens", security(("token" = [])),
    responses((status = 200, description = "The account", body = UserInfo)))]
pub(crate) async fn userinfo(caller: Caller) -> Result<Response, Problem> {
    if !caller.openid {
        return Err(Problem::ScopeMissing(OPENID));
    }
    Ok(axum::Json(UserInfo { sub: caller.principal_id, roles: vec![caller.role] }).into_response())
}

/// The same by POST, as OpenID Connect asks for it; the token goes into the header here too.
#[utoipa::path(post, path = "/oauth2/userinfo", operation_id = "userinfo_by_post", tag = "tokens",
    security(("token" = [])),
    responses((status = 200, description = "The account", body = UserInfo)))]
pub(crate) async fn userinfo_by_post(caller: Caller) -> Result<Response, Problem> {
    userinfo(caller).await
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::tokens::*;
    use serde_json::json;

    #[tokio::test]
    async fn it_tells_the_holder_of_an_openid_token_who_it_is() {
        let api = api_with_login().await;
        let tokens = login(&api, Some("openid")).await;
        let info = get_with(&api, "/oauth2/userinfo", tokens.text("access_token")).await;
        assert_eq!((info.status, info.json), (200, json!({"sub": "login", "roles": ["operator"]})));
        let plain = login(&api, None).await;
        let refused = get_with(&api, "/oauth2/userinfo", plain.text("access_token")).await;
        assert_eq!(refused.problem(), (403, "scope-missing"));
        assert!(refused.header("www-authenticate").contains("error=\"insufficient_scope\", scope=\"openid\""));
    }
}
