//! The three grants, and what is refused.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;

use crate::auth::id_token::IdClaims;
use crate::testing::tokens::*;
use crate::testing::{Answer, Api, ISSUER, PASSWORD, START, peer};
use cardea_protocol::clock::Clock as _;

async fn try_password(api: &Api, username: &str, password: &str) -> Answer {
    let form = [("grant_type", "password"), ("username", username), ("password", password)];
    api.post_form("/oauth2/token", &form).await
}

#[tokio::test]
async fn a_password_gets_a_token_that_works_for_an_hour() {
    let api = api_with_login().await;
    let tokens = login(&api, None).await;
    assert_eq!((tokens.status, &tokens.json["expires_in"]), (200, &3_600.into()));
    assert_eq!(tokens.header("cache-control"), "no-store");
    let token = tokens.text("access_token");
    assert_eq!(use_token(&api, token).await.status, 200);
    api.clock.advance_ms(3_600_000);
    let expired = use_token(&api, token).await;
    assert_eq!(expired.problem(), (401, "token-invalid"));
    assert!(expired.header("www-authenticate").contains("invalid_token"));
}

#[tokio::test]
async fn a_token_is_worth_nothing_with_another_certificate() {
    let mut api = api_with_login().await;
    let tokens = login(&api, None).await;
    api.peer = peer(&[(rcgen::DnType::CommonName, "thief")]);
    assert_eq!(use_token(&api, tokens.text("access_token")).await.problem(), (401, "token-invalid"));
    assert_eq!(refresh(&api, tokens.text("refresh_token")).await.error(), (400, "invalid_grant"));
}

#[tokio::test]
async fn wrong_passwords_slow_down() {
    let api = api_with_login().await;
    for _ in 0..4 {
        assert_eq!(try_password(&api, "login", "wrong").await.error(), (400, "invalid_grant"));
    }
    assert_eq!(try_password(&api, "login", "wrong").await.error(), (400, "invalid_grant"));
    let limited = login(&api, None).await;
    assert_eq!((limited.status, limited.header("retry-after").as_str()), (429, "1"));
    api.clock.advance_ms(1_000);
    assert_eq!(login(&api, None).await.status, 200);
}

#[tokio::test]
async fn a_certificate_gets_a_token_for_the_account_it_is_registered_for() {
    let mut api = Api::new().await;
    let tokens = by_certificate(&api, "service").await;
    assert_eq!((tokens.status, tokens.text("scope")), (200, "resident-support"));
    assert_eq!(by_certificate(&api, "nobody").await.error(), (401, "invalid_client"));
    api.peer = peer(&[(rcgen::DnType::CommonName, "backend")]);
    assert_eq!(by_certificate(&api, "service").await.error(), (401, "invalid_client"));
}

#[tokio::test]
async fn a_controllers_certificate_is_no_accounts() {
    let mut api = api_with_login().await;
    let tokens = login(&api, None).await;
    api.peer.is_controller = true;
    assert_eq!(by_certificate(&api, "service").await.error(), (401, "invalid_client"));
    assert_eq!(login(&api, None).await.error(), (401, "invalid_client"), "nor with a password that is right");
    assert_eq!(refresh(&api, tokens.text("refresh_token")).await.error(), (401, "invalid_client"));
}

#[tokio::test]
async fn a_password_logins_refresh_token_rotates_and_reuse_ends_it() {
    let api = api_with_login().await;
    let first = login(&api, None).await;
    let first = first.text("refresh_token");
    let second = refresh(&api, first).await;
    let retry = refresh(&api, first).await;
    assert_eq!(second.text("refresh_token"), retry.text("refresh_token"));
    assert_ne!(second.text("refresh_token"), first);
    assert_eq!(use_token(&api, second.text("access_token")).await.status, 200);
    api.clock.advance_ms(31_000);
    assert_eq!(refresh(&api, first).await.error(), (400, "invalid_grant"));
    assert_eq!(refresh(&api, second.text("refresh_token")).await.error(), (400, "invalid_grant"));
}

#[tokio::test]
async fn a_certificates_refresh_token_stays_the_same() {
    let api = Api::new().await;
    let tokens = by_certificate(&api, "service").await;
    let first = tokens.text("refresh_token");
    assert_eq!(refresh(&api, first).await.text("refresh_token"), first);
    api.clock.advance_ms(40_000);
    assert_eq!(refresh(&api, first).await.text("refresh_token"), first);
}

#[tokio::test]
async fn a_disabled_account_ends_at_once() {
    let api = api_with_login().await;
    let tokens = login(&api, None).await;
    disable(&api, "login").await;
    assert_eq!(use_token(&api, tokens.text("access_token")).await.problem(), (401, "token-invalid"));
    assert_eq!(refresh(&api, tokens.text("refresh_token")).await.error(), (400, "invalid_grant"));
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
        assert_eq!(api.post_form("/oauth2/token", form).await.error(), (400, expected), "{form:?}");
    }
    let json = api.post_bytes("/oauth2/token", "application/json", b"{}".to_vec(), crate::testing::as_nobody()).await;
    assert_eq!(json.problem(), (415, "unsupported-media-type"));
}

#[tokio::test]
async fn failed_logins_are_audited_without_what_was_typed() {
    let api = api_with_login().await;
    try_password(&api, "login", "wrong").await;
    let form = [("grant_type", "password"), ("username", "ivan@example.org"), ("password", "x")];
    api.post_form("/oauth2/token", &form).await;
    let rows = api.app.storage.recent_actions(2).await.unwrap();
    assert_eq!(rows[0], ("token".to_owned(), None, None, "invalid_grant".to_owned()));
    assert_eq!(rows[1].1.as_deref(), Some("login"));
}

