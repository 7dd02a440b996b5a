//! `[[access_point]]`: a barrier or a door, and which outputs, inputs and camera belong to it.
//!
//! Defaults of the times are those of `cardea_access`'s machines.

use cardea_access::request::Direction;
use cardea_access::rules::PadPolicy;
use cardea_access::{barrier, door};
use cardea_protocol::id::AccessPointId;
use cardea_protocol::message::AccessPointKind;
use serde::{Deserialize, Serialize};

use super::RulesConfig;

/// A barrier or a door.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[expect(clippy::large_enum_variant, reason = "a handful of them, read once")]
pub enum AccessPointConfig {
    /// A boom barrier or gate for vehicles.
    Barrier(BarrierConfig),
    /// A door or wicket for people.
    Door(DoorConfig),
}

/// What an access point opens to, besides the exit button.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Credential {
    /// A registered plate, read by the camera.
    Plate,
    /// An enrolled face, seen by the camera.
    Face,
    /// A registered card, read by the reader.
    Card,
    /// An order from the cloud.
    Remote,
}

impl Credential {
    /// The name in messages to the cloud.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plate => "plate",
            Self::Face => "face",
            Self::Card => "card",
            Self::Remote => "remote",
        }
    }
}

/// Keys of a barrier. Outputs and inputs are the logical names of `[[output]]` and `[[input]]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BarrierConfig {
    /// Its id, unique within the whole installation.
    pub id: AccessPointId,
    /// What it opens to.
    pub credentials: Vec<Credential>,
    /// The camera that looks at the cars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<String>,
    /// The card reader, by its name in `[[reader]]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<String>,
    /// Where in the picture a plate counts: corners `[x, y]` of a polygon, 0 to 1 from the top left. Empty: everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zone: Vec<[f32; 2]>,
    /// What presentation attack detection has to say of a face.
    #[serde(default)]
    pub pad: Pad,
    /// The output that raises the boom.
    pub open: String,
    /// The output that lowers it; absent where the barrier comes down by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close: Option<String>,
    /// The output that stops it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<String>,
    /// The camera that reads plates itself: the id of an `[[anpr]]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anpr: Option<String>,
    /// The input of the loop under the boom: true while a vehicle is there.
    #[serde(default, rename = "loop", skip_serializing_if = "Option::is_none")]
    pub vehicle_loop: Option<String>,
    /// The input of the loop outside the boom, where arriving vehicles wait. Goes with `departure_loop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approach_loop: Option<String>,
    /// The input of the loop inside the boom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub departure_loop: Option<String>,
    /// Which way the lane is meant to be driven.
    #[serde(default)]
    pub lane: Lane,
    /// The input of the photocell under the boom: true while it is interrupted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photocell: Option<String>,
    /// The input that is true when the boom is up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_limit: Option<String>,
    /// The input that is true when the boom is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_limit: Option<String>,
    /// The input of the stop button: true while pressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_button: Option<String>,
    /// The input of the fire alarm: true in a fire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fire: Option<String>,
    /// Length of a relay pulse, 50 to 10000 ms.
    #[serde(default = "pulse_ms")]
    pub pulse_ms: u64,
    /// The longest the boom may travel, 500 to 60000 ms.
    #[serde(default = "travel_ms")]
    pub travel_ms: u64,
    /// How long the way must have been clear before the boom comes down, 0 to 60000 ms.
    #[serde(default = "clear_ms")]
    pub clear_ms: u64,
    /// A vehicle that leaves the way clear for less than this is still the same, 0 to 5000 ms.
    #[serde(default = "gap_ms")]
    pub gap_ms: u64,
    /// How long the boom stays up for a car that never drives in, 1 to 600 s.
    #[serde(default = "open_timeout_s")]
    pub open_timeout_s: u64,
    /// Whether a boom found standing open after a start may be closed when the way is clear.
    #[serde(default)]
    pub close_standing_open: bool,
    /// Who may pass when.
    #[serde(default, skip_serializing_if = "RulesConfig::is_empty")]
    pub rules: RulesConfig,
}

