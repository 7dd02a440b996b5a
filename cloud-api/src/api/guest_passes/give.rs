//! `POST /v1/sites/{site}/guest-passes`: a guest may come in.

use axum::extract::State;
use axum::response::Response;
use cardea_access::plate::Plate;
use cardea_access::time::Timestamp;
use cardea_protocol::id::{GuestPassId, PlateId, SiteId, SubjectToken};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::created;
use crate::api::web::extract::{Json, Params};
use crate::auth::Caller;
use crate::fingerprint;
use crate::problem::Problem;
use crate::state::Shared;
use crate::storage::guest_passes::NewGuestPass;
use crate::storage::plates::NewPlate;

/// A guest who stays longer is a resident: admit the plate.
const LONGEST_DAYS: i64 = 31;
const DAY_MS: i64 = 86_400_000;

// === doc ===

/// A pass to give.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GiveGuestPass {
    /// The guest's plate, as people write it. Without one, the pass is good for opening by order.
    #[schema(example = "А123ВС 77")]
    plate: Option<String>,
    /// The opaque token of the host: a sale of the host's flat ends the pass.
    #[schema(value_type = Option<String>)]
    subject: Option<SubjectToken>,
    /// First instant it counts (RFC 3339); from now on where none is given.
    #[serde(default, with = "cardea_protocol::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    valid_from: Option<Timestamp>,
    /// First instant it counts no more (RFC 3339), at most 31 days after the first.
    #[serde(with = "cardea_protocol::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    valid_until: Timestamp,
    /// Whether it ends with the first entry, as it does where nothing is given: a plate five minutes after it was let in, so
    /// that a boom which came down too soon opens again. A controller that cannot be reached learns of an entry elsewhere when
    /// it can.
    #[serde(default = "once")]
    #[schema(default = true)]
    single_entry: bool,
}

const fn once() -> bool {
    true
}

/// A pass that was given.
#[derive(Serialize, ToSchema)]
pub(crate) struct GuestPassGiven {
    /// Its id.
    #[schema(value_type = String)]
    pass_id: GuestPassId,
}

// === handler ===

