//! Every way a token of another issuer can be wrong.

use jsonwebtoken::EncodingKey;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::keys::SigningKey;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn settings() -> ExternalIssuer {
    let text = "issuer = 'https://idp.example.org/realms/homes'\naudience = 'cardea'\nrole_claim = '/realm_access/roles'\n\
        customer = 'birch-homes'\n[roles]\ngate-admin = 'customer-integration'\ngate-reader = 'auditor'\n";
    toml::from_str(text).unwrap()
}

fn claims() -> Value {
    let iat = NOW.0 / 1_000;
    json!({
        "iss": "https://idp.example.org/realms/homes", "aud": ["account", "cardea"], "sub": "6d1c", "iat": iat,
        "exp": iat + 300, "realm_access": {"roles": ["offline_access", "gate-admin"]}, "cnf": {"x5t#S256": "own"},
    })
}

fn judge_with(settings: &ExternalIssuer, claims: &Value) -> Result<(Role, String), &'static str> {
    let key = SigningKey::generate().unwrap();
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(key.kid().to_owned());
    let encoding = EncodingKey::from_ed_pem(key.private_pem().as_bytes()).unwrap();
    let text = jsonwebtoken::encode(&header, claims, &encoding).unwrap();
    let jwk = serde_json::from_value(key.jwk()).unwrap();
    token(settings, &jwk, &header, &text, NOW, "own")
}

fn with(pointer: &str, value: Value) -> Result<(Role, String), &'static str> {
    let mut claims = claims();
    *claims.pointer_mut(pointer).unwrap() = value;
    judge_with(&settings(), &claims)
}

#[test]
fn a_good_one_gets_the_role_of_the_table() {
    assert_eq!(judge_with(&settings(), &claims()), Ok((Role::CustomerIntegration, "6d1c".to_owned())));
    assert!(with("/aud", json!("cardea")).is_ok());
    assert_eq!(with("/realm_access/roles", json!("x gate-reader")).map(|(role, _)| role), Ok(Role::Auditor));
}

#[test]
fn each_fault_is_named() {
    let iat = NOW.0 / 1_000;
    let elsewhere = Err("it was issued by, or for, another service");
    assert_eq!(with("/aud", json!(["account"])), elsewhere);
    assert_eq!(with("/aud", json!("cardea2")), elsewhere);
    assert_eq!(with("/iss", json!("https://idp.example.org/realms/other")), elsewhere);
    assert_eq!(with("/exp", json!(iat)), Err("it has expired"));
    assert_eq!(with("/exp", json!(iat + 3_601)), Err("it is good for longer than an hour"));
    assert_eq!(with("/exp", json!("soon")), Err("it does not say since when and until when it is good"));
    assert_eq!(with("/iat", json!(iat + 61)), Err("it is dated in the future"));
    assert_eq!(with("/cnf", json!({"x5t#S256": "another"})), Err("it is bound to another client certificate"));
    assert_eq!(with("/cnf", json!({"jkt": "own"})), Err("it is bound to something other than a client certificate"));
    assert_eq!(with("/cnf", Value::Null), Err("it is bound to no client certificate"));
    assert_eq!(with("/sub", json!("")), Err("it says nothing of whose it is"));
    assert_eq!(with("/realm_access/roles", json!(["operator"])), Err("its issuer gives it no role here"));
    let several = with("/realm_access/roles", json!(["gate-admin", "gate-reader"]));
    assert_eq!(several, Err("its issuer gives it several roles here"));
    let mut early = claims();
    early["nbf"] = json!(iat + 61);
    assert_eq!(judge_with(&settings(), &early), Err("it is dated in the future"));
}

#[test]
fn an_unbound_one_is_taken_where_the_configuration_says_so_but_never_another_ones() {
    let settings = ExternalIssuer { accept_unbound: true, ..settings() };
    let mut unbound = claims();
    unbound.as_object_mut().unwrap().remove("cnf");
    assert!(judge_with(&settings, &unbound).is_ok());
    unbound["cnf"] = json!({"x5t#S256": "another"});
    assert_eq!(judge_with(&settings, &unbound), Err("it is bound to another client certificate"));
    unbound["cnf"] = json!({"jkt": "own"});
    assert!(judge_with(&settings, &unbound).is_err());
}

#[test]
fn headers_of_access_tokens_only_and_never_a_shared_secret() {
    let of = |alg, typ: Option<&str>, kid: Option<&str>, plain| {
        let mut made = Header::new(alg);
        (made.typ, made.kid) = (typ.map(str::to_owned), kid.map(str::to_owned));
        header(&ExternalIssuer { accept_plain_jwt: plain, ..settings() }, &made).map(str::to_owned)
    };
    for typ in ["at+jwt", "application/at+jwt", "AT+JWT"] {
        assert!(of(Algorithm::RS256, Some(typ), Some("k"), false).is_ok());
    }
    assert_eq!(
        of(Algorithm::HS256, Some("at+jwt"), Some("k"), true),
        Err("its signature is of a kind that is not taken")
    );
    for typ in [Some("JWT"), None] {
        assert_eq!(of(Algorithm::RS256, typ, Some("k"), false), Err("it is not an access token"));
        assert!(of(Algorithm::RS256, typ, Some("k"), true).is_ok());
    }
    assert_eq!(of(Algorithm::RS256, Some("logout+jwt"), Some("k"), true), Err("it is not an access token"));
    assert_eq!(of(Algorithm::RS256, Some("at+jwt"), None, true), Err("it names no key"));
}

#[test]
fn a_key_for_something_else_verifies_nothing() {
    let key = SigningKey::generate().unwrap();
    let encoding = EncodingKey::from_ed_pem(key.private_pem().as_bytes()).unwrap();
    let text = jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims(), &encoding).unwrap();
    let judge = |change: fn(&mut Value), header: Header| {
        let mut jwk = key.jwk();
        change(&mut jwk);
        token(&settings(), &serde_json::from_value(jwk).unwrap(), &header, &text, NOW, "own")
    };
    assert!(judge(|_| (), Header::new(Algorithm::EdDSA)).is_ok());
    assert!(judge(|jwk| jwk["use"] = json!("enc"), Header::new(Algorithm::EdDSA)).is_err());
    assert!(judge(|_| (), Header::new(Algorithm::RS256)).is_err());
    assert!(judge(|jwk| jwk["alg"] = json!("ES256"), Header::new(Algorithm::EdDSA)).is_err());
}

proptest! {
    #[test]
    fn whatever_the_claim_holds_only_roles_of_the_table_come_out(names in prop::collection::vec("[a-z-]{0,14}|gate-admin|gate-reader|operator", 0..6)) {
        if let Ok((role, _)) = with("/realm_access/roles", json!(names.clone())) {
            let table = settings().roles;
            prop_assert!(names.iter().any(|name| table.get(name) == Some(&role)));
        }
    }
}
