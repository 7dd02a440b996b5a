//! `cardea-models pull`: a described public pack, downloaded.
//!
//! ```text
//! description -> each file: installed | interrupted run | cache | mirror | publisher -> stage -> verified -> one rename
//! ```
//!
//! Nothing that comes is used before its SHA-256 is the described one. A pack appears in its place whole or not at all: it
//! grows in a hidden folder beside it, its manifest is written last, its models are run once where ONNX Runtime is here, and
//! one rename puts it there. Until then the pack that was there before is untouched.

mod acquire;
mod attempt;
mod description;
mod digest;
mod exchange;
mod part;
mod progress;
mod stage;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use cardea_models::{Pack, PackError, Runtime, RuntimeError};
use url::Url;

pub use attempt::FetchError;
pub use description::{Description, DescriptionError, Source};
pub use digest::{Digest, NoDigest};
pub use progress::Progress;
pub use stage::StageError;

use crate::{Error, OnnxRuntime, Outcome, PACKS, PACKS_VARIABLE};
use acquire::{Network, Places, acquire};
use stage::Stage;

/// Arguments of `cardea-models pull`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which pack: `cardea-models list --available` shows them
    pub name: String,
    /// The folder that gets the pack, as a folder of its name
    #[arg(long, value_name = "DIR", env = PACKS_VARIABLE, default_value = PACKS)]
    pub into: PathBuf,
    /// A server that has the same files under the same names, asked first
    #[arg(long, value_name = "URL", env = "CARDEA_MIRROR", value_parser = mirror)]
    pub mirror: Option<Url>,
    /// A folder of downloaded files: used where it has one, and given what is downloaded
    #[arg(long, value_name = "DIR", env = "CARDEA_CACHE")]
    pub cache: Option<PathBuf>,
    /// Download nothing: installed and cached files must do
    #[arg(long)]
    pub offline: bool,
    /// The SHA-256 of a file whose publisher states none
    #[arg(long, value_name = "FILE=HEX", value_parser = pin)]
    pub sha256: Vec<(String, Digest)>,
    /// Take a file without a stated SHA-256 as it comes, and hold it to that from then on
    #[arg(long)]
    pub trust_first_download: bool,
    /// Seconds without a byte after which a server is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub timeout: u64,
    /// ONNX Runtime, to run each model once before the pack is put in its place
    #[command(flatten)]
    pub runtime: OnnxRuntime,
}

fn mirror(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("{error}"))?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err("a mirror is an http:// or https:// address; a folder is given with --cache".into())
    }
}

fn pin(text: &str) -> Result<(String, Digest), String> {
    let (file, hash) = text.split_once('=').ok_or("expected FILE=HEX")?;
    Ok((file.to_owned(), hash.parse().map_err(|error: NoDigest| error.to_string())?))
}

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

/// Why a pack was not put in its place. What was there before is as it was.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// No such description.
    #[error("no pack is called {name}; known are {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The description is of no use.
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// Nobody states the hash of a file.
    #[error(
        "the publisher of {file} states no SHA-256: get it from somebody you trust and give --sha256 {file}=HEX, or take \
         what comes with --trust-first-download"
    )]
    NoHash {
        /// The file.
        file: String,
    },
    /// The caller's hash and the description's differ.
    #[error("--sha256 says {given} for {file}, the description of the pack says {described}")]
    OtherPin {
        /// The file.
        file: String,
        /// The caller's.
        given: Digest,
        /// The description's.
        described: Digest,
    },
    /// The caller's hash is for no file of the pack.
    #[error("--sha256 names {file}, which is no file of this pack; its files are {files}")]
    StrayPin {
        /// What was named.
        file: String,
        /// The pack's files.
        files: String,
    },
    /// Nothing may be downloaded, and a file is not here.
    #[error("{file} is neither installed nor in the cache, and --offline allows no download")]
    Offline {
        /// The file.
        file: String,
    },
    /// No address gave the file.
    #[error("{file} could not be downloaded{}", list(tried))]
    NoSource {
        /// The file.
        file: String,
        /// Each address and what it answered.
        tried: Vec<(String, FetchError)>,
    },
    /// The HTTP client could not be made.
    #[error("the HTTP client could not be made")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The folder could not be worked with.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// ONNX Runtime was named and could not be loaded.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// What was downloaded does not work; it is not installed.
    #[error("the pack does not work here and was not installed")]
    Verify(#[from] PackError),
}

fn list(tried: &[(String, FetchError)]) -> String {
    tried.iter().map(|(address, error)| format!("\n  {address}: {error}")).collect()
}

