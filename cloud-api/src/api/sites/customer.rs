//! `POST /v1/customers`: the operator registers a customer and the sites it is served at.

use axum::extract::State;
use axum::response::Response;
use cardea_protocol::id::{CustomerId, SiteId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::web::extract::Json;
use crate::api::{created, short_text};
use crate::problem::Problem;
use crate::state::Shared;
use crate::storage::customers::CustomerError;

// === error ===

impl From<CustomerError> for Problem {
    fn from(error: CustomerError) -> Self {
        match error {
            CustomerError::Exists => Self::Exists("customer"),
            CustomerError::UnknownSite => Self::Conflict("one of the sites is not registered: register it first"),
            CustomerError::SiteTaken => Self::Conflict("one of the sites is served for another customer"),
            CustomerError::Storage(error) => error.into(),
        }
    }
}

// === doc ===

/// A customer to register.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterCustomer {
    /// Its id; a random one is made where none is given.
    #[schema(value_type = Option<String>, example = "birch-homes")]
    customer_id: Option<CustomerId>,
    /// The company's name.
    name: String,
    /// The sites it is served at; each registered, and served for nobody else.
    #[schema(value_type = Vec<String>)]
    sites: Vec<SiteId>,
}

/// A registered customer.
#[derive(Serialize, ToSchema)]
pub(crate) struct CustomerRegistered {
    /// Its id.
    #[schema(value_type = String)]
    customer_id: CustomerId,
}

// === handler ===

/// Register a customer.
#[utoipa::path(post, path = "/v1/customers", operation_id = "register_customer", tag = "operator",
    request_body = RegisterCustomer, security(("token" = [])),
    responses((status = 201, description = "Registered", body = CustomerRegistered)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    Json(request): Json<RegisterCustomer>,
) -> Result<Response, Problem> {
    let name = short_text("name", request.name)?;
    let customer_id = request.customer_id.unwrap_or_else(CustomerId::random);
    app.storage.register_customer(&customer_id, name, request.sites, app.now()).await?;
    Ok(created(&customer_id.clone(), CustomerRegistered { customer_id }))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, SITE, as_operator};
    use serde_json::json;

    #[tokio::test]
    async fn a_site_serves_one_customer_and_nothing_is_half_done() {
        let api = Api::new().await;
        let taken = json!({"customer_id": "new-homes", "name": "New", "sites": [SITE]});
        assert_eq!(api.post("/v1/customers", &taken, as_operator()).await.problem(), (409, "conflict"));
        let unknown = json!({"customer_id": "new-homes", "name": "New", "sites": ["nowhere"]});
        assert_eq!(api.post("/v1/customers", &unknown, as_operator()).await.problem(), (409, "conflict"));
        let none = json!({"customer_id": "new-homes", "name": "New", "sites": []});
        assert_eq!(api.post("/v1/customers", &none, as_operator()).await.status, 201);
    }
}
