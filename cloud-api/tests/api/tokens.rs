//! Tokens over real connections: bound to the certificate, short-lived, of this cloud only.

use cardea_cloud::auth::roles::Role;
use cardea_cloud::auth::{hash_password, token_keys};
use cardea_cloud::storage::principals::Principal;
use cardea_protocol::clock::Clock as _;
use zeroize::Zeroizing;

use super::support::{Cloud, PASSWORD, answer};

#[tokio::test]
async fn all_three_grants_work_and_a_token_dies_within_the_hour() {
    let cloud = Cloud::start().await;
    let login = Principal {
        principal_id: "login".to_owned(),
        customer: None,
        role: Role::Operator,
        password_hash: Some(hash_password(&Zeroizing::new(PASSWORD.to_owned())).unwrap()),
        subject_dn: None,
    };
    cloud.server.app().storage.register_principal(login, cloud.clock.now()).await.unwrap();
    let mut client = cloud.client("operator");
    let by_password = [("grant_type", "password"), ("username", "login"), ("password", PASSWORD)];
    let first = client.token(&by_password).await;
    let by_certificate = client.token(&[("grant_type", "client_credentials"), ("client_id", "operator")]).await;
    let refresh = first.text("refresh_token");
    let refreshed = client.token(&[("grant_type", "refresh_token"), ("refresh_token", &refresh)]).await;
    for answer in [&first, &by_certificate, &refreshed] {
        assert!(answer.json["expires_in"].as_u64().unwrap() <= 3_600);
        client.token = Some(answer.text("access_token"));
        assert_eq!(client.get("/v1/sites").await.status, 200);
    }
    cloud.clock.advance_ms(3_600_000);
    assert_eq!(client.get("/v1/sites").await.problem(), (401, "token-invalid"));
}

#[tokio::test]
async fn a_token_bound_to_another_certificate_is_refused() {
    let cloud = Cloud::start().await;
    let owner = cloud.logged_in("operator").await;
    assert_eq!(owner.get("/v1/sites").await.status, 200);
    // Another certificate of the same CA, even with the same name.
    let mut thief = cloud.client("operator");
    thief.token.clone_from(&owner.token);
    assert_eq!(thief.get("/v1/sites").await.problem(), (401, "token-invalid"));
}

#[tokio::test]
async fn a_foreign_token_is_refused() {
    let (cloud, other) = (Cloud::start().await, Cloud::start().await);
    let mut client = cloud.client("operator");
    client.token = other.logged_in("operator").await.token;
    assert_eq!(client.get("/v1/sites").await.problem(), (401, "token-invalid"));
    client.token = Some("not.a.token".to_owned());
    assert_eq!(client.get("/v1/sites").await.problem(), (401, "token-invalid"));
    client.token = None;
    assert_eq!(client.get("/v1/sites").await.problem(), (401, "token-missing"));
}

#[tokio::test]
async fn a_revoked_token_is_refused_at_once_and_introspection_says_no_more_than_that() {
    let cloud = Cloud::start().await;
    let client = cloud.logged_in("operator").await;
    let metadata = client.get("/.well-known/openid-configuration").await.json;
    let token = client.token.clone().unwrap();
    let send = async |endpoint: &str| {
        let url = metadata[endpoint].as_str().unwrap();
        answer(client.http.post(url).form(&[("token", token.as_str()), ("client_id", "operator")])).await
    };
    assert_eq!(send("introspection_endpoint").await.json["active"], true);
    assert_eq!(send("revocation_endpoint").await.status, 200);
    assert_eq!(send("introspection_endpoint").await.json, serde_json::json!({"active": false}));
    let refused = client.get("/v1/sites").await;
    assert_eq!(refused.problem(), (401, "token-invalid"));
    assert!(refused.challenge.contains("error=\"invalid_token\", error_description=\"it was revoked\""));
}

#[tokio::test]
async fn a_key_that_was_relieved_verifies_until_its_last_token_has_expired() {
    let cloud = Cloud::start().await;
    let client = cloud.logged_in("operator").await;
    let app = cloud.server.app();
    let look = async || {
        let ring = token_keys::keep(&app.storage, &app.vault, cloud.clock.now(), i64::MAX).await.unwrap();
        app.tokens.set_keys(ring);
        client.get("/oauth2/jwks").await.json["keys"].as_array().unwrap().clone()
    };
    let old = look().await;
    token_keys::rotate(&app.storage, &app.vault, cloud.clock.now()).await.unwrap();
    assert_eq!(look().await.len(), 2, "the next key is announced");
    cloud.clock.advance_ms(u32::try_from(token_keys::ANNOUNCED_MS).unwrap());
    assert_eq!((look().await.len(), client.get("/v1/sites").await.status.as_u16()), (2, 200));
    let renewed = cloud.logged_in("operator").await;
    cloud.clock.advance_ms(3_599_000);
    assert!(look().await.contains(&old[0]));
    cloud.clock.advance_ms(1_000);
    let left = look().await;
    assert!(left.len() == 1 && !left.contains(&old[0]));
    assert_eq!(renewed.get("/v1/sites").await.problem(), (401, "token-invalid"), "an hour is over for it too");
    assert_eq!(cloud.logged_in("operator").await.get("/v1/sites").await.status, 200);
}

#[tokio::test]
async fn a_refused_upload_still_learns_why() {
    let cloud = Cloud::start().await;
    let client = cloud.client("operator");
    let path = "/v1/sites/birch-street-12/subjects/5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f/faces";
    for _ in 0..5 {
        assert_eq!(client.photo(path, vec![0xff; 7 * 1024 * 1024]).await.problem(), (401, "token-missing"));
    }
}

#[tokio::test]
async fn discovery_leads_to_the_token_endpoint() {
    let cloud = Cloud::start().await;
    let client = cloud.client("anyone");
    let metadata = client.get("/.well-known/openid-configuration").await.json;
    assert_eq!(metadata["issuer"], client.base);
    assert_eq!(metadata["token_endpoint"], format!("{}/oauth2/token", client.base));
    let jwks = client.get("/oauth2/jwks").await.json;
    assert_eq!((&jwks["keys"][0]["kty"], &jwks["keys"][0]["alg"]), (&"OKP".into(), &"EdDSA".into()));
}
