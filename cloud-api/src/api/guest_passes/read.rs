//! `GET /v1/sites/{site}/guest-passes/{pass}`: one pass.

use axum::extract::State;
use cardea_protocol::id::{GuestPassId, SiteId};

use super::list::GuestPassView;
use crate::api::web::extract::Params;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;

// === handler ===

/// See a guest pass.
#[utoipa::path(get, path = "/v1/sites/{site}/guest-passes/{pass}", operation_id = "read_guest_pass", tag = "guest passes",
    params(("site" = String, Path, description = "Site id"), ("pass" = String, Path, description = "Id of the pass")),
    security(("token" = [])), responses((status = 200, description = "The pass", body = GuestPassView)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params((site, pass)): Params<(SiteId, GuestPassId)>,
) -> Result<axum::Json<GuestPassView>, Problem> {
    let found = app.storage.pass(&caller.scope(), &site, &pass).await?.ok_or(Problem::NotFound)?;
    Ok(axum::Json(GuestPassView::new(found, app.now())))
}
