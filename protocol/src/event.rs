//! What a controller reports: access decisions, states, alarms, health. No plate text, no image, no score vector.

use serde::{Deserialize, Serialize};

use crate::id::{AccessPointId, CardId, CommandId, ErasureId, EventId, PlateId, SubjectToken};
use crate::limit;
use cardea_access::time::Timestamp;

/// One event. Ids are unique, so the cloud stores each once however often it arrives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Unique id.
    pub id: EventId,
    /// Position in the controller's outbox; grows, with gaps where the outbox had to drop.
    pub seq: u64,
    /// When it happened, by the controller's clock.
    #[serde(with = "crate::millis")]
    pub at: Timestamp,
    /// The barrier or door concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_point: Option<AccessPointId>,
    /// What happened.
    pub kind: EventKind,
}

impl EventKind {
    /// Cuts what is longer than the cloud takes: an event that it cannot read would end every session.
    pub fn cut_to_limits(&mut self) {
        if let Self::Equipment { equipment, detail, .. } = self {
            limit::cut(equipment, limit::SENTENCE);
            if let Some(detail) = detail {
                limit::cut(detail, limit::SENTENCE);
            }
        }
    }
}

/// What happened. Both sides keep it as JSON, and so it has its `type` among its fields, in messages too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum EventKind {
    /// An access decision (EN 60839-11-1 "access transaction").
    AccessDecision(AccessDecision),
    /// A barrier or door reached a state: `closed`, `opening`, `open`, `closing`, `held`, `forced`, `fault`, `unknown`.
    AccessPointState {
        /// The state's name.
        #[serde(deserialize_with = "limit::text::<_, { limit::NAME }>")]
        state: String,
    },
    /// A barrier or door is locked down, held open, or back to normal.
    Posture {
        /// `normal`, `locked-down` or `held-open`.
        #[serde(deserialize_with = "limit::text::<_, { limit::NAME }>")]
        posture: String,
        /// What asks for it: `local` (an order at the controller), `input`, `input-unknown`, `hours`; `normal` for nothing.
        #[serde(deserialize_with = "limit::text::<_, { limit::NAME }>")]
        cause: String,
    },
    /// Something needs a person: `forced`, `held-open`, `not-confirmed`, `tamper`…
    Alarm {
        /// The alarm's name.
        #[serde(deserialize_with = "limit::text::<_, { limit::NAME }>")]
        alarm: String,
    },
    /// A board or camera came or went.
    Equipment {
        /// The configured id of the board or camera.
        #[serde(deserialize_with = "limit::text::<_, { limit::SENTENCE }>")]
        equipment: String,
        /// Whether it answers.
        reachable: bool,
        /// What is wrong, without addresses.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "limit::optional_text::<_, { limit::SENTENCE }>"
        )]
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
        #[serde(deserialize_with = "limit::text::<_, { limit::NAME }>")]
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
    #[serde(deserialize_with = "limit::text::<_, { limit::NAME }>")]
    pub credential: String,
    /// Whether access was granted.
    pub granted: bool,
    /// Stable reason code of `cardea-access`.
    #[serde(deserialize_with = "limit::text::<_, { limit::NAME }>")]
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
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "limit::optional_text::<_, { limit::NAME }>"
    )]
    pub liveness: Option<String>,
    /// For a plate of a single entry that was let in: when it ends.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "ends_at")]
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

/// In JSON an RFC 3339 text, in a message a number. What reads an enum with its tag inside has forgotten by then which of the two it
/// reads, so both are understood.
mod ends_at {
    use super::Timestamp;
    use crate::{millis, rfc3339};
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Written {
        Millis(i64),
        Text(String),
    }

    #[expect(clippy::ref_option, reason = "what serde calls")]
    pub(super) fn serialize<S: Serializer>(t: &Option<Timestamp>, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() { rfc3339::option::serialize(t, s) } else { millis::option::serialize(t, s) }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Timestamp>, D::Error> {
        Ok(match Option::<Written>::deserialize(d)? {
            None => None,
            Some(Written::Millis(ms)) => Some(Timestamp(ms)),
            Some(Written::Text(text)) => {
                Some(rfc3339::parse(&text).map_err(|_| D::Error::custom("expected an RFC 3339 timestamp"))?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cbor;

    #[test]
    fn an_event_that_was_cut_is_read() {
        let long = |text: &str| text.repeat(limit::SENTENCE);
        let mut kind = EventKind::Equipment { equipment: long("к"), reachable: false, detail: Some(long("a€")) };
        let read = |kind: &EventKind| cbor::decode::<EventKind>(&cbor::encode(kind).unwrap());
        assert_eq!(read(&kind), Err(cbor::CborError::Fields));
        kind.cut_to_limits();
        assert_eq!(read(&kind), Ok(kind));
    }

    #[test]
    fn the_end_of_a_pass_is_a_text_for_people_and_a_number_in_messages() {
        let decision: AccessDecision = serde_json::from_str(
            r#"{"credential": "plate", "granted": true, "reason": "ok", "ends_at": "1970-01-01T00:00:01.5Z"}"#,
        )
        .unwrap();
        let kind = EventKind::AccessDecision(decision);
        let json = serde_json::to_value(&kind).unwrap();
        assert_eq!(json["ends_at"], "1970-01-01T00:00:01.5Z");
        assert_eq!(serde_json::from_value::<EventKind>(json).unwrap(), kind);
        let value = cbor::parse(&cbor::encode(&kind).unwrap()).unwrap();
        let ends_at = value.as_map().unwrap().iter().find(|(key, _)| key.as_text() == Some("ends_at")).unwrap();
        assert_eq!(ends_at.1.as_integer(), Some(1_500.into()));
        assert_eq!(cbor::fields::<EventKind>(&value).unwrap(), kind);
    }
}
