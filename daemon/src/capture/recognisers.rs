//! The models, loaded once and shared by the cameras' tasks: one session per model, used by one frame at a time.

use std::sync::{Arc, Mutex};

use cardea_access::credential::Fitness;
use cardea_access::grammar::{Grammar, UnknownGrammar};
use cardea_models::manifest::{Manifest, Role};
use cardea_models::plate::{Shapes, ShapesError};
use cardea_models::{FacePipeline, Pack, PackError, PlatePipeline, Runtime, RuntimeError};

use crate::access::{Calibration, FaceCalibration};
use crate::config::{Config, Credential, Pad};

/// What recognises, for the credentials that the configuration uses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recognisers {
    pub(crate) plates: Option<Arc<Mutex<PlatePipeline>>>,
    pub(crate) faces: Option<Arc<Mutex<FacePipeline>>>,
    /// The thresholds of the pack.
    pub(crate) calibration: Calibration,
    /// Why faces are not recognised although an access point asks for them.
    pub(crate) refused: Option<Arc<RecognitionError>>,
}

/// Why there is no recognition.
#[derive(Debug, thiserror::Error)]
pub enum RecognitionError {
    /// ONNX Runtime is not there.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The pack cannot be used.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A name that is no grammar; the configuration was checked for that.
    #[error(transparent)]
    Grammar(#[from] UnknownGrammar),
    /// An access point asks whether faces are live, and no model can tell.
    #[error(
        "access point {access_point:?} says pad = {policy:?}, but the model pack {pack} has no model with the role pad: \
         install a pack that has one, or write pad = \"off\" there and know that a photograph may pass"
    )]
    NoPad {
        /// The access point.
        access_point: String,
        /// What it asks for.
        policy: &'static str,
        /// The pack's name.
        pack: String,
    },
    /// Grammars that no reader can weigh.
    #[error("the plates' grammars cannot be used together")]
    Shapes(#[from] ShapesError),
}

impl Recognisers {
    /// Loads what `config` needs; nothing if no access point takes plates or faces. Takes a second or so: call it where
    /// blocking is allowed.
    pub(crate) fn load(config: &Config) -> Result<Self, RecognitionError> {
        let Some(recognition) = &config.recognition else { return Ok(Self::default()) };
        let uses = |c: Credential| config.access_points.iter().any(|point| point.credentials().contains(&c));
        let (plates, faces) = (uses(Credential::Plate), uses(Credential::Face));
        if !plates && !faces {
            return Ok(Self::default());
        }
        let runtime = Runtime::load(&recognition.onnxruntime)?;
        let mut pack = Pack::load(&recognition.pack, &runtime, recognition.threads)?;
        let mut loaded = Self::default();
        if plates {
            let pipeline = pack.take_plate_pipeline()?.expecting(&shapes(&config.plates.grammars()?)?);
            loaded.calibration.plate_log_ratio = Some(f64::from(pipeline.reader().threshold().value));
            loaded.plates = Some(Arc::new(Mutex::new(pipeline)));
        }
        if faces {
            match loaded.load_faces(config, &mut pack) {
                // faces do not open then; plates go on
                Err(error @ RecognitionError::NoPad { .. }) => loaded.refused = Some(Arc::new(error)),
                done => done?,
            }
        }
        Ok(loaded)
    }

    fn load_faces(&mut self, config: &Config, pack: &mut Pack) -> Result<(), RecognitionError> {
        let judging = config.access_points.iter().find(|point| point.pad() != Pad::Off);
        let manifest = pack.manifest();
        if let Some(point) = judging.filter(|_| manifest.model(Role::Pad).is_none()) {
            return Err(RecognitionError::NoPad {
                access_point: point.id().as_str().to_owned(),
                policy: point.pad().policy().name(),
                pack: manifest.pack.name.clone(),
            });
        }
        let fitness = face_fitness(manifest, judging.is_some());
        let pipeline = pack.take_face_pipeline()?.with_pad(judging.is_some());
        if fitness == Fitness::Demo {
            warn_of_demo(config.recognition.as_ref().is_some_and(|recognition| recognition.allow_demo_models));
        }
        let embedder = pipeline.embedder();
        self.calibration.face = Some(FaceCalibration {
            embedder: embedder.model().to_owned(),
            cosine: embedder.threshold().value,
            live: pipeline.pad().filter(|_| judging.is_some()).map(|pad| pad.threshold().value),
            fitness,
        });
        self.faces = Some(Arc::new(Mutex::new(pipeline)));
        Ok(())
    }

    /// The embedder's id, as the cloud needs it to choose templates.
    pub(crate) fn embedder(&self) -> Option<&str> {
        self.calibration.face.as_ref().map(|face| face.embedder.as_str())
    }
}

/// What the pack's face models are fit for: as little as the least of them.
pub(crate) fn face_fitness(manifest: &Manifest, judging: bool) -> Fitness {
    let judges = |role| match role {
        Role::FaceDetector | Role::FaceEmbedder => true,
        Role::Pad => judging,
        Role::PlateDetector | Role::PlateReader => false,
    };
    let demo = manifest.models.iter().any(|model| judges(model.role) && model.fitness == cardea_models::Fitness::Demo);
    if demo { Fitness::Demo } else { Fitness::Production }
}

fn warn_of_demo(allowed: bool) {
    if allowed {
        tracing::warn!(
            "the face models are a demonstration and open doors here: they confuse people too often for that"
        );
    } else {
        tracing::warn!("the face models are a demonstration: no face opens here; install a pack that is fit for it");
    }
}

/// The shapes of the plates that come here, as the reader takes them.
fn shapes(grammars: &[Grammar]) -> Result<Shapes, ShapesError> {
    Shapes::new(grammars.iter().flat_map(|grammar| grammar.shapes()))
}
