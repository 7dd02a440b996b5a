//! The REST API. One folder for each resource; one endpoint, one file, always in the order error, doc, handler, tests.
//!
//! `endpoints` is the whole of it: method, path, who may call, handler. The router, the check of roles and the audit
//! are made from that table, and the tests walk it. Bodies refuse unknown fields (requirement S5), answers are never
//! cached, and whatever goes wrong is a problem document.

mod access_point;
mod accounts;
mod cards;
mod certificates;
mod consent_texts;
mod controllers;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod guest_passes;
mod health;
mod plates;
mod records;
mod reference;
mod sales;
mod sites;
mod subjects;
pub(crate) mod web;
mod webhooks;

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod tests;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use cardea_protocol::Timestamp;
use cardea_protocol::id::{CustomerId, SiteId};
use cardea_protocol::message::Validity;
use serde::Serialize;

use crate::auth::roles::Operation;
use crate::auth::{Access, Concerned, Target, authorize, discovery, guard, introspect, jwks, revoke, token, userinfo};
use crate::listener::Peer;
use crate::problem::Problem;
use crate::state::Shared;
use web::rate_limit::Limits;

/// One endpoint.
pub(crate) struct Endpoint {
    #[cfg_attr(not(test), expect(dead_code, reason = "the handler knows it; the tests that walk the table ask"))]
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    handler: MethodRouter<Shared>,
}

