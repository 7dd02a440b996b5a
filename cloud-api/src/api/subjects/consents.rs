//! `GET /v1/sites/{site}/consents` and one of them: what has been recorded, those that have ended too.

use axum::extract::State;
use axum::response::Response;
use cardea_protocol::id::{ConsentId, SiteId};
use cardea_protocol::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::web::extract::{Params, Query};
use crate::api::web::paging::{self, PageQuery};
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;
use crate::storage::held::Consent;

// === doc ===

/// The consents recorded at a site.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConsentList {
    /// In the order of their ids.
    consents: Vec<ConsentView>,
    /// Pass it as `after` to get what comes next; nothing at the end.
    next: Option<String>,
}

/// A recorded consent.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConsentView {
    /// Its id.
    consent_id: String,
    /// Whose, by the customer's opaque token.
    subject: String,
    /// Version of the text that was signed.
    document_version: String,
    /// When it was signed (RFC 3339).
    #[schema(format = DateTime)]
    given_at: String,
    /// SHA-256 of the signed document.
    evidence_sha256: String,
    /// When it was recorded (RFC 3339).
    #[schema(format = DateTime)]
    recorded_at: String,
    /// When it ended (RFC 3339); none while it is active.
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// `withdrawal` or `property-sale`.
    ended_by: Option<String>,
}

impl From<Consent> for ConsentView {
    fn from(consent: Consent) -> Self {
        let (ended_at, ended_by) = consent.ended.unzip();
        Self {
            consent_id: consent.consent_id.to_string(),
            subject: consent.subject.as_str().to_owned(),
            document_version: consent.document_version,
            given_at: rfc3339::format(consent.given_at),
            evidence_sha256: consent.evidence_sha256,
            recorded_at: rfc3339::format(consent.recorded_at),
            ended_at: ended_at.map(rfc3339::format),
            ended_by,
        }
    }
}

// === handler ===

/// List a site's consents.
#[utoipa::path(get, path = "/v1/sites/{site}/consents", operation_id = "list_consents", tag = "biometrics",
    params(("site" = String, Path, description = "Site id"),
        PageQuery),
    security(("token" = [])), responses((status = 200, description = "The consents", body = ConsentList)))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    Params(site): Params<SiteId>,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    let page = query.page()?;
    let consents = app.storage.consents(&caller.scope(), &site).await?.ok_or(Problem::NotFound)?;
    Ok(paging::answer(
        page,
        consents,
        |consent| consent.consent_id.as_str(),
        Into::into,
        |consents, next| ConsentList { consents, next },
    ))
}

/// See a consent.
#[utoipa::path(get, path = "/v1/sites/{site}/consents/{consent}", operation_id = "read_consent", tag = "biometrics",
    params(("site" = String, Path, description = "Site id"), ("consent" = String, Path, description = "Consent id")),
    security(("token" = [])), responses((status = 200, description = "The consent", body = ConsentView)))]
pub(crate) async fn read(
    State(app): State<Shared>,
    caller: Caller,
    Params((site, consent)): Params<(SiteId, ConsentId)>,
) -> Result<axum::Json<ConsentView>, Problem> {
    let consent = app.storage.consent(&caller.scope(), &site, &consent).await?.ok_or(Problem::NotFound)?;
    Ok(axum::Json(consent.into()))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::testing::{Api, SITE, SUBJECT, as_admin, as_other, consent};

    #[tokio::test]
    async fn a_consent_is_shown_to_its_customer_and_says_how_it_ended() {
        let api = Api::new().await;
        let path = format!("/v1/sites/{SITE}/consents");
        let recorded = api.post(&path, &consent(SUBJECT), as_admin()).await;
        let one = format!("{path}/{}", recorded.json["consent_id"].as_str().unwrap());
        let active = api.get(&one, as_admin()).await.json;
        assert_eq!((&active["document_version"], &active["ended_at"]), (&"2026-03".into(), &serde_json::Value::Null));
        api.post_empty(&format!("{one}/withdrawal"), as_admin()).await;
        let listed = api.get(&path, as_admin()).await.json;
        assert_eq!(listed["consents"][0]["ended_by"], "withdrawal");
        assert_eq!(api.get(&one, as_other()).await.problem(), (404, "not-found"));
        assert_eq!(api.get(&path, as_other()).await.problem(), (404, "not-found"));
    }
}
