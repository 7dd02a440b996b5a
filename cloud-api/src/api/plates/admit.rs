//! `POST /v1/sites/{site}/plates`: a plate is admitted. Only the plate and the site need be passed (S15).

use axum::extract::State;
use axum::response::Response;
use cardea_access::plate::Plate;
use cardea_access::time::Timestamp;
use cardea_protocol::id::{PlateId, SaleId, SiteId, SubjectToken};
use cardea_protocol::schedule::{WeeklySchedule, WeeklyScheduleError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::web::etag::tagged;
use crate::api::web::extract::{Json, Params};
use crate::api::{at, created, validity};
use crate::auth::Caller;
use crate::fingerprint;
use crate::problem::Problem;
use crate::state::Shared;
use crate::storage::plates::{NewPlate, PlateStoreError};

// === error ===

impl From<PlateStoreError> for Problem {
    fn from(error: PlateStoreError) -> Self {
        match error {
            PlateStoreError::NotFound => Self::NotFound,
            PlateStoreError::Exists => {
                Self::Conflict("the plate is admitted already, at other times or for somebody else: remove it first")
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
    /// The opaque token of the resident whose plate it is: then a sale of the flat ends it, and where a gate asks for two
    /// credentials, the other one has to be the same resident's.
    #[schema(value_type = Option<String>)]
    subject: Option<SubjectToken>,
    /// The hours of the week in which it is admitted; all where none are given.
    schedule: Option<Schedule>,
    /// First instant it is admitted (RFC 3339); from now on where none is given.
    #[serde(default, with = "cardea_protocol::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    valid_from: Option<Timestamp>,
    /// First instant it is admitted no more (RFC 3339); for good where none is given.
    #[serde(default, with = "cardea_protocol::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    valid_until: Option<Timestamp>,
    /// Lifts, on purpose, the block that this property sale has left on the plate.
    #[schema(value_type = Option<String>)]
    lifts_sale: Option<SaleId>,
}

/// Hours of the week.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Schedule {
    /// Where the hours are local: a name of the IANA time zone database.
    #[schema(example = "Europe/Moscow")]
    time_zone: String,
    /// `DAY[-DAY] HH:MM-HH:MM`; a range may run past midnight. With none it is never admitted.
    #[schema(max_items = 50, example = json!(["mon-fri 08:00-20:00", "sat 10:00-16:00"]))]
    hours: Vec<String>,
}

impl Schedule {
    /// Refuses what controllers would not understand.
    fn checked(self) -> Result<WeeklySchedule, Problem> {
        let weekly = WeeklySchedule { time_zone: self.time_zone, hours: self.hours };
        match weekly.build() {
            Ok(_) => Ok(weekly),
            Err(WeeklyScheduleError::Zone(_)) => {
                let rule = "schedule.time_zone is a name of the IANA time zone database, such as Europe/Moscow";
                Err(Problem::InvalidField(rule.to_owned()))
            }
            Err(error) => Err(Problem::InvalidField(format!("schedule: {error}"))),
        }
    }
}

impl From<WeeklySchedule> for Schedule {
    fn from(weekly: WeeklySchedule) -> Self {
        Self { time_zone: weekly.time_zone, hours: weekly.hours }
    }
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
        subject_fingerprint: request.subject.as_ref().map(|subject| fingerprint::subject(&app.vault, subject)),
        plate,
        subject: request.subject,
        schedule: request.schedule.map(Schedule::checked).transpose()?,
        single_entry: false,
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
    use crate::testing::{Api, SITE, SUBJECT, as_admin, as_other};
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
    async fn hours_are_kept_as_they_are_written_and_what_is_none_is_refused() {
        let api = Api::new().await;
        let schedule = json!({"time_zone": "Europe/Moscow", "hours": ["mon-fri 08:00-20:00"]});
        let plate = json!({"plate": "A123BC77", "schedule": schedule});
        assert_eq!(api.post(&path(), &plate, as_admin()).await.status, 201);
        assert_eq!(api.get(&path(), as_admin()).await.json["plates"][0]["schedule"], schedule);
        assert_eq!(api.post(&path(), &plate, as_admin()).await.status, 201, "the same again");
        let always = json!({"plate": "A123BC77"});
        assert_eq!(api.post(&path(), &always, as_admin()).await.problem(), (409, "conflict"));
        for schedule in [
            json!({"time_zone": "Moscow", "hours": []}),
            json!({"time_zone": "UTC", "hours": ["always"]}),
            json!({"time_zone": "UTC", "hours": vec!["mon 08:00-09:00"; 51]}),
        ] {
            let plate = json!({"plate": "B123BC77", "schedule": schedule});
            assert_eq!(api.post(&path(), &plate, as_admin()).await.problem(), (422, "invalid-field"), "{schedule}");
        }
    }

    #[tokio::test]
    async fn a_sale_ends_the_plates_of_its_residents_and_blocks_them() {
        let api = Api::new().await;
        for (plate, subject) in [("A123BC77", Some(SUBJECT)), ("B123BC77", None), ("C123BC77", None)] {
            let plate = json!({"plate": plate, "subject": subject});
            assert_eq!(api.post(&path(), &plate, as_admin()).await.status, 201);
        }
        let unowned = api.post(&path(), &json!({"plate": "A123BC77"}), as_admin()).await;
        assert_eq!(unowned.problem(), (409, "conflict"), "nobody's is another admission");
        let listed = api.get(&path(), as_admin()).await;
        let owned = listed.json["plates"].as_array().unwrap().iter().filter(|plate| plate["subject"] == SUBJECT);
        assert_eq!(owned.count(), 1);
        let sale = json!({"plates": ["B123BC77"], "subjects": [SUBJECT]});
        let sale = api.post(&format!("/v1/sites/{SITE}/property-sales"), &sale, as_admin()).await;
        assert_eq!((sale.status, &sale.json["plates"]), (201, &2.into()));
        assert_eq!(api.get(&path(), as_admin()).await.json["plates"].as_array().unwrap().len(), 1, "the third stays");
        for plate in [
            json!({"plate": "A123BC77"}),
            json!({"plate": "B123BC77"}),
            json!({"plate": "E123BC77", "subject": SUBJECT}),
        ] {
            assert_eq!(api.post(&path(), &plate, as_admin()).await.problem(), (409, "blocked-by-sale"), "{plate}");
        }
        let lifted = json!({"plate": "A123BC77", "lifts_sale": sale.json["sale_id"]});
        assert_eq!(api.post(&path(), &lifted, as_admin()).await.status, 201);
    }

    #[tokio::test]
    async fn at_anothers_site_nothing_is_admitted() {
        let api = Api::new().await;
        let answer = api.post(&path(), &json!({"plate": "A123BC77"}), as_other()).await;
        assert_eq!(answer.problem(), (404, "not-found"));
    }
}