/// Downloads the pack and says what came from where.
pub fn run(args: &Args, out: &mut impl Write) -> Result<Outcome, Error> {
    let all = Description::all().map_err(PullError::from)?;
    let description = all.iter().find(|description| description.name() == args.name).ok_or_else(|| {
        let known = all.iter().map(Description::name).collect::<Vec<_>>().join(", ");
        PullError::Unknown { name: args.name.clone(), known }
    })?;
    let runtime = match args.runtime.load() {
        Ok(runtime) => Some(runtime),
        Err(RuntimeError::NotConfigured) => None,
        Err(error) => return Err(PullError::from(error).into()),
    };
    let options = Options {
        into: args.into.clone(),
        mirror: args.mirror.clone(),
        cache: args.cache.clone(),
        offline: args.offline,
        pins: args.sha256.iter().cloned().collect(),
        trust_first_download: args.trust_first_download,
        timeout: Duration::from_secs(args.timeout),
        runtime,
    };
    let installed = install(description, &options, progress::for_stderr().as_mut())?;
    report(description, &installed, out)?;
    Ok(Outcome::Sound)
}

/// Puts the described pack into its place, with the files it needs from wherever they are.
pub fn install(
    description: &Description,
    options: &Options,
    progress: &mut dyn Progress,
) -> Result<Installed, PullError> {
    check_pins(description, options)?;
    let stage = Stage::open(&options.into, description.name())?;
    let network = if options.offline {
        None
    } else {
        Some(Network {
            client: attempt::client(options.timeout).map_err(|error| PullError::Client(error.into()))?,
            timeout: options.timeout,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| PullError::Client(error.into()))?,
        })
    };
    let places = Places {
        installed: stage.target(),
        stage: stage.folder(),
        cache: options.cache.as_deref(),
        mirror: options.mirror.as_ref(),
        network,
    };
    let mut files = Vec::new();
    for source in &description.files {
        let known = known_hash(source, options, &places)?;
        let (sha256, origin) = acquire(source, known.hash, &places, progress)?;
        files.push(Pulled { name: source.name.clone(), sha256, origin, on_trust: known.on_trust });
    }
    drop(places);
    let hashes: BTreeMap<String, Digest> = files.iter().map(|file| (file.name.clone(), file.sha256)).collect();
    let manifest = description.manifest(&hashes)?;
    let path = stage.target().to_owned();
    let unchanged = files.iter().all(|file| file.origin == Origin::Installed)
        && stage.installed_manifest().as_ref() == Some(&manifest);
    stage.complete(&manifest, &files.iter().map(|file| file.name.as_str()).collect())?;
    match &options.runtime {
        Some(runtime) => drop(Pack::load(stage.folder(), runtime, 1)?),
        None => drop(Pack::open(stage.folder())?),
    }
    // a pack that is in use is not moved away for nothing
    if unchanged {
        stage.discard()?
    } else {
        stage.install()?
    }
    Ok(Installed { path, files, models_run: options.runtime.is_some() })
}

/// What is known about a file's hash before it is here.
struct Known {
    hash: Option<Digest>,
    on_trust: bool,
}

/// The hash the description or the caller states, or else the one the installed manifest was written with.
fn known_hash(source: &Source, options: &Options, places: &Places<'_>) -> Result<Known, PullError> {
    if let Some(hash) = source.sha256.or_else(|| options.pins.get(&source.name).copied()) {
        return Ok(Known { hash: Some(hash), on_trust: false });
    }
    if !options.trust_first_download {
        return Err(PullError::NoHash { file: source.name.clone() });
    }
    let installed = Pack::open(places.installed).ok().and_then(|manifest| {
        let model = manifest.models.iter().find(|model| model.file == source.name)?;
        model.sha256.parse().ok()
    });
    Ok(Known { hash: installed, on_trust: true })
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

fn report(description: &Description, installed: &Installed, out: &mut impl Write) -> Result<(), Error> {
    for Pulled { name, sha256, origin, on_trust } in &installed.files {
        let from = match origin {
            Origin::Installed => "was installed".to_owned(),
            Origin::Interrupted => "was here from an interrupted run".to_owned(),
            Origin::Cache => "from the cache".to_owned(),
            Origin::Address(address) => format!("from {address}"),
        };
        writeln!(out, "{name}  {from}\n  SHA-256 {sha256}")?;
        if *on_trust {
            writeln!(
                out,
                "  Nobody states this hash: the file was taken as it came, and the manifest holds it to that. Whoever could \
                 change it on its way has; compare the hash with another source before a door depends on it."
            )?;
        }
    }
    let run = if installed.models_run {
        "each model was run once"
    } else {
        "hashes are right, no model was run: name ONNX Runtime with --onnxruntime, or use `cardea-models verify` where it is"
    };
    writeln!(out, "{} is in {}: {run}.", description.name(), installed.path.display())?;
    Ok(())
}
