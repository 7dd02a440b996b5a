//! What hostile or broken clients send, at every route where it applies: a problem document each time, never a failure of
//! ours, and nothing done.

use axum::body::Body;
use axum::http::{Method, header};
use serde_json::{Value, json};

use super::*;
use crate::auth::roles::Role;
use crate::testing::{Answer, Api, As, CUSTOMER, SITE, SUBJECT, as_admin, as_role};

/// Routes that take JSON, with who may and an example of what they take.
fn json_routes() -> Vec<(Endpoint, As, Value)> {
    let of = |endpoint: Endpoint| {
        let Access::Role(operation) = endpoint.access else { return None };
        let example = reference::examples::of(operation.id())?.request?;
        Some((endpoint, as_role(operation.roles()[0]), reference::examples::value(example)))
    };
    endpoints().into_iter().filter_map(of).collect()
}

fn concrete(path: &str) -> String {
    let path = path.replace("{site}", SITE).replace("{subject}", SUBJECT).replace("{principal}", "installer");
    path.split('/').map(|part| if part.starts_with('{') { "none" } else { part }).collect::<Vec<_>>().join("/")
}

async fn send(api: &Api, endpoint: &Endpoint, media_type: &str, body: Vec<u8>, who: As) -> Answer {
    let request = api.request(&endpoint.method, &concrete(endpoint.path), who).header(header::IF_MATCH, "*");
    let request = request.header("idempotency-key", uuid::Uuid::new_v4().to_string());
    let request = if media_type.is_empty() { request } else { request.header(header::CONTENT_TYPE, media_type) };
    api.call(request.body(Body::from(body)).unwrap()).await
}

#[track_caller]
fn refused(answer: &Answer, with: &[(u16, &str)], what: &str) {
    assert!(with.contains(&answer.problem()), "{what}: {} {}", answer.status, answer.json);
}

#[tokio::test]
async fn bodies_that_are_none() {
    let api = Api::new().await;
    let deep = |open: &str, count: usize| open.repeat(count).into_bytes();
    for (endpoint, who, example) in json_routes() {
        let what = format!("{} {}", endpoint.method, endpoint.path);
        for media_type in
            ["", "text/plain", "application/xml", "multipart/form-data", "application/x-www-form-urlencoded"]
        {
            let answer = send(&api, &endpoint, media_type, example.to_string().into_bytes(), who).await;
            refused(&answer, &[(415, "unsupported-media-type")], &what);
        }
        let large = vec![b' '; web::extract::JSON_LIMIT_BYTES + 1];
        refused(&send(&api, &endpoint, "application/json", large, who).await, &[(413, "body-too-large")], &what);
        let broken = [(400, "malformed-request"), (422, "invalid-field")];
        for body in [
            Vec::new(),
            b"null".to_vec(),
            b"{".to_vec(),
            b"{\"a\":1e999}".to_vec(),
            b"\xef\xbb\xbf{}".to_vec(),
            b"{\"\xff\xfe\":1}".to_vec(),
            deep("[", 60_000),
            deep("{\"a\":", 12_000),
        ] {
            let shown = String::from_utf8_lossy(&body[..body.len().min(20)]).into_owned();
            refused(&send(&api, &endpoint, "application/json", body, who).await, &broken, &format!("{what} {shown}"));
        }
    }
}

#[tokio::test]
async fn a_key_given_twice_is_refused() {
    let api = Api::new().await;
    for (endpoint, who, example) in json_routes() {
        for (key, value) in example.as_object().unwrap() {
            let mut body = example.to_string();
            body.insert_str(1, &format!("{}:{value},", json!(key)));
            let answer = send(&api, &endpoint, "application/json", body.into_bytes(), who).await;
            refused(&answer, &[(422, "invalid-field")], endpoint.path);
            assert!(answer.json["detail"].as_str().unwrap().contains("duplicate field"), "{}", answer.json);
        }
    }
}

/// Texts that other systems have fallen for.
const HOSTILE: [&str; 12] = [
    "'; DROP TABLE plates; --",
    "\" OR \"\"=\"",
    "1' UNION SELECT password_hash FROM principals--",
    "x'); ATTACH DATABASE '/tmp/x' AS y; --",
    "${jndi:ldap://x/a}",
    "../../../etc/passwd",
    "<script>alert(1)</script>",
    "\u{202e}77CB321A",
    "A\u{200b}123BC77",
    "\u{1d400}123BC77",
    "\u{ff21}123\u{ff22}\u{ff23}77",
    "A\u{0661}\u{0662}\u{0663}BC77",
];

