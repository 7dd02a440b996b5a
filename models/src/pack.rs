//! A pack on disk: verified, loaded, and every model run once before anything depends on it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::detect::Detector;
use crate::face::{FaceDetector, FaceEmbedder, FacePad, PadModel};
use crate::frame::Frame;
use crate::manifest::{Manifest, ManifestError, ModelSpec, Role};
use crate::network::{BuildError, InferenceError, Network};
use crate::pipeline::{FacePipeline, PlatePipeline};
use crate::plate::{PlateDetector, PlateReader};
use crate::runtime::Runtime;

/// Name of the manifest inside a pack's folder.
pub const MANIFEST: &str = "manifest.toml";
/// No model file is read beyond this size, in bytes: a controller could not run a larger model anyway.
const MAX_MODEL_BYTES: u64 = 256 << 20;
/// No manifest is read beyond this size, in bytes.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

/// A loaded pack: one session per model.
#[derive(Debug)]
pub struct Pack {
    manifest: Manifest,
    face_detector: Option<FaceDetector>,
    face_embedder: Option<FaceEmbedder>,
    pads: Vec<PadModel>,
    plate_detector: Option<PlateDetector>,
    plate_reader: Option<PlateReader>,
}

/// Why a pack cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file is missing or unreadable.
    #[error("reading {path} of the model pack failed; install the pack again or correct its configured folder")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// A file is larger than it may be.
    #[error("{path} of the model pack has more than {limit} bytes; install a pack made for this version")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most it may have.
        limit: u64,
    },
    /// The manifest is not usable.
    #[error("the model pack's {path} is not usable")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// A model file is not the one the manifest speaks of.
    #[error("model {model}: {path} has SHA-256 {found}, the manifest says {expected}; install the pack again")]
    WrongHash {
        /// Id of the model.
        model: String,
        /// The file.
        path: PathBuf,
        /// Hash in the manifest.
        expected: String,
        /// Hash of the file.
        found: String,
    },
    /// ONNX Runtime does not accept the file.
    #[error("model {model}: ONNX Runtime does not accept the file; it needs a pack made for this version")]
    Session {
        /// Id of the model.
        model: String,
        /// What ONNX Runtime said.
        source: ort::Error,
    },
    /// Inputs or outputs are not what the manifest says.
    #[error("model {model} does not fit its manifest entry: {problem}")]
    Mismatch {
        /// Id of the model.
        model: String,
        /// Expected and found.
        problem: String,
    },
    /// The first run failed.
    #[error("model {model}: its first run failed")]
    WarmUp {
        /// Id of the model.
        model: String,
        /// Why.
        source: InferenceError,
    },
    /// The pack lacks a model that is needed, or it has already been taken.
    #[error("model pack {pack} has no {role} to use; install a pack that has one")]
    MissingRole {
        /// Name of the pack.
        pack: String,
        /// The role.
        role: Role,
    },
}

impl Pack {
    /// Reads the manifest in `dir` and verifies every file's hash, without loading any model.
    pub fn open(dir: &Path) -> Result<Manifest, PackError> {
        let manifest = read_manifest(dir)?;
        for spec in &manifest.models {
            read_verified(dir, spec)?;
        }
        Ok(manifest)
    }

    /// Verifies and loads the pack in `dir`; each session uses `threads` threads. Every model is run once.
    pub fn load(dir: &Path, runtime: &Runtime, threads: usize) -> Result<Self, PackError> {
        let manifest = read_manifest(dir)?;
        let mut pack = Self {
            manifest: manifest.clone(),
            face_detector: None,
            face_embedder: None,
            pads: Vec::new(),
            plate_detector: None,
            plate_reader: None,
        };
        for spec in &manifest.models {
            // the session is made of the very bytes that were hashed, not of whatever the path leads to a moment later
            let bytes = read_verified(dir, spec)?;
            let model = || spec.id.clone();
            let network = Network::build(runtime, spec, &bytes, threads).map_err(|error| match error {
                BuildError::Session(source) => PackError::Session { model: model(), source },
                BuildError::Mismatch(problem) => PackError::Mismatch { model: model(), problem },
            })?;
            pack.install(spec, network).map_err(|source| PackError::WarmUp { model: model(), source })?;
        }
        tracing::info!(pack = %manifest.pack.name, version = %manifest.pack.version, models = manifest.models.len(), "model pack loaded");
        Ok(pack)
    }

    /// Name, version, licence, and each model's id, licence and threshold.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The face detector, once.
    pub fn take_face_detector(&mut self) -> Result<FaceDetector, PackError> {
        self.face_detector.take().ok_or_else(|| self.missing(Role::FaceDetector))
    }

