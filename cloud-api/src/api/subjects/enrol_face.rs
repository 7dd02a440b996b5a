//! `POST /v1/sites/{site}/subjects/{subject}/faces`: a photo becomes a template, if there is a consent (S10, S16).
//!
//! The photo stays in memory, is overwritten, and never reaches a disk or a log.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use cardea_models::FrameError;
use cardea_models::pipeline::EnrolError;
use cardea_protocol::digest::template_hash;
use cardea_protocol::id::{ConsentId, SiteId, SubjectToken, TemplateId};
use serde::Serialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::api::created;
use crate::api::web::extract::{self, Params, Photo};
use crate::api::web::idempotency;
use crate::auth::Caller;
use crate::auth::roles::Operation;
use crate::keys::SubjectKey;
use crate::problem::Problem;
use crate::recognition::EnrolFailure;
use crate::state::{App, Shared};
use crate::storage::idempotent_answers::AnswerKey;
use crate::storage::sites::Scope;
use crate::storage::templates::{NewTemplate, TemplateError};

// === error ===

impl From<TemplateError> for Problem {
    fn from(error: TemplateError) -> Self {
        match error {
            TemplateError::NotFound => Self::NotFound,
            TemplateError::ConsentMissing => Self::ConsentMissing,
            TemplateError::TooMany => Self::Conflict("five photos of one subject are kept at most"),
            TemplateError::Key(error) => Self::internal(&error),
            TemplateError::Storage(error) => error.into(),
        }
    }
}

impl From<EnrolFailure> for Problem {
    fn from(error: EnrolFailure) -> Self {
        match error {
            EnrolFailure::Unavailable => Self::RecognitionUnavailable,
            EnrolFailure::Photo(FrameError::TooLarge { .. }) => Self::ImageTooLarge,
            EnrolFailure::Photo(_) => Self::NotAnImage,
            EnrolFailure::Face(EnrolError::NoFace) => Self::NoFace,
            EnrolFailure::Face(EnrolError::SeveralFaces { .. }) => Self::SeveralFaces,
            EnrolFailure::Face(EnrolError::TooSmall { .. }) => Self::FaceTooSmall,
            EnrolFailure::Face(EnrolError::Blurred) => Self::FaceBlurred,
            EnrolFailure::Face(EnrolError::Inference(_)) | EnrolFailure::Inference(_) => Self::internal(&error),
        }
    }
}

// === doc ===

/// An enrolled face.
#[derive(Serialize, ToSchema)]
pub(crate) struct FaceEnrolled {
    /// Id of the biometric reference.
    template_id: String,
    /// How good the photo was.
    quality: PhotoQuality,
}

/// How good a photo was.
#[derive(Serialize, ToSchema)]
pub(crate) struct PhotoQuality {
    /// Distance between the eyes, pixels of the photo.
    eye_distance_px: f32,
    /// How sure the detector is that this is a face, 0 to 1.
    detection_score: f32,
}

// === handler ===

/// Enrol a face. The body is the photo itself, JPEG or PNG, of the resident alone, at most 8 MiB.
#[utoipa::path(post, path = "/v1/sites/{site}/subjects/{subject}/faces", operation_id = "enrol_face", tag = "biometrics",
    params(("site" = String, Path, description = "Site id"),
        ("subject" = String, Path, description = "The resident's opaque token")),
    request_body(content = Vec<u8>, content_type = "image/jpeg"), security(("token" = [])),
    responses((status = 201, description = "Enrolled; the template is on its way to the controllers", body = FaceEnrolled)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params((site, subject)): Params<(SiteId, String)>,
    headers: HeaderMap,
    photo: Result<Photo, Problem>,
) -> Result<Response, Problem> {
    let subject = extract::subject(&subject)?;
    let key = idempotency::given(&headers)?;
    let scope = caller.scope();
    // Before the photo is so much as looked at; and again in the transaction that stores the template.
    let consent = match app.storage.active_consent(&scope, &site, &subject).await? {
        None => return Err(Problem::NotFound),
        Some(None) => return Err(Problem::ConsentMissing),
        Some(Some(consent)) => consent,
    };
    let Photo(photo) = photo?;
    let Some(key) = key else { return enrol(&app, scope, site, subject, consent, photo).await };
    // Only now: the photo of whoever has not consented is not even fingerprinted.
    let request_of = format!("{} {site} {}\0", Operation::EnrolFace.id(), subject.as_str());
    let fingerprint = app.vault.hmac(&Zeroizing::new([request_of.as_bytes(), &photo].concat()));
    let key = AnswerKey { principal_id: caller.principal_id, key };
    let work = async { enrol(&app, scope, site, subject, consent, photo).await.unwrap_or_else(Problem::into_response) };
    Ok(idempotency::once(&app, key, fingerprint, Operation::EnrolFace, work).await)
}

