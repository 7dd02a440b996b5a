//! `GET /v1/controllers/{controller}`: the operator sees whether a controller is there, and in sync.

use axum::extract::State;
use cardea_access::time::Timestamp;
use cardea_protocol::id::{ControllerId, ErasureId};
use cardea_protocol::message::StalenessLimits;
use cardea_protocol::rfc3339;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::web::extract::Params;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Shared;
use crate::storage::controllers::Controller;
use crate::storage::owed::ToAccountFor;

// === doc ===

/// A controller as the cloud knows it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ControllerView {
    /// Its id.
    controller_id: String,
    /// Where it stands.
    site_id: String,
    /// `registered`, `active`, `revoked` or `decommissioned`.
    status: String,
    /// Whether it is connected.
    connected: bool,
    /// Whether its digest equalled the cloud's own when it last acknowledged, and nothing has changed since.
    in_sync: bool,
    /// The revision it last acknowledged.
    cursor: u64,
    /// The digest it last reported, over what it really held at `cursor`.
    digest: Option<String>,
    /// The newest revision of its site.
    site_revision: u64,
    /// When it last acknowledged (RFC 3339).
    #[schema(format = DateTime)]
    applied_at: Option<String>,
    /// When it was last heard of (RFC 3339).
    #[schema(format = DateTime)]
    last_seen: Option<String>,
    /// `cardead`'s version.
    software: Option<String>,
    /// The embedder it compares faces with.
    embedder: Option<String>,
    /// From when on its plates, faces and cards no longer open, if it stays away. None of them while it is connected.
    refuses_from: RefusesFromView,
    /// When it was revoked (RFC 3339).
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
    /// When its storage was declared destroyed or wiped (RFC 3339).
    #[schema(format = DateTime)]
    decommissioned_at: Option<String>,
    /// What is to be accounted for before it holds nothing of residents. Of a revoked controller nobody will hear it is gone:
    /// it stays so until the controller is decommissioned.
    to_account_for: ToAccountForView,
}

/// From when on a controller that is away refuses what it cannot know to be current. Not said: that kind is not in use there, or
/// counts for ever.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct RefusesFromView {
    /// Plates (RFC 3339).
    #[schema(format = DateTime)]
    plate: Option<String>,
    /// Faces (RFC 3339).
    #[schema(format = DateTime)]
    face: Option<String>,
    /// Cards (RFC 3339).
    #[schema(format = DateTime)]
    card: Option<String>,
}

impl RefusesFromView {
    /// The last word it can have had is no later than it was last heard of.
    fn of(controller: &Controller) -> Self {
        let Some(last_seen) = controller.last_seen.filter(|_| !controller.connected) else { return Self::default() };
        let from = |limit_s: Option<u32>| limit_s.map(|s| rfc3339::format(last_seen.plus_ms(i64::from(s) * 1_000)));
        let StalenessLimits { plate_s, face_s, card_s } = controller.staleness;
        Self { plate: from(plate_s), face: from(face_s), card: from(card_s) }
    }
}

/// What a controller may still hold.
#[derive(Serialize, ToSchema)]
pub(crate) struct ToAccountForView {
    /// Residents of whom it was ever sent a template and whose erasure was not ordered since.
    subjects: u32,
    /// Erasures it was ordered to carry out and has not signed for.
    erasures_owed: u32,
    /// The oldest of these, at most 100.
    erasures: Vec<OwedErasureView>,
}

/// An erasure that waits for a controller.
#[derive(Serialize, ToSchema)]
pub(crate) struct OwedErasureView {
    /// Its id.
    erasure_id: String,
    /// Since when it waits (RFC 3339).
    #[schema(format = DateTime)]
    waiting_since: String,
}

impl From<ToAccountFor> for ToAccountForView {
    fn from(held: ToAccountFor) -> Self {
        let view = |(erasure, since): (ErasureId, Timestamp)| OwedErasureView {
            erasure_id: erasure.to_string(),
            waiting_since: rfc3339::format(since),
        };
        Self {
            subjects: held.subjects,
            erasures_owed: held.owed,
            erasures: held.erasures.into_iter().map(view).collect(),
        }
    }
}

// === handler ===

/// See a controller.
#[utoipa::path(get, path = "/v1/controllers/{controller}", operation_id = "read_controller", tag = "operator",
    params(("controller" = String, Path, description = "Controller id")), security(("token" = [])),
    responses((status = 200, description = "The controller", body = ControllerView)))]
pub(crate) async fn handle(
    State(app): State<Shared>,
    caller: Caller,
    Params(controller): Params<ControllerId>,
) -> Result<axum::Json<ControllerView>, Problem> {
    let controller = app.storage.controller(&caller.scope(), &controller).await?.ok_or(Problem::NotFound)?;
    let to_account_for = app.storage.to_account_for(&controller.controller_id).await?.into();
    let refuses_from = RefusesFromView::of(&controller);
    Ok(axum::Json(ControllerView {
        controller_id: controller.controller_id.to_string(),
        site_id: controller.site.to_string(),
        status: controller.status.as_str().to_owned(),
        connected: controller.connected,
        in_sync: controller.in_sync,
        cursor: controller.cursor.0,
        digest: controller.digest,
        site_revision: controller.site_revision.0,
        applied_at: controller.applied_at.map(rfc3339::format),
        last_seen: controller.last_seen.map(rfc3339::format),
        software: controller.software,
        embedder: controller.embedder,
        refuses_from,
        revoked_at: controller.revoked_at.map(rfc3339::format),
        decommissioned_at: controller.decommissioned_at.map(rfc3339::format),
        to_account_for,
    }))
}

// === tests ===

#[cfg(test)]
mod tests {
    use cardea_protocol::rfc3339;

    use crate::storage::StorageError;
    use crate::storage::engine::params;
    use crate::testing::{Api, CONTROLLER, SITE, as_operator};

    #[tokio::test]
    async fn a_controller_that_never_connected_is_not_in_sync() {
        let api = Api::new().await;
        let answer = api.get(&format!("/v1/controllers/{CONTROLLER}"), as_operator()).await;
        assert_eq!(answer.json["site_id"], SITE);
        assert_eq!((&answer.json["connected"], &answer.json["in_sync"]), (&false.into(), &false.into()));
        assert_eq!(api.get("/v1/controllers/none", as_operator()).await.problem(), (404, "not-found"));
    }

    #[tokio::test]
    async fn of_one_that_is_away_it_is_seen_when_it_will_refuse() {
        let api = Api::new().await;
        let at = api.app.now();
        let path = format!("/v1/controllers/{CONTROLLER}");
        let set = |connected: bool| {
            let sql = "UPDATE controllers SET face_staleness_s = 3600, last_seen = ?2, connected = ?3 WHERE controller_id = ?1";
            api.app.storage.write(move |tx| tx.execute(sql, params![CONTROLLER, at.0, connected]))
        };
        let set_away: Result<usize, StorageError> = set(false).await;
        set_away.unwrap();
        let seen = api.get(&path, as_operator()).await.json["refuses_from"].clone();
        let expected = rfc3339::format(at.plus_ms(3_600_000));
        assert_eq!((&seen["face"], &seen["plate"]), (&expected.as_str().into(), &serde_json::Value::Null));
        let set_back: Result<usize, StorageError> = set(true).await;
        set_back.unwrap();
        assert_eq!(api.get(&path, as_operator()).await.json["refuses_from"]["face"], serde_json::Value::Null);
    }
}
