//! `PUT /v1/principals/{principal}/sites`: an installer is given its sites, in place of those it had.

use axum::extract::State;
use axum::http::StatusCode;
use cardea_protocol::id::{CustomerId, SiteId};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::api::web::extract::{Json, Params};
use crate::problem::Problem;
use crate::state::Shared;

/// More than anybody mounts at a time.
const MAX_SITES: usize = 1_000;

// === doc ===

/// An installer's sites.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GiveSites {
    /// All it may work at; none takes every site away.
    #[schema(value_type = Vec<String>)]
    sites: Vec<SiteId>,
}

// === handler ===

/// Give an installer its sites.
#[utoipa::path(put, path = "/v1/principals/{principal}/sites", operation_id = "give_sites", tag = "accounts",
    params(("principal" = String, Path, description = "Account id")), request_body = GiveSites, security(("token" = [])),
    responses((status = 204, description = "Given")))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    Params(principal): Params<CustomerId>,
    Json(request): Json<GiveSites>,
) -> Result<StatusCode, Problem> {
    let mut sites = request.sites;
    sites.sort();
    sites.dedup();
    if sites.len() > MAX_SITES {
        return Err(Problem::InvalidField(format!("give at most {MAX_SITES} sites")));
    }
    app.storage.give_sites(principal.as_str(), sites, app.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::auth::roles::Role;
    use crate::testing::{Api, CONTROLLER, OTHER_SITE, SITE, as_operator, as_role};
    use axum::http::Method;
    use serde_json::json;

    #[tokio::test]
    async fn an_installer_works_at_its_sites_and_at_no_other() {
        let api = Api::new().await;
        let (own, other) = (format!("/v1/sites/{SITE}/controllers"), format!("/v1/sites/{OTHER_SITE}/controllers"));
        let gate = |name: &str| json!({"controller_id": name});
        let installer = || as_role(Role::Installer);
        assert_eq!(api.post(&own, &gate("gate-1"), installer()).await.status, 201);
        assert_eq!(api.post(&other, &gate("gate-2"), installer()).await.problem(), (404, "not-found"));
        assert_eq!(api.get(&format!("/v1/controllers/{CONTROLLER}"), installer()).await.status, 200);
        let path = "/v1/principals/installer/sites";
        let moved = api.send_json(&Method::PUT, path, &json!({"sites": [OTHER_SITE, OTHER_SITE]}), as_operator()).await;
        assert_eq!(moved.status, 204);
        assert_eq!(api.post(&other, &gate("gate-2"), installer()).await.status, 201);
        assert_eq!(api.get(&format!("/v1/controllers/{CONTROLLER}"), installer()).await.problem(), (404, "not-found"));
        let sites = api.get("/v1/sites", installer()).await;
        assert_eq!((&sites.json["sites"][0]["site_id"], &sites.json["sites"][1]), (&OTHER_SITE.into(), &json!(null)));
    }

    #[tokio::test]
    async fn only_installers_and_only_sites_there_are_and_all_or_nothing() {
        let api = Api::new().await;
        let put = |path: &'static str, site: &'static str| {
            let body = json!({"sites": [OTHER_SITE, site]});
            let api = &api;
            async move { api.send_json(&Method::PUT, path, &body, as_operator()).await }
        };
        assert_eq!(put("/v1/principals/installer/sites", "nowhere").await.problem(), (409, "conflict"));
        assert_eq!(put("/v1/principals/admin/sites", SITE).await.problem(), (409, "conflict"));
        assert_eq!(put("/v1/principals/nobody/sites", SITE).await.problem(), (404, "not-found"));
        let sites = api.get("/v1/sites", as_role(Role::Installer)).await;
        assert_eq!(sites.json["sites"][0]["site_id"], SITE, "as before");
    }
}
