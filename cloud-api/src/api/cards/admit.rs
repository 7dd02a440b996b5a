//! `POST /v1/sites/{site}/cards`: a card is admitted.

use axum::extract::State;
use axum::response::Response;
use cardea_access::card::CardNumber;
use cardea_access::time::Timestamp;
use cardea_protocol::card::CardHash;
use cardea_protocol::id::{CardId, SaleId, SiteId, SubjectToken};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::web::etag::tagged;
use crate::api::web::extract::{Json, Params};
use crate::api::{at, created, validity};
use crate::auth::Caller;
use crate::fingerprint;
use crate::problem::Problem;
use crate::state::Shared;
use crate::storage::cards::{CardStoreError, NewCard};

// === error ===

impl From<CardStoreError> for Problem {
    fn from(error: CardStoreError) -> Self {
        match error {
            CardStoreError::NotFound => Self::NotFound,
            CardStoreError::Exists => Self::Conflict(
                "the card is admitted already, with another validity or for somebody else: remove it first",
            ),
            CardStoreError::Blocked(sale) => Self::BlockedBySale { sale },
            CardStoreError::Storage(error) => error.into(),
        }
    }
}

// === doc ===

/// A card to admit.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdmitCard {
    /// Its number in one of the forms `w26:facility:number`, `w34:number`, `w37:number`, `w37f:facility:number`, `uid:hex` and
    /// `text:code`. Only its hash is stored.
    #[schema(example = "w26:12:34567")]
    number: String,
    /// The opaque token of the resident whose card it is: then a sale of the flat ends it.
    #[schema(value_type = Option<String>)]
    subject: Option<SubjectToken>,
    /// First instant it is admitted (RFC 3339); from now on where none is given.
    #[serde(default, with = "cardea_protocol::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    valid_from: Option<Timestamp>,
    /// First instant it is admitted no more (RFC 3339); for good where none is given.
    #[serde(default, with = "cardea_protocol::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    valid_until: Option<Timestamp>,
    /// Lifts, on purpose, the block that this property sale has left on the card.
    #[schema(value_type = Option<String>)]
    lifts_sale: Option<SaleId>,
}

/// An admitted card.
#[derive(Serialize, ToSchema)]
pub(crate) struct CardAdmitted {
    /// Its id.
    #[schema(value_type = String)]
    card_id: CardId,
}

// === handler ===

/// Admit a card. The same call again yields the same id.
#[utoipa::path(post, path = "/v1/sites/{site}/cards", operation_id = "admit_card", tag = "cards",
    params(("site" = String, Path, description = "Site id")), request_body = AdmitCard, security(("token" = [])),
    responses((status = 201, description = "Admitted", body = CardAdmitted)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(site): Params<SiteId>,
    Json(request): Json<AdmitCard>,
) -> Result<Response, Problem> {
    let hash = CardHash::of(&CardNumber::parse(&request.number).map_err(Problem::CardMalformed)?);
    let validity = validity(request.valid_from, request.valid_until)?;
    let card = NewCard {
        card_id: CardId::random(),
        site: site.clone(),
        fingerprint: fingerprint::card(&app.vault, &hash),
        subject_fingerprint: request.subject.as_ref().map(|subject| fingerprint::subject(&app.vault, subject)),
        hash,
        subject: request.subject,
        validity,
        lifts_sale: request.lifts_sale,
    };
    let (card_id, new) = app.storage.admit_card(&caller.scope(), card, app.now()).await?;
    if new {
        app.sync.changed(&site);
    }
    let location = format!("/v1/sites/{site}/cards/{card_id}");
    Ok(at(location, tagged(validity, created(&card_id.clone(), CardAdmitted { card_id }))))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, SITE, SUBJECT, as_admin, as_other};
    use serde_json::json;

    fn path() -> String {
        format!("/v1/sites/{SITE}/cards")
    }

    #[tokio::test]
    async fn however_it_is_written_it_is_one_card() {
        let api = Api::new().await;
        let first = api.post(&path(), &json!({"number": "uid:04A1B2C3"}), as_admin()).await;
        let again = api.post(&path(), &json!({"number": "uid:04:a1:b2:c3"}), as_admin()).await;
        assert_eq!((first.status, again.status), (201, 201));
        assert_eq!(first.json["card_id"], again.json["card_id"]);
        let other = api.post(&path(), &json!({"number": "uid:04A1B2C4"}), as_admin()).await;
        assert_ne!(first.json["card_id"], other.json["card_id"]);
    }

    #[tokio::test]
    async fn what_is_no_card_is_refused_and_not_repeated() {
        let api = Api::new().await;
        for number in ["", "98765", "w26:12", "w26:256:1", "uid:xyz", "text:a b c d", "+7 916 123-45-67"] {
            let answer = api.post(&path(), &json!({"number": number}), as_admin()).await;
            assert_eq!(answer.problem(), (422, "card-malformed"), "{number}");
            // The advice holds examples, which are not what was sent.
            assert!(number.is_empty() || number == "w26:12" || !answer.json.to_string().contains(number), "{number}");
        }
    }

    #[tokio::test]
    async fn another_validity_or_owner_is_a_conflict() {
        let api = Api::new().await;
        let card = json!({"number": "w34:305419896"});
        assert_eq!(api.post(&path(), &card, as_admin()).await.status, 201);
        let later = json!({"number": "w34:305419896", "valid_until": "2030-01-01T00:00:00Z"});
        assert_eq!(api.post(&path(), &later, as_admin()).await.problem(), (409, "conflict"));
        let owned = json!({"number": "w34:305419896", "subject": SUBJECT});
        assert_eq!(api.post(&path(), &owned, as_admin()).await.problem(), (409, "conflict"));
        assert_eq!(api.post(&path(), &card, as_other()).await.problem(), (404, "not-found"));
    }

    #[tokio::test]
    async fn a_sale_ends_the_cards_of_its_residents_and_blocks_them() {
        let api = Api::new().await;
        for (number, subject) in [("w26:1:1", Some(SUBJECT)), ("w26:1:2", None), ("w26:1:3", None)] {
            let card = json!({"number": number, "subject": subject});
            assert_eq!(api.post(&path(), &card, as_admin()).await.status, 201);
        }
        let sale = json!({"plates": [], "cards": ["w26:1:2"], "subjects": [SUBJECT]});
        let sale = api.post(&format!("/v1/sites/{SITE}/property-sales"), &sale, as_admin()).await;
        assert_eq!((sale.status, &sale.json["cards"]), (201, &2.into()));
        assert_eq!(api.get(&path(), as_admin()).await.json["cards"].as_array().unwrap().len(), 1, "the third stays");
        for card in [
            json!({"number": "w26:1:1"}),
            json!({"number": "w26:1:2"}),
            json!({"number": "w26:1:4", "subject": SUBJECT}),
        ] {
            assert_eq!(api.post(&path(), &card, as_admin()).await.problem(), (409, "blocked-by-sale"), "{card}");
        }
        let lifted = json!({"number": "w26:1:2", "lifts_sale": sale.json["sale_id"]});
        assert_eq!(api.post(&path(), &lifted, as_admin()).await.status, 201);
    }
}
