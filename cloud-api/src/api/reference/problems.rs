//! `GET /problems/{problem}`: what the `type` of a problem document leads to; and which problems each operation answers.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use crate::api::web::extract::Params;
use crate::api::web::idempotency;
use crate::auth::roles::Operation;
use crate::problem::{Kind, Problem};

// === doc ===

/// Every kind of problem.
pub(in crate::api) fn kinds() -> Vec<(Kind, Problem)> {
    Problem::samples().into_iter().map(|sample| (sample.kind(), sample)).collect()
}

/// One kind, as the reference has it.
pub(in crate::api) fn section(kind: Kind, sample: &Problem) -> String {
    let Kind { slug, status, title, when } = kind;
    format!("## {slug}\n\n{} {title}: {when}.\n\n> {sample}\n", status.as_u16())
}

/// Answers to an order to open, with a pass or without.
const OPENING: &[&str] = &[
    "controller-unreachable",
    "controller-unanswered",
    "idempotency-key-missing",
    "idempotency-key-malformed",
    "idempotency-key-reused",
    "in-progress",
];

/// Answers of a single operation, beside those that follow from its form.
const OWN: &[(&str, &[&str])] = &[
    ("token", &["unsupported-media-type", "malformed-request", "body-too-large", "body-timeout"]),
    ("authorize_by_post", &["unsupported-media-type", "malformed-request", "body-too-large", "body-timeout"]),
    ("sign_in", &["unsupported-media-type", "malformed-request", "body-too-large", "body-timeout"]),
    ("revoke_token", &["unsupported-media-type", "malformed-request", "body-too-large", "body-timeout"]),
    ("introspect_token", &["unsupported-media-type", "malformed-request", "body-too-large", "body-timeout"]),
    ("userinfo", &["token-missing", "token-invalid", "issuer-unavailable", "scope-missing"]),
    ("userinfo_by_post", &["token-missing", "token-invalid", "issuer-unavailable", "scope-missing"]),
    ("problem", &["not-found"]),
    ("register_site", &["exists"]),
    ("register_customer", &["exists", "conflict"]),
    ("register_principal", &["exists", "conflict"]),
    ("revoke_principal", &["conflict"]),
    ("revoke_certificate", &["conflict"]),
    ("give_sites", &["conflict"]),
    ("register_controller", &["exists", "conflict"]),
    ("renew_claim", &["conflict"]),
    ("revoke_controller", &["conflict"]),
    ("decommission_controller", &["conflict"]),
    ("admit_plate", &["plate-malformed", "conflict", "blocked-by-sale"]),
    ("give_guest_pass", &["plate-malformed", "conflict", "blocked-by-sale"]),
    ("open_with_guest_pass", OPENING),
    ("admit_card", &["card-malformed", "conflict", "blocked-by-sale"]),
    ("change_plate", &["precondition-required", "precondition-failed", "conflict"]),
    ("change_card", &["precondition-required", "precondition-failed"]),
    ("record_consent_text", &["conflict"]),
    ("read_subject", &["subject-not-opaque"]),
    ("read_act", &["conflict"]),
    ("record_consent", &["conflict", "blocked-by-sale"]),
    ("withdraw_consent", &["conflict"]),
    (
        "enrol_face",
        &[
            "invalid-field",
            "subject-not-opaque",
            "consent-missing",
            "conflict",
            "not-an-image",
            "image-too-large",
            "no-face",
            "several-faces",
            "face-too-small",
            "face-blurred",
            "no-usable-photo",
            "photos-differ",
            "recognition-unavailable",
            "idempotency-key-malformed",
            "idempotency-key-reused",
            "in-progress",
        ],
    ),
    ("open_access_point", OPENING),
    ("sell_property", &["plate-malformed", "card-malformed"]),
    ("register_webhook", &["conflict"]),
    ("rotate_webhook_secret", &["conflict"]),
];

/// The slugs an operation of the OpenAPI document may answer with, in the order of the reference.
pub(in crate::api) fn answers(method: &str, operation: &Value) -> Vec<&'static str> {
    let id = operation["operationId"].as_str().unwrap_or_default();
    let mut slugs = vec!["certificate-revoked", "rate-limited", "storage-unavailable", "internal"];
    let known = Operation::ALL.iter().find(|operation| operation.id() == id);
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let takes = |place: &str| parameters.iter().any(|parameter| parameter["in"] == place);
    if known.is_some() {
        slugs.extend(["token-missing", "token-invalid", "issuer-unavailable", "role-forbidden"]);
        if takes("path") {
            slugs.push("not-found");
        }
    }
    if takes("query") {
        slugs.push("invalid-field");
    }
    let content = &operation["requestBody"]["content"];
    if content.is_object() && known.is_some() {
        slugs.extend(["unsupported-media-type", "malformed-request", "body-too-large", "body-timeout"]);
    }
    if content["application/json"].is_object() {
        slugs.push("invalid-field");
    }
    let covers = |operation: &Operation| {
        axum::http::Method::from_bytes(method.to_ascii_uppercase().as_bytes())
            .is_ok_and(|method| idempotency::covers(&method, *operation))
    };
    if known.is_some_and(covers) {
        slugs.extend(["idempotency-key-malformed", "idempotency-key-reused", "in-progress"]);
        slugs.extend(["malformed-request", "body-too-large", "body-timeout"]);
    }
    slugs.extend(OWN.iter().filter(|(own, _)| *own == id).flat_map(|(_, slugs)| slugs.iter()));
    kinds().into_iter().map(|(kind, _)| kind.slug).filter(|slug| slugs.contains(slug)).collect()
}

// === handler ===

/// What a kind of problem means: where the `type` of a problem document leads.
#[utoipa::path(get, path = "/problems/{problem}", operation_id = "problem", tag = "about",
    params(("problem" = String, Path, description = "The end of its `type`")),
    responses((status = 200, description = "When it is answered, and what to do", body = String, content_type = "text/markdown")))]
pub(crate) async fn handle(Params(slug): Params<String>) -> Result<Response, Problem> {
    let (kind, sample) = kinds().into_iter().find(|(kind, _)| kind.slug == slug).ok_or(Problem::NotFound)?;
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static("text/markdown; charset=utf-8"))];
    Ok((content_type, section(kind, &sample)).into_response())
}

// === tests ===

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Api, as_nobody};
    use std::collections::BTreeSet;

    #[tokio::test]
    async fn every_type_leads_somewhere() {
        let api = Api::new().await;
        for (kind, sample) in kinds() {
            let answer = api.get(&format!("/problems/{}", kind.slug), as_nobody()).await;
            let text = String::from_utf8(answer.bytes.clone()).unwrap();
            assert!(answer.status == 200 && text.contains(kind.title) && text.contains(&sample.to_string()), "{text}");
        }
        assert_eq!(api.get("/problems/none", as_nobody()).await.problem(), (404, "not-found"));
    }

    #[test]
    fn slugs_are_unique_and_those_of_operations_exist() {
        let slugs: BTreeSet<_> = kinds().into_iter().map(|(kind, _)| kind.slug).collect();
        assert_eq!(slugs.len(), kinds().len());
        for (operation, own) in OWN {
            assert!(own.iter().all(|slug| slugs.contains(slug)), "{operation}");
        }
    }
}
