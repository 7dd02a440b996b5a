//! The order of things: what can be refused is refused first, then files are gathered, then the pack is put in its place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cardea_models::{Manifest, Pack, Runtime};
use url::Url;

use super::acquire::{Network, Places, acquire};
use super::companion::Companion;
use super::stage::Stage;
use super::{Description, Digest, Progress, PullError, Source};

/// Where files may come from and what is believed.
#[derive(Debug)]
pub struct Options {
    /// The folder that gets the pack.
    pub into: PathBuf,
    /// Asked first.
    pub mirror: Option<Url>,
    /// Files to use and to keep.
    pub cache: Option<PathBuf>,
    /// Download nothing.
    pub offline: bool,
    /// Hashes the caller states, by file name.
    pub pins: BTreeMap<String, Digest>,
    /// Take files without a stated hash as they come.
    pub trust_first_download: bool,
    /// Put the described thresholds in the place of changed ones.
    pub replace_thresholds: bool,
    /// A pack whose models fill the roles that are left.
    pub with: Option<PathBuf>,
    /// How long a server may be silent.
    pub timeout: Duration,
    /// Runs each model once before the pack is put in its place.
    pub runtime: Option<Runtime>,
}

/// Where a file came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// From the pack that was there.
    Installed,
    /// From a run that was interrupted.
    Interrupted,
    /// From the cache.
    Cache,
    /// From the pack given to fill the roles that are left.
    Companion(String),
    /// From this address.
    Address(String),
}

/// One file of an installed pack.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// Its name.
    pub name: String,
    /// Its hash.
    pub sha256: Digest,
    /// Where it came from.
    pub origin: Origin,
    /// Nobody stated its hash: it was taken as it came.
    pub on_trust: bool,
}

/// What was done.
#[derive(Debug)]
pub struct Installed {
    /// The pack's folder.
    pub path: PathBuf,
    /// Its files.
    pub files: Vec<Pulled>,
    /// Whether each model was run once.
    pub models_run: bool,
}

/// Puts the described pack into its place, with the files it needs from wherever they are.
pub fn install(
    description: &Description,
    options: &Options,
    progress: &mut dyn Progress,
) -> Result<Installed, PullError> {
    // whatever can be refused is refused before anything is downloaded
    check_pins(description, options)?;
    let companion = options.with.as_deref().map(|with| Companion::read(with, description)).transpose()?;
    let stage = Stage::open(&options.into, description.name())?;
    let mut files = gather(description, options, &stage, progress)?;
    let hashes = files.iter().map(|file| (file.name.clone(), file.sha256)).collect();
    let manifest = description.manifest(&hashes, companion.as_ref())?;
    if let Some(installed) = stage.installed_manifest().filter(|_| !options.replace_thresholds) {
        check_thresholds(&installed, &manifest)?;
    }
    if let Some(companion) = &companion {
        files.extend(companion.copy(stage.folder(), stage.target())?);
    }
    let path = stage.target().to_owned();
    let unchanged = files.iter().all(|file| file.origin == Origin::Installed)
        && stage.installed_manifest().as_ref() == Some(&manifest);
    stage.complete(&manifest, &files.iter().map(|file| file.name.as_str()).collect())?;
    let ran = match &options.runtime {
        Some(runtime) => Pack::load(stage.folder(), runtime, 1).map(drop),
        None => Pack::open(stage.folder()).map(drop),
    };
    ran.map_err(|error| PullError::Verify(Box::new(error)))?;
    // a pack that is in use is not moved away for nothing
    if unchanged {
        stage.discard()?;
    } else {
        stage.install()?;
    }
    Ok(Installed { path, files, models_run: options.runtime.is_some() })
}

/// Refuses to undo what an operator has done: a threshold that was tightened for a large house must not fall back unnoticed.
fn check_thresholds(installed: &str, described: &str) -> Result<(), PullError> {
    // what is no manifest has no thresholds to keep
    let (Ok(installed), Ok(described)) = (Manifest::parse(installed), Manifest::parse(described)) else {
        return Ok(());
    };
    for model in &described.models {
        let before = installed.models.iter().find(|before| before.id == model.id);
        if let Some(before) = before.filter(|before| before.threshold.value != model.threshold.value) {
            return Err(PullError::Thresholds {
                model: model.id.clone(),
                installed: before.threshold.value,
                described: model.threshold.value,
            });
        }
    }
    Ok(())
}

/// Brings every described file into the stage.
fn gather(
    description: &Description,
    options: &Options,
    stage: &Stage,
    progress: &mut dyn Progress,
) -> Result<Vec<Pulled>, PullError> {
    let network = if options.offline { None } else { Some(Network::new(options.timeout)?) };
    let places = Places {
        installed: stage.target(),
        stage: stage.folder(),
        cache: options.cache.as_deref(),
        mirror: options.mirror.as_ref(),
        network,
    };
    let mut files = Vec::new();
    for source in &description.files {
        let known = known_hash(source, options, stage.target())?;
        let (sha256, origin) = acquire(source, known.hash, &places, progress)?;
        files.push(Pulled { name: source.name.clone(), sha256, origin, on_trust: known.on_trust });
    }
    Ok(files)
}

/// What is known about a file's hash before it is here.
struct Known {
    hash: Option<Digest>,
    on_trust: bool,
}

/// The hash the description or the caller states, or else the one the installed manifest was written with.
fn known_hash(source: &Source, options: &Options, installed: &Path) -> Result<Known, PullError> {
    if let Some(hash) = source.sha256.or_else(|| options.pins.get(&source.name).copied()) {
        return Ok(Known { hash: Some(hash), on_trust: false });
    }
    if !options.trust_first_download {
        return Err(PullError::NoHash { file: source.name.clone() });
    }
    let former = Pack::open(installed).ok().and_then(|manifest| {
        let model = manifest.models.iter().find(|model| model.file == source.name)?;
        model.sha256.parse().ok()
    });
    Ok(Known { hash: former, on_trust: true })
}

fn check_pins(description: &Description, options: &Options) -> Result<(), PullError> {
    for (file, given) in &options.pins {
        let Some(source) = description.files.iter().find(|source| source.name == *file) else {
            let files = description.files.iter().map(|source| source.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(PullError::StrayPin { file: file.clone(), files });
        };
        if let Some(described) = source.sha256.filter(|described| described != given) {
            return Err(PullError::OtherPin { file: file.clone(), given: *given, described });
        }
    }
    // before anything is downloaded
    for source in &description.files {
        if source.sha256.is_none() && !options.trust_first_download && !options.pins.contains_key(&source.name) {
            return Err(PullError::NoHash { file: source.name.clone() });
        }
    }
    Ok(())
}
