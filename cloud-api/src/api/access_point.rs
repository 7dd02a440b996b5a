//! `POST /v1/access-points/{id}/open`: a barrier or door is opened on demand, without personal data (S14).
//!
//! The call waits for the controller's final answer. An order is carried out at most once and never later: an
//! unreachable controller is an immediate, honest error.

use axum::extract::State;
use cardea_protocol::id::{AccessPointId, CommandId, GuestPassId, SiteId};
use cardea_protocol::message::CommandOutcome;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::web::extract::{IdempotencyKey, Params};
use crate::api::web::idempotency::ABANDONED_AFTER_MS;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::{App, Shared};
use crate::storage::commands::{Begun, CommandRecord, NewCommand};
use crate::sync::OpenError;

// === error ===

impl From<OpenError> for Problem {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::UnknownAccessPoint => Self::NotFound,
            OpenError::Unreachable => Self::ControllerUnreachable,
            OpenError::Unanswered => Self::ControllerUnanswered,
            OpenError::Storage(error) => error.into(),
        }
    }
}

// === doc ===

/// What became of an order to open.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenOutcome {
    /// Its id.
    command_id: String,
    /// `confirmed`: the mechanism reported that it has opened. `not-confirmed`: the relay was switched, and the mechanism
    /// did not report or has no sensor. `accepted`: switched, no final answer yet. `refused`: not done.
    state: String,
    /// Why it was refused: a stable reason code.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

// === handler ===

/// Open a barrier or door. The same `Idempotency-Key` again yields the first call's outcome and opens nothing.
#[utoipa::path(post, path = "/v1/access-points/{access_point}/open", operation_id = "open_access_point",
    tag = "access points", security(("token" = [])),
    params(("access_point" = String, Path, description = "Access point id"),
        ("Idempotency-Key" = String, Header, description = "A fresh id of the caller's, such as a UUID")),
    responses((status = 200, description = "The outcome", body = OpenOutcome)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(access_point): Params<AccessPointId>,
    IdempotencyKey(idempotency_key): IdempotencyKey,
) -> Result<axum::Json<OpenOutcome>, Problem> {
    let site = app.storage.site_of_access_point(&caller.scope(), &access_point).await?.ok_or(Problem::NotFound)?;
    carry_out(&app, &caller, Order { site, access_point, pass: None, idempotency_key }).await
}

/// An order to open an access point of the caller's.
pub(super) struct Order {
    /// Where it is.
    pub(super) site: SiteId,
    /// What to open.
    pub(super) access_point: AccessPointId,
    /// The guest pass it is opened with.
    pub(super) pass: Option<GuestPassId>,
    /// The caller's key.
    pub(super) idempotency_key: String,
}

/// Has an order carried out, unless it was given before.
pub(super) async fn carry_out(app: &App, caller: &Caller, order: Order) -> Result<axum::Json<OpenOutcome>, Problem> {
    let (command_id, begun_at) = (CommandId::random(), app.now());
    let command = NewCommand {
        command_id: command_id.clone(),
        site: order.site.clone(),
        access_point: order.access_point.clone(),
        pass: order.pass.clone(),
        principal_id: caller.principal_id.clone(),
        idempotency_key: order.idempotency_key.clone(),
    };
    if let Some(pass) = &order.pass {
        // A pass that is not there is no order.
        app.storage.pass(&caller.scope(), &order.site, pass).await?.ok_or(Problem::NotFound)?;
    }
    if let Begun::Before(before) = app.storage.begin_command(command, begun_at).await? {
        return repeated(before, &order, begun_at).map(axum::Json);
    }
    let result = match take_pass(app, caller, &order, &command_id).await? {
        Ok(()) => app.sync.open(command_id.clone(), &order.access_point, &order.site).await,
        Err(refused) => Ok(refused),
    };
    let (state, reason, opened) = match &result {
        Ok(CommandOutcome::Accepted) => ("accepted", None, true),
        Ok(CommandOutcome::Confirmed) => ("confirmed", None, true),
        Ok(CommandOutcome::NotConfirmed) => ("not-confirmed", None, true),
        Ok(CommandOutcome::Refused { reason }) => ("refused", Some(reason.clone()), false),
        // It may have been.
        Err(OpenError::Unanswered) => ("unanswered", None, true),
        Err(_) => ("unreachable", None, false),
    };
    if let Some(pass) = order.pass.filter(|_| !opened) {
        app.storage.return_opening(&pass, &command_id).await?;
    }
    app.storage.finish_command(&command_id, state, reason.clone(), app.now()).await?;
    result?;
    Ok(axum::Json(OpenOutcome { command_id: command_id.to_string(), state: state.to_owned(), reason }))
}

