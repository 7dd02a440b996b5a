//! What a controller reports: access decisions, states, alarms, health. No plate text, no image, no score vector.

use serde::{Deserialize, Serialize};

use crate::id::{AccessPointId, CardId, CommandId, ErasureId, EventId, PlateId, SubjectToken};
use cardea_access::time::Timestamp;

/// One event. Ids are unique, so the cloud stores each once however often it arrives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Unique id.
    pub id: EventId,
    /// Position in the controller's outbox; grows, with gaps where the outbox had to drop.
    pub seq: u64,
    /// When it happened, by the controller's clock.
    #[serde(with = "crate::rfc3339")]
    pub at: Timestamp,
    /// The barrier or door concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_point: Option<AccessPointId>,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum EventKind {
    /// An access decision (EN 60839-11-1 "access transaction").
    AccessDecision(AccessDecision),
    /// A barrier or door reached a state: `closed`, `opening`, `open`, `closing`, `held`, `forced`, `fault`, `unknown`.
    AccessPointState {
        /// The state's name.
        state: String,
    },
    /// A barrier or door is locked down, held open, or back to normal.
    Posture {
        /// `normal`, `locked-down` or `held-open`.
        posture: String,
        /// What asks for it: `local` (an order at the controller), `input`, `input-unknown`, `hours`; `normal` for nothing.
        cause: String,
    },
    /// Something needs a person: `forced`, `held-open`, `not-confirmed`, `tamper`…
    Alarm {
        /// The alarm's name.
        alarm: String,
    },
    /// A board or camera came or went.
    Equipment {
        /// The configured id of the board or camera.
        equipment: String,
        /// Whether it answers.
        reachable: bool,
        /// What is wrong, without addresses.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// A subject's biometrics were erased here.
    Erased {
        /// The order.
        erasure: ErasureId,
    },
    /// The program started, lost or regained the cloud: `started`, `offline`, `online`.
    Controller {
        /// The state's name.
        state: String,
    },
    /// The outbox was full: events with lower numbers were dropped, this many.
    Dropped {
        /// How many.
        count: u64,
    },
}

/// An access decision and what it rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessDecision {
    /// `plate`, `face`, `card`, `exit-button` or `remote`.
    pub credential: String,
    /// Whether access was granted.
    pub granted: bool,
    /// Stable reason code of `cardea-access`.
    pub reason: String,
    /// The registered plate that matched, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plate_id: Option<PlateId>,
    /// The registered card that matched, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_id: Option<CardId>,
    /// The subject that matched, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectToken>,
    /// The remote command, if that was the credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<CommandId>,
    /// The comparison score: cosine for a face, log-likelihood ratio for a plate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
    /// The threshold the score was held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// What presentation attack detection said of a face: `live`, `spoof`, or `unknown` where it is off or has seen too few
    /// frames. Absent for anything but a face.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<String>,
    /// For a plate of a single entry that was let in: when it ends.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::rfc3339::option")]
    pub ends_at: Option<Timestamp>,
    /// Where the time went.
    #[serde(default)]
    pub timings: Timings,
}

/// Milliseconds per stage, of the frame that decided; `None` where a stage did not take part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// From asking the camera to having the frame decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture_ms: Option<f32>,
    /// Detecting faces or plates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detect_ms: Option<f32>,
    /// Reading the plate, or aligning and embedding the face.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_ms: Option<f32>,
    /// Matching and deciding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decide_ms: Option<f32>,
    /// From the decision to the board's confirmation that the relay has switched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay_ms: Option<f32>,
}