async fn enrol(
    app: &App,
    scope: Scope,
    site: SiteId,
    subject: SubjectToken,
    consent: ConsentId,
    photo: Zeroizing<Vec<u8>>,
) -> Result<Response, Problem> {
    let enroller = app.enroller.clone();
    let enrolled = tokio::task::spawn_blocking(move || enroller.enrol(&photo)).await;
    let enrolled = enrolled.map_err(|error| Problem::internal(&error))??;
    let template_id = TemplateId::random();
    let (vault, id, whose, plaintext) =
        (app.vault.clone(), template_id.clone(), (site.clone(), subject.clone()), enrolled.template);
    let template = NewTemplate {
        template_id: template_id.clone(),
        site: site.clone(),
        subject,
        consent,
        model: enrolled.model,
        content_hash: template_hash(&plaintext),
        encrypt: move |wrapped: Option<Vec<u8>>| {
            let (site, subject) = &whose;
            let (key, wrapped) = match wrapped {
                Some(wrapped) => (vault.unwrap(site, subject, &wrapped)?, wrapped),
                None => {
                    let key = SubjectKey::generate()?;
                    let wrapped = vault.wrap(site, subject, &key)?;
                    (key, wrapped)
                }
            };
            Ok((wrapped, key.encrypt(&id, &plaintext)?))
        },
    };
    app.storage.add_template(&scope, template, app.now()).await?;
    app.sync.changed(&site);
    let quality = PhotoQuality { eye_distance_px: enrolled.eye_distance_px, detection_score: enrolled.detection_score };
    Ok(created(&template_id, FaceEnrolled { template_id: template_id.to_string(), quality }))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, FACE_PHOTO, SITE, SUBJECT, as_admin, as_other, consent};

    fn path() -> String {
        format!("/v1/sites/{SITE}/subjects/{SUBJECT}/faces")
    }

    #[tokio::test]
    async fn no_consent_no_photo() {
        let api = Api::new().await;
        let answer = api.post_photo(&path(), FACE_PHOTO, as_admin()).await;
        assert_eq!(answer.problem(), (403, "consent-missing"));
    }

    #[tokio::test]
    async fn with_consent_a_template_is_stored_encrypted() {
        let api = Api::new().await;
        api.post(&format!("/v1/sites/{SITE}/consents"), &consent(SUBJECT), as_admin()).await;
        assert_eq!(api.post_photo(&path(), FACE_PHOTO, as_other()).await.problem(), (404, "not-found"));
        for expected in [201, 201, 201, 201, 201, 409] {
            assert_eq!(api.post_photo(&path(), FACE_PHOTO, as_admin()).await.status, expected);
        }
        assert!(!api.database_bytes().await.windows(8).any(|bytes| bytes == b"TEMPLATE"));
        let (action, _, target, outcome) = api.app.storage.recent_actions(1).await.unwrap().remove(0);
        assert_eq!((action.as_str(), outcome.as_str()), ("enrol_face", "conflict"));
        assert_eq!(target, None, "a subject token is never in the audit");
    }

    #[tokio::test]
    async fn what_is_no_photo_of_one_face_is_told_apart() {
        let api = Api::new().await;
        api.post(&format!("/v1/sites/{SITE}/consents"), &consent(SUBJECT), as_admin()).await;
        for (photo, problem) in [
            (&b"no face"[..], (422, "no-face")),
            (b"two faces", (422, "several-faces")),
            (b"%PDF-1.7", (422, "not-an-image")),
        ] {
            assert_eq!(api.post_photo(&path(), photo, as_admin()).await.problem(), problem);
        }
    }

    #[tokio::test]
    async fn a_phone_number_is_no_subject() {
        let api = Api::new().await;
        let path = format!("/v1/sites/{SITE}/subjects/+79161234567/faces");
        assert_eq!(api.post_photo(&path, FACE_PHOTO, as_admin()).await.problem(), (422, "subject-not-opaque"));
    }

    #[tokio::test]
    async fn more_than_eight_mebibytes_are_refused() {
        let api = Api::new().await;
        api.post(&format!("/v1/sites/{SITE}/consents"), &consent(SUBJECT), as_admin()).await;
        let answer = api.post_photo(&path(), &vec![0xff; 8 * 1024 * 1024 + 1], as_admin()).await;
        assert_eq!(answer.problem(), (413, "body-too-large"));
    }
}
