//! The models, loaded once and shared by the cameras' tasks: one session per model, used by one frame at a time.

use std::sync::{Arc, Mutex};

use cardea_access::credential::Fitness;
use cardea_access::grammar::{Grammar, UnknownGrammar};
use cardea_models::plate::{Shapes, ShapesError};
use cardea_models::{FacePipeline, Pack, PackError, PlatePipeline, Runtime, RuntimeError};

use crate::access::{Calibration, FaceCalibration};
use crate::config::{Config, Credential};

/// What recognises, for the credentials that the configuration uses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recognisers {
    pub(crate) plates: Option<Arc<Mutex<PlatePipeline>>>,
    pub(crate) faces: Option<Arc<Mutex<FacePipeline>>>,
    /// The thresholds of the pack.
    pub(crate) calibration: Calibration,
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
            let pipeline = pack.take_face_pipeline()?;
            let embedder = pipeline.embedder();
            loaded.calibration.face = Some(FaceCalibration {
                embedder: embedder.model().to_owned(),
                cosine: embedder.threshold().value,
                live: None,
                fitness: Fitness::Demo,
            });
            loaded.faces = Some(Arc::new(Mutex::new(pipeline)));
        }
        Ok(loaded)
    }

    /// The embedder's id, as the cloud needs it to choose templates.
    pub(crate) fn embedder(&self) -> Option<&str> {
        self.calibration.face.as_ref().map(|face| face.embedder.as_str())
    }
}

/// The shapes of the plates that come here, as the reader takes them.
fn shapes(grammars: &[Grammar]) -> Result<Shapes, ShapesError> {
    Shapes::new(grammars.iter().flat_map(|grammar| grammar.shapes()))
}
