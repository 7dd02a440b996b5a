//! Packs for tests: tiny hand-made networks whose answers can be worked out, and packs made of files elsewhere.
//!
//! The tiny networks read their answer from the picture itself: the detectors find bright 8x8 cells, the reader takes
//! each pixel as a logit, the embedder returns the pixels. So the whole chain is exercised without trained weights.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

pub(crate) mod onnx;
pub(crate) mod pictures;

use std::path::{Path, PathBuf};

use cardea_models::Runtime;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const GRAY: &str = "channels = \"gray\"\nmean = [128.0]\nstd = [10.0]";

/// Three planes of values as they are.
pub(crate) const RGB: &str = "channels = \"rgb\"\nmean = [0.0, 0.0, 0.0]\nstd = [1.0, 1.0, 1.0]";

pub(crate) const ALPHABET: &str = "0123456789ABEKMHOPCTYX";

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The optional folder of shared models and evaluation pictures; where it is not, the test log says what was skipped.
#[allow(clippy::print_stderr, reason = "a skipped test should say so")]
pub(crate) fn shared() -> Option<PathBuf> {
    let folder = root().join("../shared");
    if folder.join("models").is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no public models and pictures in {}", folder.display());
    None
}

pub(crate) fn runtime() -> Runtime {
    if std::env::var_os("ORT_DYLIB_PATH").is_some() {
        return Runtime::load_from_env().expect("ORT_DYLIB_PATH");
    }
    Runtime::load(&root().join(".tools/onnxruntime/libonnxruntime.so")).expect("run setup/onnxruntime.py first")
}

/// One model of a hand-made pack; every field can be spoilt by a test.
pub(crate) struct Model {
    pub(crate) id: &'static str,
    pub(crate) role: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) sha256: Option<String>,
    /// Channels and normalisation.
    pub(crate) pixels: &'static str,
    pub(crate) input: String,
    pub(crate) decode: String,
    pub(crate) threshold: f32,
}

impl Model {
    pub(crate) fn plate_detector() -> Self {
        Self {
            id: "tiny-plate-detector",
            role: "plate-detector",
            bytes: onnx::plate_detector(),
            sha256: None,
            pixels: GRAY,
            input: "multiple_of = 32\nmax_side = 320".into(),
            decode: "kind = \"centre-points\"\nstride = 8\npoint_scale = 2.0\npoints = 4".into(),
            threshold: 0.9,
        }
    }

    pub(crate) fn face_detector() -> Self {
        Self {
            id: "tiny-face-detector",
            role: "face-detector",
            bytes: onnx::face_detector(),
            decode: "kind = \"centre-points\"\nstride = 8\npoint_scale = 2.0\npoints = 5".into(),
            ..Self::plate_detector()
        }
    }

    /// Steps are rows, classes are columns, brightness is the logit.
    pub(crate) fn reader() -> Self {
        Self {
            id: "tiny-reader",
            role: "plate-reader",
            bytes: onnx::reader([16, 23]),
            sha256: None,
            pixels: GRAY,
            input: "size = [16, 23]".into(),
            decode: format!("kind = \"ctc\"\nalphabet = \"{ALPHABET}\"\nblank = 22"),
            threshold: 1.0,
        }
    }

    pub(crate) fn embedder() -> Self {
        Self {
            id: "tiny-embedder",
            role: "face-embedder",
            bytes: onnx::embedder([64, 64]),
            sha256: None,
            pixels: GRAY,
            input: "size = [64, 64]".into(),
            decode: "kind = \"embedding\"\ntemplate = [[16.0, 16.0], [48.0, 16.0], [32.0, 32.0], [20.0, 48.0], [44.0, 48.0]]"
                .into(),
            threshold: 0.5,
        }
    }

    fn entry(&self) -> String {
        let sha256 = self.sha256.clone().unwrap_or_else(|| hex::encode(Sha256::digest(&self.bytes)));
        format!(
            "[[model]]\nid = \"{id}\"\nrole = \"{role}\"\nfitness = \"demo\"\nfile = \"{id}.onnx\"\nsha256 = \"{sha256}\"\nlicence = \"MIT\"\n\
             source = \"tests\"\n[model.input]\n{pixels}\n{input}\n\
             [model.decode]\n{decode}\n[model.threshold]\nvalue = {threshold:?}\nmeaning = \"test\"\n",
            id = self.id,
            role = self.role,
            pixels = self.pixels,
            input = self.input,
            decode = self.decode,
            threshold = self.threshold,
        )
    }
}

/// Writes a pack of hand-made models to a temporary folder.
pub(crate) fn tiny_pack(models: &[Model]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let mut manifest = String::from("[pack]\nname = \"tiny\"\nversion = \"0\"\nlicence = \"MIT\"\n");
    for model in models {
        std::fs::write(folder.path().join(format!("{}.onnx", model.id)), &model.bytes).unwrap();
        manifest.push_str(&model.entry());
    }
    std::fs::write(folder.path().join("manifest.toml"), manifest).unwrap();
    folder
}

/// A pack of `manifest` (a file in `tests/packs/`) and links to the files it names, which lie in `files`.
pub(crate) fn linked_pack(manifest: &str, files: &Path) -> TempDir {
    let folder = TempDir::new().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packs").join(manifest);
    let text = std::fs::read_to_string(source).unwrap();
    for line in text.lines().filter_map(|line| line.strip_prefix("file = ")) {
        let name = line.trim_matches('"');
        std::os::unix::fs::symlink(files.canonicalize().unwrap().join(name), folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join("manifest.toml"), text).unwrap();
    folder
}