fn endpoint<H, T>(method: Method, path: &'static str, access: Access, handler: H) -> Endpoint
where
    H: Handler<T, Shared>,
    T: 'static,
{
    let filter = match method {
        Method::POST => MethodFilter::POST,
        Method::DELETE => MethodFilter::DELETE,
        Method::PUT => MethodFilter::PUT,
        Method::PATCH => MethodFilter::PATCH,
        _ => MethodFilter::GET,
    };
    Endpoint { method, path, access, handler: on(filter, handler) }
}

/// Every endpoint there is, but those for controllers ([`crate::enrolment`]).
pub(crate) fn endpoints() -> Vec<Endpoint> {
    use Operation as O;
    let get = |path, operation| (Method::GET, path, Access::Role(operation));
    let post = |path, operation| (Method::POST, path, Access::Role(operation));
    let patch = |path, operation| (Method::PATCH, path, Access::Role(operation));
    let delete = |path, operation| (Method::DELETE, path, Access::Role(operation));
    let open = |path| (Method::GET, path, Access::Certificate);
    macro_rules! table {
        ($($row:expr => $handler:expr),+ $(,)?) => {
            vec![$({ let (method, path, access) = $row; endpoint(method, path, access, $handler) }),+]
        };
    }
    table![
        // whoever has a trusted certificate
        open("/.well-known/openid-configuration") => discovery::discovery,
        open("/oauth2/jwks") => jwks::jwks,
        (Method::POST, "/oauth2/token", Access::Certificate) => token::token,
        open("/oauth2/authorize") => authorize::authorize,
        (Method::POST, "/oauth2/authorize", Access::Certificate) => authorize::authorize_by_post,
        (Method::POST, "/oauth2/sign-in", Access::Certificate) => authorize::sign_in::sign_in,
        (Method::POST, "/oauth2/revoke", Access::Certificate) => revoke::revoke,
        (Method::POST, "/oauth2/introspect", Access::Certificate) => introspect::introspect,
        open("/healthz") => health::handle,
        open("/openapi.json") => reference::openapi::handle,
        open("/docs") => reference::docs_page::handle,
        open("/problems/{problem}") => reference::problems::handle,
        open("/v1/data-inventory") => reference::data_inventory::handle,
        open("/v1/signing-keys") => reference::signing_keys::handle,
        // any account
        (Method::GET, "/oauth2/userinfo", Access::Token) => userinfo::userinfo,
        (Method::POST, "/oauth2/userinfo", Access::Token) => userinfo::userinfo_by_post,
        // the operator
        post("/v1/sites", O::RegisterSite) => sites::register::handle,
        post("/v1/customers", O::RegisterCustomer) => sites::customer::handle,
        post("/v1/principals", O::RegisterPrincipal) => accounts::register::handle,
        post("/v1/principals/{principal}/redirect-uris", O::RegisterRedirectUri) => accounts::redirect_uri::handle,
        get("/v1/principals", O::ListPrincipals) => accounts::list::handle,
        (Method::PUT, "/v1/principals/{principal}/sites", Access::Role(O::GiveSites)) => accounts::give_sites::handle,
        post("/v1/principals/{principal}/revocation", O::RevokePrincipal) => accounts::revoke::handle,
        post("/v1/certificate-revocations", O::RevokeCertificate) => certificates::revoke::handle,
        get("/v1/audit", O::ReadAudit) => records::audit::handle,
        post("/v1/sites/{site}/controllers", O::RegisterController) => controllers::register::handle,
        get("/v1/controllers/{controller}", O::ReadController) => controllers::read::handle,
        post("/v1/controllers/{controller}/claim-codes", O::RenewClaim) => controllers::renew_claim::handle,
        post("/v1/controllers/{controller}/revocation", O::RevokeController) => controllers::revoke::handle,
        post("/v1/controllers/{controller}/decommissioning", O::DecommissionController) => controllers::decommission::handle,
        // the customer
        get("/v1/sites", O::ListSites) => sites::list::handle,
        get("/v1/sites/{site}/equipment", O::ListEquipment) => sites::equipment::handle,
        get("/v1/sites/{site}/plates", O::ListPlates) => plates::list::handle,
        post("/v1/sites/{site}/plates", O::AdmitPlate) => plates::admit::handle,
        get("/v1/sites/{site}/plates/{plate_id}", O::ReadPlate) => plates::read::handle,
        patch("/v1/sites/{site}/plates/{plate_id}", O::ChangePlate) => plates::change::handle,
        delete("/v1/sites/{site}/plates/{plate_id}", O::RemovePlate) => plates::remove::handle,
        get("/v1/sites/{site}/guest-passes", O::ListGuestPasses) => guest_passes::list::handle,
        post("/v1/sites/{site}/guest-passes", O::GiveGuestPass) => guest_passes::give::handle,
        get("/v1/sites/{site}/guest-passes/{pass}", O::ReadGuestPass) => guest_passes::read::handle,
        post("/v1/sites/{site}/guest-passes/{pass}/open", O::OpenWithPass) => guest_passes::open::handle,
        delete("/v1/sites/{site}/guest-passes/{pass}", O::EndGuestPass) => guest_passes::end::handle,
        get("/v1/sites/{site}/cards", O::ListCards) => cards::list::handle,
        post("/v1/sites/{site}/cards", O::AdmitCard) => cards::admit::handle,
        get("/v1/sites/{site}/cards/{card_id}", O::ReadCard) => cards::read::handle,
        patch("/v1/sites/{site}/cards/{card_id}", O::ChangeCard) => cards::change::handle,
        delete("/v1/sites/{site}/cards/{card_id}", O::RemoveCard) => cards::remove::handle,
        get("/v1/consent-texts", O::ListConsentTexts) => consent_texts::list::handle,
        post("/v1/consent-texts", O::RecordConsentText) => consent_texts::record::handle,
        get("/v1/consent-texts/{text}", O::ReadConsentText) => consent_texts::read::handle,
        get("/v1/sites/{site}/consents", O::ListConsents) => subjects::consents::list,
        post("/v1/sites/{site}/consents", O::RecordConsent) => subjects::record_consent::handle,
        post("/v1/sites/{site}/consents/{consent}/withdrawal", O::WithdrawConsent) => subjects::withdraw_consent::handle,
        get("/v1/sites/{site}/consents/{consent}", O::ReadConsent) => subjects::consents::read,
        get("/v1/sites/{site}/subjects/{subject}", O::ReadSubject) => subjects::held::handle,
        get("/v1/erasures/{erasure}/act", O::ReadAct) => subjects::act::handle,
        get("/v1/erasures/{erasure}", O::ReadErasure) => subjects::read_erasure::handle,
        post("/v1/sites/{site}/subjects/{subject}/faces", O::EnrolFace) => subjects::enrol_face::handle,
        post("/v1/access-points/{access_point}/open", O::Open) => access_point::handle,
        post("/v1/sites/{site}/property-sales", O::SellProperty) => sales::sell::handle,
        get("/v1/property-sales/{sale}", O::ReadSale) => sales::read::handle,
        get("/v1/sites/{site}/events", O::ListEvents) => records::events::handle,
        post("/v1/sites/{site}/incident-exports", O::ExportIncident) => records::export_incident::handle,
        // a tenant, about itself
        get("/v1/webhooks", O::ListWebhooks) => webhooks::list::handle,
        post("/v1/webhooks", O::RegisterWebhook) => webhooks::create::handle,
        get("/v1/webhooks/{webhook}", O::ReadWebhook) => webhooks::read::handle,
        post("/v1/webhooks/{webhook}/secret-rotations", O::RotateWebhookSecret) => webhooks::rotate_secret::handle,
        delete("/v1/webhooks/{webhook}", O::RemoveWebhook) => webhooks::remove::handle,
    ]
}

/// The router of the API listener; `controllers` are the routes for claimed controllers.
pub fn router(app: Shared, controllers: Router) -> Router {
    let mut router = Router::new();
    let limits = Limits::default();
    for endpoint in endpoints() {
        let guarded = middleware::from_fn_with_state((app.clone(), endpoint.access), guard);
        let limited = middleware::from_fn_with_state((app.clone(), limits.clone()), web::rate_limit::limit);
        let mut handler = endpoint.handler;
        // The last one added sees a request first: guard, limit, given sites, answers kept, handler.
        if let Access::Role(operation) = endpoint.access {
            let once = middleware::from_fn_with_state((app.clone(), operation), web::idempotency::answer_once);
            let given = middleware::from_fn_with_state((app.clone(), operation), web::given_sites::only_given);
            handler = handler.route_layer(once).route_layer(given);
        }
        let handler = handler.route_layer(limited).route_layer(middleware::from_fn(web::request_id::follow));
        router = router.route(endpoint.path, handler.route_layer(guarded));
    }
    router
        .with_state(app.clone())
        .merge(controllers.layer(middleware::from_fn(controllers_only)))
        .fallback(async || Problem::NotFound)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(middleware::from_fn(readable_path))
        .layer(middleware::from_fn_with_state(app.clone(), web::revoked::refuse))
        .layer(middleware::from_fn(no_store))
        .layer(middleware::from_fn_with_state(app, web::request_id::identify))
        .layer(middleware::from_fn(web::unread::finish_reading))
}

/// A certificate of a customer's CA may carry any name and number: only the Cardea CA's say who is a controller.
async fn controllers_only(peer: Peer, request: Request, next: Next) -> Response {
    if peer.is_controller { next.run(request).await } else { Problem::CertificateNotController.into_response() }
}

/// A path that is no text names nothing; unasked, axum answers it without a problem document.
async fn readable_path(request: Request, next: Next) -> Response {
    if is_text(request.uri().path()) { next.run(request).await } else { Problem::NotFound.into_response() }
}

/// Whether a path is UTF-8 once its percent signs are decoded (RFC 3986 §2.1).
fn is_text(path: &str) -> bool {
    let (mut bytes, mut rest) = (Vec::with_capacity(path.len()), path.bytes());
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(rest.next()?).to_digit(16);
        match byte {
            b'%' => match digit().zip(digit()) {
                Some((high, low)) => bytes.push((high * 16 + low) as u8),
                None => return false,
            },
            byte => bytes.push(byte),
        }
    }
    std::str::from_utf8(&bytes).is_ok()
}

