//! `GET /v1/principals`: the accounts there are, without what proves them.

use axum::extract::State;
use axum::response::Response;
use cardea_protocol::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::web::extract::Query;
use crate::api::web::paging::{self, PageQuery};
use crate::auth::Caller;
use crate::auth::roles::Role;
use crate::problem::Problem;
use crate::state::Shared;
use crate::storage::accounts::Account;

// === doc ===

/// Accounts.
#[derive(Serialize, ToSchema)]
pub(crate) struct PrincipalList {
    /// In the order of their ids.
    principals: Vec<PrincipalView>,
    /// Pass it as `after` to get what comes next; nothing at the end.
    next: Option<String>,
}

/// An account.
#[derive(Serialize, ToSchema)]
pub(crate) struct PrincipalView {
    /// Its login and OAuth client id.
    principal_id: String,
    /// Whose it is; nothing for the operator's own.
    customer_id: Option<String>,
    /// What it may do.
    role: Role,
    /// When it was registered (RFC 3339).
    #[schema(format = DateTime)]
    registered_at: String,
    /// When it was revoked (RFC 3339).
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
}

impl From<Account> for PrincipalView {
    fn from(account: Account) -> Self {
        Self {
            principal_id: account.principal_id,
            customer_id: account.customer.map(|customer| customer.to_string()),
            role: account.role,
            registered_at: rfc3339::format(account.created_at),
            revoked_at: account.revoked_at.map(rfc3339::format),
        }
    }
}

// === handler ===

/// List accounts: a customer's auditor sees the customer's own.
#[utoipa::path(get, path = "/v1/principals", operation_id = "list_principals", tag = "accounts",
    params(PageQuery),
    security(("token" = [])), responses((status = 200, description = "The accounts", body = PrincipalList)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Response, Problem> {
    let page = query.page()?;
    let accounts = app.storage.accounts(&caller.scope()).await?;
    Ok(paging::answer(
        page,
        accounts,
        |account| &account.principal_id,
        Into::into,
        |principals, next| PrincipalList { principals, next },
    ))
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::auth::roles::Role;
    use crate::testing::{Api, as_role};

    #[tokio::test]
    async fn accounts_are_listed_without_their_proofs_and_to_a_customer_its_own() {
        let api = Api::new().await;
        let all = api.get("/v1/principals", as_role(Role::Administrator)).await;
        assert!(all.json["principals"].as_array().unwrap().len() > 8);
        assert!(!all.json.to_string().contains("CN="));
        let own = api.get("/v1/principals", as_role(Role::Auditor)).await;
        let ids: Vec<_> =
            own.json["principals"].as_array().unwrap().iter().map(|p| p["principal_id"].clone()).collect();
        assert_eq!(ids, ["admin", "auditor", "service"]);
    }

    #[tokio::test]
    async fn a_list_comes_in_pages_with_links() {
        let api = Api::new().await;
        let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
        loop {
            let page = api.get(&format!("/v1/principals{query}"), as_role(Role::Administrator)).await;
            seen.extend(page.json["principals"].as_array().unwrap().iter().map(|p| p["principal_id"].to_string()));
            let link = page.header("link");
            let Some(next) = link.strip_prefix('<').and_then(|link| link.split_once('>')) else {
                assert!(page.json["next"].is_null());
                break;
            };
            assert!(next.0.contains(page.json["next"].as_str().unwrap()) && next.1 == "; rel=\"next\"");
            next.0.clone_into(&mut query);
        }
        assert!(seen.len() > 8 && seen.is_sorted());
        let bad = api.get("/v1/principals?after=%00", as_role(Role::Administrator)).await;
        assert_eq!(bad.problem(), (422, "invalid-field"));
    }
}
