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
mod companion;
mod description;
mod digest;
mod exchange;
mod install;
mod part;
mod progress;
mod stage;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use cardea_models::{PackError, RuntimeError};
use url::Url;

pub use attempt::FetchError;
pub use description::{Description, DescriptionError, Source};
pub use digest::{Digest, NoDigest};
pub use install::{Installed, Options, Origin, Pulled, install};
pub use progress::Progress;
pub use stage::StageError;

use crate::{Error, OnnxRuntime, Outcome, PACKS, PACKS_VARIABLE};

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
    /// Put the described thresholds in the place of those that were changed in the installed pack
    #[arg(long)]
    pub replace_thresholds: bool,
    /// Another pack, whose models fill the roles this one has none for: a controller has one pack
    #[arg(long, value_name = "PACK")]
    pub with: Option<PathBuf>,
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
    /// Somebody has changed a threshold of the installed pack.
    #[error(
        "the installed pack says {installed} for the threshold of {model}, its description {described}: nothing was changed; \
         give --replace-thresholds to take the described one"
    )]
    Thresholds {
        /// Id of the model.
        model: String,
        /// The installed pack's.
        installed: f32,
        /// The description's.
        described: f32,
    },
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
    /// The pack whose models were to fill the roles that are left cannot be used.
    #[error("the pack given with --with cannot be used")]
    Companion(#[source] Box<PackError>),
    /// Two files of one name.
    #[error("a file of the pack given with --with is called {file}, as one of this pack is")]
    Clash {
        /// The file.
        file: String,
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
    Verify(#[source] Box<PackError>),
}

fn list(tried: &[(String, FetchError)]) -> String {
    tried.iter().fold(String::new(), |text, (address, error)| text + "\n  " + address + ": " + &error.to_string())
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
        replace_thresholds: args.replace_thresholds,
        with: args.with.clone(),
        timeout: Duration::from_secs(args.timeout),
        runtime,
    };
    let installed = install(description, &options, progress::for_stderr().as_mut())?;
    report(description, &installed, out)?;
    Ok(Outcome::Sound)
}

fn report(description: &Description, installed: &Installed, out: &mut impl Write) -> Result<(), Error> {
    for Pulled { name, sha256, origin, on_trust } in &installed.files {
        let from = match origin {
            Origin::Installed => "was installed".to_owned(),
            Origin::Interrupted => "was here from an interrupted run".to_owned(),
            Origin::Cache => "from the cache".to_owned(),
            Origin::Companion(name) => format!("from the pack {name}"),
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
