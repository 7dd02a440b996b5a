//! Every request has an id: the caller's `X-Request-Id` if it is one, a fresh one otherwise. It stands in the answer, in a
//! problem, and in the lines of the log.
//!
//! An id is a UUID or 32 hexadecimal digits, as trace ids are, since whatever else stood there would get into the log.

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

use crate::problem::{ProblemDetails, Slug};
use crate::state::Shared;

/// The header.
pub(in crate::api) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The span of a request, for what goes on in another task.
#[derive(Clone)]
pub(in crate::api) struct RequestSpan(tracing::Span);

fn given(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(HEADER)?.to_str().ok()?;
    let formed = matches!(text.len(), 32 | 36) && uuid::Uuid::try_parse(text).is_ok();
    formed.then(|| text.to_ascii_lowercase())
}

/// The outermost middleware.
pub(in crate::api) async fn identify(State(app): State<Shared>, mut request: Request, next: Next) -> Response {
    let id = given(request.headers()).unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let span = tracing::info_span!("request", request_id = %id);
    request.extensions_mut().insert(RequestSpan(span.clone()));
    let (method, began) = (request.method().clone(), app.clock.monotonic());
    // The template of the path: the path itself may hold a subject token.
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let mut response = next.run(request).instrument(span.clone()).await;
    if let Some(details) = response.extensions_mut().remove::<ProblemDetails>() {
        response = with_id(response, details, &id);
    }
    if let Ok(value) = HeaderValue::try_from(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    span.in_scope(|| {
        let (status, took_ms) = (response.status().as_u16(), app.clock.monotonic().since_ms(began));
        let problem = response.extensions().get::<Slug>().map(|slug| slug.0);
        let path = path.as_deref().unwrap_or("unknown");
        tracing::info!(%method, path, status, problem, took_ms, "answered");
    });
    response
}

/// Takes a request's span along into the task that [`crate::auth::guard`] carries a change out in.
pub(in crate::api) async fn follow(request: Request, next: Next) -> Response {
    match request.extensions().get::<RequestSpan>().cloned() {
        Some(RequestSpan(span)) => next.run(request).instrument(span).await,
        None => next.run(request).await,
    }
}

fn with_id(response: Response, mut details: ProblemDetails, id: &str) -> Response {
    details.request_id = Some(id.to_owned());
    let (mut parts, body) = response.into_parts();
    let body = match serde_json::to_vec(&details) {
        Ok(bytes) => {
            parts.headers.remove(header::CONTENT_LENGTH);
            Body::from(bytes)
        }
        Err(_) => body,
    };
    Response::from_parts(parts, body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Api, as_admin};
    use axum::http::Method;

    #[tokio::test]
    async fn an_id_is_echoed_if_it_is_one_and_made_otherwise() {
        let api = Api::new().await;
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (given, echoed) in [
            ("5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f", true),
            (trace, true),
            ("+79161234567", false),
            ("ivan@example.org", false),
            ("", false),
        ] {
            let request = api.request(&Method::GET, "/v1/sites/none/plates", as_admin()).header(HEADER, given);
            let answer = api.call(request.body(Body::empty()).unwrap()).await;
            let id = answer.header("x-request-id");
            assert_eq!(id == given, echoed, "{given}");
            assert!(uuid::Uuid::try_parse(&id).is_ok());
            assert_eq!(answer.json["request_id"], id, "and in the problem");
        }
        let good = api.get("/v1/sites", as_admin()).await;
        assert!(uuid::Uuid::try_parse(&good.header("x-request-id")).is_ok());
    }
}