#[tokio::test]
async fn hostile_texts_in_every_field() {
    let api = Api::new().await;
    let before = api.revision().await;
    for (endpoint, who, example) in json_routes() {
        for (key, value) in example.as_object().unwrap() {
            for text in HOSTILE {
                let mut body = example.clone();
                body[key] = if value.is_array() { json!([text]) } else { json!(text) };
                let answer = send(&api, &endpoint, "application/json", body.to_string().into_bytes(), who).await;
                let what = format!("{} {key}: {text}", endpoint.path);
                // An address, a company's name and the like are texts for people: any text is one, on one line.
                let for_people =
                    ["address", "name", "version", "text", "document_version", "subject_dn"].contains(&key.as_str());
                if !(for_people && answer.status < 300) {
                    assert!((400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.json);
                    assert!(!answer.json.to_string().contains(text), "{what} is repeated");
                }
            }
        }
    }
    let sites = api.get("/v1/sites", as_role(Role::Operator)).await;
    assert!(sites.json.to_string().contains(CUSTOMER.split('-').next().unwrap()), "everything is still there");
    let plates = api.get(&format!("/v1/sites/{SITE}/plates"), as_admin()).await;
    assert_eq!(plates.json["plates"], json!([]), "and nothing was admitted");
    let consents = i64::try_from(api.revision().await - before).unwrap();
    assert_eq!(consents, 0, "nothing is to be told to controllers");
}

#[tokio::test]
async fn look_alikes_are_no_plates_and_no_tokens() {
    let api = Api::new().await;
    for plate in [
        "\u{1d400}123BC77",
        "\u{ff21}123BC77",
        "A\u{0661}23BC77",
        "A123BC7\u{06f7}",
        "А\u{0301}123ВС77",
        "A123BC77\u{202e}",
    ] {
        let answer = api.post(&format!("/v1/sites/{SITE}/plates"), &json!({"plate": plate}), as_admin()).await;
        assert_eq!(answer.problem(), (422, "plate-malformed"), "{plate}");
    }
    // A Cyrillic a, full-width digits, a digit of another script.
    for subject in
        [SUBJECT.replacen('a', "а", 1), SUBJECT.replacen('5', "\u{ff15}", 1), SUBJECT.replacen('2', "\u{0662}", 1)]
    {
        let mut consent = crate::testing::consent(SUBJECT);
        consent["subject"] = json!(subject);
        let answer = api.post(&format!("/v1/sites/{SITE}/consents"), &consent, as_admin()).await;
        assert_eq!(answer.problem(), (422, "invalid-field"), "{subject}");
    }
}

#[tokio::test]
async fn path_tricks() {
    let api = Api::new().await;
    let long = "a".repeat(5_000);
    for endpoint in endpoints() {
        let Access::Role(operation) = endpoint.access else { continue };
        if !endpoint.path.contains('{') {
            continue;
        }
        for trick in
            ["..%2f..%2fetc", "%2e%2e", "%00", "a%27%20OR%201=1", "%ff%fe", "%F0%9D%90%80", "a;b", "a%0d%0aX:y", &long]
        {
            let path = endpoint.path.split('/').map(|part| if part.starts_with('{') { trick } else { part });
            let path = path.collect::<Vec<_>>().join("/");
            let request = api.request(&endpoint.method, &path, as_role(operation.roles()[0]));
            let request = request.header(header::IF_MATCH, "*").header("idempotency-key", "key-1");
            let request = request.header(header::CONTENT_TYPE, "application/json").body(Body::from("{}")).unwrap();
            let answer = api.call(request).await;
            let what = format!("{} {path}", endpoint.method);
            refused(
                &answer,
                &[
                    (404, "not-found"),
                    (422, "subject-not-opaque"),
                    (422, "invalid-field"),
                    (422, "idempotency-key-reused"),
                ],
                &what,
            );
        }
    }
    for path in ["//v1/sites", "/v1/sites/", "/v1/./sites", "/v1//sites", "/V1/sites", "/v1/sites%2f"] {
        assert_eq!(api.get(path, as_admin()).await.problem(), (404, "not-found"), "{path}");
    }
}

#[tokio::test]
async fn headers_that_are_none() {
    let api = Api::new().await;
    for endpoint in endpoints() {
        let Access::Role(_) = endpoint.access else { continue };
        for (name, value) in [
            ("authorization", "Bearer ".to_owned()),
            ("authorization", "Basic YWRtaW46YWRtaW4=".to_owned()),
            ("authorization", format!("Bearer {}", "a".repeat(8_000))),
            ("authorization", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.".to_owned()),
            ("x-forwarded-client-cert", "Subject=\"CN=admin\"".to_owned()),
            ("x-http-method-override", "DELETE".to_owned()),
        ] {
            let request = axum::http::Request::builder().method(&endpoint.method).uri(concrete(endpoint.path));
            let answer = api.call(request.header(name, value).body(Body::empty()).unwrap()).await;
            refused(&answer, &[(401, "token-missing"), (401, "token-invalid")], endpoint.path);
        }
        let twice = api.request(&endpoint.method, &concrete(endpoint.path), as_admin());
        let answer = api.call(twice.header("authorization", "Bearer x").body(Body::empty()).unwrap()).await;
        refused(&answer, &[(401, "token-missing")], endpoint.path);
    }
    let keys = api.request(&Method::POST, &format!("/v1/sites/{SITE}/plates"), as_admin());
    let keys = keys.header("idempotency-key", "key-1").header("idempotency-key", "key-2");
    let answer = api.call(keys.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.problem(), (400, "idempotency-key-malformed"));
}
