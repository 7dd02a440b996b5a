//! `GET /openapi.json`: the API's description, made from the handlers themselves.

use std::sync::LazyLock;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

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
        super::healthz::handle,
        handle,
        super::data_inventory::handle,
        super::signing_keys::handle,
        super::register_site::handle,
        super::list_sites::handle,
        super::register_customer::handle,
        super::register_principal::handle,
        super::register_redirect_uri::handle,
        super::register_controller::handle,
        super::read_controller::handle,
        super::renew_claim::handle,
        super::revoke_controller::handle,
        super::decommission_controller::handle,
        super::list_equipment::handle,
        super::admit_plate::handle,
        super::list_plates::handle,
        super::remove_plate::handle,
        super::admit_card::handle,
        super::list_cards::handle,
        super::remove_card::handle,
        super::record_consent::handle,
        super::withdraw_consent::handle,
        super::read_erasure::handle,
        super::enrol_face::handle,
        super::open_access_point::handle,
        super::sell_property::handle,
        super::read_sale::handle,
        super::list_events::handle,
        super::export_incident::handle,
    ),
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

static DOCUMENT: LazyLock<Document> = LazyLock::new(Api::openapi);
static JSON: LazyLock<String> = LazyLock::new(|| DOCUMENT.to_json().unwrap_or_default());

/// The document.
pub(super) fn document() -> &'static Document {
    &DOCUMENT
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

    #[test]
    fn every_route_is_described_and_every_description_is_a_route() {
        let mut described = BTreeSet::new();
        for (path, item) in &document().paths.paths {
            for (method, operation) in
                [("GET", &item.get), ("POST", &item.post), ("DELETE", &item.delete), ("PUT", &item.put)]
            {
                if operation.is_some() {
                    described.insert(format!("{method} {path}"));
                }
            }
        }
        let routes: BTreeSet<String> =
            crate::api::endpoints().iter().map(|e| format!("{} {}", e.method, e.path)).collect();
        assert_eq!(described, routes);
    }

    #[test]
    fn operation_ids_are_those_of_the_role_table() {
        use crate::auth::roles::Operation;
        let json = document().to_json().unwrap();
        for operation in Operation::ALL {
            assert!(json.contains(&format!("\"operationId\":\"{}\"", operation.id())), "{operation:?}");
        }
    }

    #[tokio::test]
    async fn it_is_served() {
        let answer = TestApi::new().await.get("/openapi.json", as_nobody()).await;
        assert_eq!(answer.json["info"]["title"], "Cardea cloud API");
    }
}
