//! The control API: what happens in the world around the house.
//!
//! | request | body | does |
//! |---|---|---|
//! | `GET /state` | | answers a [`SimState`] |
//! | `GET /history?after=N` | | answers `{"edges": [Edge, …]}`, those after sequence number N |
//! | `PUT /inputs/{channel}` | `{"on": true}`, `{"on": false}` or `{"on": null}` | sets an input, or lets go of it |
//! | `PUT /door/person` | `{"present": true}` | somebody comes to the door |
//! | `PUT /cameras/{id}/picture` | JPEG or PNG bytes | puts a picture before a camera |
//! | `PUT /scene` | a [scene](super::scene), as text | plays it, instead of the one that is being played |
//! | `GET /scene` | | answers a [`SceneState`], or `null` |
//! | `DELETE /scene` | | ends it: what it broke is mended |
//! | `GET /parts` | | answers a [`PartState`] for each part: its faults, and what can be done to it |
//! | `PUT /parts/{part}/{action}` | JSON, as the part wants it | does something to a part |
//! | `PUT /faults/{part}` | `{"kind": "slow", "ms": 300}`, or `dead`, `silent`, `garbage`, `none` | part: `io` or a camera |
//!
//! A success without content is 204; an error is `{"error": "…"}` with 400 or 404.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, put},
};
use serde::{Deserialize, Serialize};

use super::{
    SimError, Site,
    fault::Fault,
    part::PartState,
    physics::{Edge, HouseState},
    stage::SceneState,
};

const MAX_PICTURE_BYTES: usize = 32 * 1024 * 1024;

/// The answer to `GET /state`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SimState {
    /// Wall-clock time of the start, in milliseconds since 1970; the times in the history count from it.
    pub started_unix_ms: u64,
    /// Relays, inputs, boom and door.
    #[serde(flatten)]
    pub house: HouseState,
    /// The fault of each part.
    pub faults: BTreeMap<String, Fault>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InputLevel {
    on: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Person {
    present: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct After {
    #[serde(default)]
    after: u64,
}

#[derive(Serialize)]
struct History {
    edges: Vec<Edge>,
}

pub(super) fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/state", get(state))
        .route("/history", get(history))
        .route("/inputs/{channel}", put(set_input))
        .route("/door/person", put(set_person))
        .route("/cameras/{id}/picture", put(set_picture).layer(DefaultBodyLimit::max(MAX_PICTURE_BYTES)))
        .route("/scene", get(scene).put(play).delete(end_scene))
        .route("/parts", get(parts))
        .route("/parts/{part}/{action}", put(act))
        .route("/faults/{part}", put(set_fault))
        .with_state(site)
}

async fn state(State(site): State<Arc<Site>>) -> Json<SimState> {
    Json(site.state())
}

async fn history(State(site): State<Arc<Site>>, Query(query): Query<After>) -> Json<History> {
    Json(History { edges: site.world.house().history(query.after, site.world.now()) })
}

async fn set_input(
    State(site): State<Arc<Site>>,
    Path(channel): Path<usize>,
    Json(level): Json<InputLevel>,
) -> Result<StatusCode, SimError> {
    site.set_input(channel, level.on)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_person(State(site): State<Arc<Site>>, Json(person): Json<Person>) -> StatusCode {
    site.world.house().set_person(person.present, site.world.now());
    StatusCode::NO_CONTENT
}

async fn set_picture(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    picture: Bytes,
) -> Result<StatusCode, SimError> {
    site.world.camera(&id)?.set_picture(picture)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_fault(
    State(site): State<Arc<Site>>,
    Path(part): Path<String>,
    Json(fault): Json<Fault>,
) -> Result<StatusCode, SimError> {
    site.set_fault(&part, fault)?;
    tracing::info!(part, ?fault, "fault switched");
    Ok(StatusCode::NO_CONTENT)
}

async fn play(State(site): State<Arc<Site>>, text: String) -> Result<StatusCode, SimError> {
    site.play(&text)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn scene(State(site): State<Arc<Site>>) -> Json<Option<SceneState>> {
    Json(site.scene())
}

async fn end_scene(State(site): State<Arc<Site>>) -> StatusCode {
    site.end_scene();
    StatusCode::NO_CONTENT
}

async fn parts(State(site): State<Arc<Site>>) -> Json<BTreeMap<String, PartState>> {
    Json(site.parts.states())
}

async fn act(
    State(site): State<Arc<Site>>,
    Path((part, action)): Path<(String, String)>,
    Json(body): Json<serde_json::Value>,
) -> Result<StatusCode, SimError> {
    site.parts.get(&part)?.act(&action, body)?;
    Ok(StatusCode::NO_CONTENT)
}

impl IntoResponse for SimError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::UnknownPart { .. } | Self::UnknownAction { .. } | Self::UnknownChannel { .. } => {
                StatusCode::NOT_FOUND
            }
            Self::NotAPicture { .. }
            | Self::UnknownFault { .. }
            | Self::Action { .. }
            | Self::Scene(_)
            | Self::SceneFile { .. }
            | Self::Bind { .. }
            | Self::Adapter { .. }
            | Self::Socket { .. }
            | Self::PictureFile { .. } => StatusCode::BAD_REQUEST,
        };
        (status, Json(serde_json::json!({ "error": self.to_string() }))).into_response()
    }
}
