//! A certificate that was revoked is refused at its next request, on a connection that stands as well as on a new one.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::listener::Peer;
use crate::problem::Problem;
use crate::state::Shared;

/// The middleware, before every route. Where the storage cannot say, nobody is let in.
pub(in crate::api) async fn refuse(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let Some(peer) = request.extensions().get::<Peer>() else { return Problem::Internal.into_response() };
    match app.storage.certificate_revoked(&peer.issuer, &peer.serial).await {
        Ok(false) => return next.run(request).await,
        Ok(true) => tracing::warn!(serial = &*peer.serial, "a request with a revoked certificate was refused"),
        Err(error) => return Problem::from(error).into_response(),
    }
    let mut response = Problem::CertificateRevoked.into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
