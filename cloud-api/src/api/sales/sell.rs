//! `POST /v1/sites/{site}/property-sales`: the former owner's plates, cards and biometrics are blocked, as one operation (S12).

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use cardea_access::card::CardNumber;
use cardea_access::plate::Plate;
use cardea_protocol::card::CardHash;
use cardea_protocol::id::{SaleId, SiteId, SubjectToken};
use cardea_protocol::rfc3339;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::web::extract::{Json, Params};
use crate::api::{at, created};
use crate::auth::Caller;
use crate::fingerprint;
use crate::problem::Problem;
use crate::state::{App, Shared};
use crate::storage::sales::{NewSale, Sale};

/// More than any flat has.
const MAX_ENTRIES: usize = 100;

// === doc ===

/// A sale.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SellProperty {
    /// The former owner's plates, as people write them. Blocked even where they are not admitted.
    plates: Vec<String>,
    /// The former owner's cards, by number. Those of the residents below need not be named.
    #[serde(default)]
    cards: Vec<String>,
    /// The former residents' opaque tokens.
    #[schema(value_type = Vec<String>)]
    subjects: Vec<SubjectToken>,
}

/// A sale and how far it has come.
#[derive(Serialize, ToSchema)]
pub(crate) struct SaleView {
    /// Its id.
    sale_id: String,
    /// Where.
    site_id: String,
    /// `pending` until every controller has acknowledged and every erasure is complete, then `complete`.
    state: String,
    /// The revision that carries it to the controllers.
    revision: u64,
    /// How many plates it blocked.
    plates: u32,
    /// How many cards it blocked, those of the residents included.
    cards: u32,
    /// How many subjects it blocked.
    subjects: u32,
    /// The erasures it ordered.
    erasures: Vec<String>,
    /// When (RFC 3339).
    #[schema(format = DateTime)]
    at: String,
}

impl SaleView {
    /// The sale with the one state that speaks for plates, cards and biometrics together.
    pub(in crate::api) async fn of(app: &App, caller: &Caller, sale: Sale) -> Result<Self, Problem> {
        let erasures = app.storage.erasures_of_sale(&caller.scope(), &sale.sale_id).await?;
        let erased = erasures.iter().all(|erasure| erasure.completed_at.is_some());
        let complete = erased && sale.controllers_behind == 0;
        Ok(Self {
            sale_id: sale.sale_id.to_string(),
            site_id: sale.site.to_string(),
            state: if complete { "complete" } else { "pending" }.to_owned(),
            revision: sale.revision.0,
            plates: sale.plates,
            cards: sale.cards,
            subjects: sale.subjects,
            erasures: sale.erasures.iter().map(ToString::to_string).collect(),
            at: rfc3339::format(sale.at),
        })
    }
}

// === handler ===

