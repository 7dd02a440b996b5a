//! Who may pass when: `[access_point.rules]`, `[[area]]` and `[posture]`.
//!
//! ```toml
//! [posture]                       # for every access point of this controller
//! lockdown = "panic-button"       # inputs
//! free_access = "key-switch"
//!
//! [[area]]
//! id = "garage"
//! anti_passback = "hard"          # soft, hard, timed (with within_min)
//!
//! [[access_point]]                # …, and then
//! [access_point.rules]
//! direction = "entry"
//! area = "garage"
//! schedule = "office"
//! second_factor = { first = "plate", second = "face", within_s = 60 }
//! ```

use std::collections::{BTreeMap, BTreeSet};

use cardea_access::passback::Passback;
use cardea_access::request::Direction;
use cardea_access::schedule::Schedule;
use serde::{Deserialize, Serialize};

use super::{Config, Credential};

/// The rules of one access point.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RulesConfig {
    /// Which way its camera and readers are passed.
    pub direction: DirectionConfig,
    /// The `[[area]]` it leads into or out of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub area: Option<String>,
    /// The `[[schedule]]` in which credentials that are presented here count for entry; at any time if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// The same for one credential, `remote` included; it goes before `schedule`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub schedules: BTreeMap<Credential, String>,
    /// Two credentials are needed to enter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_factor: Option<SecondFactorConfig>,
    /// The input that locks it down while true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lockdown: Option<String>,
    /// The input that holds it open while true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_access: Option<String>,
    /// The `[[schedule]]` in which it is held open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_hours: Option<String>,
    /// Whether these hours begin only when somebody has been admitted in them.
    pub free_after_first: bool,
}

/// Which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DirectionConfig {
    /// In: rules decide.
    #[default]
    Entry,
    /// Out: whoever is really there may leave.
    Exit,
}

impl DirectionConfig {
    /// The direction of the rules.
    pub const fn direction(self) -> Direction {
        match self {
            Self::Entry => Direction::Entry,
            Self::Exit => Direction::Exit,
        }
    }
}

/// Two credentials in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SecondFactorConfig {
    /// What is presented first.
    pub first: Credential,
    /// What is presented then.
    pub second: Credential,
    /// Within this time, 5 to 600 s.
    #[serde(default = "within_s")]
    pub within_s: u64,
    /// Whether they may come the other way round, too.
    #[serde(default)]
    pub any_order: bool,
}

fn within_s() -> u64 {
    60
}

/// An area behind access points of this controller.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AreaConfig {
    /// What access points call it.
    pub id: String,
    /// What is done about someone who is inside already and wants in.
    pub anti_passback: AntiPassback,
    /// With `timed`: for so long after coming in, 1 to 1440 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_min: Option<u64>,
}

/// What is done about someone who is inside already and wants in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AntiPassback {
    /// Admitted, with the alarm `passback`.
    Soft,
    /// Refused until they have left.
    Hard,
    /// Refused for `within_min`, unless they have left.
    Timed,
}

impl AreaConfig {
    /// The rule.
    pub fn passback(&self) -> Passback {
        match self.anti_passback {
            AntiPassback::Soft => Passback::Soft,
            AntiPassback::Hard => Passback::Hard,
            AntiPassback::Timed => Passback::Timed { within_ms: self.within_min.unwrap_or(1).saturating_mul(60_000) },
        }
    }
}

/// Inputs for the whole controller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PostureConfig {
    /// The input that locks everything down while true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lockdown: Option<String>,
    /// The input that holds everything open while true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_access: Option<String>,
}

impl PostureConfig {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl RulesConfig {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The schedule in which `credential` counts, if it is bound to one.
    pub fn schedule_of(&self, credential: Credential) -> Option<&str> {
        let presented = (credential != Credential::Remote).then_some(self.schedule.as_ref()).flatten();
        self.schedules.get(&credential).or(presented).map(String::as_str)
    }

    fn all_schedules(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let each = self.schedules.values().map(|id| ("schedules", id));
        self.schedule
            .iter()
            .map(|id| ("schedule", id))
            .chain(each)
            .chain(self.free_hours.iter().map(|id| ("free_hours", id)))
    }
}

impl Config {
    /// The schedule of this id. One that is not there, which the validation rules out, is never open.
    pub fn schedule(&self, id: &str) -> Schedule {
        let found = self.schedules.iter().find(|schedule| schedule.id == id);
        found.and_then(|schedule| schedule.build(&self.holidays).ok()).unwrap_or_else(Schedule::never)
    }