/// Takes the opening of the order's pass, if it has one; otherwise the refusal.
async fn take_pass(
    app: &App,
    caller: &Caller,
    order: &Order,
    command: &CommandId,
) -> Result<Result<(), CommandOutcome>, Problem> {
    let Some(pass) = &order.pass else { return Ok(Ok(())) };
    let taken = app.storage.take_opening(&caller.scope(), &order.site, pass, command, app.now()).await?;
    Ok(taken.ok_or(Problem::NotFound)?.map_err(|why| CommandOutcome::Refused { reason: why.reason().to_owned() }))
}

/// The outcome of the first call with the same key.
fn repeated(before: CommandRecord, order: &Order, now: cardea_access::time::Timestamp) -> Result<OpenOutcome, Problem> {
    let same = before.access_point == order.access_point && before.pass == order.pass;
    if !same {
        return Err(Problem::IdempotencyKeyReused);
    }
    match before.state.as_str() {
        "sent" if now.since_ms(before.requested_at) < ABANDONED_AFTER_MS => Err(Problem::InProgress),
        "sent" | "unanswered" => Err(Problem::ControllerUnanswered),
        "unreachable" => Err(Problem::ControllerUnreachable),
        _ => Ok(OpenOutcome { command_id: before.command_id.to_string(), state: before.state, reason: before.reason }),
    }
}

// === tests ===

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::events::By;
    use crate::storage::sites::Scope;
    use crate::testing::{Api, BARRIER, SITE, as_admin, as_other};
    use cardea_access::time::Timestamp;
    use cardea_protocol::id::SiteId;

    fn path() -> String {
        format!("/v1/access-points/{BARRIER}/open")
    }

    #[tokio::test]
    async fn an_absent_controller_is_an_honest_error_and_stays_one() {
        let api = Api::new().await;
        let first = api.post_keyed(&path(), "key-1", as_admin()).await;
        assert_eq!(first.problem(), (503, "controller-unreachable"));
        assert_eq!(api.post_keyed(&path(), "key-1", as_admin()).await.problem(), (503, "controller-unreachable"));
    }

    #[tokio::test]
    async fn a_key_is_needed_and_anothers_barrier_does_not_exist() {
        let api = Api::new().await;
        assert_eq!(api.post_empty(&path(), as_admin()).await.problem(), (400, "idempotency-key-missing"));
        assert_eq!(api.post_keyed(&path(), "key-1", as_other()).await.problem(), (404, "not-found"));
    }

    #[tokio::test]
    async fn who_asked_to_open_is_in_the_export_of_the_site() {
        let api = Api::new().await;
        api.post_keyed(&path(), "key-1", as_admin()).await;
        api.post_keyed(&path(), "key-1", as_other()).await;
        let site = SiteId::new(SITE).unwrap();
        let ever = (Timestamp(0), Timestamp(i64::MAX));
        let found = api.app.storage.incident(&Scope::Operator, &site, ever.0, ever.1).await.unwrap();
        let (_, actions) = found.unwrap();
        let opens: Vec<_> = actions.iter().filter(|action| action.action == "open_access_point").collect();
        assert_eq!(opens.len(), 1, "the site's own customer, and nobody else's");
        assert_eq!(
            (&opens[0].by, opens[0].outcome.as_str()),
            (&By::Account("admin".to_owned()), "controller-unreachable")
        );
    }

    fn record(state: &str) -> CommandRecord {
        CommandRecord {
            command_id: CommandId::new("c").unwrap(),
            access_point: AccessPointId::new("gate").unwrap(),
            pass: None,
            state: state.to_owned(),
            reason: None,
            requested_at: Timestamp(0),
        }
    }

    #[test]
    fn a_repeated_key_opens_nothing_and_tells_the_first_outcome() {
        let order = |point: &str, pass: Option<&str>| Order {
            site: SiteId::new(SITE).unwrap(),
            access_point: AccessPointId::new(point).unwrap(),
            pass: pass.map(|pass| GuestPassId::new(pass).unwrap()),
            idempotency_key: "key-1".to_owned(),
        };
        let gate = order("gate", None);
        assert_eq!(repeated(record("confirmed"), &gate, Timestamp(1)).unwrap().state, "confirmed");
        assert!(matches!(repeated(record("sent"), &gate, Timestamp(1)), Err(Problem::InProgress)));
        assert!(matches!(repeated(record("sent"), &gate, Timestamp(60_000)), Err(Problem::ControllerUnanswered)));
        for other in [order("door", None), order("gate", Some("pass"))] {
            assert!(matches!(repeated(record("confirmed"), &other, Timestamp(1)), Err(Problem::IdempotencyKeyReused)));
        }
    }
}
