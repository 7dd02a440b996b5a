//! `GET /v1/consent-texts/{text}`: a version of the text that residents consent to.

use axum::extract::State;
use cardea_protocol::id::ConsentTextId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::consent_texts::list::ConsentTextView;
use crate::api::web::extract::Params;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;

// === doc ===

/// A version of a text, whole.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConsentTextWhole {
    /// What it is.
    #[serde(flatten)]
    about: ConsentTextView,
    /// The text, as it was recorded.
    text: String,
}

// === handler ===

/// See a consent text.
#[utoipa::path(get, path = "/v1/consent-texts/{text}", operation_id = "read_consent_text", tag = "biometrics",
    params(("text" = String, Path, description = "Id of the text")), security(("token" = [])),
    responses((status = 200, description = "The text", body = ConsentTextWhole)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(text): Params<ConsentTextId>,
) -> Result<axum::Json<ConsentTextWhole>, Problem> {
    let text = app.storage.consent_text(&caller.scope(), &text).await?.ok_or(Problem::NotFound)?;
    Ok(axum::Json(ConsentTextWhole { about: (&text).into(), text: text.body }))
}
