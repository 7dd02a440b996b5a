//! `pull` against a real server on this machine that behaves, and one that does not.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod places;
#[path = "../support/mod.rs"]
mod support;
mod transfer;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cardea_models::Pack;
use cardea_models_cli::pull::{Description, Digest, FetchError, Installed, Options, Progress, PullError, install};
use support::{Answer, Server};
use tempfile::TempDir;

/// The file that is pulled: no model, which only matters to ONNX Runtime.
fn content() -> Vec<u8> {
    (0..40_000_u32).flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 16).to_le_bytes()).take(100_003).collect()
}

const FILE: &str = "reader.onnx";

/// A pack of one file with what is known about it.
struct Known {
    urls: Vec<String>,
    bytes: Option<usize>,
    sha256: Option<Digest>,
}

impl Known {
    fn pinned(server: &Server) -> Self {
        Self { urls: vec![server.url("/reader.onnx")], bytes: Some(content().len()), sha256: Some(digest()) }
    }

    fn description(&self) -> Description {
        let urls = self.urls.iter().map(|url| format!("{url:?}")).collect::<Vec<_>>().join(", ");
        let bytes = self.bytes.map(|bytes| format!("bytes = {bytes}")).unwrap_or_default();
        let sha256 = self.sha256.map(|hash| format!("sha256 = \"{hash}\"")).unwrap_or_default();
        let manifest = include_str!("../packs/tiny.toml");
        Description::parse(&format!("[[file]]\nname = \"{FILE}\"\nurls = [{urls}]\n{bytes}\n{sha256}\n{manifest}"))
            .unwrap()
    }
}

fn digest() -> Digest {
    Digest::of_bytes(&content())
}

/// A folder to pull into, and what may be given with it.
struct Site {
    folder: TempDir,
    options: Options,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            into: folder.path().join("packs"),
            mirror: None,
            cache: None,
            offline: false,
            pins: BTreeMap::new(),
            trust_first_download: false,
            replace_thresholds: false,
            with: None,
            timeout: Duration::from_secs(20),
            runtime: None,
        };
        fs::create_dir(&options.into).unwrap();
        Self { folder, options }
    }

    fn pull(&self, known: &Known) -> Result<Installed, PullError> {
        install(&known.description(), &self.options, &mut Quiet::default())
    }

    fn pack(&self) -> PathBuf {
        self.options.into.join("tiny")
    }

    fn stage(&self) -> PathBuf {
        self.options.into.join(".tiny.pulling")
    }

    /// The pack is there, sound, and nothing else is.
    fn check(&self) {
        assert_eq!(names(&self.options.into), ["tiny"]);
        assert_eq!(names(&self.pack()), ["manifest.toml", FILE]);
        assert_eq!(fs::read(self.pack().join(FILE)).unwrap(), content());
        Pack::open(&self.pack()).unwrap();
    }

    /// No pack has appeared.
    fn check_nothing(&self) {
        assert!(!self.pack().exists());
    }
}

#[derive(Default)]
struct Quiet {
    notes: Vec<String>,
}

impl Progress for Quiet {
    fn begin(&mut self, _file: &str, _source: &str, _bytes: Option<u64>) {}
    fn at(&mut self, _bytes: u64) {}
    fn end(&mut self) {}
    fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Why each address failed.
fn reasons(error: PullError) -> Vec<FetchError> {
    match error {
        PullError::NoSource { tried, .. } => tried.into_iter().map(|(_, error)| error).collect(),
        other => unreachable!("another error: {other}"),
    }
}

fn good() -> Server {
    let content = content();
    Server::start(move |_, request| Answer::file(request, &content, Some("\"1\"")))
}
