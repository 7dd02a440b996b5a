//! `POST /v1/sites/{site}/consents`: a resident's consent to the processing of biometrics is recorded (S10).

use axum::extract::State;
use axum::response::Response;
use cardea_access::time::Timestamp;
use cardea_protocol::id::{ConsentId, SaleId, SiteId, SubjectToken};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::web::extract::{Json, Params};
use crate::api::{created, short_text};
use crate::auth::Caller;
use crate::fingerprint;
use crate::problem::Problem;
use crate::state::Shared;
use crate::storage::consents::{ConsentError, NewConsent};

/// A clock of the customer's may be ahead by this much, milliseconds.
const CLOCK_SKEW_MS: i64 = 5 * 60 * 1_000;

// === error ===

impl From<ConsentError> for Problem {
    fn from(error: ConsentError) -> Self {
        match error {
            ConsentError::NotFound => Self::NotFound,
            ConsentError::UnknownText => {
                Self::Conflict("document_version names no consent text that is recorded: record the text first")
            }
            ConsentError::Active => Self::Conflict("the subject has an active consent at this site"),
            ConsentError::Blocked(sale) => Self::BlockedBySale { sale },
            ConsentError::EndedBySale => Self::Conflict("the consent has ended by a property sale"),
            ConsentError::Storage(error) => error.into(),
        }
    }
}

// === doc ===

/// A consent to record. The signed document stays with the customer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordConsent {
    /// The resident's opaque token, made by the customer: a UUID or 32 to 64 hexadecimal digits.
    #[schema(value_type = String, example = "5f0c2f0e-8a1b-4c5e-9d1e-0a1b2c3d4e5f")]
    subject: SubjectToken,
    /// Version of the text that was signed: one recorded by `POST /v1/consent-texts`.
    #[schema(example = "2026-03")]
    document_version: String,
    /// When it was signed (RFC 3339); not in the future.
    #[serde(with = "cardea_protocol::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    given_at: Timestamp,
    /// SHA-256 of the signed document, 64 hexadecimal digits.
    evidence_sha256: String,
    /// Lifts, on purpose, the block that this property sale has left.
    #[schema(value_type = Option<String>)]
    lifts_sale: Option<SaleId>,
}

/// A recorded consent.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConsentRecorded {
    /// Its id.
    #[schema(value_type = String)]
    consent_id: ConsentId,
}

// === handler ===

/// Record a consent.
#[utoipa::path(post, path = "/v1/sites/{site}/consents", operation_id = "record_consent", tag = "biometrics",
    params(("site" = String, Path, description = "Site id")), request_body = RecordConsent, security(("token" = [])),
    responses((status = 201, description = "Recorded", body = ConsentRecorded)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(site): Params<SiteId>,
    Json(request): Json<RecordConsent>,
) -> Result<Response, Problem> {
    let invalid = |rule: &str| Problem::InvalidField(rule.to_owned());
    let evidence = request.evidence_sha256.to_ascii_lowercase();
    if evidence.len() != 64 || !evidence.bytes().all(|c| c.is_ascii_hexdigit()) {
        return Err(invalid("evidence_sha256 is the SHA-256 of the signed document, 64 hexadecimal digits"));
    }
    if request.given_at > app.now().plus_ms(CLOCK_SKEW_MS) {
        return Err(invalid("given_at lies in the future: a consent is recorded after it was given"));
    }
    let consent = NewConsent {
        consent_id: ConsentId::random(),
        site: site.clone(),
        fingerprint: fingerprint::subject(&app.vault, &request.subject),
        subject: request.subject,
        document_version: short_text("document_version", request.document_version)?,
        given_at: request.given_at,
        evidence_sha256: evidence,
        lifts_sale: request.lifts_sale,
    };
    let consent_id = consent.consent_id.clone();
    app.storage.record_consent(&caller.scope(), consent, app.now()).await?;
    Ok(created(&consent_id.clone(), ConsentRecorded { consent_id }))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, SITE, SUBJECT, as_admin, consent};
    use serde_json::json;

    fn path() -> String {
        format!("/v1/sites/{SITE}/consents")
    }

    #[tokio::test]
    async fn a_consent_is_active_once() {
        let api = Api::new().await;
        assert_eq!(api.post(&path(), &consent(SUBJECT), as_admin()).await.status, 201);
        assert_eq!(api.post(&path(), &consent(SUBJECT), as_admin()).await.problem(), (409, "conflict"));
    }

    #[tokio::test]
    async fn personal_data_is_no_subject_token() {
        let api = Api::new().await;
        for subject in ["+79161234567", "ivan.petrov@example.org", "4509 123456", "Иван Петров"] {
            let answer = api.post(&path(), &consent(subject), as_admin()).await;
            assert_eq!(answer.problem(), (422, "invalid-field"), "{subject}");
            assert!(answer.json["detail"].as_str().unwrap().contains("opaque"));
            assert!(!answer.json.to_string().contains(subject));
        }
    }

    #[tokio::test]
    async fn a_consent_to_a_text_nobody_has_seen_is_refused() {
        let api = Api::new().await;
        let mut unknown = consent(SUBJECT);
        unknown["document_version"] = json!("2031-01");
        assert_eq!(api.post(&path(), &unknown, as_admin()).await.problem(), (409, "conflict"));
    }

    #[tokio::test]
    async fn evidence_and_date_are_checked() {
        let api = Api::new().await;
        let mut no_hash = consent(SUBJECT);
        no_hash["evidence_sha256"] = json!("abc");
        let mut future = consent(SUBJECT);
        future["given_at"] = json!("2099-01-01T00:00:00Z");
        for body in [no_hash, future] {
            assert_eq!(api.post(&path(), &body, as_admin()).await.problem(), (422, "invalid-field"));
        }
    }
}
