//! `POST /v1/principals/{principal}/revocation`: an account gets no token any more, and those it has count no longer.

use axum::extract::State;
use axum::http::StatusCode;
use cardea_protocol::id::CustomerId;

use crate::api::web::extract::Params;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;
use crate::storage::accounts::AccountError;

// === error ===

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::NotFound => Self::NotFound,
            AccountError::Revoked => Self::Conflict("the account is revoked already"),
            AccountError::NotInstaller => Self::Conflict("only an installer's account is given sites"),
            AccountError::UnknownSite => Self::Conflict("one of the sites is not registered: register it first"),
            AccountError::Storage(error) => error.into(),
        }
    }
}

// === handler ===

/// Revoke an account, for good. Its id stays taken, so that the audit stays unambiguous.
#[utoipa::path(post, path = "/v1/principals/{principal}/revocation", operation_id = "revoke_principal", tag = "accounts",
    params(("principal" = String, Path, description = "Account id")), security(("token" = [])),
    responses((status = 204, description = "Done; its tokens count no longer")))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(principal): Params<CustomerId>,
) -> Result<StatusCode, Problem> {
    if caller.principal_id == principal.as_str() {
        return Err(Problem::Conflict("an account does not revoke itself: let another one do it"));
    }
    app.storage.revoke_principal(principal.as_str(), app.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

// === tests ===

#[cfg(test)]
mod tests {
    use crate::auth::roles::Role;
    use crate::testing::{Api, as_admin, as_role};

    #[tokio::test]
    async fn a_revoked_accounts_tokens_count_no_longer() {
        let api = Api::new().await;
        assert_eq!(api.get("/v1/sites", as_admin()).await.status, 200);
        let path = "/v1/principals/admin/revocation";
        assert_eq!(api.post_empty(path, as_role(Role::SecurityOfficer)).await.status, 204);
        assert_eq!(api.get("/v1/sites", as_admin()).await.problem(), (401, "token-invalid"));
        assert_eq!(api.post_empty(path, as_role(Role::Administrator)).await.problem(), (409, "conflict"));
        let unknown = api.post_empty("/v1/principals/nobody/revocation", as_role(Role::Administrator)).await;
        assert_eq!(unknown.problem(), (404, "not-found"));
        let own = api.post_empty("/v1/principals/administrator/revocation", as_role(Role::Administrator)).await;
        assert_eq!(own.problem(), (409, "conflict"), "nobody locks out the last administrator by a slip");
    }
}
