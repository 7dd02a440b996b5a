//! Every way a token can be wrong: 401, and the header that says so (RFC 6750 §3).

use axum::body::Body;
use axum::http::Request;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::auth::KeyRing;
use crate::keys::SigningKey;
use crate::testing::tokens::*;
use crate::testing::{Api, ISSUER, START, as_nobody, peer};

/// An API whose key the test has too.
struct World {
    api: Api,
    key: SigningKey,
}

impl World {
    async fn new() -> Self {
        let (api, key) = (Api::new().await, SigningKey::generate().unwrap());
        api.app.tokens.set_keys(KeyRing::of(&key).unwrap());
        Self { api, key }
    }

    fn header(&self) -> Header {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(self.key.kid().to_owned());
        header
    }

    /// The claims of a token that is good now.
    fn claims(&self) -> Value {
        let iat = START.0 / 1_000;
        json!({
            "iss": ISSUER, "aud": ISSUER, "sub": "service", "client_id": "service", "iat": iat, "exp": iat + 3_600,
            "jti": "j-1", "roles": ["resident-support"], "scope": "resident-support",
            "cnf": {"x5t#S256": &*self.api.peer.thumbprint},
        })
    }

    fn sign(&self, header: &Header, claims: &Value) -> String {
        let key = EncodingKey::from_ed_pem(self.key.private_pem().as_bytes()).unwrap();
        jsonwebtoken::encode(header, claims, &key).unwrap()
    }

    /// A good token with one claim changed.
    fn with(&self, claim: &str, value: Value) -> String {
        let mut claims = self.claims();
        claims[claim] = value;
        self.sign(&self.header(), &claims)
    }

    async fn refused(&self, token: &str, why: &str) {
        assert_refused(&use_token(&self.api, token).await, why);
    }
}

#[tokio::test]
async fn a_good_token_is_good_so_that_the_others_fail_for_their_fault_alone() {
    let world = World::new().await;
    let token = world.sign(&world.header(), &world.claims());
    assert_eq!(use_token(&world.api, &token).await.status, 200);
}

#[tokio::test]
async fn a_token_on_another_certificate() {
    let mut world = World::new().await;
    let token = world.sign(&world.header(), &world.claims());
    world.api.peer = peer(&[(rcgen::DnType::OrganizationName, "Birch Homes"), (rcgen::DnType::CommonName, "backend")]);
    world.refused(&token, "it is bound to another client certificate").await;
}

#[tokio::test]
async fn a_token_bound_to_nothing() {
    let world = World::new().await;
    let mut claims = world.claims();
    claims.as_object_mut().unwrap().remove("cnf");
    world.refused(&world.sign(&world.header(), &claims), "it was not issued here").await;
    world.refused(&world.with("cnf", json!({"jkt": "x"})), "it was not issued here").await;
}

#[tokio::test]
async fn a_token_for_or_by_another_service() {
    let world = World::new().await;
    let why = "it was issued by, or for, another service";
    world.refused(&world.with("aud", json!("https://elsewhere")), why).await;
    world.refused(&world.with("iss", json!("https://elsewhere")), why).await;
    world.refused(&world.with("iss", json!("https://localhost/")), why).await;
    // Several audiences are not ours.
    world.refused(&world.with("aud", json!([ISSUER])), "it was not issued here").await;
}

#[tokio::test]
async fn a_token_out_of_its_time() {
    let world = World::new().await;
    let now = START.0 / 1_000;
    world.refused(&world.with("exp", json!(now)), "it has expired").await;
    world.refused(&world.with("exp", json!(now + 3_601)), "it has expired").await;
    world.refused(&world.with("exp", json!(i64::MAX)), "it has expired").await;
    world.refused(&world.with("nbf", json!(now + 61)), "it is dated in the future").await;
    let mut later = world.claims();
    (later["iat"], later["exp"]) = (json!(now + 61), json!(now + 600));
    world.refused(&world.sign(&world.header(), &later), "it is dated in the future").await;
    let within_skew = world.with("nbf", json!(now + 60));
    assert_eq!(use_token(&world.api, &within_skew).await.status, 200);
}

