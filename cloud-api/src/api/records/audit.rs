//! `GET /v1/audit`: who asked for what through this API, and what became of it; newest first.

use axum::extract::State;
use axum::response::Response;
use cardea_protocol::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::web::extract::Query;
use crate::api::web::paging::{self, PageQuery, linked};
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;
use crate::storage::audit_log::AuditEntry;

// === doc ===

/// Calls that change something, refused ones too.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditPage {
    /// Newest first.
    calls: Vec<AuditedCall>,
    /// Pass it as `after` to get older ones; nothing at the end.
    next: Option<String>,
}

/// One call.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditedCall {
    /// When (RFC 3339).
    #[schema(format = DateTime)]
    at: String,
    /// Who asked; nothing for a call without a valid token, and to a customer for the operator's staff.
    principal_id: Option<String>,
    /// Whose data it touched.
    customer_id: Option<String>,
    /// The site it named.
    site_id: Option<String>,
    /// The operation.
    operation: String,
    /// Id of what it acted on.
    target: Option<String>,
    /// `done`, the type of a problem, or `begun` where the cloud ended before the call did.
    outcome: String,
}

impl From<AuditEntry> for AuditedCall {
    fn from(entry: AuditEntry) -> Self {
        Self {
            at: rfc3339::format(entry.at),
            principal_id: entry.principal_id,
            customer_id: entry.customer.map(|customer| customer.to_string()),
            site_id: entry.site.map(|site| site.to_string()),
            operation: entry.action,
            target: entry.target,
            outcome: entry.outcome,
        }
    }
}

// === handler ===

/// Read the audit: a customer's auditor reads of the customer's own sites and accounts.
#[utoipa::path(get, path = "/v1/audit", operation_id = "read_audit", tag = "accounts",
    params(PageQuery),
    security(("token" = [])), responses((status = 200, description = "The calls", body = AuditPage)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    let page = query.page()?;
    let before = page.after.as_deref().map(str::parse::<i64>).transpose().map_err(|_| paging::no_cursor())?;
    let entries = app.storage.audit_entries(&caller.scope(), before, page.limit + 1).await?;
    let more = entries.len() > page.limit as usize;
    let entries: Vec<AuditEntry> = entries.into_iter().take(page.limit as usize).collect();
    let next = entries.last().filter(|_| more).map(|last| paging::cursor(&last.entry.to_string()));
    let link = next.clone();
    let calls = entries.into_iter().map(Into::into).collect();
    Ok(linked(AuditPage { calls, next }, page.limit, link.as_deref()))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::auth::roles::Role;
    use crate::testing::{Api, SITE, as_account, as_admin, as_operator, as_other, as_role};
    use serde_json::json;

    #[tokio::test]
    async fn the_audit_is_read_in_pages_and_by_a_customer_about_its_own() {
        let api = Api::new().await;
        let plates = format!("/v1/sites/{SITE}/plates");
        for plate in ["A123BC77", "A124BC77", "?"] {
            api.post(&plates, &json!({"plate": plate}), as_admin()).await;
        }
        api.post(&plates, &json!({"plate": "A123BC77"}), as_other()).await;
        api.post(&format!("/v1/sites/{SITE}/controllers"), &json!({"controller_id": "g"}), as_operator()).await;
        let first = api.get("/v1/audit?limit=2", as_role(Role::SecurityOfficer)).await;
        let call = &first.json["calls"][0];
        assert_eq!((&call["operation"], &call["principal_id"]), (&"register_controller".into(), &"operator".into()));
        let next = first.json["next"].as_str().unwrap();
        let second = api.get(&format!("/v1/audit?limit=3&after={next}"), as_account("supervisor")).await;
        let outcomes: Vec<_> = second.json["calls"].as_array().unwrap().iter().map(|c| c["outcome"].clone()).collect();
        assert_eq!(outcomes, ["plate-malformed", "done", "done"]);
        let own = api.get("/v1/audit", as_role(Role::Auditor)).await;
        let calls = own.json["calls"].as_array().unwrap();
        assert_eq!(calls.len(), 4, "its own three, and the operator's at its site");
        assert!(calls[0]["principal_id"].is_null() && !own.json.to_string().contains("\"other\""));
    }
}