    /// The area of this id.
    pub fn area(&self, id: &str) -> Option<&AreaConfig> {
        self.areas.iter().find(|area| area.id == id)
    }
}

/// What is wrong with all that, a sentence each.
pub(super) fn problems(config: &Config) -> Vec<String> {
    let mut found: Vec<String> = config.holidays.iter().flat_map(|list| list.problems()).collect();
    found.extend(config.schedules.iter().filter_map(|s| s.build(&config.holidays).err()).flatten());
    twice("schedule", config.schedules.iter().map(|s| &s.id), &mut found);
    twice("holidays", config.holidays.iter().map(|h| &h.id), &mut found);
    twice("area", config.areas.iter().map(|a| &a.id), &mut found);
    inputs(
        config,
        "[posture]",
        [("lockdown", &config.posture.lockdown), ("free_access", &config.posture.free_access)],
        &mut found,
    );
    for area in &config.areas {
        area_problems(config, area, &mut found);
    }
    for point in &config.access_points {
        point_problems(config, point, &mut found);
    }
    found
}

fn twice<'a>(kind: &str, ids: impl Iterator<Item = &'a String>, found: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for id in ids.filter(|id| !seen.insert(id.as_str())) {
        found.push(format!("{kind} {id:?} is there twice: give each its own id"));
    }
}

fn inputs(config: &Config, entry: &str, named: [(&str, &Option<String>); 2], found: &mut Vec<String>) {
    for (key, name) in named {
        if let Some(name) = name.as_ref().filter(|name| !config.inputs.iter().any(|input| input.id == **name)) {
            found.push(format!("{entry}: {key} = {name:?} is no [[input]]: add one with this id"));
        }
    }
}

fn area_problems(config: &Config, area: &AreaConfig, found: &mut Vec<String>) {
    let entry = format!("area {:?}", area.id);
    match (area.anti_passback, area.within_min) {
        (AntiPassback::Timed, Some(1..=1440)) | (AntiPassback::Soft | AntiPassback::Hard, None) => {}
        (AntiPassback::Timed, _) => {
            found.push(format!("{entry}: anti_passback = \"timed\" needs within_min, 1 to 1440"));
        }
        (_, Some(_)) => found.push(format!("{entry}: within_min goes with anti_passback = \"timed\" only: remove it")),
    }
    let leads = |direction| {
        let of = |rules: &RulesConfig| rules.area.as_ref() == Some(&area.id) && rules.direction == direction;
        config.access_points.iter().any(|point| of(point.rules()))
    };
    if area.anti_passback == AntiPassback::Hard && leads(DirectionConfig::Entry) && !leads(DirectionConfig::Exit) {
        found.push(format!(
            "{entry}: anti_passback = \"hard\" without an access point of direction = \"exit\" lets everybody in once and \
             never again: add the way out, or choose \"timed\""
        ));
    }
}

fn point_problems(config: &Config, point: &super::AccessPointConfig, found: &mut Vec<String>) {
    let (entry, rules) = (format!("access_point {:?}", point.id().as_str()), point.rules());
    for (key, id) in rules.all_schedules() {
        if !config.schedules.iter().any(|schedule| schedule.id == *id) {
            found.push(format!("{entry}: {key} names {id:?}, which is no [[schedule]]: add one with this id"));
        }
    }
    if let Some(id) = rules.area.as_ref().filter(|id| config.area(id).is_none()) {
        found.push(format!("{entry}: area = {id:?} is no [[area]]: add one with this id"));
    }
    inputs(config, &entry, [("lockdown", &rules.lockdown), ("free_access", &rules.free_access)], found);
    if rules.free_after_first && rules.free_hours.is_none() {
        found.push(format!("{entry}: free_after_first goes with free_hours: name a schedule, or remove it"));
    }
    if let super::AccessPointConfig::Barrier(barrier) = point
        && barrier.lane.direction().is_some_and(|lane| lane != rules.direction.direction())
    {
        let (lane, rules) = match rules.direction {
            DirectionConfig::Entry => ("exit", "entry"),
            DirectionConfig::Exit => ("entry", "exit"),
        };
        found.push(format!(
            "{entry}: lane = \"{lane}\" is driven the other way than rules.direction = \"{rules}\" judges: make them agree, or \
             set lane = \"both\""
        ));
    }
    let credentials = point.credentials();
    if let Some(unknown) = rules.schedules.keys().find(|credential| !credentials.contains(credential)) {
        found.push(format!("{entry}: schedules names {:?}, which is not among its credentials", unknown.name()));
    }
    let Some(factor) = &rules.second_factor else { return };
    let mut note = |problem: String| found.push(format!("{entry}: second_factor: {problem}"));
    if !(5..=600).contains(&factor.within_s) {
        note(format!("within_s = {} is not within 5 to 600", factor.within_s));
    }
    if factor.first == factor.second {
        note("first and second are the same: name two kinds".to_owned());
    }
    if factor.first == Credential::Remote || factor.second == Credential::Remote {
        note("\"remote\" is presented by nobody: whoever orders an opening stands for both".to_owned());
    }
    for credential in [factor.first, factor.second] {
        if !credentials.contains(&credential) {
            note(format!("{:?} is not among its credentials: add it there", credential.name()));
        }
    }
    let other = |c: &&Credential| ![factor.first, factor.second, Credential::Remote].contains(*c);
    if let Some(third) = credentials.iter().find(other) {
        note(format!("{:?} would open nothing here: remove it from credentials", third.name()));
    }
    if rules.direction == DirectionConfig::Exit {
        note("the way out asks for nothing: remove it".to_owned());
    }
}

#[cfg(test)]
mod tests;
