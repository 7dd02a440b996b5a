//! The three grants, and what is refused.

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
    assert_eq!((tokens.status, text(&tokens, "scope")), (200, "resident-support"));
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
    let json = api.post_bytes("/oauth2/token", "application/json", b"{}".to_vec(), crate::testing::as_nobody()).await;
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
