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
use crate::api::subjects::duplicates;
use crate::api::subjects::photo_choice::{self, Choice, PhotoQuality, PhotoReport};
use crate::api::subjects::photos::{PhotoForm, Photos};
use crate::api::web::extract::{self, Params};
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
    /// How good the photo was that it was made of.
    quality: PhotoQuality,
    /// What became of each photo, in the order of the call.
    photos: Vec<PhotoReport>,
    /// Other residents of the site whose faces the door cannot tell from this one: the same person under two tokens, or a wrong
    /// photo. Nothing was refused for it.
    duplicates: Vec<String>,
}

// === handler ===

/// Enrol a face. The body is a photo of the resident alone, JPEG or PNG, at most 8 MiB; or a form of up to five of them, of
/// which the best is kept.
#[utoipa::path(post, path = "/v1/sites/{site}/subjects/{subject}/faces", operation_id = "enrol_face", tag = "biometrics",
    params(("site" = String, Path, description = "Site id"),
        ("subject" = String, Path, description = "The resident's opaque token")),
    request_body(content((Vec<u8> = "image/jpeg"), (PhotoForm = "multipart/form-data"))), security(("token" = [])),
    responses((status = 201, description = "Enrolled; the template is on its way to the controllers", body = FaceEnrolled)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params((site, subject)): Params<(SiteId, String)>,
    headers: HeaderMap,
    photos: Result<Photos, Problem>,
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
    let photos = photos?;
    let Some(key) = key else { return enrol(&app, scope, site, subject, consent, photos).await };
    // Only now: the photo of whoever has not consented is not even fingerprinted.
    let request_of = format!("{} {site} {}\0", Operation::EnrolFace.id(), subject.as_str());
    let fingerprint = app.vault.hmac(&Zeroizing::new([request_of.as_bytes(), &photos.digests()].concat()));
    let key = AnswerKey { principal_id: caller.principal_id, key };
    let work =
        async { enrol(&app, scope, site, subject, consent, photos).await.unwrap_or_else(Problem::into_response) };
    Ok(idempotency::once(&app, key, fingerprint, Operation::EnrolFace, work).await)
}

async fn enrol(
    app: &App,
    scope: Scope,
    site: SiteId,
    subject: SubjectToken,
    consent: ConsentId,
    photos: Photos,
) -> Result<Response, Problem> {
    let enroller = app.enroller.clone();
    let chosen = tokio::task::spawn_blocking(move || photo_choice::choose(&*enroller, &photos.0)).await;
    let Choice { enrolled, quality, reports } = chosen.map_err(|error| Problem::internal(&error))??;
    let template_id = TemplateId::random();
    let new = (enrolled.template.clone(), enrolled.same_person_cosine);
    let (of_site, of_subject) = (site.clone(), subject.clone());
    let (vault, id, whose, plaintext) =
        (app.vault.clone(), template_id.clone(), (site.clone(), subject.clone()), enrolled.template.to_bytes());
    let template = NewTemplate {
        template_id: template_id.clone(),
        site: site.clone(),
        subject,
        consent,
        model: enrolled.template.model().to_owned(),
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
    // After it is stored: of two that are enrolled at once, the later one sees the other.
    let held = app.storage.templates_of_model(&scope, &site, new.0.model()).await?;
    let vault = app.vault.clone();
    let alike = move || duplicates::of(&vault, &of_site, &of_subject, (&new.0, new.1), &held);
    let duplicates = tokio::task::spawn_blocking(alike).await.map_err(|error| Problem::internal(&error))?;
    let template_id = template_id.to_string();
    let answer = FaceEnrolled { template_id: template_id.clone(), quality, photos: reports, duplicates };
    Ok(created(&template_id, answer))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::faces::{ANOTHER_FACE, BETTER_PHOTO, template_bytes};
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
        let template = template_bytes();
        assert!(!api.database_bytes().await.windows(template.len()).any(|bytes| bytes == template));
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
    async fn of_several_photos_the_best_is_kept_and_each_is_reported() {
        let api = Api::new().await;
        api.post(&format!("/v1/sites/{SITE}/consents"), &consent(SUBJECT), as_admin()).await;
        let answer = api.post_photos(&path(), &[b"no face", FACE_PHOTO, BETTER_PHOTO], as_admin()).await;
        assert_eq!(answer.status, 201, "{}", answer.json);
        let photos = answer.json["photos"].as_array().unwrap();
        assert_eq!(photos.iter().map(|photo| photo["kept"] == true).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!((&photos[0]["reason"], photos[0]["advice"].is_string()), (&"no-face".into(), true));
        assert_eq!(photos[2]["comparison_quality"], answer.json["quality"]["comparison_quality"]);
        let held = api.get(&format!("/v1/sites/{SITE}/subjects/{SUBJECT}"), as_admin()).await;
        assert_eq!(held.json["templates"].as_array().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn several_photos_are_of_one_person_and_one_of_them_is_usable() {
        let api = Api::new().await;
        api.post(&format!("/v1/sites/{SITE}/consents"), &consent(SUBJECT), as_admin()).await;
        for (photos, problem) in [
            (&[FACE_PHOTO, ANOTHER_FACE][..], (422, "photos-differ")),
            (&[b"no face", b"two faces"], (422, "no-usable-photo")),
            (&[b"no face"], (422, "no-face")),
            (&[], (422, "invalid-field")),
            (&[FACE_PHOTO; 6], (422, "invalid-field")),
        ] {
            assert_eq!(api.post_photos(&path(), photos, as_admin()).await.problem(), problem);
        }
        let broken = api.post_bytes(&path(), "multipart/form-data; boundary=b", b"--b\r\n".to_vec(), as_admin()).await;
        assert_eq!(broken.problem(), (400, "malformed-request"));
        let held = api.get(&format!("/v1/sites/{SITE}/subjects/{SUBJECT}"), as_admin()).await;
        assert_eq!(held.json["templates"].as_array().unwrap().len(), 0, "nothing was kept");
    }

    #[tokio::test]
    async fn a_face_that_is_another_residents_too_is_told_and_kept() {
        let api = Api::new().await;
        let second = "7b2e4a20-ac3d-4e7a-9f30-2c3d4e5f6071";
        for subject in [SUBJECT, second] {
            api.post(&format!("/v1/sites/{SITE}/consents"), &consent(subject), as_admin()).await;
        }
        let of = |subject: &str| format!("/v1/sites/{SITE}/subjects/{subject}/faces");
        let first = api.post_photo(&of(SUBJECT), FACE_PHOTO, as_admin()).await;
        assert_eq!(first.json["duplicates"], serde_json::json!([]));
        let again = api.post_photo(&of(SUBJECT), BETTER_PHOTO, as_admin()).await;
        assert_eq!(again.json["duplicates"], serde_json::json!([]), "one's own face is no duplicate");
        let other = api.post_photo(&of(second), ANOTHER_FACE, as_admin()).await;
        assert_eq!((other.status, &other.json["duplicates"]), (201, &serde_json::json!([])));
        let same = api.post_photo(&of(second), BETTER_PHOTO, as_admin()).await;
        assert_eq!((same.status, &same.json["duplicates"]), (201, &serde_json::json!([SUBJECT])));
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