/// Answers are of one caller at one moment: nothing on the way keeps them.
async fn no_store(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Fails where a route answers a problem that its description does not list.
#[cfg(test)]
pub(crate) fn assert_described(method: &Method, path: &str, (status, slug): (u16, &str)) {
    let fits = |template: &str| {
        let (template, path) = (template.split('/').collect::<Vec<_>>(), path.split('/').collect::<Vec<_>>());
        template.len() == path.len() && template.iter().zip(&path).all(|(t, p)| t.starts_with('{') || t == p)
    };
    let document = reference::openapi::document();
    let found = document["paths"].as_object().into_iter().flatten().find(|(template, _)| fits(template));
    let Some((template, item)) = found else { return };
    let operation = &item[method.as_str().to_ascii_lowercase()];
    let listed = &operation["responses"][status.to_string()]["content"][crate::problem::CONTENT_TYPE]["examples"][slug];
    assert!(
        operation.is_null() || listed.is_object(),
        "{method} {template} answers {status} {slug}, which is not described"
    );
}

#[cfg(test)]
pub(crate) use subjects::photos::form as photo_form;

/// `201 Created`; `target` is the new thing's id, for the audit.
fn created<T: Serialize>(target: &impl ToString, body: T) -> Response {
    let mut response = (StatusCode::CREATED, axum::Json(body)).into_response();
    response.extensions_mut().insert(Target(target.to_string()));
    response
}

/// Adds whom it concerns, for the audit, where the path does not say.
fn concerning(customer: Option<CustomerId>, site: Option<SiteId>, mut response: Response) -> Response {
    response.extensions_mut().insert(Concerned { customer, site });
    response
}

/// Adds where to look at it from now on.
fn at(location: String, mut response: Response) -> Response {
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The period of an admission.
fn validity(from: Option<Timestamp>, until: Option<Timestamp>) -> Result<Validity, Problem> {
    if from.zip(until).is_some_and(|(from, until)| from >= until) {
        return Err(Problem::InvalidField("valid_until must be after valid_from".to_owned()));
    }
    Ok(Validity { from, until })
}

/// A text for people: something, on one line, not a book.
fn short_text(field: &'static str, text: String) -> Result<String, Problem> {
    let good =
        (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control) && !text.trim().is_empty();
    if good { Ok(text) } else { Err(Problem::InvalidField(format!("{field} is 1 to 200 characters on one line"))) }
}
