//! `GET /healthz`: whether the cloud serves, for a load balancer with a trusted certificate.

use axum::extract::State;
use axum::http::StatusCode;

use crate::problem::Problem;
use crate::state::Shared;

// === handler ===

/// Whether the cloud serves: its storage answers.
#[utoipa::path(get, path = "/healthz", operation_id = "healthz", tag = "about",
    responses((status = 204, description = "It serves")))]
pub(crate) async fn handle(State(app): State<Shared>) -> Result<StatusCode, Problem> {
    app.is_ready().await?;
    Ok(StatusCode::NO_CONTENT)
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, as_nobody};

    #[tokio::test]
    async fn a_certificate_is_enough() {
        assert_eq!(Api::new().await.get("/healthz", as_nobody()).await.status, 204);
    }
}
