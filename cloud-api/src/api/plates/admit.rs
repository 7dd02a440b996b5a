//! `POST /v1/sites/{site}/plates`: a plate is admitted. Only the plate and the site are passed (S15).

use axum::extract::State;
use axum::response::Response;
use cardea_access::plate::Plate;
use cardea_access::time::Timestamp;
use cardea_protocol::id::{PlateId, SaleId, SiteId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::web::etag::tagged;
use crate::api::web::extract::{Json, Params};
use crate::api::web::fingerprint;
use crate::api::{at, created, validity};
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;
use crate::storage::plates::{NewPlate, PlateStoreError};

// === error ===

impl From<PlateStoreError> for Problem {
    fn from(error: PlateStoreError) -> Self {
        match error {
            PlateStoreError::NotFound => Self::NotFound,
            PlateStoreError::Exists => {
                Self::Conflict("the plate is admitted already, with another validity: remove it first")
            }
            PlateStoreError::Blocked(sale) => Self::BlockedBySale { sale },
            PlateStoreError::Storage(error) => error.into(),
        }
    }
}

// === doc ===

/// A plate to admit.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdmitPlate {
    /// The plate as people write it: Cyrillic or Latin, with or without spaces.
    #[schema(example = "А123ВС 77")]
    plate: String,
    /// First instant it is admitted (RFC 3339); from now on where none is given.
    #[serde(default, with = "cardea_protocol::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    valid_from: Option<Timestamp>,
    /// First instant it is admitted no more (RFC 3339); for good where none is given.
    #[serde(default, with = "cardea_protocol::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    valid_until: Option<Timestamp>,
    /// Lifts, on purpose, the block that this property sale has left.
    #[schema(value_type = Option<String>)]
    lifts_sale: Option<SaleId>,
}

/// An admitted plate.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlateAdmitted {
    /// Its id.
    #[schema(value_type = String)]
    plate_id: PlateId,
}

// === handler ===

/// Admit a plate. The same call again yields the same id.
#[utoipa::path(post, path = "/v1/sites/{site}/plates", operation_id = "admit_plate", tag = "plates",
    params(("site" = String, Path, description = "Site id")), request_body = AdmitPlate, security(("token" = [])),
    responses((status = 201, description = "Admitted", body = PlateAdmitted)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(site): Params<SiteId>,
    Json(request): Json<AdmitPlate>,
) -> Result<Response, Problem> {
    let plate = Plate::parse(&request.plate, &app.grammars).map_err(Problem::PlateMalformed)?;
    let validity = validity(request.valid_from, request.valid_until)?;
    let plate = NewPlate {
        plate_id: PlateId::random(),
        site: site.clone(),
        fingerprint: fingerprint::plate(&app.vault, &plate),
        plate,
        validity,
        lifts_sale: request.lifts_sale,
    };
    let (plate_id, new) = app.storage.admit_plate(&caller.scope(), plate, app.now()).await?;
    if new {
        app.sync.changed(&site);
    }
    let location = format!("/v1/sites/{site}/plates/{plate_id}");
    Ok(at(location, tagged(validity, created(&plate_id.clone(), PlateAdmitted { plate_id }))))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, SITE, as_admin, as_other};
    use serde_json::json;

    fn path() -> String {
        format!("/v1/sites/{SITE}/plates")
    }

    #[tokio::test]
    async fn however_it_is_written_it_is_one_plate() {
        let api = Api::new().await;
        let first = api.post(&path(), &json!({"plate": "A123BC77"}), as_admin()).await;
        let again = api.post(&path(), &json!({"plate": "а 123 вс 77"}), as_admin()).await;
        assert_eq!((first.status, again.status), (201, 201));
        assert_eq!(first.json["plate_id"], again.json["plate_id"]);
        let longer = api.post(&path(), &json!({"plate": "A123BC777"}), as_admin()).await;
        assert_ne!(first.json["plate_id"], longer.json["plate_id"]);
    }

    #[tokio::test]
    async fn what_is_no_plate_is_refused_and_not_repeated() {
        let api = Api::new().await;
        let overlong = "A123BC77".repeat(1_000);
        for plate in ["", "K1", "'; DROP TABLE plates", "A123BC7700000", &overlong, "+7 916 123-45-67"] {
            let answer = api.post(&path(), &json!({"plate": plate}), as_admin()).await;
            assert_eq!(answer.problem(), (422, "plate-malformed"), "{plate}");
            assert!(plate.is_empty() || !answer.json.to_string().contains(plate));
        }
    }

    #[tokio::test]
    async fn another_validity_is_a_conflict_and_an_inverted_one_an_error() {
        let api = Api::new().await;
        api.post(&path(), &json!({"plate": "A123BC77"}), as_admin()).await;
        let other = json!({"plate": "A123BC77", "valid_until": "2030-01-01T00:00:00Z"});
        assert_eq!(api.post(&path(), &other, as_admin()).await.problem(), (409, "conflict"));
        let inverted =
            json!({"plate": "B123BC77", "valid_from": "2030-01-02T00:00:00Z", "valid_until": "2030-01-01T00:00:00Z"});
        assert_eq!(api.post(&path(), &inverted, as_admin()).await.problem(), (422, "invalid-field"));
    }

    #[tokio::test]
    async fn at_anothers_site_nothing_is_admitted() {
        let api = Api::new().await;
        let answer = api.post(&path(), &json!({"plate": "A123BC77"}), as_other()).await;
        assert_eq!(answer.problem(), (404, "not-found"));
    }
}
