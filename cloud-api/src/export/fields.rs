//! The allow-list of what an event may tell outside the cloud. A new kind of event, or a new field of one, does not get
//! out before it is written down here.

use cardea_protocol::event::{AccessDecision, EventKind};
use serde::Serialize;
use utoipa::ToSchema;

/// What happened. Which members are there depends on `type`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct EventFields {
    /// `access-decision`, `access-point-state`, `posture`, `alarm`, `equipment`, `erased`, `controller` or `dropped`.
    r#type: &'static str,
    /// What was presented: `plate`, `face`, `card`, `exit-button` or `remote`.
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
    /// Whether access was granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    granted: Option<bool>,
    /// Stable reason code of a decision; of a posture, what asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The registered plate that matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    plate_id: Option<String>,
    /// The registered card that matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    card_id: Option<String>,
    /// The subject that matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// The order to open.
    #[serde(skip_serializing_if = "Option::is_none")]
    command_id: Option<String>,
    /// Comparison score: cosine for a face, log-likelihood ratio for a plate.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f32>,
    /// The threshold the score was held against.
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<f32>,
    /// What presentation attack detection said of a face: `live`, `spoof` or `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    liveness: Option<String>,
    /// Milliseconds from asking the camera to the decoded frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    capture_ms: Option<f32>,
    /// Milliseconds of detection.
    #[serde(skip_serializing_if = "Option::is_none")]
    detect_ms: Option<f32>,
    /// Milliseconds of reading or embedding.
    #[serde(skip_serializing_if = "Option::is_none")]
    read_ms: Option<f32>,
    /// Milliseconds of matching and deciding.
    #[serde(skip_serializing_if = "Option::is_none")]
    decide_ms: Option<f32>,
    /// Milliseconds from the decision to the relay's confirmation.
    #[serde(skip_serializing_if = "Option::is_none")]
    relay_ms: Option<f32>,
    /// State of a barrier, door or controller; its posture.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// Name of an alarm.
    #[serde(skip_serializing_if = "Option::is_none")]
    alarm: Option<String>,
    /// The board or camera concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    equipment: Option<String>,
    /// Whether it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    reachable: Option<bool>,
    /// The erasure that was carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    erasure_id: Option<String>,
    /// How many events the controller had to drop.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<u64>,
}

/// Names a thing of a kind: by itself, or by a pseudonym.
type Name<'a> = &'a dyn Fn(&str, &str) -> String;

