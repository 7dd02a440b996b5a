//! What holds for every endpoint, by walking the table.

use serde_json::json;

use super::*;
use crate::auth::roles::Role;
use crate::testing::{
    Api, BARRIER, CONTROLLER, FACE_PHOTO, SITE, SUBJECT, as_admin, as_nobody, as_other, as_role, consent,
};

/// The path with ids in it: such that a caller who may passes the guard, whatever the handler then says.
fn concrete(path: &str) -> String {
    path.replace("{site}", SITE)
        .replace("{principal}", "service")
        .replace("{controller}", CONTROLLER)
        .replace("{subject}", SUBJECT)
        .replace("{access_point}", BARRIER)
        .replace("{plate_id}", "none")
        .replace("{card_id}", "none")
        .replace("{consent}", "none")
        .replace("{erasure}", "none")
        .replace("{sale}", "none")
}

#[tokio::test]
async fn every_route_obeys_the_role_table() {
    for role in Role::ALL {
        let api = Api::new().await;
        for endpoint in endpoints() {
            let Access::Role(operation) = endpoint.access else { continue };
            let answer = api.send(&endpoint.method, &concrete(endpoint.path), as_role(role)).await;
            let forbidden = answer.status == 403 && answer.problem().1 == "role-forbidden";
            assert_eq!(!forbidden, role.may(operation), "{role:?} {} {}", endpoint.method, endpoint.path);
            assert_ne!(answer.status, 401);
            assert_ne!(answer.status, 500, "{} {}: {}", endpoint.method, endpoint.path, answer.json);
        }
    }
}

#[tokio::test]
async fn every_guarded_route_wants_a_token() {
    let api = Api::new().await;
    for endpoint in endpoints() {
        let answer = api.send(&endpoint.method, &concrete(endpoint.path), as_nobody()).await;
        if endpoint.access == Access::Certificate {
            assert_ne!(answer.status, 401, "{}", endpoint.path);
        } else {
            assert_eq!(answer.problem(), (401, "token-missing"), "{}", endpoint.path);
            assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"cardea\"");
        }
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn every_change_is_audited_refused_or_not() {
    let api = Api::new().await;
    for endpoint in endpoints().into_iter().filter(|endpoint| !endpoint.method.is_safe()) {
        let Access::Role(operation) = endpoint.access else { continue };
        for credential in [as_admin(), as_nobody()] {
            let answer = api.send(&endpoint.method, &concrete(endpoint.path), credential).await;
            let (action, _, _, outcome) = api.app.storage.recent_actions(1).await.unwrap().remove(0);
            assert_eq!(action, operation.id());
            let expected = if answer.status < 400 { "done".to_owned() } else { answer.problem().1.to_owned() };
            assert_eq!(outcome, expected, "{}", endpoint.path);
        }
    }
}

#[tokio::test]
async fn to_another_customer_nothing_of_a_site_exists() {
    let api = Api::new().await;
    let recorded = api.post(&format!("/v1/sites/{SITE}/consents"), &consent(SUBJECT), as_admin()).await;
    let consent_id = recorded.json["consent_id"].as_str().unwrap().to_owned();
    let period = json!({"from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z"});
    let sale = json!({"plates": ["A123BC77"], "subjects": []});
    let before = api.revision().await;
    for endpoint in endpoints() {
        // The operator's routes and the lists of one's own are no way to another's site.
        let Access::Role(operation) = endpoint.access else { continue };
        if !Role::CustomerAdmin.may(operation) || endpoint.path == "/v1/sites" {
            continue;
        }
        let path = concrete(&endpoint.path.replace("{consent}", &consent_id));
        let answer = match operation {
            Operation::AdmitPlate => api.post(&path, &json!({"plate": "A123BC77"}), as_other()).await,
            Operation::AdmitCard => api.post(&path, &json!({"number": "w26:12:34567"}), as_other()).await,
            Operation::RecordConsent => api.post(&path, &consent(SUBJECT), as_other()).await,
            Operation::EnrolFace => api.post_photo(&path, FACE_PHOTO, as_other()).await,
            Operation::SellProperty => api.post(&path, &sale, as_other()).await,
            Operation::ExportIncident => api.post(&path, &period, as_other()).await,
            Operation::Open => api.post_keyed(&path, "key-1", as_other()).await,
            _ => api.send(&endpoint.method, &path, as_other()).await,
        };
        assert_eq!(answer.problem(), (404, "not-found"), "{} {path}", endpoint.method);
    }
    assert_eq!(api.revision().await, before, "and nothing was changed");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let api = Api::new().await;
    assert_eq!(api.get("/v2/nothing", as_admin()).await.problem(), (404, "not-found"));
    assert_eq!(api.delete("/v1/sites", as_admin()).await.problem(), (405, "method-not-allowed"));
    assert_eq!(api.get("/v1/sites/UPPER%2Fcase/plates", as_admin()).await.problem(), (404, "not-found"));
}

#[tokio::test]
async fn bodies_of_other_types_broken_ones_and_large_ones_are_problems() {
    let api = Api::new().await;
    let path = format!("/v1/sites/{SITE}/plates");
    let text = api.post_bytes(&path, "text/plain", b"A123BC77".to_vec(), as_admin()).await;
    assert_eq!(text.problem(), (415, "unsupported-media-type"));
    let broken = api.post_bytes(&path, "application/json", b"{\"plate\":".to_vec(), as_admin()).await;
    assert_eq!(broken.problem(), (400, "malformed-request"));
    let large = json!({"plate": "x".repeat(extract::JSON_LIMIT_BYTES)}).to_string().into_bytes();
    let large = api.post_bytes(&path, "application/json", large, as_admin()).await;
    assert_eq!(large.problem(), (413, "body-too-large"));
}

#[tokio::test]
async fn every_json_body_refuses_an_unknown_field() {
    let document = serde_json::to_value(openapi::document()).unwrap();
    let api = Api::new().await;
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(schema) = item["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str() else {
            continue;
        };
        let name = schema.rsplit('/').next().unwrap();
        assert_eq!(document["components"]["schemas"][name]["additionalProperties"], false, "{name}");
        let role = Role::ALL.into_iter().find(|role| {
            let operation = Operation::ALL.iter().find(|o| item["post"]["operationId"] == o.id());
            operation.is_some_and(|operation| role.may(*operation))
        });
        let answer = api.post(&concrete(path), &json!({"zzz": 1}), as_role(role.unwrap())).await;
        assert_eq!(answer.problem(), (422, "invalid-field"), "{path}");
        assert!(answer.json["detail"].as_str().unwrap().contains("unknown field `zzz`"), "{path}");
    }
}
