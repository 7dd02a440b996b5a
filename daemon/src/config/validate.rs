//! What a configuration must fulfil beyond its syntax. All problems are reported together.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::ops::RangeInclusive;

use cardea_access::zone::{Point, Zone};
use cardea_hardware::config::{AnprConfig, CameraConfig};

use super::{AccessPointConfig, Config, Credential, LockMode};

/// `sun_path` of a Unix socket address, less its closing zero (unix(7)).
const SOCKET_PATH_MAX: usize = 107;

/// One sentence for each problem; none if the configuration can work.
pub(super) fn problems(config: &Config) -> Vec<String> {
    let mut found = Found::default();
    if let Err(error) = config.hardware().validate() {
        found.0.extend(error.problems);
    }
    found.sections(config);
    found.references(config);
    found.0.extend(super::rules::problems(config));
    for point in &config.access_points {
        found.access_point(config, point);
    }
    found.0
}

#[derive(Default)]
struct Found(Vec<String>);

impl Found {
    fn add(&mut self, problem: impl Into<String>) {
        self.0.push(problem.into());
    }

    fn range<T: PartialOrd + Display>(&mut self, entry: &str, key: &str, value: T, allowed: RangeInclusive<T>) {
        if !allowed.contains(&value) {
            self.add(format!("{entry}: {key} = {value} is not within {} to {}", allowed.start(), allowed.end()));
        }
    }

    fn sections(&mut self, config: &Config) {
        if config.state_dir.as_os_str().is_empty() {
            self.add("state_dir is empty: name a folder such as \"/var/lib/cardea\"");
        }
        if config.local.socket.as_os_str().len() > SOCKET_PATH_MAX {
            self.add(format!("[local]: socket is longer than {SOCKET_PATH_MAX} bytes: choose a shorter path"));
        }
        let orders = config.local.orders.as_ref();
        if orders.is_some_and(|path| path.as_os_str().len() > SOCKET_PATH_MAX) {
            self.add(format!("[local]: orders is longer than {SOCKET_PATH_MAX} bytes: choose a shorter path"));
        }
        if orders == Some(&config.local.socket) {
            self.add("[local]: orders and socket are the same file: whoever may look could order; give orders its own");
        }
        for (key, url) in [("url", &config.cloud.url), ("enrolment_url", &config.cloud.enrolment_url)] {
            if url.as_ref().is_some_and(|url| url.scheme() != "https") {
                self.add(format!("[cloud]: {key} does not start with https://"));
            }
        }
        if let Some(recognition) = &config.recognition {
            self.range("[recognition]", "threads", recognition.threads, 1..=16);
        }
        self.range("[biometrics]", "max_staleness_s", config.biometrics.max_staleness_s, 1..=7 * 24 * 3600);
        self.range("[biometrics]", "min_frames", config.biometrics.min_frames, 1..=10);
        self.range("[biometrics]", "min_margin", config.biometrics.min_margin, 0.0..=1.0);
        for (entry, max) in [("[plates]", config.plates.max_staleness_s), ("[cards]", config.cards.max_staleness_s)] {
            if let Some(max) = max {
                self.range(entry, "max_staleness_s", max, 1..=366 * 24 * 3600);
            }
        }
        self.range("[plates]", "min_frames", config.plates.min_frames, 1..=10);
        match config.plates.grammars() {
            Ok(grammars) if grammars.is_empty() => self.add("[plates]: grammars is empty: name one, or leave it out"),
            Ok(_) => {}
            Err(error) => self.add(format!("[plates]: grammars: {error}")),
        }
        self.range("[events]", "max_rows", config.events.max_rows, 100..=1_000_000);
        self.range("[events]", "max_kib", config.events.max_kib, 64..=1_048_576);
    }

    /// Names are used once: an output in two machines would be driven against itself.
    fn references(&mut self, config: &Config) {
        let mut ids = HashSet::new();
        let mut users: HashMap<&str, &AccessPointConfig> = HashMap::new();
        for point in &config.access_points {
            if !ids.insert(point.id()) {
                self.add(format!("access_point {:?} is there twice: give each its own id", point.id().as_str()));
            }
            for (_, output) in point.outputs() {
                if let Some(other) = users.insert(output, point) {
                    self.add(format!(
                        "output {output:?} is used twice, by access_point {:?} and {:?}: each machine needs its own",
                        other.id().as_str(),
                        point.id().as_str()
                    ));
                }
            }
        }
    }

