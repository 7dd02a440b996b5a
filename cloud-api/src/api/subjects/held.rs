//! `GET /v1/sites/{site}/subjects/{subject}`: what is held of a resident, for the right of access (152-FZ art. 14).

use axum::extract::State;
use cardea_protocol::Timestamp;
use cardea_protocol::id::{SiteId, SubjectToken};
use cardea_protocol::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::guest_passes::list::GuestPassView;
use crate::api::plates::list::PlateView;
use crate::api::subjects::consents::ConsentView;
use crate::api::web::extract::{self, Params};
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;

// === doc ===

/// What is held of a resident at a site. Templates are named, never shown.
#[derive(Serialize, ToSchema)]
pub(crate) struct SubjectView {
    /// The resident's opaque token.
    subject: String,
    /// Consents, those that have ended too, oldest first.
    consents: Vec<ConsentView>,
    /// Biometric templates.
    templates: Vec<TemplateView>,
    /// Admitted plates that were registered for this resident.
    plates: Vec<PlateView>,
    /// Passes for guests that were given for this resident, those too that are over.
    guest_passes: Vec<GuestPassView>,
    /// Admitted cards that were registered for this resident.
    cards: Vec<SubjectCard>,
    /// Controllers that were sent a template.
    controllers: Vec<String>,
    /// Erasures, oldest first.
    erasures: Vec<SubjectErasure>,
}

/// A template.
#[derive(Serialize, ToSchema)]
pub(crate) struct TemplateView {
    /// Its id.
    template_id: String,
    /// The model it was made with.
    model: String,
    /// Since when (RFC 3339).
    #[schema(format = DateTime)]
    created_at: String,
}

/// A card of the resident's.
#[derive(Serialize, ToSchema)]
pub(crate) struct SubjectCard {
    /// Its id.
    card_id: String,
    /// First instant it is admitted (RFC 3339).
    #[schema(format = DateTime)]
    valid_from: Option<String>,
    /// First instant it is admitted no more (RFC 3339).
    #[schema(format = DateTime)]
    valid_until: Option<String>,
}

/// An erasure of the resident's biometrics.
#[derive(Serialize, ToSchema)]
pub(crate) struct SubjectErasure {
    /// Its id.
    erasure_id: String,
    /// When it was ordered (RFC 3339).
    #[schema(format = DateTime)]
    ordered_at: String,
    /// When the last receipt arrived (RFC 3339).
    #[schema(format = DateTime)]
    completed_at: Option<String>,
}

// === handler ===

/// See what is held of a resident.
#[utoipa::path(get, path = "/v1/sites/{site}/subjects/{subject}", operation_id = "read_subject", tag = "biometrics",
    params(("site" = String, Path, description = "Site id"),
        ("subject" = String, Path, description = "The resident's opaque token")),
    security(("token" = [])), responses((status = 200, description = "All of it", body = SubjectView)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params((site, subject)): Params<(SiteId, String)>,
) -> Result<axum::Json<SubjectView>, Problem> {
    let subject: SubjectToken = extract::subject(&subject)?;
    let held = app.storage.held(&caller.scope(), &site, &subject).await?.ok_or(Problem::NotFound)?;
    if held.is_empty() {
        return Err(Problem::NotFound);
    }
    let moment = |at: Option<Timestamp>| at.map(rfc3339::format);
    Ok(axum::Json(SubjectView {
        subject: subject.as_str().to_owned(),
        consents: held.consents.into_iter().map(Into::into).collect(),
        templates: held
            .templates
            .into_iter()
            .map(|template| TemplateView {
                template_id: template.template_id.to_string(),
                model: template.model,
                created_at: rfc3339::format(template.created_at),
            })
            .collect(),
        plates: held.plates.into_iter().map(Into::into).collect(),
        guest_passes: held.passes.into_iter().map(|pass| GuestPassView::new(pass, app.now())).collect(),
        cards: held
            .cards
            .into_iter()
            .map(|(card, validity)| SubjectCard {
                card_id: card.to_string(),
                valid_from: moment(validity.from),
                valid_until: moment(validity.until),
            })
            .collect(),
        controllers: held.controllers.iter().map(ToString::to_string).collect(),
        erasures: held
            .erasures
            .into_iter()
            .map(|(erasure, ordered_at, completed_at)| SubjectErasure {
                erasure_id: erasure.to_string(),
                ordered_at: rfc3339::format(ordered_at),
                completed_at: moment(completed_at),
            })
            .collect(),
    }))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, FACE_PHOTO, SITE, SUBJECT, as_admin, as_other, consent};
    use serde_json::json;

    #[tokio::test]
    async fn everything_held_is_told_and_no_template_is_shown() {
        let api = Api::new().await;
        let site = format!("/v1/sites/{SITE}");
        let path = format!("{site}/subjects/{SUBJECT}");
        assert_eq!(api.get(&path, as_admin()).await.problem(), (404, "not-found"));
        let recorded = api.post(&format!("{site}/consents"), &consent(SUBJECT), as_admin()).await;
        api.post_photo(&format!("{path}/faces"), FACE_PHOTO, as_admin()).await;
        api.post(&format!("{site}/cards"), &json!({"number": "w26:1:2", "subject": SUBJECT}), as_admin()).await;

        let plate = json!({"plate": "A123BC77", "subject": SUBJECT});
        api.post(&format!("{site}/plates"), &plate, as_admin()).await;

        let pass = json!({"subject": SUBJECT, "valid_until": "2026-11-30T00:00:00Z"});
        api.post(&format!("{site}/guest-passes"), &pass, as_admin()).await;

        let held = api.get(&path, as_admin()).await.json;
        let count = |of: &serde_json::Value, what: &str| of[what].as_array().unwrap().len();
        let counts = ["consents", "templates", "plates", "guest_passes", "cards"].map(|what| count(&held, what));
        assert_eq!(counts, [1, 1, 1, 1, 1], "{held}");
        assert!(!held.to_string().contains("ciphertext") && !held.to_string().contains("w26"), "{held}");
        assert_eq!(api.get(&path, as_other()).await.problem(), (404, "not-found"));

        let consent = recorded.json["consent_id"].as_str().unwrap();
        api.post_empty(&format!("{site}/consents/{consent}/withdrawal"), as_admin()).await;
        let held = api.get(&path, as_admin()).await.json;
        assert_eq!((count(&held, "templates"), count(&held, "erasures")), (0, 1), "{held}");
    }

    #[tokio::test]
    async fn a_phone_number_is_no_subject() {
        let api = Api::new().await;
        let answer = api.get(&format!("/v1/sites/{SITE}/subjects/+79161234567"), as_admin()).await;
        assert_eq!(answer.problem(), (422, "subject-not-opaque"));
    }
}