/// Give a guest a pass.
#[utoipa::path(post, path = "/v1/sites/{site}/guest-passes", operation_id = "give_guest_pass", tag = "guest passes",
    params(("site" = String, Path, description = "Site id")), request_body = GiveGuestPass, security(("token" = [])),
    responses((status = 201, description = "Given", body = GuestPassGiven)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(site): Params<SiteId>,
    Json(request): Json<GiveGuestPass>,
) -> Result<Response, Problem> {
    let now = app.now();
    let (from, until) = (request.valid_from.unwrap_or(now), request.valid_until);
    if until <= from || until <= now || until.since_ms(from) > LONGEST_DAYS * DAY_MS {
        let rule = "valid_until must be in the future and after valid_from, by 31 days at most";
        return Err(Problem::InvalidField(rule.to_owned()));
    }
    let plate = request.plate.map(|plate| Plate::parse(&plate, &app.grammars)).transpose();
    let plate = plate.map_err(Problem::PlateMalformed)?;
    let subject = request.subject.map(|subject| {
        let fingerprint = fingerprint::subject(&app.vault, &subject);
        (subject, fingerprint)
    });
    let plate = plate.map(|plate| NewPlate {
        plate_id: PlateId::random(),
        site: site.clone(),
        fingerprint: fingerprint::plate(&app.vault, &plate),
        plate,
        // The car is the guest's: it is not the host who drives it.
        subject: None,
        subject_fingerprint: None,
        schedule: None,
        single_entry: request.single_entry,
        validity: cardea_protocol::message::Validity { from: Some(from), until: Some(until) },
        lifts_sale: None,
    });
    let (pass_id, admits) = (GuestPassId::random(), plate.is_some());
    let single_entry = request.single_entry;
    let pass = NewGuestPass { pass_id: pass_id.clone(), site: site.clone(), subject, plate, single_entry, from, until };
    app.storage.give_pass(&caller.scope(), pass, now).await?;
    if admits {
        app.sync.changed(&site);
    }
    let location = format!("/v1/sites/{site}/guest-passes/{pass_id}");
    Ok(crate::api::at(location, created(&pass_id.clone(), GuestPassGiven { pass_id })))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, SITE, SUBJECT, as_admin, as_other};
    use serde_json::json;

    fn path() -> String {
        format!("/v1/sites/{SITE}/guest-passes")
    }

    #[tokio::test]
    async fn a_guests_plate_is_admitted_with_the_pass_and_goes_with_it() {
        let api = Api::new().await;
        let pass = json!({"plate": "A123BC77", "subject": SUBJECT, "valid_until": "2026-11-30T00:00:00Z"});
        let given = api.post(&path(), &pass, as_admin()).await;
        assert_eq!(given.status, 201, "{}", given.json);
        let plates = api.get(&format!("/v1/sites/{SITE}/plates"), as_admin()).await.json;
        let plate = &plates["plates"][0];
        assert_eq!((&plate["plate"], &plate["single_entry"]), (&json!("A123BC77"), &json!(true)), "{plates}");
        assert_eq!(plate["valid_until"], "2026-11-30T00:00:00Z");
        assert_eq!(api.post(&path(), &pass, as_admin()).await.problem(), (409, "conflict"), "admitted already");

        let plate_path = format!("/v1/sites/{SITE}/plates/{}", plate["plate_id"].as_str().unwrap());
        let longer =
            api.send_json(&axum::http::Method::PATCH, &plate_path, &json!({"valid_until": null}), as_admin()).await;
        assert_eq!(longer.problem(), (409, "conflict"), "a pass stays bounded");
        let id = given.json["pass_id"].as_str().unwrap();
        let one = format!("{}/{id}", path());
        let view = api.get(&one, as_admin()).await.json;
        assert_eq!((&view["state"], &view["plate_id"]), (&json!("valid"), &plate["plate_id"]), "{view}");
        assert_eq!(api.delete(&one, as_other()).await.problem(), (404, "not-found"));
        assert_eq!(api.delete(&one, as_admin()).await.status, 204);
        assert_eq!(api.delete(&one, as_admin()).await.problem(), (404, "not-found"), "ended already");
        let plates = api.get(&format!("/v1/sites/{SITE}/plates"), as_admin()).await.json;
        assert_eq!(plates["plates"], json!([]));
        assert_eq!(api.get(&one, as_admin()).await.json["state"], "ended");
    }

    #[tokio::test]
    async fn a_pass_is_bounded() {
        let api = Api::new().await;
        for (pass, code) in [
            (json!({"plate": "A123BC77"}), 422),
            (json!({"valid_until": "2020-01-01T00:00:00Z"}), 422),
            (json!({"valid_until": "2027-06-01T00:00:00Z"}), 422),
            (json!({"valid_from": "2026-12-02T00:00:00Z", "valid_until": "2026-12-01T00:00:00Z"}), 422),
            (json!({"plate": "nothing", "valid_until": "2026-11-30T00:00:00Z"}), 422),
        ] {
            let answer = api.post(&path(), &pass, as_admin()).await;
            assert_eq!(answer.status, code, "{pass}: {}", answer.json);
        }
        assert_eq!(api.get(&path(), as_admin()).await.json["guest_passes"], json!([]));
    }

    #[tokio::test]
    async fn a_sale_of_the_hosts_flat_ends_the_passes_and_no_new_one_is_given() {
        let api = Api::new().await;
        let of_host = json!({"subject": SUBJECT, "valid_until": "2026-11-30T00:00:00Z"});
        let of_nobody = json!({"valid_until": "2026-11-30T00:00:00Z"});
        let car = json!({"plate": "E123BC77", "subject": SUBJECT, "valid_until": "2026-11-30T00:00:00Z"});
        for pass in [&of_host, &car] {
            assert_eq!(api.post(&path(), pass, as_admin()).await.status, 201);
        }
        api.post(&path(), &of_nobody, as_admin()).await;
        let sale = json!({"plates": ["A123BC77"], "subjects": [SUBJECT]});
        let sale = api.post(&format!("/v1/sites/{SITE}/property-sales"), &sale, as_admin()).await;
        assert_eq!((sale.status, &sale.json["plates"]), (201, &json!(2)), "the one that is named, and the guest's");
        let plates = api.get(&format!("/v1/sites/{SITE}/plates"), as_admin()).await.json;
        assert_eq!(plates["plates"], json!([]), "the guest's car is admitted no more");
        let passes = api.get(&path(), as_admin()).await.json;
        for pass in passes["guest_passes"].as_array().unwrap() {
            let state = if pass["subject"].is_null() { "valid" } else { "ended" };
            assert_eq!(pass["state"], state, "{pass}");
        }
        assert_eq!(api.post(&path(), &of_host, as_admin()).await.problem(), (409, "blocked-by-sale"));
        let sold = json!({"plate": "A123BC77", "valid_until": "2026-11-30T00:00:00Z"});
        assert_eq!(api.post(&path(), &sold, as_admin()).await.problem(), (409, "blocked-by-sale"));
    }
}