/// Block a former owner. A late or repeated grant of the same plate, card or subject is refused until it names this sale.
#[utoipa::path(post, path = "/v1/sites/{site}/property-sales", operation_id = "sell_property", tag = "sales",
    params(("site" = String, Path, description = "Site id")), request_body = SellProperty, security(("token" = [])),
    responses((status = 201, description = "Blocked; the controllers are being told", body = SaleView)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(site): Params<SiteId>,
    Json(request): Json<SellProperty>,
) -> Result<Response, Problem> {
    let scope = caller.scope();
    let customer = caller.customer.clone().ok_or(Problem::RoleForbidden)?;
    let entries = request.plates.len() + request.cards.len() + request.subjects.len();
    if entries == 0 || entries > MAX_ENTRIES {
        return Err(Problem::InvalidField(format!("give 1 to {MAX_ENTRIES} plates, cards and subjects together")));
    }
    let mut plates = BTreeMap::new();
    for plate in &request.plates {
        let plate = Plate::parse(plate, &app.grammars).map_err(Problem::PlateMalformed)?;
        let fingerprint = fingerprint::plate(&app.vault, &plate);
        plates.insert(plate, fingerprint);
    }
    let mut cards = BTreeMap::new();
    for card in &request.cards {
        let hash = CardHash::of(&CardNumber::parse(card).map_err(Problem::CardMalformed)?);
        let fingerprint = fingerprint::card(&app.vault, &hash);
        cards.insert(hash, fingerprint);
    }
    let with_fingerprint = |subject: SubjectToken| (subject.clone(), fingerprint::subject(&app.vault, &subject));
    let subjects: BTreeMap<_, _> = request.subjects.into_iter().map(with_fingerprint).collect();
    let sale = NewSale {
        sale_id: SaleId::random(),
        site: site.clone(),
        customer,
        plates: plates.into_iter().collect(),
        cards: cards.into_iter().collect(),
        subjects: subjects.into_iter().collect(),
    };
    let (vault, vault_too) = (app.vault.clone(), app.vault.clone());
    let of_plate = move |plate: &Plate| fingerprint::plate(&vault, plate);
    let of_card = move |hash: &CardHash| fingerprint::card(&vault_too, hash);
    let sale =
        app.storage.sell_property(&scope, sale, (of_plate, of_card), app.now()).await?.ok_or(Problem::NotFound)?;
    app.taken_back(&site).await?;
    let location = format!("/v1/property-sales/{}", sale.sale_id);
    Ok(at(location, created(&sale.sale_id.clone(), SaleView::of(&app, &caller, sale).await?)))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, FACE_PHOTO, SITE, SUBJECT, as_admin, as_other, as_service, consent};
    use serde_json::json;

    #[tokio::test]
    async fn a_sale_blocks_plate_and_face_until_it_is_lifted_by_name() {
        let api = Api::new().await;
        let (plates, consents) = (format!("/v1/sites/{SITE}/plates"), format!("/v1/sites/{SITE}/consents"));
        let faces = format!("/v1/sites/{SITE}/subjects/{SUBJECT}/faces");
        api.post(&plates, &json!({"plate": "A123BC77"}), as_admin()).await;
        api.post(&consents, &consent(SUBJECT), as_admin()).await;
        assert_eq!(api.post_photo(&faces, FACE_PHOTO, as_admin()).await.status, 201);

        let body = json!({"plates": ["А123ВС77", "B555OP99"], "subjects": [SUBJECT]});
        let path = format!("/v1/sites/{SITE}/property-sales");
        assert_eq!(api.post(&path, &body, as_service()).await.problem(), (403, "role-forbidden"));
        assert_eq!(api.post(&path, &body, as_other()).await.problem(), (404, "not-found"));
        let before = api.revision().await;
        let sale = api.post(&path, &body, as_admin()).await;
        assert_eq!((sale.status, &sale.json["plates"], &sale.json["subjects"]), (201, &2.into(), &1.into()));
        assert_eq!(api.revision().await, before + 1, "one change for all");
        assert_eq!(sale.json["erasures"].as_array().unwrap().len(), 1);
        assert_eq!(api.get(&plates, as_admin()).await.json["plates"], json!([]));

        for plate in ["A123BC77", "B555OP99"] {
            assert_eq!(
                api.post(&plates, &json!({"plate": plate}), as_admin()).await.problem(),
                (409, "blocked-by-sale")
            );
        }
        assert_eq!(api.post(&consents, &consent(SUBJECT), as_admin()).await.problem(), (409, "blocked-by-sale"));
        assert_eq!(api.post_photo(&faces, FACE_PHOTO, as_admin()).await.problem(), (403, "consent-missing"));

        let lifted = json!({"plate": "A123BC77", "lifts_sale": sale.json["sale_id"]});
        assert_eq!(api.post(&plates, &lifted, as_admin()).await.status, 201);
    }

    /// Whatever comes first, what the former owner had opens nothing afterwards.
    #[tokio::test]
    async fn a_sale_against_another_one_an_enrolment_and_an_admission_at_once() {
        for first in 0..5 {
            let api = Api::new().await;
            let site = format!("/v1/sites/{SITE}");
            let faces = format!("{site}/subjects/{SUBJECT}/faces");
            api.post(&format!("{site}/consents"), &consent(SUBJECT), as_admin()).await;
            let sale = json!({"plates": ["A123BC77"], "subjects": [SUBJECT]});
            let plate = json!({"plate": "E123BC77", "subject": SUBJECT});
            let pass = json!({"plate": "K123BC77", "subject": SUBJECT, "valid_until": "2026-11-30T00:00:00Z"});
            let calls = (0..5).map(|n| {
                let (api, site, faces, sale, plate, pass) = (&api, &site, &faces, &sale, &plate, &pass);
                async move {
                    match (n + first) % 5 {
                        0 | 1 => api.post(&format!("{site}/property-sales"), sale, as_admin()).await,
                        2 => api.post_photo(faces, FACE_PHOTO, as_admin()).await,
                        3 => api.post(&format!("{site}/plates"), plate, as_admin()).await,
                        _ => api.post(&format!("{site}/guest-passes"), pass, as_admin()).await,
                    }
                }
            });
            let answers = futures_util::future::join_all(calls).await;
            for answer in &answers {
                assert!([201, 403, 409].contains(&answer.status), "{first}: {} {}", answer.status, answer.json);
            }
            assert_eq!(api.get(&format!("{site}/plates"), as_admin()).await.json["plates"], json!([]), "{first}");
            let held = api.get(&format!("{site}/subjects/{SUBJECT}"), as_admin()).await.json;
            assert_eq!(held["templates"], json!([]), "{first}");
            assert!(held["consents"].as_array().unwrap().iter().all(|consent| consent["ended_by"] == "property-sale"));
            assert!(held["guest_passes"].as_array().unwrap().iter().all(|pass| pass["state"] == "ended"), "{held}");
            assert_eq!(api.post_photo(&faces, FACE_PHOTO, as_admin()).await.problem(), (403, "consent-missing"));
        }
    }

    #[tokio::test]
    async fn one_bad_entry_and_nothing_is_done() {
        let api = Api::new().await;
        api.post(&format!("/v1/sites/{SITE}/plates"), &json!({"plate": "A123BC77"}), as_admin()).await;
        let path = format!("/v1/sites/{SITE}/property-sales");
        let body = json!({"plates": ["A123BC77", "not a plate"], "subjects": []});
        assert_eq!(api.post(&path, &body, as_admin()).await.problem(), (422, "plate-malformed"));
        let empty = json!({"plates": [], "subjects": []});
        assert_eq!(api.post(&path, &empty, as_admin()).await.problem(), (422, "invalid-field"));
        let plates = api.get(&format!("/v1/sites/{SITE}/plates"), as_admin()).await;
        assert_eq!(plates.json["plates"].as_array().unwrap().len(), 1);
    }
}
