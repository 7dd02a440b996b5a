//! `GET /v1/sites/{site}/guest-passes`: the passes of a site.

use axum::extract::State;
use axum::response::Response;
use cardea_access::time::Timestamp;
use cardea_protocol::id::SiteId;
use cardea_protocol::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::web::extract::{Params, Query};
use crate::api::web::paging::{self, PageQuery};
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;
use crate::storage::guest_passes::GuestPass;

// === doc ===

/// The passes of a site, those too that are over and not yet deleted.
#[derive(Serialize, ToSchema)]
pub(crate) struct GuestPassList {
    /// In the order of their ids.
    guest_passes: Vec<GuestPassView>,
    /// Pass it as `after` to get what comes next; nothing at the end.
    next: Option<String>,
}

/// A pass.
#[derive(Serialize, ToSchema)]
pub(crate) struct GuestPassView {
    /// Its id.
    pass_id: String,
    /// `upcoming`, `valid`, `used`, `expired` or `ended` (taken back, or the host's flat sold).
    state: String,
    /// The host, where that was said.
    subject: Option<String>,
    /// Id of the admission of the guest's plate; nothing for a pass that is opened with by order.
    plate_id: Option<String>,
    /// Whether it ends with the first entry.
    single_entry: bool,
    /// First instant it counts (RFC 3339).
    #[schema(format = DateTime)]
    valid_from: Option<String>,
    /// First instant it counts no more (RFC 3339).
    #[schema(format = DateTime)]
    valid_until: Option<String>,
    /// When its single entry was had (RFC 3339).
    #[schema(format = DateTime)]
    used_at: Option<String>,
}

impl GuestPassView {
    pub(in crate::api) fn new(pass: GuestPass, now: Timestamp) -> Self {
        Self {
            state: pass.state(now).name().to_owned(),
            pass_id: pass.pass_id.to_string(),
            subject: pass.subject.map(|subject| subject.as_str().to_owned()),
            plate_id: pass.plate_id.map(|plate| plate.to_string()),
            single_entry: pass.single_entry,
            valid_from: pass.validity.from.map(rfc3339::format),
            valid_until: pass.validity.until.map(rfc3339::format),
            used_at: pass.used_at.map(rfc3339::format),
        }
    }
}

// === handler ===

/// List a site's guest passes.
#[utoipa::path(get, path = "/v1/sites/{site}/guest-passes", operation_id = "list_guest_passes", tag = "guest passes",
    params(("site" = String, Path, description = "Site id"),
        PageQuery), security(("token" = [])),
    responses((status = 200, description = "The passes", body = GuestPassList)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(site): Params<SiteId>,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    let (page, now) = (query.page()?, app.now());
    let passes = app.storage.passes(&caller.scope(), &site).await?.ok_or(Problem::NotFound)?;
    Ok(paging::answer(
        page,
        passes,
        |pass| pass.pass_id.as_str(),
        |pass| GuestPassView::new(pass, now),
        |guest_passes, next| GuestPassList { guest_passes, next },
    ))
}