#[tokio::test]
async fn a_token_of_an_unknown_key_or_none() {
    let world = World::new().await;
    let why = "no key of this issuer has signed it";
    let mut header = world.header();
    header.kid = Some("unknown".to_owned());
    world.refused(&world.sign(&header, &world.claims()), why).await;
    header.kid = None;
    world.refused(&world.sign(&header, &world.claims()), why).await;
    // Another key under the name of ours.
    let other = World { api: Api::new().await, key: SigningKey::generate().unwrap() };
    let forged = other.sign(&world.header(), &world.claims());
    world.refused(&forged, "it was not issued here").await;
}

#[tokio::test]
async fn a_token_by_another_algorithm() {
    let world = World::new().await;
    // The public key taken for a shared secret.
    let mut header = world.header();
    header.alg = Algorithm::HS256;
    let secret = EncodingKey::from_secret(world.key.public_pem().as_bytes());
    let forged = jsonwebtoken::encode(&header, &world.claims(), &secret).unwrap();
    world.refused(&forged, "it was not issued here").await;
    // No signature at all.
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for alg in ["none", "None", "NONE"] {
        let header = part(json!({"alg": alg, "typ": "at+jwt", "kid": world.key.kid()}));
        world.refused(&format!("{header}.{}.", part(world.claims())), "it is not a signed JWT").await;
    }
    let signed = world.sign(&world.header(), &world.claims());
    let (rest, _) = signed.rsplit_once('.').unwrap();
    world.refused(&format!("{rest}."), "it was not issued here").await;
}

#[tokio::test]
async fn a_token_that_is_something_else() {
    let world = World::new().await;
    let mut header = world.header();
    for typ in [None, Some("JWT".to_owned())] {
        header.typ = typ;
        world.refused(&world.sign(&header, &world.claims()), "it is not an access token").await;
    }
    for garbage in ["nonsense", "a.b.c", "...", "=", "%00"] {
        world.refused(garbage, "it is not a signed JWT").await;
    }
}

#[tokio::test]
async fn a_token_of_an_account_that_is_gone() {
    let world = World::new().await;
    let token = world.sign(&world.header(), &world.claims());
    disable(&world.api, "service").await;
    world.refused(&token, "its account is disabled").await;
    world.refused(&world.with("sub", json!("nobody")), "its account is disabled").await;
}

#[tokio::test]
async fn a_token_that_was_revoked_or_whose_login_is_over() {
    let world = World::new().await;
    let token = world.sign(&world.header(), &world.claims());
    revoke(&world.api, &token, None).await;
    world.refused(&token, "it was revoked").await;
    let mut claims = world.claims();
    (claims["jti"], claims["sid"]) = (json!("j-2"), json!("no such login"));
    world.refused(&world.sign(&world.header(), &claims), "it was revoked").await;
}

#[tokio::test]
async fn no_token_or_two_or_one_of_another_scheme() {
    let world = World::new().await;
    let token = world.sign(&world.header(), &world.claims());
    let with = |values: &[String]| {
        let mut request = Request::get("/v1/sites");
        for value in values {
            request = request.header("authorization", value);
        }
        request.body(Body::empty()).unwrap()
    };
    let bearer = format!("Bearer {token}");
    for values in
        [vec![], vec![bearer.clone(), bearer.clone()], vec![format!("Basic {token}")], vec!["Bearer".to_owned()]]
    {
        let refused = world.api.call(with(&values)).await;
        assert_eq!(refused.problem(), (401, "token-missing"));
        assert_eq!(refused.header("www-authenticate"), "Bearer realm=\"cardea\"");
    }
    assert_eq!(world.api.call(with(&[format!("bearer {token}")])).await.status, 200);
    // RFC 6750 §2.2 and §2.3 are not served: tokens in bodies and addresses get into logs.
    let in_query = world.api.get(&format!("/v1/sites?access_token={token}"), as_nobody()).await;
    assert_eq!(in_query.problem(), (401, "token-missing"));
}

#[tokio::test]
async fn a_role_that_does_not_suffice_is_told_so() {
    let world = World::new().await;
    let token = world.sign(&world.header(), &world.claims());
    let refused = get_with(&world.api, "/v1/controllers/birch-gate", &token).await;
    assert_eq!(refused.problem(), (403, "role-forbidden"));
    assert_eq!(refused.header("www-authenticate"), "Bearer realm=\"cardea\", error=\"insufficient_scope\"");
}
