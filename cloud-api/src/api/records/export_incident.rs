//! `POST /v1/sites/{site}/incident-exports`: the logs an investigation needs, verifiable offline (S8).

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use cardea_access::time::Timestamp;
use cardea_protocol::id::SiteId;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::api::web::extract::{Json, Params};
use crate::audit::AuditError;
use crate::auth::Caller;
use crate::export::{self, ExportError, Header, Line, Period, Pseudonyms, SealLine};
use crate::keys::KeyError;
use crate::problem::Problem;
use crate::state::Shared;

/// The longest period of one export, milliseconds.
const MAX_PERIOD_MS: i64 = 93 * 24 * 3_600 * 1_000;

// === error ===

impl From<ExportError> for Problem {
    fn from(error: ExportError) -> Self {
        Self::internal(&error)
    }
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Storage(error) => error.into(),
            other => Self::internal(&other),
        }
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        Self::internal(&error)
    }
}

// === doc ===

/// The period to export.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportIncident {
    /// First instant (RFC 3339).
    #[serde(with = "cardea_protocol::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// First instant no more (RFC 3339); at most 93 days after `from`.
    #[serde(with = "cardea_protocol::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
}

/// The lines of a bundle: one header, any number of entries, one signature.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the lines of a bundle in the OpenAPI document")]
pub(crate) struct IncidentBundle {
    /// The first line.
    header: Header,
    /// The lines between.
    entries: Vec<Line>,
    /// The last line.
    signature: SealLine,
}

// === handler ===

