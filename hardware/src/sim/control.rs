//! The control API: what happens in the world around the house.
//!
//! | request | body | does |
//! |---|---|---|
//! | `GET /state` | | answers a [`SimState`] |
//! | `GET /history?after=N` | | answers `{"edges": [Edge, …]}`, those after sequence number N |
//! | `PUT /inputs/{channel}` | `{"on": true}`, `{"on": false}` or `{"on": null}` | sets an input, or lets go of it |
//! | `PUT /door/person` | `{"present": true}` | somebody comes to the door |
//! | `PUT /cameras/{id}/picture` | JPEG or PNG bytes | puts a picture before a camera |
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
    SimError, World,
    fault::Fault,
    physics::{Edge, HouseState},
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

pub(super) fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/state", get(state))
        .route("/history", get(history))
        .route("/inputs/{channel}", put(set_input))
        .route("/door/person", put(set_person))
        .route("/cameras/{id}/picture", put(set_picture).layer(DefaultBodyLimit::max(MAX_PICTURE_BYTES)))
        .route("/faults/{part}", put(set_fault))
        .with_state(world)
}

async fn state(State(world): State<Arc<World>>) -> Json<SimState> {
    Json(world.state())
}

async fn history(State(world): State<Arc<World>>, Query(query): Query<After>) -> Json<History> {
    Json(History { edges: world.house().history(query.after, world.now()) })
}

async fn set_input(
    State(world): State<Arc<World>>,
    Path(channel): Path<usize>,
    Json(level): Json<InputLevel>,
) -> Result<StatusCode, SimError> {
    world.set_input(channel, level.on)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_person(State(world): State<Arc<World>>, Json(person): Json<Person>) -> StatusCode {
    world.house().set_person(person.present, world.now());
    StatusCode::NO_CONTENT
}

async fn set_picture(
    State(world): State<Arc<World>>,
    Path(id): Path<String>,
    picture: Bytes,
) -> Result<StatusCode, SimError> {
    world.camera(&id)?.set_picture(picture)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set_fault(
    State(world): State<Arc<World>>,
    Path(part): Path<String>,
    Json(fault): Json<Fault>,
) -> Result<StatusCode, SimError> {
    world.fault(&part)?.set(fault);
    tracing::info!(part, ?fault, "fault switched");
    Ok(StatusCode::NO_CONTENT)
}

impl IntoResponse for SimError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::UnknownPart { .. } | Self::UnknownChannel { .. } => StatusCode::NOT_FOUND,
            Self::NotAPicture { .. } | Self::Bind { .. } | Self::PictureFile { .. } => StatusCode::BAD_REQUEST,
        };
        (status, Json(serde_json::json!({ "error": self.to_string() }))).into_response()
    }
}
