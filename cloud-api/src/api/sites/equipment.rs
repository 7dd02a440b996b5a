//! `GET /v1/sites/{site}/equipment`: barriers and doors, what each can do, and whether it is reachable (S13).

use axum::extract::State;
use axum::response::Response;
use cardea_protocol::id::SiteId;
use cardea_protocol::message::AccessPointKind;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::web::extract::{Params, Query};
use crate::api::web::paging::{self, PageQuery};
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;
use crate::storage::equipment::Equipment;

// === doc ===

/// The equipment of a site.
#[derive(Serialize, ToSchema)]
pub(crate) struct EquipmentList {
    /// In the order of their ids.
    access_points: Vec<AccessPointView>,
    /// Pass it as `after` to get what comes next; nothing at the end.
    next: Option<String>,
}

/// A barrier or door.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccessPointView {
    /// Its id.
    access_point_id: String,
    /// `barrier` or `door`.
    kind: String,
    /// What opens it: any of `plate`, `face`, `remote`, `exit-button`.
    credentials: Vec<String>,
    /// Whether its controller is connected, and its boards and cameras answer.
    reachable: bool,
    /// As last reported: `closed`, `opening`, `open`, `closing`, `held`, `forced`, `fault`, `unknown`.
    state: String,
}

impl From<Equipment> for AccessPointView {
    fn from(equipment: Equipment) -> Self {
        let point = equipment.access_point;
        Self {
            access_point_id: point.id.to_string(),
            kind: match point.kind {
                AccessPointKind::Barrier => "barrier",
                AccessPointKind::Door => "door",
            }
            .to_owned(),
            credentials: point.credentials,
            reachable: equipment.connected && point.reachable,
            state: if equipment.connected { point.state } else { "unknown".to_owned() },
        }
    }
}

// === handler ===

/// List a site's equipment.
#[utoipa::path(get, path = "/v1/sites/{site}/equipment", operation_id = "list_equipment", tag = "sites",
    params(("site" = String, Path, description = "Site id"),
        PageQuery), security(("token" = [])),
    responses((status = 200, description = "The equipment", body = EquipmentList)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(site): Params<SiteId>,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    let page = query.page()?;
    let equipment = app.storage.equipment(&caller.scope(), &site).await?.ok_or(Problem::NotFound)?;
    let list = |access_points, next| EquipmentList { access_points, next };
    Ok(paging::answer(page, equipment, |equipment| equipment.access_point.id.as_str(), Into::into, list))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, BARRIER, CONTROLLER, SITE, as_admin, as_other};

    #[tokio::test]
    async fn equipment_of_an_absent_controller_is_listed_and_not_reachable() {
        let api = Api::new().await;
        api.activate(CONTROLLER).await;
        let answer = api.get(&format!("/v1/sites/{SITE}/equipment"), as_admin()).await;
        let point = &answer.json["access_points"][0];
        assert_eq!((point["access_point_id"].as_str(), point["kind"].as_str()), (Some(BARRIER), Some("barrier")));
        assert_eq!((&point["reachable"], &point["state"]), (&false.into(), &"unknown".into()));
    }

    #[tokio::test]
    async fn anothers_site_does_not_exist() {
        let api = Api::new().await;
        let answer = api.get(&format!("/v1/sites/{SITE}/equipment"), as_other()).await;
        assert_eq!(answer.problem(), (404, "not-found"));
    }
}
