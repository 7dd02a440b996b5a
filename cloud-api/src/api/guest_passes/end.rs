//! `DELETE /v1/sites/{site}/guest-passes/{pass}`: a pass is taken back.

use axum::extract::State;
use axum::http::StatusCode;
use cardea_protocol::id::{GuestPassId, SiteId};

use crate::api::web::extract::Params;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;

// === handler ===

/// Take a guest pass back. Its plate is admitted no more; the controllers are told at once.
#[utoipa::path(delete, path = "/v1/sites/{site}/guest-passes/{pass}", operation_id = "end_guest_pass", tag = "guest passes",
    params(("site" = String, Path, description = "Site id"), ("pass" = String, Path, description = "Id of the pass")),
    security(("token" = [])), responses((status = 204, description = "Ended")))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params((site, pass)): Params<(SiteId, GuestPassId)>,
) -> Result<StatusCode, Problem> {
    app.storage.end_pass(&caller.scope(), &site, &pass, app.now()).await?.ok_or(Problem::NotFound)?;
    app.taken_back(&site).await?;
    Ok(StatusCode::NO_CONTENT)
}
