//! What the controller says about itself to someone who stands in front of it. No personal data: no plate, no subject, no
//! face, no key.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cardea_access::staleness::Staleness;
use cardea_access::time::Timestamp;
use cardea_protocol::event::{AccessDecision, Timings};
use cardea_protocol::id::{AccessPointId, BootId};
use cardea_protocol::message::AccessPoint;
use serde::{Deserialize, Serialize};

use crate::sync::SyncStatus;

/// Decisions remembered.
const RECENT: usize = 32;

/// The whole status, as the socket gives it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// `cardead`'s version.
    pub software: String,
    /// This start of the program.
    pub boot_id: BootId,
    /// When this was said, by the controller's clock.
    #[serde(with = "cardea_protocol::rfc3339")]
    pub at: Timestamp,
    /// Resident memory of the process, in bytes; `None` where the kernel does not tell.
    pub rss_bytes: Option<u64>,
    /// The connection to the cloud.
    pub cloud: CloudStatus,
    /// Barriers and doors.
    pub access_points: Vec<AccessPoint>,
    /// Whether they are locked down or held open, and what they wait for.
    pub postures: BTreeMap<AccessPointId, PostureStatus>,
    /// How many are inside each area, as far as it is known.
    pub inside: BTreeMap<String, usize>,
    /// Boards and cameras by name: whether each answers; `None` before first contact.
    pub devices: BTreeMap<String, Option<bool>>,
    /// What is held of the cloud's data.
    pub holdings: HoldingsStatus,
    /// What recognition costs and sees.
    pub captures: BTreeMap<AccessPointId, CaptureStatus>,
    /// The last decisions, newest first.
    pub recent: Vec<RecentDecision>,
}

/// Whether an access point is locked down or held open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostureStatus {
    /// `normal`, `locked-down` or `held-open`.
    pub posture: String,
    /// What asks for it: `local`, `input`, `input-unknown`, `hours`; `normal` for nothing.
    pub cause: String,
    /// The kind of credential that is awaited after a first one.
    pub second_factor_awaited: Option<String>,
}

/// How things stand with the cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum CloudStatus {
    /// Nothing was tried yet.
    Starting,
    /// This controller was not claimed.
    Unclaimed,
    /// No session; it is tried again.
    Offline {
        /// Why.
        why: String,
    },
    /// In session.
    Online {
        /// Whether the digests agreed when they were last compared.
        in_sync: Option<bool>,
    },
}

impl From<&SyncStatus> for CloudStatus {
    fn from(status: &SyncStatus) -> Self {
        match status {
            SyncStatus::Starting => Self::Starting,
            SyncStatus::Unclaimed => Self::Unclaimed,
            SyncStatus::Offline { why } => Self::Offline { why: why.clone() },
            SyncStatus::Online { in_sync } => Self::Online { in_sync: *in_sync },
        }
    }
}

/// What is held of the cloud's data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldingsStatus {
    /// The last revision applied.
    pub cursor: u64,
    /// Over what is really held.
    pub digest: String,
    /// Age of the cloud's last freshness statement that the gate goes by, in milliseconds; `None` if there is none, or its age
    /// cannot be known.
    pub freshness_age_ms: Option<u64>,
    /// How long each kind of credential in use here still counts if the cloud says nothing more, in milliseconds: 0 where it
    /// is refused. What has no limit is not here.
    pub counts_for_ms: BTreeMap<String, u64>,
    /// The whole of that limit, in seconds.
    pub staleness_limits_s: BTreeMap<String, u64>,
    /// Plates that are matched.
    pub plates: usize,
    /// Biometric references that are matched.
    pub templates: usize,
    /// Events that wait to be sent.
    pub outbox_events: u64,
}

/// What a camera's task has done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CaptureStatus {
    /// Frames fetched.
    pub frames: u64,
    /// Frames that went through the models; the others showed nothing new.
    pub recognised: u64,
    /// Plates and faces outside the zone, which do not count.
    pub outside_zone: u64,
    /// Frames that could not be fetched or decoded.
    pub failed: u64,
    /// Of the last recognised frame.
    pub timings: Timings,
}

/// One decision, without saying about whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecentDecision {
    /// When.
    #[serde(with = "cardea_protocol::rfc3339")]
    pub at: Timestamp,
    /// Where.
    pub access_point: AccessPointId,
    /// By what.
    pub credential: String,
    /// Whether it opened.
    pub granted: bool,
    /// Reason code.
    pub reason: String,
    /// Comparison score.
    pub score: Option<f32>,
    /// Threshold it was held against.
    pub threshold: Option<f32>,
    /// Where the time went.
    pub timings: Timings,
}

/// Where the tasks leave what the status is made of. Cheap to clone; nobody holds it for long.
#[derive(Clone, Debug, Default)]
pub struct StatusBoard(Arc<Mutex<Posted>>);

