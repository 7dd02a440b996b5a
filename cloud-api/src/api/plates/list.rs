//! `GET /v1/sites/{site}/plates`: the plates admitted at a site.

use axum::extract::State;
use axum::response::Response;
use cardea_protocol::id::SiteId;
use cardea_protocol::message::PlateEntry;
use cardea_protocol::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::plates::admit::Schedule;
use crate::api::web::extract::{Params, Query};
use crate::api::web::paging::{self, PageQuery};
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;

// === doc ===

/// The plates admitted at a site.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlateList {
    /// In the order of their ids.
    plates: Vec<PlateView>,
    /// Pass it as `after` to get what comes next; nothing at the end.
    next: Option<String>,
}

/// An admitted plate.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlateView {
    /// Its id.
    plate_id: String,
    /// In canonical form: Latin capitals and digits.
    plate: String,
    /// Whose it is, where that was said.
    subject: Option<String>,
    /// The hours of the week in which it is admitted; all where there are none.
    schedule: Option<Schedule>,
    /// Whether it is a guest's and ends with the first entry.
    single_entry: bool,
    /// First instant it is admitted (RFC 3339).
    #[schema(format = DateTime)]
    valid_from: Option<String>,
    /// First instant it is admitted no more (RFC 3339).
    #[schema(format = DateTime)]
    valid_until: Option<String>,
}

impl From<PlateEntry> for PlateView {
    fn from(entry: PlateEntry) -> Self {
        Self {
            plate_id: entry.plate_id.to_string(),
            plate: entry.plate,
            subject: entry.subject.map(|subject| subject.as_str().to_owned()),
            schedule: entry.schedule.map(Into::into),
            single_entry: entry.single_entry,
            valid_from: entry.validity.from.map(rfc3339::format),
            valid_until: entry.validity.until.map(rfc3339::format),
        }
    }
}

// === handler ===

/// List a site's plates.
#[utoipa::path(get, path = "/v1/sites/{site}/plates", operation_id = "list_plates", tag = "plates",
    params(("site" = String, Path, description = "Site id"),
        PageQuery), security(("token" = [])),
    responses((status = 200, description = "The plates", body = PlateList)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(site): Params<SiteId>,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    let page = query.page()?;
    let plates = app.storage.plates(&caller.scope(), &site).await?.ok_or(Problem::NotFound)?;
    Ok(paging::answer(
        page,
        plates,
        |entry| entry.plate_id.as_str(),
        Into::into,
        |plates, next| PlateList { plates, next },
    ))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, SITE, as_admin, as_other};
    use serde_json::json;

    #[tokio::test]
    async fn plates_are_listed_in_canonical_form_to_their_customer() {
        let api = Api::new().await;
        let path = format!("/v1/sites/{SITE}/plates");
        api.post(&path, &json!({"plate": "а123вс77", "valid_until": "2030-01-01T00:00:00Z"}), as_admin()).await;
        let answer = api.get(&path, as_admin()).await;
        assert_eq!(answer.json["plates"][0]["plate"], "A123BC77");
        assert_eq!(answer.json["plates"][0]["valid_until"], "2030-01-01T00:00:00Z");
        assert_eq!(api.get(&path, as_other()).await.problem(), (404, "not-found"));
    }
}
