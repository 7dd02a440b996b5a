//! `GET /openapi.json`: the API's description, made from the handlers themselves.

use std::sync::LazyLock;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::api::reference::{examples, problems};
use crate::api::web::{idempotency, paging};
use crate::auth::roles::Operation;
use crate::export;
use crate::problem::{self, Kind, Problem, ProblemDetails};

#[derive(OpenApi)]
#[openapi(
    info(title = "Cardea cloud API", description = "Access to gates and doors. HTTPS with a client certificate only; \
        errors are problem documents (RFC 9457).", license(name = "MIT OR Apache-2.0")),
    paths(
        crate::auth::discovery::discovery,
        crate::auth::jwks::jwks,
        crate::auth::token::token,
        crate::auth::authorize::authorize,
        crate::auth::authorize::authorize_by_post,
        crate::auth::authorize::sign_in::sign_in,
        crate::auth::revoke::revoke,
        crate::auth::introspect::introspect,
        crate::auth::userinfo::userinfo,
        crate::auth::userinfo::userinfo_by_post,
        crate::api::health::handle,
        handle,
        crate::api::reference::docs_page::handle,
        crate::api::reference::problems::handle,
        crate::api::reference::data_inventory::handle,
        crate::api::reference::signing_keys::handle,
        crate::api::sites::register::handle,
        crate::api::sites::list::handle,
        crate::api::sites::customer::handle,
        crate::api::accounts::register::handle,
        crate::api::accounts::redirect_uri::handle,
        crate::api::accounts::list::handle,
        crate::api::accounts::revoke::handle,
        crate::api::accounts::give_sites::handle,
        crate::api::certificates::revoke::handle,
        crate::api::records::audit::handle,
        crate::api::controllers::register::handle,
        crate::api::controllers::read::handle,
        crate::api::controllers::renew_claim::handle,
        crate::api::controllers::revoke::handle,
        crate::api::controllers::decommission::handle,
        crate::api::sites::equipment::handle,
        crate::api::plates::admit::handle,
        crate::api::guest_passes::list::handle,
        crate::api::guest_passes::give::handle,
        crate::api::guest_passes::read::handle,
        crate::api::guest_passes::end::handle,
        crate::api::guest_passes::open::handle,
        crate::api::plates::list::handle,
        crate::api::plates::read::handle,
        crate::api::plates::change::handle,
        crate::api::plates::remove::handle,
        crate::api::cards::admit::handle,
        crate::api::cards::list::handle,
        crate::api::cards::read::handle,
        crate::api::cards::change::handle,
        crate::api::cards::remove::handle,
        crate::api::consent_texts::list::handle,
        crate::api::consent_texts::record::handle,
        crate::api::consent_texts::read::handle,
        crate::api::subjects::consents::list,
        crate::api::subjects::consents::read,
        crate::api::subjects::held::handle,
        crate::api::subjects::act::handle,
        crate::api::subjects::record_consent::handle,
        crate::api::subjects::withdraw_consent::handle,
        crate::api::subjects::read_erasure::handle,
        crate::api::subjects::enrol_face::handle,
        crate::api::access_point::handle,
        crate::api::sales::sell::handle,
        crate::api::sales::read::handle,
        crate::api::records::events::handle,
        crate::api::records::export_incident::handle,
        crate::api::webhooks::list::handle,
        crate::api::webhooks::create::handle,
        crate::api::webhooks::read::handle,
        crate::api::webhooks::rotate_secret::handle,
        crate::api::webhooks::remove::handle,
    ),
    components(schemas(ProblemDetails)),
    modifiers(&Token)
)]
struct Api;

/// The one security scheme.
struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("at+jwt")
            .description(Some("Access token of POST /oauth2/token, bound to the client certificate (RFC 8705)"))
            .build();
        document.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The document: what the handlers say of themselves, with the problems, headers and examples of each operation.
fn complete(mut document: Value) -> Value {
    let problems = problems::kinds();
    for (_, item) in document["paths"].as_object_mut().into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
            let known = Operation::ALL.iter().find(|operation| operation.id() == id).copied();
            for slug in problems::answers(method, operation) {
                if let Some((kind, sample)) = problems.iter().find(|(kind, _)| kind.slug == slug) {
                    add_problem(&mut operation["responses"], *kind, sample);
                }
            }
            add_headers(method, known, operation);
            add_limits(operation);
            describe_bytes(operation);
            add_examples(&id, operation);
        }
    }
    for (_, schema) in document["components"]["schemas"].as_object_mut().into_iter().flatten() {
        for (_, field) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
            lift_description(field);
        }
    }
    document
}