/// What was left.
#[derive(Debug, Default)]
pub(super) struct Posted {
    pub(super) access_points: Vec<AccessPoint>,
    pub(super) postures: BTreeMap<AccessPointId, PostureStatus>,
    pub(super) inside: BTreeMap<String, usize>,
    pub(super) devices: BTreeMap<String, Option<bool>>,
    pub(super) captures: BTreeMap<AccessPointId, CaptureStatus>,
    pub(super) recent: VecDeque<RecentDecision>,
    pub(super) plates: usize,
    pub(super) templates: usize,
    pub(super) word_age_ms: Option<u64>,
    pub(super) staleness: Vec<Staleness>,
}

impl Posted {
    /// A figure of each kind of evidence that has a limit here.
    pub(super) fn of_each(&self, figure: impl Fn(&Staleness) -> u64) -> BTreeMap<String, u64> {
        self.staleness.iter().map(|of| (of.method.name().to_owned(), figure(of))).collect()
    }
}

impl StatusBoard {
    /// The barriers and doors as they are.
    pub(crate) fn access_points(&self, access_points: Vec<AccessPoint>) {
        self.posted().access_points = access_points;
    }

    /// Postures.
    pub(crate) fn postures(&self, postures: BTreeMap<AccessPointId, PostureStatus>) {
        self.posted().postures = postures;
    }

    /// How many are inside each area.
    pub(crate) fn inside(&self, inside: BTreeMap<String, usize>) {
        self.posted().inside = inside;
    }

    /// Whether a board or camera answers.
    pub(crate) fn device(&self, name: &str, answers: Option<bool>) {
        self.posted().devices.insert(name.to_owned(), answers);
    }

    /// How many plates and templates can be matched.
    pub(crate) fn held(&self, plates: usize, templates: usize) {
        let mut posted = self.posted();
        (posted.plates, posted.templates) = (plates, templates);
    }

    /// How old the word of the cloud is that the gate goes by, in milliseconds, and what still counts by it.
    pub(crate) fn staleness(&self, word_age_ms: Option<u64>, staleness: Vec<Staleness>) {
        let mut posted = self.posted();
        (posted.word_age_ms, posted.staleness) = (word_age_ms, staleness);
    }

    /// A camera's task has something to count.
    pub(crate) fn capture(&self, access_point: &AccessPointId, count: impl FnOnce(&mut CaptureStatus)) {
        count(self.posted().captures.entry(access_point.clone()).or_default());
    }

    /// A decision was made.
    pub(crate) fn decided(&self, at: Timestamp, access_point: &AccessPointId, decision: &AccessDecision) {
        let mut posted = self.posted();
        posted.recent.truncate(RECENT - 1);
        posted.recent.push_front(RecentDecision {
            at,
            access_point: access_point.clone(),
            credential: decision.credential.clone(),
            granted: decision.granted,
            reason: decision.reason.clone(),
            score: decision.score,
            threshold: decision.threshold,
            timings: decision.timings,
        });
    }

    /// Whether each board and camera answers.
    pub fn devices(&self) -> BTreeMap<String, Option<bool>> {
        self.posted().devices.clone()
    }

    /// How long each kind of evidence that has a limit here still counts, in milliseconds.
    pub fn counts_for_ms(&self) -> BTreeMap<String, u64> {
        self.posted().of_each(|of| of.counts_for_ms)
    }

    /// The last decisions, newest first.
    pub fn recent(&self) -> Vec<RecentDecision> {
        self.posted().recent.iter().cloned().collect()
    }

    /// What the cameras' tasks have done.
    pub fn captures(&self) -> BTreeMap<AccessPointId, CaptureStatus> {
        self.posted().captures.clone()
    }

    pub(super) fn posted(&self) -> MutexGuard<'_, Posted> {
        // What a task left before it panicked is still true.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_decisions_are_kept_newest_first_and_name_nobody() {
        let board = StatusBoard::default();
        let gate = AccessPointId::new("gate").unwrap();
        for i in 0..100 {
            let decision = AccessDecision {
                credential: "plate".into(),
                granted: true,
                reason: "plate-admitted".into(),
                card_id: None,
                plate_id: cardea_protocol::id::PlateId::new("p-1").ok(),
                subject: None,
                command_id: None,
                score: Some(5.0),
                threshold: Some(3.0),
                liveness: None,
                ends_at: None,
                timings: Timings::default(),
            };
            board.decided(Timestamp(i), &gate, &decision);
        }
        let posted = board.posted();
        assert_eq!(posted.recent.len(), RECENT);
        assert_eq!(posted.recent[0].at, Timestamp(99));
        assert!(!serde_json::to_string(&posted.recent[0]).unwrap().contains("p-1"));
    }
}