/// Export an incident log, as JSON Lines. Verify it with `cardea-cloud verify-export` and `GET /v1/signing-keys`.
#[utoipa::path(post, path = "/v1/sites/{site}/incident-exports", operation_id = "export_incident", tag = "events",
    params(("site" = String, Path, description = "Site id")), request_body = ExportIncident, security(("token" = [])),
    responses((status = 200, description = "The bundle", body = IncidentBundle, content_type = "application/jsonl")))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(site): Params<SiteId>,
    Json(request): Json<ExportIncident>,
) -> Result<Response, Problem> {
    let period_ms = request.to.since_ms(request.from);
    if !(1..=MAX_PERIOD_MS).contains(&period_ms) {
        return Err(Problem::InvalidField("to lies after from, by at most 93 days".to_owned()));
    }
    let period = Period { site, from: request.from, until: request.to };
    let found = app.storage.incident(&caller.scope(), &period.site, period.from, period.until).await?;
    let (events, actions) = found.ok_or(Problem::NotFound)?;
    let signer = app.signing.signer().map_err(|error| Problem::internal(&error))?;
    crate::audit::sign(&app.storage, &signer, app.now()).await?;
    let bundle = export::bundle(&period, events, actions, &Pseudonyms::new()?, &signer, app.now())?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(export::CONTENT_TYPE)),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"incident.jsonl\"")),
    ];
    Ok((headers, bundle).into_response())
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::auth::roles::Role;
    use crate::export::verify;
    use crate::testing::{
        Api, CUSTOMER, OTHER_CUSTOMER, OTHER_SITE, SITE, as_admin, as_nobody, as_operator, as_other, as_role,
        as_service,
    };
    use serde_json::{Value, json};

    #[tokio::test]
    async fn an_export_verifies_and_holds_events_and_own_actions_only() {
        let api = Api::new().await;
        api.add_events(3).await;
        let plates = format!("/v1/sites/{SITE}/plates");
        api.post(&plates, &json!({"plate": "A123BC77"}), as_admin()).await;
        api.post(&plates, &json!({"plate": "A123BC77"}), as_other()).await;
        let path = format!("/v1/sites/{SITE}/incident-exports");
        let body = json!({"from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z"});
        let answer = api.post(&path, &body, as_admin()).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/jsonl".to_owned()));
        let summary = verify(&answer.bytes, &api.app.signing.verifier().unwrap()).unwrap();
        let text = String::from_utf8(answer.bytes).unwrap();
        // Three events, the admission, and the export itself, which has begun; nothing of the other customer's try.
        assert_eq!(summary.entries, 5, "{text}");
        assert!(!text.contains("A123BC77") && !text.contains("admin"));
    }

    #[tokio::test]
    async fn it_tells_what_the_operator_did_to_the_site_and_its_customer_and_nothing_else() {
        let api = Api::new().await;
        let account = |id: &str, customer: &str| json!({"principal_id": id, "customer_id": customer, "role": "resident-support", "subject_dn": "CN=x"});
        api.post("/v1/principals", &account("late-desk", CUSTOMER), as_operator()).await;
        api.post("/v1/principals", &account("oak-desk", OTHER_CUSTOMER), as_operator()).await;
        let own = json!({"principal_id": "chief", "role": "operator", "subject_dn": "CN=y"});
        api.post("/v1/principals", &own, as_role(Role::Administrator)).await;
        for account in ["service", "other-service", "installer"] {
            let path = format!("/v1/principals/{account}/revocation");
            assert_eq!(api.post_empty(&path, as_role(Role::SecurityOfficer)).await.status, 204, "{account}");
        }
        let gate = json!({"controller_id": "gate-2"});
        api.post(&format!("/v1/sites/{SITE}/controllers"), &gate, as_operator()).await;
        api.post(&format!("/v1/sites/{OTHER_SITE}/controllers"), &json!({"controller_id": "oak"}), as_operator()).await;
        api.post_empty("/v1/controllers/gate-2/revocation", as_operator()).await;
        api.post_empty("/v1/controllers/gate-2/decommissioning", as_operator()).await;
        api.post_empty("/v1/controllers/oak/revocation", as_operator()).await;
        let login = [("grant_type", "client_credentials"), ("client_id", "admin")];
        api.post_form("/oauth2/token", &login).await;
        api.post_form("/oauth2/token", &[("grant_type", "client_credentials"), ("client_id", "other")]).await;
        api.post(&format!("/v1/sites/{SITE}/plates"), &json!({"plate": "A123BC77"}), as_nobody()).await;

        let path = format!("/v1/sites/{SITE}/incident-exports");
        let body = json!({"from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z"});
        let text = String::from_utf8(api.post(&path, &body, as_admin()).await.bytes).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let actions: Vec<Value> = lines.map(|line| line["action"].clone()).filter(Value::is_object).collect();
        let told: Vec<&str> = actions.iter().map(|action| action["operation"].as_str().unwrap()).collect();
        let expected = [
            "register_principal",
            "revoke_principal",
            "register_controller",
            "revoke_controller",
            "decommission_controller",
            "token",
            "admit_plate",
            "export_incident",
        ];
        assert_eq!(told, expected, "{text}");
        let by: Vec<&str> = actions.iter().map(|action| action["by"].as_str().unwrap()).collect();
        assert!(by[..5].iter().all(|by| *by == "operator") && by[6] == "unknown" && by[5] == by[7], "{by:?}");
        assert!(actions[2]["target"].is_string() && actions[2]["target"] == actions[3]["target"], "{text}");
        for inside in ["gate-2", "late-desk", "oak", "chief", "installer", "security-officer"] {
            assert!(!text.contains(inside), "{inside} in {text}");
        }
    }

    #[tokio::test]
    async fn only_the_sites_own_and_only_with_the_role() {
        let api = Api::new().await;
        let path = format!("/v1/sites/{SITE}/incident-exports");
        let body = json!({"from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z"});
        assert_eq!(api.post(&path, &body, as_other()).await.problem(), (404, "not-found"));
        assert_eq!(api.post(&path, &body, as_service()).await.problem(), (403, "role-forbidden"));
        let inverted = json!({"from": "2026-12-01T00:00:00Z", "to": "2026-11-01T00:00:00Z"});
        assert_eq!(api.post(&path, &inverted, as_admin()).await.problem(), (422, "invalid-field"));
    }
}
