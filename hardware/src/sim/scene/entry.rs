//! A scene as it is written, and what makes no sense in one.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Component, Path};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::span::{Length, Span};
use super::{Act, Scene, SceneError, Shot, Step};
use crate::sim::fault::Fault;
use crate::sim::physics::{CHANNELS, CarPlan, Errand, PersonPlan, Side, What, input_named, input_names};

/// A scene does at most so many things.
const MOST_ACTS: usize = 100_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SceneEntry {
    #[serde(default)]
    title: String,
    #[serde(default)]
    about: String,
    #[serde(default = "one")]
    seed: u64,
    #[serde(default)]
    empty: BTreeMap<String, String>,
    #[serde(default)]
    step: Vec<StepEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepEntry {
    #[serde(default)]
    at: Span,
    when: Option<What>,
    repeat: Option<RepeatEntry>,
    car: Option<CarEntry>,
    person: Option<PersonEntry>,
    card: Option<toml::Table>,
    part: Option<PartEntry>,
    fault: Option<FaultEntry>,
    input: Option<InputEntry>,
    picture: Option<PictureEntry>,
    say: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RepeatEntry {
    times: u32,
    every: Span,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "kebab-case")]
enum Driver {
    #[default]
    Careful,
    Hasty,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CarEntry {
    name: Option<String>,
    plate_picture: Option<String>,
    #[serde(default = "plate_camera")]
    camera: String,
    #[serde(default)]
    from: Side,
    speed_kmh: Option<f64>,
    length_m: Option<f64>,
    gap_m: Option<f64>,
    #[serde(default)]
    driver: Driver,
    waits: Option<Length>,
    stands: Option<Length>,
    #[serde(default)]
    backs_out: bool,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "kebab-case")]
enum Does {
    #[default]
    WalksThrough,
    HoldsOpen,
    Forces,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PersonEntry {
    name: Option<String>,
    face_picture: Option<String>,
    #[serde(default = "face_camera")]
    camera: String,
    #[serde(default)]
    from: Side,
    #[serde(default)]
    does: Does,
    holds: Option<Length>,
    waits: Option<Length>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartEntry {
    name: String,
    action: String,
    #[serde(default)]
    with: toml::Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultEntry {
    part: String,
    kind: String,
    ms: Option<u64>,
    r#for: Option<Length>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InputEntry {
    name: Option<String>,
    channel: Option<usize>,
    on: bool,
    r#for: Option<Length>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PictureEntry {
    camera: String,
    file: String,
    r#for: Option<Length>,
}

/// What a step does, and what ends it.
type Understood = (Act, Option<(Duration, Act)>);

pub(super) fn scene(text: &str) -> Result<Scene, SceneError> {
    let entry: SceneEntry = toml::from_str(text)?;
    let mut steps = Vec::new();
    let mut acts = 0usize;
    for (index, step) in entry.step.into_iter().enumerate() {
        let step = step.understood().map_err(|reason| SceneError::Step { number: index + 1, reason })?;
        acts = acts.saturating_add(step.repeat.map_or(1, |(times, _)| times as usize).saturating_mul(2));
        steps.push(step);
    }
    if acts > MOST_ACTS {
        return Err(SceneError::TooLong { limit: MOST_ACTS });
    }
    for file in entry.empty.values() {
        plain_file(file).map_err(SceneError::Misfit)?;
    }
    Ok(Scene { title: entry.title, about: entry.about, seed: entry.seed, empty: entry.empty, steps })
}

impl StepEntry {
    fn understood(self) -> Result<Step, String> {
        let mut found: Vec<(&str, Understood)> = Vec::new();
        if let Some(car) = self.car {
            found.push(("car", (car.understood()?, None)));
        }
        if let Some(person) = self.person {
            found.push(("person", (person.understood()?, None)));
        }
        if let Some(card) = self.card {
            found.push(("card", (read(card)?, None)));
        }
        if let Some(part) = self.part {
            let body = json(part.with)?;
            found.push(("part", (Act::Part { part: part.name, action: part.action, body }, None)));
        }
        if let Some(fault) = self.fault {
            found.push(("fault", fault.understood()?));
        }
        if let Some(input) = self.input {
            found.push(("input", input.understood()?));
        }
        if let Some(picture) = self.picture {
            plain_file(&picture.file)?;
            let undo = picture.r#for.map(|after| (after.0, Act::Picture(picture.camera.clone(), None)));
            found.push(("picture", (Act::Picture(picture.camera, Some(picture.file)), undo)));
        }
        if let Some(line) = self.say {
            found.push(("say", (Act::Say(line), None)));
        }
        let kinds: Vec<&str> = found.iter().map(|(kind, _)| *kind).collect();
        if kinds.len() > 1 {
            return Err(format!("it does several things at once ({}); give each a step of its own", kinds.join(", ")));
        }
        let Some((_, (act, until))) = found.pop() else {
            return Err("it does nothing; give it a car, person, card, part, fault, input, picture or say".into());
        };
        let repeat = self.repeat.map(|repeat| (repeat.times, repeat.every));
        if let Some((times, every)) = repeat {
            if self.when.is_some() {
                return Err("it has both `when` and `repeat`; use one of them".into());
            }
            if times == 0 || every.shortest().is_zero() {
                return Err("`repeat` needs `times` of at least 1 and `every` of more than \"0s\"".into());
            }
            if until.as_ref().is_some_and(|(after, _)| *after > every.shortest()) {
                return Err("`for` is longer than `every`: it would begin again before it has ended".into());
            }
        }
        Ok(Step { at: self.at, when: self.when, repeat, act, until })
    }
}

impl CarEntry {
    fn understood(self) -> Result<Act, String> {
        let usual = CarPlan::default();
        let plan = CarPlan {
            name: self.name.unwrap_or_default(),
            from: self.from,
            speed_kmh: within("speed_kmh", self.speed_kmh.unwrap_or(usual.speed_kmh), 1.0..=100.0)?,
            length_m: within("length_m", self.length_m.unwrap_or(usual.length_m), 1.0..=25.0)?,
            gap_m: within("gap_m", self.gap_m.unwrap_or(usual.gap_m), 0.1..=100.0)?,
            hasty: self.driver == Driver::Hasty,
            waits: self.waits.map(|length| length.0),
            stands: self.stands.map(|length| length.0),
            backs_out: self.backs_out,
        };
        Ok(Act::Car(plan, shot(self.camera, self.plate_picture)?))
    }
}

impl PersonEntry {
    fn understood(self) -> Result<Act, String> {
        let errand = match (self.does, self.holds) {
            (Does::HoldsOpen, Some(holds)) => Errand::HoldsOpen(holds.0),
            (Does::HoldsOpen, None) => return Err("who holds the door open needs `holds`, such as \"40s\"".into()),
            (_, Some(_)) => return Err("`holds` goes with does = \"holds-open\"".into()),
            (Does::WalksThrough, None) => Errand::WalksThrough,
            (Does::Forces, None) => Errand::Forces,
        };
        let name = self.name.unwrap_or_default();
        let plan = PersonPlan { name, from: self.from, errand, waits: self.waits.map(|length| length.0) };
        Ok(Act::Person(plan, shot(self.camera, self.face_picture)?))
    }
}

impl FaultEntry {
    fn understood(self) -> Result<Understood, String> {
        let mut described = serde_json::Map::from_iter([("kind".to_owned(), Value::from(self.kind))]);
        described.extend(self.ms.map(|ms| ("ms".to_owned(), Value::from(ms))));
        let fault: Fault =
            serde_json::from_value(Value::Object(described)).map_err(|error| format!("fault: {error}"))?;
        let undo = self.r#for.map(|after| (after.0, Act::Fault(self.part.clone(), Fault::None)));
        Ok((Act::Fault(self.part, fault), undo))
    }
}

impl InputEntry {
    fn understood(self) -> Result<Understood, String> {
        let channel = match (self.name, self.channel) {
            (Some(name), None) => input_named(&name).ok_or_else(|| {
                format!("there is no input {name:?}; there are: {}", input_names().collect::<Vec<_>>().join(", "))
            })?,
            (None, Some(channel)) if channel < CHANNELS => channel,
            (None, Some(channel)) => {
                return Err(format!("there is no input {channel}; channels go to {}", CHANNELS - 1));
            }
            _ => return Err("an input needs either `name` or `channel`".into()),
        };
        let undo = self.r#for.map(|after| (after.0, Act::Input(channel, None)));
        Ok((Act::Input(channel, Some(self.on)), undo))
    }
}

/// A card at a reader: the reader's own action, so that each kind of reader says what it takes.
fn read(mut card: toml::Table) -> Result<Act, String> {
    let Some(toml::Value::String(part)) = card.remove("reader") else {
        return Err("a card needs `reader`, the name of a part".into());
    };
    Ok(Act::Part { part, action: "card".into(), body: json(card)? })
}

fn json(table: toml::Table) -> Result<Value, String> {
    serde_json::to_value(table).map_err(|error| error.to_string())
}

fn shot(camera: String, file: Option<String>) -> Result<Option<Shot>, String> {
    let Some(file) = file else { return Ok(None) };
    plain_file(&file)?;
    Ok(Some(Shot { camera, file }))
}

/// Only files below the folder of pictures: whoever may play a scene need not be allowed to read the machine's files.
fn plain_file(file: &str) -> Result<(), String> {
    let plain = Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
    if plain && !file.is_empty() {
        return Ok(());
    }
    Err(format!("the picture {file:?} is not a file of the folder of pictures; name it as it is called there"))
}

fn within(what: &str, value: f64, range: RangeInclusive<f64>) -> Result<f64, String> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(format!("{what} = {value}; it goes from {} to {}", range.start(), range.end()))
}

fn one() -> u64 {
    1
}

fn plate_camera() -> String {
    "plate-cam".into()
}

fn face_camera() -> String {
    "face-cam".into()
}