    fn access_point(&mut self, config: &Config, point: &AccessPointConfig) {
        let entry = format!("access_point {:?}", point.id().as_str());
        for (key, name) in point.outputs() {
            if !config.outputs.iter().any(|output| output.id == name) {
                self.add(format!("{entry}: {key} = {name:?} is no [[output]]: add one with this id"));
            }
        }
        for (key, name) in point.inputs() {
            if !config.inputs.iter().any(|input| input.id == name) {
                self.add(format!("{entry}: {key} = {name:?} is no [[input]]: add one with this id"));
            }
        }
        if let Some(camera) = point.camera().filter(|name| !config.cameras.iter().any(|c| CameraConfig::id(c) == *name))
        {
            self.add(format!("{entry}: camera = {camera:?} is no [[camera]]: add one with this id"));
        }
        if let Some(anpr) = point.anpr().filter(|name| !config.anpr.iter().any(|camera| camera.id() == *name)) {
            self.add(format!("{entry}: anpr = {anpr:?} is no [[anpr]]: add one with this id"));
        }
        self.reader(config, point, &entry);
        self.recognition(config, point, &entry);
        match point {
            AccessPointConfig::Barrier(barrier) => {
                self.range(&entry, "pulse_ms", barrier.pulse_ms, 50..=10_000);
                self.range(&entry, "travel_ms", barrier.travel_ms, 500..=60_000);
                self.range(&entry, "clear_ms", barrier.clear_ms, 0..=60_000);
                self.range(&entry, "open_timeout_s", barrier.open_timeout_s, 1..=600);
                self.range(&entry, "gap_ms", barrier.gap_ms, 0..=5_000);
                if barrier.approach_loop.is_some() != barrier.departure_loop.is_some() {
                    self.add(format!(
                        "{entry}: approach_loop and departure_loop belong together: one alone does not tell a direction; \
                         name both or neither"
                    ));
                }
                if barrier.approach_loop.is_some() && barrier.vehicle_loop.is_none() && barrier.photocell.is_none() {
                    self.add(format!(
                        "{entry}: approach_loop and departure_loop say which way a vehicle went that loop or photocell saw \
                         under the boom: wire one of these, or remove both"
                    ));
                }
                if barrier.open_limit.is_some() != barrier.closed_limit.is_some() {
                    self.add(format!("{entry}: open_limit and closed_limit belong together: name both or neither"));
                }
                if barrier.close.is_some() && barrier.vehicle_loop.is_none() && barrier.photocell.is_none() {
                    self.add(format!(
                        "{entry}: close without loop or photocell could bring the boom down on a car: wire one of them, \
                         or leave closing to the barrier and remove close"
                    ));
                }
            }
            AccessPointConfig::Door(door) => {
                self.range(&entry, "release_ms", door.release_ms, 500..=60_000);
                self.range(&entry, "held_open_s", door.held_open_s, 1..=3_600);
                let safe = config.outputs.iter().find(|output| output.id == door.lock).map(|output| output.safe);
                let wanted = door.mode == LockMode::FailSafe;
                if safe.is_some_and(|safe| safe != wanted) {
                    self.add(format!(
                        "{entry}: mode and the lock disagree: output {:?} needs safe = {wanted} (on means released)",
                        door.lock
                    ));
                }
            }
        }
    }

    fn reader(&mut self, config: &Config, point: &AccessPointConfig, entry: &str) {
        let cards = point.credentials().contains(&Credential::Card);
        match point.reader() {
            None if cards => {
                self.add(format!("{entry}: \"card\" needs a reader: name one, or remove \"card\" from credentials"));
            }
            Some(_) if !cards => {
                self.add(format!("{entry}: a reader opens only to \"card\": add it to credentials, or remove reader"));
            }
            Some(name) if !config.readers.iter().any(|reader| reader.id() == name) => {
                self.add(format!("{entry}: reader = {name:?} is no [[reader]]: add one with this id"));
            }
            _ => {}
        }
        let others = config.access_points.iter().take_while(|other| other.id() != point.id());
        if let Some(other) =
            others.into_iter().find(|other| point.reader().is_some() && other.reader() == point.reader())
        {
            self.add(format!(
                "{entry}: its reader is that of access_point {:?}, too: one card would open both",
                other.id().as_str()
            ));
        }
    }

    fn recognition(&mut self, config: &Config, point: &AccessPointConfig, entry: &str) {
        let sees = |c: &Credential| matches!(c, Credential::Plate | Credential::Face);
        if let Some(credential) = point.credentials().iter().copied().find(sees) {
            let name = credential.name();
            let told = credential == Credential::Plate && point.anpr().is_some();
            if point.camera().is_none() && !told {
                self.add(format!("{entry}: {name:?} needs a camera: name one, or remove {name:?} from credentials"));
            }
            let anpr = config.anpr.iter().find(|camera| Some(camera.id()) == point.anpr());
            let pushed = matches!(anpr, Some(AnprConfig::HikvisionPush(_)));
            let has_loop = point.inputs().iter().any(|(key, _)| *key == "loop");
            if pushed && !has_loop {
                self.add(format!(
                    "{entry}: a camera that posts its events is only as trustworthy as its network, so a vehicle has to be there as well: \
                     wire a loop, or let this machine read the camera's stream (driver = \"hikvision\")"
                ));
            }
            let taken = told && point.camera().is_none() && anpr.is_some_and(AnprConfig::accept_text_only);
            if config.recognition.is_none() && !taken {
                self.add(format!("{entry}: {name:?} needs models: add a [recognition] section"));
            }
        }
        let unique: HashSet<_> = point.credentials().iter().collect();
        if unique.len() != point.credentials().len() {
            self.add(format!("{entry}: credentials names one twice"));
        }
        let corners: Vec<Point> = point.zone().iter().map(|[x, y]| Point { x: *x, y: *y }).collect();
        if !corners.is_empty()
            && let Err(error) = Zone::new(corners)
        {
            self.add(format!("{entry}: zone: {error}"));
        }
    }
}
