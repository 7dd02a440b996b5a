//! `GET /v1/sites`: the sites of the caller's own, or all of them for the operator.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::web::extract::Query;
use crate::api::web::paging::{self, PageQuery};
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;

// === doc ===

/// The sites the caller may see.
#[derive(Serialize, ToSchema)]
pub(crate) struct SiteList {
    /// In the order of their ids.
    sites: Vec<SiteView>,
    /// Pass it as `after` to get what comes next; nothing at the end.
    next: Option<String>,
}

/// A site.
#[derive(Serialize, ToSchema)]
pub(crate) struct SiteView {
    /// Its id.
    site_id: String,
    /// Postal address of the building.
    address: String,
    /// The newest revision of its change log.
    revision: u64,
}

// === handler ===

/// List the sites.
#[utoipa::path(get, path = "/v1/sites", operation_id = "list_sites", tag = "sites",
    params(PageQuery), security(("token" = [])),
    responses((status = 200, description = "The sites", body = SiteList)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    let page = query.page()?;
    let sites = app.storage.sites(&caller.scope()).await?;
    let view = |site: crate::storage::sites::Site| SiteView {
        site_id: site.site_id.to_string(),
        address: site.address,
        revision: site.revision.0,
    };
    Ok(paging::answer(page, sites, |site| site.site_id.as_str(), view, |sites, next| SiteList { sites, next }))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, OTHER_SITE, SITE, as_admin, as_operator, as_other};

    #[tokio::test]
    async fn a_customer_sees_its_own_sites_only() {
        let api = Api::new().await;
        let ids = |answer: crate::testing::Answer| -> Vec<String> {
            let sites = answer.json["sites"].as_array().unwrap().clone();
            sites.iter().map(|site| site["site_id"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(ids(api.get("/v1/sites", as_admin()).await), [SITE]);
        assert_eq!(ids(api.get("/v1/sites", as_other()).await), [OTHER_SITE]);
        assert_eq!(ids(api.get("/v1/sites", as_operator()).await).len(), 2);
    }
}