/// Keys of a door.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DoorConfig {
    /// Its id, unique within the whole installation.
    pub id: AccessPointId,
    /// What it opens to.
    pub credentials: Vec<Credential>,
    /// The camera that looks at the people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<String>,
    /// The card reader, by its name in `[[reader]]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<String>,
    /// Where in the picture a face counts; see the barrier's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zone: Vec<[f32; 2]>,
    /// What presentation attack detection has to say of a face.
    #[serde(default)]
    pub pad: Pad,
    /// The output of the lock; on means released.
    pub lock: String,
    /// The input of the door contact: true while the door is shut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// The input of the exit button: true while pressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_button: Option<String>,
    /// The input of the fire alarm: true in a fire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fire: Option<String>,
    /// How long the lock stays released, 500 to 60000 ms.
    #[serde(default = "release_ms")]
    pub release_ms: u64,
    /// How long the door may stay open before someone should look, 1 to 3600 s.
    #[serde(default = "held_open_s")]
    pub held_open_s: u64,
    /// What the lock does without power; the output's `safe` level must agree.
    #[serde(default)]
    pub mode: LockMode,
    /// Who may pass when.
    #[serde(default, skip_serializing_if = "RulesConfig::is_empty")]
    pub rules: RulesConfig,
}

/// Which way a lane is meant to be driven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// Inwards: who drives out through it goes the wrong way.
    Entry,
    /// Outwards.
    Exit,
    /// Either way.
    #[default]
    Both,
}

impl Lane {
    /// The one direction that is meant, if there is one.
    pub const fn direction(self) -> Option<Direction> {
        match self {
            Self::Entry => Some(Direction::Entry),
            Self::Exit => Some(Direction::Exit),
            Self::Both => None,
        }
    }
}

/// What presentation attack detection (ISO/IEC 30107-1) has to say of a face: a photograph, a screen, a mask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pad {
    /// Nothing: a photograph may pass.
    Off,
    /// It is asked and its verdict recorded, and it refuses nobody.
    Log,
    /// Only a face that is judged to be live opens. Without a model for it in the pack, no face opens on this controller.
    #[default]
    Require,
}

impl Pad {
    /// The policy of the rules.
    pub const fn policy(self) -> PadPolicy {
        match self {
            Self::Off => PadPolicy::Off,
            Self::Log => PadPolicy::Log,
            Self::Require => PadPolicy::Require,
        }
    }
}

/// What a lock does without power (EN 60839-11-1: fail locked, fail unlocked).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockMode {
    /// It stays locked from outside: a strike. The exit side must open mechanically.
    #[default]
    FailSecure,
    /// It opens: a magnetic lock on an escape route.
    FailSafe,
}

impl AccessPointConfig {
    /// Its id.
    pub fn id(&self) -> &AccessPointId {
        match self {
            Self::Barrier(barrier) => &barrier.id,
            Self::Door(door) => &door.id,
        }
    }

    /// Barrier or door.
    pub fn kind(&self) -> AccessPointKind {
        match self {
            Self::Barrier(_) => AccessPointKind::Barrier,
            Self::Door(_) => AccessPointKind::Door,
        }
    }

    /// What it opens to.
    pub fn credentials(&self) -> &[Credential] {
        match self {
            Self::Barrier(barrier) => &barrier.credentials,
            Self::Door(door) => &door.credentials,
        }
    }

    /// Its camera's logical name.
    pub fn camera(&self) -> Option<&str> {
        match self {
            Self::Barrier(barrier) => barrier.camera.as_deref(),
            Self::Door(door) => door.camera.as_deref(),
        }
    }

    /// Its card reader's logical name.
    pub fn reader(&self) -> Option<&str> {
        match self {
            Self::Barrier(barrier) => barrier.reader.as_deref(),
            Self::Door(door) => door.reader.as_deref(),
        }
    }

    /// What presentation attack detection has to say of a face; nothing where faces open nothing.
    pub fn pad(&self) -> Pad {
        match self {
            _ if !self.credentials().contains(&Credential::Face) => Pad::Off,
            Self::Barrier(barrier) => barrier.pad,
            Self::Door(door) => door.pad,
        }
    }

    /// Who may pass when.
    pub fn rules(&self) -> &RulesConfig {
        match self {
            Self::Barrier(barrier) => &barrier.rules,
            Self::Door(door) => &door.rules,
        }
    }