    /// The face embedder, once.
    pub fn take_face_embedder(&mut self) -> Result<FaceEmbedder, PackError> {
        self.face_embedder.take().ok_or_else(|| self.missing(Role::FaceEmbedder))
    }

    /// The presentation attack detection of all `pad` models together, once.
    pub fn take_face_pad(&mut self) -> Result<FacePad, PackError> {
        FacePad::new(std::mem::take(&mut self.pads)).ok_or_else(|| self.missing(Role::Pad))
    }

    /// The plate detector, once.
    pub fn take_plate_detector(&mut self) -> Result<PlateDetector, PackError> {
        self.plate_detector.take().ok_or_else(|| self.missing(Role::PlateDetector))
    }

    /// The plate reader, once.
    pub fn take_plate_reader(&mut self) -> Result<PlateReader, PackError> {
        self.plate_reader.take().ok_or_else(|| self.missing(Role::PlateReader))
    }

    /// Face detector and embedder, with presentation attack detection where the pack has it, as a pipeline, once.
    pub fn take_face_pipeline(&mut self) -> Result<FacePipeline, PackError> {
        let (detector, embedder) = (self.take_face_detector()?, self.take_face_embedder()?);
        Ok(FacePipeline::new(detector, embedder, FacePad::new(std::mem::take(&mut self.pads))))
    }

    /// Plate detector and reader as a pipeline, once.
    pub fn take_plate_pipeline(&mut self) -> Result<PlatePipeline, PackError> {
        Ok(PlatePipeline::new(self.take_plate_detector()?, self.take_plate_reader()?))
    }

    /// Puts a network into its place and runs it once: that allocates its memory and checks its outputs.
    fn install(&mut self, spec: &ModelSpec, network: Network) -> Result<(), InferenceError> {
        let [height, width] = spec.input.size.unwrap_or([36, 64]);
        let blank = Frame::filled(width as u32, height as u32, [114; 3]);
        match spec.role {
            Role::FaceDetector => {
                let mut detector = FaceDetector::new(Detector::new(network, spec));
                detector.detect(&blank)?;
                self.face_detector = Some(detector);
            }
            Role::PlateDetector => {
                let mut detector = PlateDetector::new(Detector::new(network, spec));
                detector.detect(&blank)?;
                self.plate_detector = Some(detector);
            }
            Role::FaceEmbedder => {
                let mut embedder = FaceEmbedder::new(network, spec);
                embedder.as_mut().map(|embedder| embedder.embed(&blank)).transpose()?;
                self.face_embedder = embedder;
            }
            Role::Pad => {
                let mut pad = PadModel::new(network, spec);
                pad.as_mut().map(|pad| pad.live(&blank)).transpose()?;
                self.pads.extend(pad);
            }
            Role::PlateReader => {
                let mut reader = PlateReader::new(network, spec);
                reader.as_mut().map(|reader| reader.read(&blank)).transpose()?;
                self.plate_reader = reader;
            }
        }
        Ok(())
    }

    fn missing(&self, role: Role) -> PackError {
        PackError::MissingRole { pack: self.manifest.pack.name.clone(), role }
    }
}

fn read_manifest(dir: &Path) -> Result<Manifest, PackError> {
    let path = dir.join(MANIFEST);
    let bytes = read(&path, MAX_MANIFEST_BYTES)?;
    let parsed = std::str::from_utf8(&bytes).map_err(ManifestError::from).and_then(Manifest::parse);
    parsed.map_err(|source| PackError::Manifest { path, source })
}

fn read_verified(dir: &Path, spec: &ModelSpec) -> Result<Vec<u8>, PackError> {
    let path = dir.join(&spec.file);
    let bytes = read(&path, MAX_MODEL_BYTES)?;
    let found = hex::encode(Sha256::digest(&bytes));
    if !found.eq_ignore_ascii_case(&spec.sha256) {
        return Err(PackError::WrongHash { model: spec.id.clone(), path, expected: spec.sha256.clone(), found });
    }
    Ok(bytes)
}

/// Reads a regular file of at most `limit` bytes. What it says of its size is not relied upon: a device has none.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, PackError> {
    let failed = |source| PackError::Read { path: path.into(), source };
    // asked before it is opened: opening a pipe waits for its other end
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    let mut bytes = Vec::with_capacity(metadata.len().min(limit) as usize);
    let file = File::open(path).map_err(failed)?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(PackError::TooLarge { path: path.into(), limit });
    }
    Ok(bytes)
}