/// A field that may be `null` says what it means in one of its choices: here it says so itself, as all others do.
fn lift_description(field: &mut Value) {
    let said = field
        .get_mut("oneOf")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .find_map(|choice| choice.get_mut("description"));
    if let Some(said) = said.map(Value::take).filter(Value::is_string) {
        field["description"] = said;
    }
    for choice in field.get_mut("oneOf").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(choice) = choice.as_object_mut() {
            choice.retain(|key, value| key != "description" || !value.is_null());
        }
    }
}

fn add_problem(responses: &mut Value, kind: Kind, sample: &Problem) {
    let response = &mut responses[kind.status.as_str()];
    if !response["description"].is_string() {
        response["description"] = kind.title.into();
    }
    let mut details = ProblemDetails::from(sample);
    details.request_id = Some(examples::REQUEST_ID.to_owned());
    let content = &mut response["content"][problem::CONTENT_TYPE];
    content["schema"] = json!({"$ref": "#/components/schemas/ProblemDetails"});
    content["examples"][kind.slug] = json!({"summary": kind.when, "value": details});
    if kind.status == axum::http::StatusCode::TOO_MANY_REQUESTS {
        response["headers"]["Retry-After"] =
            json!({"description": "Seconds to wait", "schema": {"type": "integer", "minimum": 1}});
    }
}

/// What is told of parameters in words, told to programs too.
fn add_limits(operation: &mut Value) {
    for parameter in operation["parameters"].as_array_mut().into_iter().flatten() {
        match parameter["name"].as_str() {
            Some("limit") => {
                parameter["schema"]["minimum"] = 1.into();
                parameter["schema"]["maximum"] = paging::MAX_LIMIT.into();
            }
            Some("Idempotency-Key") => {
                parameter["schema"]["pattern"] = r#"^([A-Za-z0-9-]{1,64}|"[A-Za-z0-9-]{1,64}")$"#.into();
            }
            _ => {}
        }
    }
}

/// What is no JSON value is bytes to a program: pictures, and JSON Lines, of which each line is a value. What the lines tell
/// stays beside it (`contentSchema`, JSON Schema 2020-12 validation §8.5).
fn describe_bytes(operation: &mut Value) {
    let taken = operation.pointer_mut("/requestBody/content").and_then(Value::as_object_mut);
    for (media_type, content) in taken.into_iter().flatten() {
        if media_type.starts_with("image/") {
            content["schema"] = json!({"type": "string", "format": "binary"});
        }
    }
    for (_, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        let answered = response.get_mut("content").and_then(|content| content.get_mut(export::CONTENT_TYPE));
        if let Some(schema) = answered.map(|content| &mut content["schema"]) {
            *schema = json!({"type": "string", "format": "binary", "contentMediaType": export::CONTENT_TYPE,
                "contentSchema": schema.take()});
        }
    }
}

fn add_headers(method: &str, known: Option<Operation>, operation: &mut Value) {
    if operation["parameters"].is_null() {
        operation["parameters"] = json!([]);
    }
    let mut header = |name: &str, required: bool, description: &str| {
        if let Some(parameters) = operation["parameters"].as_array_mut()
            && !parameters.iter().any(|parameter| parameter["name"] == name)
        {
            parameters.push(json!({"name": name, "in": "header", "required": required, "description": description,
                "schema": {"type": "string"}}));
        }
    };
    header("X-Request-Id", false, "A UUID or 32 hexadecimal digits; it comes back, and stands in the cloud's log");
    let method = axum::http::Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap_or_default();
    let keeps = |operation| idempotency::covers(&method, operation) || operation == Operation::EnrolFace;
    if known.is_some_and(keeps) {
        header(
            "Idempotency-Key",
            false,
            "A fresh id of the caller's, such as a UUID, in letters of either case: a repeated call is answered again",
        );
    }
    let tagged = matches!(
        known,
        Some(
            Operation::AdmitPlate
                | Operation::AdmitCard
                | Operation::ReadPlate
                | Operation::ReadCard
                | Operation::ChangePlate
                | Operation::ChangeCard
        )
    );
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        let text = json!({"type": "string"});
        response["headers"]["X-Request-Id"] = json!({"description": "The request's id", "schema": text});
        if tagged && status.starts_with('2') {
            response["headers"]["ETag"] = json!({"description": "For `If-Match`", "schema": text});
        }
    }
}