    /// The camera that reads plates for it, if there is one.
    pub fn anpr(&self) -> Option<&str> {
        match self {
            Self::Barrier(barrier) => barrier.anpr.as_deref(),
            Self::Door(_) => None,
        }
    }

    /// The corners of its zone; empty for the whole picture.
    pub fn zone(&self) -> &[[f32; 2]] {
        match self {
            Self::Barrier(barrier) => &barrier.zone,
            Self::Door(door) => &door.zone,
        }
    }

    /// The outputs it drives, each with the key that names it.
    pub fn outputs(&self) -> Vec<(&'static str, &str)> {
        let named = match self {
            Self::Barrier(b) => {
                vec![("open", Some(&b.open)), ("close", b.close.as_ref()), ("stop", b.stop.as_ref())]
            }
            Self::Door(d) => vec![("lock", Some(&d.lock))],
        };
        named.into_iter().filter_map(|(key, name)| Some((key, name?.as_str()))).collect()
    }

    /// The inputs it reads, each with the key that names it.
    pub fn inputs(&self) -> Vec<(&'static str, &str)> {
        let named = match self {
            Self::Barrier(b) => vec![
                ("loop", b.vehicle_loop.as_ref()),
                ("approach_loop", b.approach_loop.as_ref()),
                ("departure_loop", b.departure_loop.as_ref()),
                ("photocell", b.photocell.as_ref()),
                ("open_limit", b.open_limit.as_ref()),
                ("closed_limit", b.closed_limit.as_ref()),
                ("stop_button", b.stop_button.as_ref()),
                ("fire", b.fire.as_ref()),
            ],
            Self::Door(d) => vec![
                ("contact", d.contact.as_ref()),
                ("exit_button", d.exit_button.as_ref()),
                ("fire", d.fire.as_ref()),
            ],
        };
        named.into_iter().filter_map(|(key, name)| Some((key, name?.as_str()))).collect()
    }
}

impl BarrierConfig {
    /// The loop on which a vehicle waits for its plate to be read, with the key that names it: before the boom where there is
    /// one, under it where there is none.
    pub fn waiting_loop(&self) -> Option<(&'static str, &str)> {
        let before = match self.lane {
            Lane::Exit => ("departure_loop", &self.departure_loop),
            Lane::Entry | Lane::Both => ("approach_loop", &self.approach_loop),
        };
        let under = ("loop", &self.vehicle_loop);
        [before, under].into_iter().find_map(|(key, name)| Some((key, name.as_deref()?)))
    }

    /// The machine's parameters.
    pub fn machine(&self) -> barrier::BarrierConfig {
        barrier::BarrierConfig {
            pulse_ms: self.pulse_ms,
            travel_ms: self.travel_ms,
            clear_ms: self.clear_ms,
            open_timeout_ms: self.open_timeout_s.saturating_mul(1_000),
            gap_ms: self.gap_ms,
            close_standing_open: self.close_standing_open,
            self_closing: self.close.is_none(),
            lane: self.lane.direction(),
            loop_fitted: self.vehicle_loop.is_some(),
            photocell_fitted: self.photocell.is_some(),
            lane_loops_fitted: self.approach_loop.is_some() && self.departure_loop.is_some(),
            limits_fitted: self.open_limit.is_some() && self.closed_limit.is_some(),
        }
    }
}

impl DoorConfig {
    /// The machine's parameters.
    pub fn machine(&self) -> door::DoorConfig {
        door::DoorConfig {
            release_ms: self.release_ms,
            held_open_s: self.held_open_s,
            contact_fitted: self.contact.is_some(),
        }
    }
}

fn pulse_ms() -> u64 {
    barrier::BarrierConfig::default().pulse_ms
}
fn travel_ms() -> u64 {
    barrier::BarrierConfig::default().travel_ms
}
fn clear_ms() -> u64 {
    barrier::BarrierConfig::default().clear_ms
}
fn gap_ms() -> u64 {
    barrier::BarrierConfig::default().gap_ms
}
fn open_timeout_s() -> u64 {
    barrier::BarrierConfig::default().open_timeout_ms / 1_000
}
fn release_ms() -> u64 {
    door::DoorConfig::default().release_ms
}
fn held_open_s() -> u64 {
    door::DoorConfig::default().held_open_s
}
