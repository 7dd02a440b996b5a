//! `GET /v1/consent-texts`: the versions of the text that residents consent to.

use axum::extract::State;
use axum::response::Response;
use cardea_protocol::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::consent_texts::record::sha256;
use crate::api::web::extract::Query;
use crate::api::web::paging::{self, PageQuery};
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;
use crate::storage::consent_texts::ConsentText;

// === doc ===

/// The versions of a customer's text.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConsentTextList {
    /// In the order of their ids.
    consent_texts: Vec<ConsentTextView>,
    /// Pass it as `after` to get what comes next; nothing at the end.
    next: Option<String>,
}

/// A version of a text, but for the text itself.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConsentTextView {
    /// Its id.
    pub(in crate::api) text_id: String,
    /// Whose residents consent to it.
    customer_id: String,
    /// What consents name as their `document_version`.
    version: String,
    /// The language it is in (BCP 47).
    language: String,
    /// SHA-256 of the text (UTF-8), 64 hexadecimal digits.
    text_sha256: String,
    /// When it was recorded (RFC 3339).
    #[schema(format = DateTime)]
    recorded_at: String,
}

impl From<&ConsentText> for ConsentTextView {
    fn from(text: &ConsentText) -> Self {
        Self {
            text_id: text.text_id.to_string(),
            customer_id: text.customer.to_string(),
            version: text.version.clone(),
            language: text.language.clone(),
            text_sha256: sha256(&text.body),
            recorded_at: rfc3339::format(text.recorded_at),
        }
    }
}

// === handler ===

/// List consent texts.
#[utoipa::path(get, path = "/v1/consent-texts", operation_id = "list_consent_texts", tag = "biometrics",
    params(PageQuery),
    security(("token" = [])), responses((status = 200, description = "The texts", body = ConsentTextList)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    let page = query.page()?;
    let texts = app.storage.consent_texts(&caller.scope()).await?;
    Ok(paging::answer(
        page,
        texts,
        |text| text.text_id.as_str(),
        |text| (&text).into(),
        |consent_texts, next| ConsentTextList { consent_texts, next },
    ))
}
