//! Asking for tokens, and using them.

use axum::body::Body;
use axum::http::Request;
use zeroize::Zeroizing;

use super::*;
use crate::auth::hash_password;

/// The [`Api`] with an operator's account `login` that has [`PASSWORD`].
pub(crate) async fn api_with_login() -> Api {
    let api = Api::new().await;
    add_login(&api, "login", Role::Operator, None).await;
    api
}

/// An account that has [`PASSWORD`] and no certificate.
pub(crate) async fn add_login(api: &Api, id: &str, role: Role, customer: Option<&str>) {
    let login = Principal {
        principal_id: id.to_owned(),
        customer: customer.map(|customer| CustomerId::new(customer).unwrap()),
        role,
        password_hash: Some(hash_password(&Zeroizing::new(PASSWORD.to_owned())).unwrap()),
        subject_dn: None,
    };
    api.app.storage.register_principal(login, START).await.unwrap();
}

/// A login of `login`, with that scope.
pub(crate) async fn login(api: &Api, scope: Option<&str>) -> Answer {
    let mut form = vec![("grant_type", "password"), ("username", "login"), ("password", PASSWORD)];
    form.extend(scope.map(|scope| ("scope", scope)));
    api.post_form("/oauth2/token", &form).await
}

pub(crate) async fn by_certificate(api: &Api, account: &str) -> Answer {
    api.post_form("/oauth2/token", &[("grant_type", "client_credentials"), ("client_id", account)]).await
}

pub(crate) async fn refresh(api: &Api, token: &str) -> Answer {
    api.post_form("/oauth2/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
}

pub(crate) async fn revoke(api: &Api, token: &str, client_id: Option<&str>) -> Answer {
    let mut form = vec![("token", token)];
    form.extend(client_id.map(|id| ("client_id", id)));
    api.post_form("/oauth2/revoke", &form).await
}

/// A call that every account may make.
pub(crate) async fn use_token(api: &Api, token: &str) -> Answer {
    get_with(api, "/v1/sites", token).await
}

pub(crate) async fn get_with(api: &Api, path: &str, token: &str) -> Answer {
    let request = Request::get(path).header("authorization", format!("Bearer {token}"));
    api.call(request.body(Body::empty()).unwrap()).await
}

/// 401, with the reason for people and the header of RFC 6750 §3.
pub(crate) fn assert_refused(answer: &Answer, why: &str) {
    assert_eq!(answer.problem(), (401, "token-invalid"));
    let challenge = format!("Bearer realm=\"cardea\", error=\"invalid_token\", error_description=\"{why}\"");
    assert_eq!(answer.header("www-authenticate"), challenge);
    assert!(answer.text("detail").ends_with(why), "{}", answer.json);
}

/// Takes an account out of service.
pub(crate) async fn disable(api: &Api, account: &str) {
    let account = account.to_owned();
    let disable = move |tx: &crate::storage::engine::Transaction<'_>| {
        tx.execute(
            "UPDATE principals SET disabled_at = 1 WHERE principal_id = ?1",
            crate::storage::engine::params![account],
        )?;
        Ok::<_, crate::storage::StorageError>(())
    };
    api.app.storage.write(disable).await.unwrap();
}
