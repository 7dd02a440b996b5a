//! `POST /v1/sites/{site}/controllers`: the operator registers a controller and gets its claim code, shown once.

use axum::extract::State;
use axum::response::Response;
use cardea_access::time::Timestamp;
use cardea_protocol::claim::ClaimTicket;
use cardea_protocol::id::{ControllerId, SiteId};
use cardea_protocol::rfc3339;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::web::extract::{Json, Params};
use crate::api::{at, created};
use crate::auth::Caller;
use crate::enrolment::claim_code::ClaimCode;
use crate::problem::Problem;
use crate::state::{App, ClaimDesk, Shared};
use crate::storage::controllers::RegisterError;

// === error ===

impl From<RegisterError> for Problem {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Exists => Self::Exists("controller"),
            RegisterError::UnknownSite => Self::NotFound,
            RegisterError::Storage(error) => error.into(),
        }
    }
}

// === doc ===

/// A controller to register.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterController {
    /// Its id, which becomes its certificate's common name.
    #[schema(value_type = String, example = "birch-street-12-gate")]
    controller_id: ControllerId,
}

/// A registered controller, waiting to be claimed.
#[derive(Serialize, ToSchema)]
pub(crate) struct ControllerRegistered {
    /// Its id.
    #[schema(value_type = String)]
    controller_id: ControllerId,
    /// One-time code for the installer. Shown this once, stored nowhere.
    claim_code: String,
    /// Until when it is good (RFC 3339).
    #[schema(format = DateTime)]
    claim_expires_at: String,
    /// All that a claim takes in one line, for a sheet (`cardea-cloud claim-sheet`) or a scanner: the code, where to go, and the
    /// fingerprint of the CA. As secret as the code.
    claim_uri: String,
}

// === handler ===

/// Register a controller.
#[utoipa::path(post, path = "/v1/sites/{site}/controllers", operation_id = "register_controller", tag = "operator",
    params(("site" = String, Path, description = "Site id")), request_body = RegisterController, security(("token" = [])),
    responses((status = 201, description = "Registered", body = ControllerRegistered)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(site): Params<SiteId>,
    Json(request): Json<RegisterController>,
) -> Result<Response, Problem> {
    let controller_id = request.controller_id;
    let fresh = FreshCode::make(&app).await?;
    let (hash, expires) = (fresh.hash.clone(), fresh.expires);
    app.storage.register_controller(&caller.scope(), &controller_id, &site, hash, expires, app.now()).await?;
    let location = format!("/v1/controllers/{controller_id}");
    Ok(at(location, created(&controller_id.clone(), fresh.for_controller(controller_id, site, &app.desk))))
}

/// A claim code that nobody has seen yet.
pub(in crate::api) struct FreshCode {
    code: ClaimCode,
    /// What is stored of it.
    pub(in crate::api) hash: String,
    /// Until when it is good.
    pub(in crate::api) expires: Timestamp,
}

impl FreshCode {
    /// Makes one, good for as long as the configuration says.
    pub(in crate::api) async fn make(app: &App) -> Result<Self, Problem> {
        let made = tokio::task::spawn_blocking(|| {
            let code = ClaimCode::generate()?;
            let hash = code.hash()?;
            Ok::<_, crate::keys::KeyError>((code, hash))
        });
        let made = made.await.map_err(|error| Problem::internal(&error))?;
        let (code, hash) = made.map_err(|error| Problem::internal(&error))?;
        let expires = app.now().plus_ms(i64::from(app.config.enrolment.claim_code_lifetime_s) * 1_000);
        Ok(Self { code, hash, expires })
    }

    /// Shows it, this once.
    pub(in crate::api) fn for_controller(
        self,
        controller: ControllerId,
        site: SiteId,
        desk: &ClaimDesk,
    ) -> ControllerRegistered {
        let ticket = ClaimTicket {
            controller,
            site,
            enrolment_url: desk.enrolment_url.clone(),
            api_url: desk.api_url.clone(),
            ca_sha256: desk.ca_sha256,
            code: self.code.reveal(),
        };
        ControllerRegistered {
            claim_code: ticket.code.to_string(),
            claim_expires_at: rfc3339::format(self.expires),
            claim_uri: ticket.line().to_string(),
            controller_id: ticket.controller,
        }
    }
}

// === tests ===

#[cfg(test)]
mod tests {
    use super::ClaimTicket;
    use crate::testing::{Api, SITE, as_operator};
    use serde_json::json;

    #[tokio::test]
    async fn a_controller_gets_a_code_and_a_name_of_its_own() {
        let api = Api::new().await;
        let path = format!("/v1/sites/{SITE}/controllers");
        let answer = api.post(&path, &json!({"controller_id": "gate-9"}), as_operator()).await;
        assert_eq!(answer.status, 201);
        assert_eq!(answer.json["claim_code"].as_str().unwrap().len(), 19);
        let ticket = ClaimTicket::read(answer.json["claim_uri"].as_str().unwrap()).unwrap();
        assert_eq!((ticket.controller.as_str(), ticket.site.as_str()), ("gate-9", SITE));
        assert_eq!(answer.json["claim_code"], *ticket.code);
        assert_eq!(answer.header("cache-control"), "no-store");
        let again = api.post(&path, &json!({"controller_id": "gate-9"}), as_operator()).await;
        assert_eq!(again.problem(), (409, "exists"));
        let nowhere =
            api.post("/v1/sites/nowhere/controllers", &json!({"controller_id": "gate-10"}), as_operator()).await;
        assert_eq!(nowhere.problem(), (404, "not-found"));
    }
}
