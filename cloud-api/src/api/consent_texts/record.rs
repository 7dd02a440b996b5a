//! `POST /v1/consent-texts`: a version of the text that residents consent to is recorded, for good.

use axum::extract::State;
use axum::response::Response;
use cardea_protocol::id::ConsentTextId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::api::web::extract::Json;
use crate::api::{at, created, short_text};
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;
use crate::storage::consent_texts::{ConsentText, ConsentTextError};

/// Longest text, characters: a form of several pages, and within the limit of a JSON body.
const MAX_CHARACTERS: usize = 30_000;

// === error ===

impl From<ConsentTextError> for Problem {
    fn from(error: ConsentTextError) -> Self {
        match error {
            ConsentTextError::Exists => {
                Self::Conflict("another text is recorded under this version: a changed text is a new version")
            }
            ConsentTextError::Storage(error) => error.into(),
        }
    }
}

// === doc ===

/// A text to record.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordConsentText {
    /// What consents name as their `document_version`.
    #[schema(example = "2026-03")]
    version: String,
    /// The language it is in (BCP 47).
    #[schema(example = "ru")]
    language: String,
    /// The text, as it is put before the resident: up to 30,000 characters.
    text: String,
}

/// A recorded text.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConsentTextRecorded {
    /// Its id.
    #[schema(value_type = String)]
    text_id: ConsentTextId,
    /// SHA-256 of the text (UTF-8), 64 hexadecimal digits.
    text_sha256: String,
}

/// The SHA-256 of a text, hexadecimal.
pub(in crate::api) fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// Whether it has the form of a language tag (RFC 5646 §2.1: subtags of one to eight letters and digits).
fn is_language(tag: &str) -> bool {
    let mut subtags = tag.split('-');
    let primary = subtags.next().unwrap_or_default();
    let is_primary = (2..=8).contains(&primary.len()) && primary.bytes().all(|c| c.is_ascii_alphabetic());
    let is_subtag = |s: &str| (1..=8).contains(&s.len()) && s.bytes().all(|c| c.is_ascii_alphanumeric());
    is_primary && subtags.all(is_subtag) && tag.len() <= 35
}

// === handler ===

/// Record a consent text. The same call again yields the same id; another text under the same version is refused.
#[utoipa::path(post, path = "/v1/consent-texts", operation_id = "record_consent_text", tag = "biometrics",
    request_body = RecordConsentText, security(("token" = [])),
    responses((status = 201, description = "Recorded", body = ConsentTextRecorded)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Json(request): Json<RecordConsentText>,
) -> Result<Response, Problem> {
    let customer = caller.customer.ok_or(Problem::RoleForbidden)?;
    let invalid = |rule: &str| Problem::InvalidField(rule.to_owned());
    if !is_language(&request.language) {
        return Err(invalid("language is a language tag such as ru or en-GB (BCP 47)"));
    }
    let is_control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    let characters = request.text.chars().count();
    if characters > MAX_CHARACTERS || request.text.trim().is_empty() || request.text.chars().any(is_control) {
        return Err(invalid("text is 1 to 30000 characters, without control characters but line ends and tabs"));
    }
    let text_sha256 = sha256(&request.text);
    let text_id = app
        .storage
        .record_consent_text(ConsentText {
            text_id: ConsentTextId::random(),
            customer,
            version: short_text("version", request.version)?,
            language: request.language,
            body: request.text,
            recorded_at: app.now(),
        })
        .await?;
    let location = format!("/v1/consent-texts/{text_id}");
    Ok(at(location, created(&text_id.clone(), ConsentTextRecorded { text_id, text_sha256 })))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, as_admin, as_other};
    use serde_json::json;

    const PATH: &str = "/v1/consent-texts";

    #[tokio::test]
    async fn a_version_is_recorded_once_and_stays_what_it_is() {
        let api = Api::new().await;
        let text = json!({"version": "2026-04", "language": "en", "text": "I agree.\nOr not."});
        let first = api.post(PATH, &text, as_admin()).await;
        let again = api.post(PATH, &text, as_admin()).await;
        assert_eq!((first.status, &first.json), (201, &again.json));
        for (field, other) in [("text", "I agree to more."), ("language", "de")] {
            let mut changed = text.clone();
            changed[field] = json!(other);
            assert_eq!(api.post(PATH, &changed, as_admin()).await.problem(), (409, "conflict"), "{field}");
        }
        // Another customer has versions of its own.
        let theirs = json!({"version": "2026-04", "language": "en", "text": "Something else."});
        assert_eq!(api.post(PATH, &theirs, as_other()).await.status, 201);

        let path = format!("{PATH}/{}", first.json["text_id"].as_str().unwrap());
        let read = api.get(&path, as_admin()).await;
        assert_eq!((&read.json["text"], &read.json["text_sha256"]), (&text["text"], &first.json["text_sha256"]));
        assert_eq!(api.get(&path, as_other()).await.problem(), (404, "not-found"));
        let listed = api.get(PATH, as_other()).await.json["consent_texts"].clone();
        assert!(listed.as_array().unwrap().iter().all(|one| one["text_id"] != first.json["text_id"]), "{listed}");
    }

    #[tokio::test]
    async fn what_is_no_text_or_no_language_is_refused() {
        let api = Api::new().await;
        let long = "x".repeat(super::MAX_CHARACTERS + 1);
        for (language, text) in
            [("english language", "a"), ("", "a"), ("e", "a"), ("en", " \n"), ("en", "a\u{7}"), ("en", &long)]
        {
            let body = json!({"version": "9", "language": language, "text": text});
            assert_eq!(api.post(PATH, &body, as_admin()).await.problem(), (422, "invalid-field"), "{language} {text}");
        }
    }
}