impl EventFields {
    /// The fields of `kind` that may be told; `name` says how things are named there.
    pub fn new(kind: EventKind, name: Name<'_>) -> Self {
        match kind {
            EventKind::AccessDecision(decision) => Self::of_decision(decision, name),
            EventKind::AccessPointState { state } => {
                Self { r#type: "access-point-state", state: Some(code(state)), ..Self::default() }
            }
            EventKind::Posture { posture, cause } => {
                Self { r#type: "posture", state: Some(code(posture)), reason: Some(code(cause)), ..Self::default() }
            }
            EventKind::Alarm { alarm } => Self { r#type: "alarm", alarm: Some(code(alarm)), ..Self::default() },
            // Its `detail` is the installer's, and may name what is inside.
            EventKind::Equipment { equipment, reachable, detail: _ } => Self {
                r#type: "equipment",
                equipment: Some(name("equipment", &equipment)),
                reachable: Some(reachable),
                ..Self::default()
            },
            EventKind::Erased { erasure } => {
                Self { r#type: "erased", erasure_id: Some(name("erasure", erasure.as_str())), ..Self::default() }
            }
            EventKind::Controller { state } => {
                Self { r#type: "controller", state: Some(code(state)), ..Self::default() }
            }
            EventKind::Dropped { count } => Self { r#type: "dropped", dropped: Some(count), ..Self::default() },
        }
    }

    fn of_decision(decision: AccessDecision, name: Name<'_>) -> Self {
        let timings = decision.timings;
        Self {
            r#type: "access-decision",
            credential: Some(code(decision.credential)),
            granted: Some(decision.granted),
            reason: Some(code(decision.reason)),
            plate_id: decision.plate_id.map(|id| name("plate", id.as_str())),
            card_id: decision.card_id.map(|id| name("card", id.as_str())),
            subject: decision.subject.map(|subject| name("subject", subject.as_str())),
            command_id: decision.command_id.map(|id| name("command", id.as_str())),
            score: decision.score,
            threshold: decision.threshold,
            liveness: decision.liveness.map(code),
            capture_ms: timings.capture_ms,
            detect_ms: timings.detect_ms,
            read_ms: timings.read_ms,
            decide_ms: timings.decide_ms,
            relay_ms: timings.relay_ms,
            ..Self::default()
        }
    }
}

/// An operation that may be told outside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    id: &'static str,
    /// The kind of thing its target is; where there is none, the target is not told.
    pub(super) target: Option<&'static str>,
}

const fn told_of(id: &'static str, target: &'static str) -> Told {
    Told { id, target: Some(target) }
}

const fn told_alone(id: &'static str) -> Told {
    Told { id, target: None }
}

/// Every operation that an export may tell of. What concerns the operator's own keys, staff and other customers is not here.
const TOLD: &[Told] = &[
    told_alone("token"),
    told_alone("sign_in"),
    told_alone("revoke_token"),
    told_alone("introspect_token"),
    told_alone("register_site"),
    told_of("register_principal", "account"),
    told_of("register_redirect_uri", "account"),
    told_of("revoke_principal", "account"),
    told_of("register_controller", "controller"),
    told_of("renew_claim", "controller"),
    told_of("claim_controller", "controller"),
    told_of("revoke_controller", "controller"),
    told_of("decommission_controller", "controller"),
    told_of("admit_plate", "plate"),
    told_of("change_plate", "plate"),
    told_of("remove_plate", "plate"),
    told_of("give_guest_pass", "pass"),
    told_of("end_guest_pass", "pass"),
    told_alone("open_with_guest_pass"),
    told_of("admit_card", "card"),
    told_of("change_card", "card"),
    told_of("remove_card", "card"),
    told_alone("record_consent_text"),
    told_of("record_consent", "consent"),
    told_of("withdraw_consent", "consent"),
    told_of("enrol_face", "template"),
    told_alone("open_access_point"),
    told_of("sell_property", "sale"),
    told_alone("export_incident"),
    told_of("register_webhook", "webhook"),
    told_of("rotate_webhook_secret", "webhook"),
    told_of("remove_webhook", "webhook"),
    told_of("disable_webhook", "webhook"),
    told_of("give_up_webhook_message", "message"),
];

/// What may be told of an operation; nothing of one that is not on the list.
pub(super) fn told(operation: &str) -> Option<&'static Told> {
    TOLD.iter().find(|told| told.id == operation)
}

/// A code is lower-case words with hyphens; anything else that a controller might send in its place is not told.
fn code(text: String) -> String {
    let plain = text.len() <= 40 && text.bytes().all(|c| c.is_ascii_lowercase() || c == b'-');
    if plain { text } else { "other".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::roles::Operation;

    #[test]
    fn of_each_operation_it_is_said_whether_an_export_tells_of_it() {
        // Readings are not audited; the rest is the operator's own.
        let withheld = |operation: Operation| {
            let id = operation.id();
            id.starts_with("read_")
                || id.starts_with("list_")
                || ["register_customer", "give_sites", "revoke_certificate"].contains(&id)
        };
        for operation in Operation::ALL {
            assert_ne!(told(operation.id()).is_some(), withheld(*operation), "{}", operation.id());
        }
        for id in ["init_operator", "rotate_token_key", "apply_retention", "anything"] {
            assert!(told(id).is_none(), "{id}");
        }
    }
}