fn add_examples(id: &str, operation: &mut Value) {
    let Some(example) = examples::of(id) else { return };
    if let Some(request) = example.request {
        for (_, content) in operation["requestBody"]["content"].as_object_mut().into_iter().flatten() {
            content["example"] = examples::value(request);
        }
    }
    let Some(answer) = example.answer else { return };
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        if status.starts_with('2') {
            for (_, content) in response["content"].as_object_mut().into_iter().flatten() {
                content["example"] = examples::value(answer);
            }
        }
    }
}

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| complete(serde_json::to_value(Api::openapi()).unwrap_or_default()));
static JSON: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", *DOCUMENT));

/// The document.
pub(in crate::api) fn document() -> &'static Value {
    &DOCUMENT
}

/// The document as it is served, and as `cloud-api/openapi.json` has it.
#[cfg(test)]
pub(in crate::api) fn text() -> &'static str {
    &JSON
}

// === handler ===

/// The API's description (OpenAPI 3.1).
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi", tag = "about",
    responses((status = 200, description = "OpenAPI document", content_type = "application/json")))]
pub(crate) async fn handle() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], JSON.as_str()).into_response()
}

// === tests ===

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Api as TestApi, as_nobody};
    use std::collections::BTreeSet;

    fn operations() -> Vec<(String, String, &'static Value)> {
        let paths = document()["paths"].as_object().unwrap();
        let of = |(path, item): (&String, &'static Value)| {
            let path = path.clone();
            item.as_object()
                .unwrap()
                .iter()
                .map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
        };
        paths.iter().flat_map(of).collect()
    }

    #[test]
    fn every_route_is_described_and_every_description_is_a_route() {
        let described: BTreeSet<String> =
            operations().into_iter().map(|(method, path, _)| format!("{method} {path}")).collect();
        let routes: BTreeSet<String> =
            crate::api::endpoints().iter().map(|e| format!("{} {}", e.method, e.path)).collect();
        assert_eq!(described, routes);
    }

    #[test]
    fn operation_ids_are_those_of_the_role_table() {
        let ids: BTreeSet<_> =
            operations().iter().map(|(_, _, operation)| operation["operationId"].to_string()).collect();
        for operation in Operation::ALL {
            assert!(ids.contains(&format!("{:?}", operation.id())), "{operation:?}");
        }
    }

    #[test]
    fn every_operation_has_examples_of_what_it_takes_and_answers() {
        for (method, path, operation) in operations() {
            let what = format!("{method} {path}");
            for (media_type, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                let bytes = media_type.starts_with("image/") || media_type == "multipart/form-data";
                assert!(bytes || !content["example"].is_null(), "{what}: request");
                check_example(&content["schema"], &content["example"], &what);
            }
            for (status, response) in operation["responses"].as_object().unwrap() {
                for (media_type, content) in response["content"].as_object().into_iter().flatten() {
                    let example = if media_type == problem::CONTENT_TYPE { "examples" } else { "example" };
                    let wanted = status.starts_with('2') || media_type == problem::CONTENT_TYPE;
                    assert!(!wanted || !content[example].is_null(), "{what}: {status} {media_type}");
                    check_example(&content["schema"], &content["example"], &what);
                }
            }
            assert!(operation["responses"]["500"].is_object() && operation["responses"]["429"].is_object(), "{what}");
        }
    }

    /// An example has the members its schema requires, and no others.
    fn check_example(schema: &Value, example: &Value, what: &str) {
        let Some(name) = schema["$ref"].as_str().map(|path| path.rsplit('/').next().unwrap()) else { return };
        let Some(members) = example.as_object() else { return };
        let schema = &document()["components"]["schemas"][name];
        let Some(properties) = schema["properties"].as_object() else { return };
        for (member, value) in members {
            assert!(properties.contains_key(member), "{what}: {name} has no {member}");
            check_example(&properties[member], value, what);
            for item in value.as_array().into_iter().flatten() {
                check_example(&properties[member]["items"], item, what);
            }
        }
        for required in schema["required"].as_array().into_iter().flatten() {
            assert!(members.contains_key(required.as_str().unwrap()), "{what}: the example lacks {required}");
        }
    }

    #[test]
    fn no_keyword_of_a_schema_is_null() {
        for (name, schema) in document()["components"]["schemas"].as_object().unwrap() {
            let fields = schema["properties"].as_object().into_iter().flatten().map(|(_, field)| field);
            for one in fields.chain([schema]).filter_map(Value::as_object) {
                let null = one.iter().find(|(keyword, value)| value.is_null() && *keyword != "default");
                assert!(null.is_none(), "{name}: {null:?}");
            }
        }
    }

    #[tokio::test]
    async fn it_is_served() {
        let answer = TestApi::new().await.get("/openapi.json", as_nobody()).await;
        assert_eq!(answer.json["info"]["title"], "Cardea cloud API");
    }
}
