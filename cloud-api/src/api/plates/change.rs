//! `PATCH /v1/sites/{site}/plates/{plate_id}`: a plate is admitted in another period, under the same id.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use cardea_protocol::id::{PlateId, SiteId};

use crate::api::web::etag::{IfMatch, tagged};
use crate::api::web::extract::{Json, Params};
use crate::api::web::validity::{ChangeValidity, change};
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;
use crate::storage::validity::Admitted;

// === handler ===

/// Change when a plate is admitted. `If-Match` is the `ETag` that was seen; the answer carries the new one.
#[utoipa::path(patch, path = "/v1/sites/{site}/plates/{plate_id}", operation_id = "change_plate", tag = "plates",
    params(("site" = String, Path, description = "Site id"), ("plate_id" = String, Path, description = "Id of the admission"),
        ("If-Match" = String, Header, description = "The `ETag` that was seen, or `*`")),
    request_body = ChangeValidity, security(("token" = [])),
    responses((status = 204, description = "Changed; the controllers are being told")))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params((site, plate_id)): Params<(SiteId, PlateId)>,
    seen: IfMatch,
    Json(request): Json<ChangeValidity>,
) -> Result<Response, Problem> {
    let what = (Admitted::Plate, plate_id.to_string());
    let validity = change(&app, &caller.scope(), &site, what, seen, request).await?;
    Ok(tagged(validity, StatusCode::NO_CONTENT.into_response()))
}
