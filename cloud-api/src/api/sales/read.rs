//! `GET /v1/property-sales/{sale}`: one visible state for plates and biometrics together.

use axum::extract::State;
use cardea_protocol::id::SaleId;

use crate::api::sales::sell::SaleView;
use crate::api::web::extract::Params;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;

// === handler ===

/// See a property sale.
#[utoipa::path(get, path = "/v1/property-sales/{sale}", operation_id = "read_sale", tag = "sales",
    params(("sale" = String, Path, description = "Sale id")), security(("token" = [])),
    responses((status = 200, description = "The sale", body = SaleView)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(sale): Params<SaleId>,
) -> Result<axum::Json<SaleView>, Problem> {
    let sale = app.storage.sale(&caller.scope(), &sale).await?.ok_or(Problem::NotFound)?;
    SaleView::of(&app, &caller, sale).await.map(axum::Json)
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::storage::sites::Scope;
    use crate::testing::{Api, CONTROLLER, SITE, as_admin, as_other};
    use serde_json::json;

    #[tokio::test]
    async fn a_sale_is_pending_while_a_controller_is_behind() {
        let api = Api::new().await;
        api.activate(CONTROLLER).await;
        let body = json!({"plates": ["A123BC77"], "subjects": []});
        let sale = api.post(&format!("/v1/sites/{SITE}/property-sales"), &body, as_admin()).await;
        let path = sale.header("location");
        assert_eq!(api.get(&path, as_admin()).await.json["state"], "pending");
        api.app
            .storage
            .decommission_controller(&Scope::Operator, &CONTROLLER.parse().unwrap(), api.app.now())
            .await
            .unwrap();
        assert_eq!(api.get(&path, as_admin()).await.json["state"], "complete");
        assert_eq!(api.get(&path, as_other()).await.problem(), (404, "not-found"));
    }
}
