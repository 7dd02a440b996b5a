//! `GET /v1/sites/{site}/cards`: the cards admitted at a site.

use axum::extract::State;
use axum::response::Response;
use cardea_protocol::id::SiteId;
use cardea_protocol::message::CardEntry;
use cardea_protocol::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::web::extract::{Params, Query};
use crate::api::web::paging::{self, PageQuery};
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;

// === doc ===

/// The cards admitted at a site.
#[derive(Serialize, ToSchema)]
pub(crate) struct CardList {
    /// In the order of their ids.
    cards: Vec<CardView>,
    /// Pass it as `after` to get what comes next; nothing at the end.
    next: Option<String>,
}

/// An admitted card. Its number is not stored and cannot be told.
#[derive(Serialize, ToSchema)]
pub(crate) struct CardView {
    /// Its id.
    card_id: String,
    /// Whose it is, where that was said.
    subject: Option<String>,
    /// First instant it is admitted (RFC 3339).
    #[schema(format = DateTime)]
    valid_from: Option<String>,
    /// First instant it is admitted no more (RFC 3339).
    #[schema(format = DateTime)]
    valid_until: Option<String>,
}

impl From<CardEntry> for CardView {
    fn from(entry: CardEntry) -> Self {
        Self {
            card_id: entry.card_id.to_string(),
            subject: entry.subject.map(|subject| subject.as_str().to_owned()),
            valid_from: entry.validity.from.map(rfc3339::format),
            valid_until: entry.validity.until.map(rfc3339::format),
        }
    }
}

// === handler ===

/// List a site's cards.
#[utoipa::path(get, path = "/v1/sites/{site}/cards", operation_id = "list_cards", tag = "cards",
    params(("site" = String, Path, description = "Site id"),
        PageQuery), security(("token" = [])),
    responses((status = 200, description = "The cards", body = CardList)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(site): Params<SiteId>,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    let page = query.page()?;
    let cards = app.storage.cards(&caller.scope(), &site).await?.ok_or(Problem::NotFound)?;
    Ok(paging::answer(page, cards, |entry| entry.card_id.as_str(), Into::into, |cards, next| CardList { cards, next }))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, SITE, SUBJECT, as_admin, as_other};
    use serde_json::json;

    #[tokio::test]
    async fn cards_are_listed_to_their_customer_without_their_numbers() {
        let api = Api::new().await;
        let path = format!("/v1/sites/{SITE}/cards");
        let card = json!({"number": "uid:04A1B2C3D4E5F6", "subject": SUBJECT, "valid_until": "2030-01-01T00:00:00Z"});
        api.post(&path, &card, as_admin()).await;
        let answer = api.get(&path, as_admin()).await;
        assert_eq!(answer.json["cards"][0]["subject"], SUBJECT);
        assert_eq!(answer.json["cards"][0]["valid_until"], "2030-01-01T00:00:00Z");
        assert!(!answer.json.to_string().contains("04A1B2C3D4E5F6"));
        assert_eq!(api.get(&path, as_other()).await.problem(), (404, "not-found"));
        let stored = api.database_bytes().await;
        assert!(!stored.windows(14).any(|bytes| bytes == b"04A1B2C3D4E5F6"), "the number itself is never stored");
    }
}