#[tokio::test]
async fn an_unknown_account_is_refused_and_slowed_down_like_a_wrong_password() {
    let api = api_with_login().await;
    for username in ["login", "nobody"] {
        for _ in 0..5 {
            let refused = try_password(&api, username, "wrong").await;
            assert_eq!(refused.error(), (400, "invalid_grant"));
            assert_eq!(refused.text("error_description"), "the credential is not valid");
        }
        let slowed = try_password(&api, username, PASSWORD).await;
        assert_eq!((slowed.error(), slowed.header("retry-after").as_str()), ((429, "slow_down"), "1"));
    }
}

fn id_claims(api: &Api, tokens: &Answer, client: &str) -> IdClaims {
    let id_token = tokens.text("id_token");
    let header = jsonwebtoken::decode_header(id_token).unwrap();
    assert_eq!((header.alg, header.typ.as_deref()), (Algorithm::EdDSA, Some("JWT")));
    let jwks = api.app.tokens.jwks(api.clock.now());
    let jwk = jwks.iter().find(|jwk| jwk["kid"] == Value::from(header.kid.clone())).unwrap();
    let key = DecodingKey::from_ed_components(jwk["x"].as_str().unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&[client]);
    validation.set_issuer(&[ISSUER]);
    validation.validate_exp = false;
    jsonwebtoken::decode::<IdClaims>(id_token, &key, &validation).unwrap().claims
}

#[tokio::test]
async fn openid_gets_an_id_token_that_keeps_the_time_of_the_login() {
    let api = api_with_login().await;
    let tokens = login(&api, Some("openid")).await;
    assert_eq!(tokens.text("scope"), "operator openid");
    let first = id_claims(&api, &tokens, "login");
    assert_eq!((first.sub.as_str(), first.auth_time, first.exp - first.iat), ("login", START.0 / 1_000, 3_600));
    api.clock.advance_ms(60_000);
    let refreshed = refresh(&api, tokens.text("refresh_token")).await;
    let second = id_claims(&api, &refreshed, "login");
    assert_eq!((second.auth_time, second.iat), (first.auth_time, first.iat + 60));
    assert_ne!(second.at_hash, first.at_hash);
    assert_eq!(login(&api, None).await.json.get("id_token"), None);
    // An ID token is no access token.
    assert_refused(&use_token(&api, tokens.text("id_token")).await, "it is not an access token");
}

#[tokio::test]
async fn a_refresh_asks_for_no_more_than_the_login_had_and_is_not_spent_by_asking() {
    let api = api_with_login().await;
    let plain = login(&api, None).await;
    let refused = [
        [("refresh_token", plain.text("refresh_token")), ("scope", "openid")],
        [("refresh_token", plain.text("refresh_token")), ("scope", "customer-integration")],
    ];
    for form in refused {
        let form = [&[("grant_type", "refresh_token")], form.as_slice()].concat();
        assert_eq!(api.post_form("/oauth2/token", &form).await.error(), (400, "invalid_scope"));
    }
    let another =
        [("grant_type", "refresh_token"), ("refresh_token", plain.text("refresh_token")), ("client_id", "service")];
    assert_eq!(api.post_form("/oauth2/token", &another).await.error(), (400, "invalid_grant"));
    api.clock.advance_ms(40_000);
    assert_eq!(refresh(&api, plain.text("refresh_token")).await.status, 200);
}

#[tokio::test]
async fn reuse_of_a_refresh_token_ends_the_access_tokens_too() {
    let api = api_with_login().await;
    let first = login(&api, None).await;
    let second = refresh(&api, first.text("refresh_token")).await;
    api.clock.advance_ms(31_000);
    assert_eq!(refresh(&api, first.text("refresh_token")).await.error(), (400, "invalid_grant"));
    for tokens in [first, second] {
        assert_refused(&use_token(&api, tokens.text("access_token")).await, "it was revoked");
    }
}

#[tokio::test]
async fn programs_have_no_id_token() {
    let api = Api::new().await;
    let form = [("grant_type", "client_credentials"), ("client_id", "service"), ("scope", "openid")];
    assert_eq!(api.post_form("/oauth2/token", &form).await.error(), (400, "invalid_scope"));
}

#[tokio::test]
async fn an_alternative_name_of_the_certificate_gets_a_token_as_a_subject_does() {
    use crate::auth::roles::Role;
    use crate::listener::Peer;
    use crate::testing::as_role;
    use rcgen::{CertificateParams, KeyPair, SanType};
    let mut api = Api::new().await;
    let names = [
        ("san_dns", "back-end.example.org"),
        ("san_uri", "urn:example:back-end"),
        ("san_ip", "192.0.2.7"),
        ("san_email", "gate@example.org"),
    ];
    for (field, value) in names {
        let account = serde_json::json!({"principal_id": field.replace('_', "-"), "role": "operator", field: value});
        assert_eq!(api.post("/v1/principals", &account, as_role(Role::Administrator)).await.status, 201);
    }
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.subject_alt_names = vec![
        SanType::DnsName("back-end.example.org".try_into().unwrap()),
        SanType::URI("urn:example:back-end".try_into().unwrap()),
        SanType::IpAddress("192.0.2.7".parse().unwrap()),
        SanType::Rfc822Name("gate@example.org".try_into().unwrap()),
    ];
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let stranger = std::mem::replace(&mut api.peer, Peer::read(certificate.der(), false).unwrap());
    for (field, _) in names {
        assert_eq!(by_certificate(&api, &field.replace('_', "-")).await.status, 200, "{field}");
    }
    assert_eq!(by_certificate(&api, "service").await.error(), (401, "invalid_client"));
    api.peer = stranger;
    for (field, _) in names {
        assert_eq!(by_certificate(&api, &field.replace('_', "-")).await.error(), (401, "invalid_client"), "{field}");
    }
}
