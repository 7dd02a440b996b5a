//! One ONNX model in an ONNX Runtime session: checked against its manifest entry, fed from a buffer that is kept.

use std::sync::Arc;

use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{Session, SessionOutputs};
use ort::value::{Outlet, TensorElementType, TensorRef};
use zeroize::Zeroizing;

use crate::manifest::{Decode, ModelSpec, Role};
use crate::runtime::Runtime;

/// Why a loaded model gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// ONNX Runtime refused or failed.
    #[error("running model {model} failed")]
    Run {
        /// Id of the model.
        model: Arc<str>,
        /// What ONNX Runtime said.
        source: ort::Error,
    },
    /// An output does not have the form its manifest entry promises.
    #[error(
        "model {model}: output `{output}` is {found}, expected {expected}; the file does not fit its manifest entry"
    )]
    Output {
        /// Id of the model.
        model: Arc<str>,
        /// Name of the output.
        output: String,
        /// What the manifest's decode kind calls for.
        expected: String,
        /// What the model gave.
        found: String,
    },
    /// A crop of the wrong size was given to a model with a fixed input.
    #[error("model {model} takes {expected:?} (height, width) pixels, got {found:?}")]
    CropSize {
        /// Id of the model.
        model: Arc<str>,
        /// Height and width of the input.
        expected: [usize; 2],
        /// Height and width of the crop.
        found: [usize; 2],
    },
}

/// Why a session could not be made of a model's bytes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error("ONNX Runtime does not accept the file")]
    Session(#[from] ort::Error),
    #[error("{0}")]
    Mismatch(String),
}

/// A model ready to run.
#[derive(Debug)]
pub(crate) struct Network {
    model: Arc<str>,
    session: Session,
    /// The input tensor, NCHW; holds a face's pixels between runs, hence wiped when dropped.
    pub(crate) tensor: Zeroizing<Vec<f32>>,
    planes: usize,
    /// Overwrite output tensors after reading: they are templates.
    wipe_outputs: bool,
}

impl Network {
    /// Makes a session of `bytes` with `threads` threads per operator and checks its inputs and output names.
    pub(crate) fn build(runtime: &Runtime, spec: &ModelSpec, bytes: &[u8], threads: usize) -> Result<Self, BuildError> {
        let session = builder(runtime, threads)?.commit_from_memory(bytes)?;
        check_input(&session, spec).map_err(BuildError::Mismatch)?;
        check_output_names(&session, spec).map_err(BuildError::Mismatch)?;
        Ok(Self {
            model: spec.id.as_str().into(),
            session,
            tensor: Zeroizing::new(Vec::new()),
            planes: spec.input.channels.count(),
            wipe_outputs: spec.role == Role::FaceEmbedder,
        })
    }

    pub(crate) fn model(&self) -> &Arc<str> {
        &self.model
    }

    /// Runs the model on the filled `tensor` of `size` (height, width) and hands the outputs to `read`.
    pub(crate) fn run<T>(
        &mut self,
        size: [usize; 2],
        read: impl FnOnce(&Outputs<'_, '_>) -> Result<T, InferenceError>,
    ) -> Result<T, InferenceError> {
        let failed = |source| InferenceError::Run { model: self.model.clone(), source };
        let shape = [1, self.planes, size[0], size[1]];
        let input = TensorRef::from_array_view((shape, self.tensor.as_slice())).map_err(failed)?;
        let mut values = self.session.run(ort::inputs![input]).map_err(failed)?;
        let result = read(&Outputs { model: &self.model, values: &values });
        if self.wipe_outputs {
            for (_, mut value) in &mut values {
                if let Ok((_, data)) = value.try_extract_tensor_mut::<f32>() {
                    zeroize::Zeroize::zeroize(data);
                }
            }
        }
        result
    }
}

/// The output tensors of one run.
pub(crate) struct Outputs<'a, 'r> {
    model: &'a Arc<str>,
    values: &'a SessionOutputs<'r>,
}

impl Outputs<'_, '_> {
    /// Shape and values of the output called `name`.
    pub(crate) fn named(&self, name: &str) -> Result<(&[i64], &[f32]), InferenceError> {
        let value = self.values.get(name).ok_or_else(|| self.unexpected(name, "present", "missing"))?;
        let (shape, data) = value
            .try_extract_tensor::<f32>()
            .map_err(|source| InferenceError::Run { model: self.model.clone(), source })?;
        Ok((shape, data))
    }

    /// Shape and values of the first output, whatever its name.
    pub(crate) fn first(&self) -> Result<(&[i64], &[f32]), InferenceError> {
        let name = self.values.keys().next().ok_or_else(|| self.unexpected("", "one output", "no output"))?;
        self.named(name)
    }

    /// Values of output `name`, which must have `shape`.
    pub(crate) fn shaped(&self, name: &str, shape: &[usize]) -> Result<&[f32], InferenceError> {
        let (found, data) = self.named(name)?;
        if found.len() != shape.len() || found.iter().zip(shape).any(|(a, b)| *a != *b as i64) {
            return Err(self.unexpected(name, format!("{shape:?}"), format!("{found:?}")));
        }
        Ok(data)
    }

    pub(crate) fn unexpected(
        &self,
        output: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> InferenceError {
        InferenceError::Output {
            model: self.model.clone(),
            output: output.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }
}

fn builder(runtime: &Runtime, threads: usize) -> Result<SessionBuilder, ort::Error> {
    Ok(Session::builder(runtime.environment())?
        .with_optimization_level(GraphOptimizationLevel::Level3)?
        .with_intra_threads(threads.max(1))?
        .with_inter_threads(1)?
        // between frames the other threads of a small box have work to do
        .with_intra_op_spinning(false)?)
}

fn check_input(session: &Session, spec: &ModelSpec) -> Result<(), String> {
    let [input] = session.inputs() else {
        return Err(format!("expected one input, the file has {}", session.inputs().len()));
    };
    let expected = describe_input(spec);
    let found = describe(input);
    let shape = input.dtype().tensor_shape().filter(|shape| shape.len() == 4);
    let (Some(shape), Some(TensorElementType::Float32)) = (shape, input.dtype().tensor_type()) else {
        return Err(format!("expected input {expected}, the file has {found}"));
    };
    let sides = spec.input.size.map_or([-1, -1], |size| size.map(|side| side as i64));
    let wanted = [1, spec.input.channels.count() as i64, sides[0], sides[1]];
    let fits = shape.iter().zip(wanted).all(|(have, want)| *have == -1 || *have == want);
    if fits { Ok(()) } else { Err(format!("expected input {expected}, the file has {found}")) }
}

fn check_output_names(session: &Session, spec: &ModelSpec) -> Result<(), String> {
    let mut needed: Vec<String> = match &spec.decode {
        Decode::CentrePoints { points_output, .. } => vec!["heatmap".into(), points_output.clone()],
        Decode::Yunet {} => ["cls", "obj", "bbox", "kps"]
            .iter()
            .flat_map(|name| [8, 16, 32].map(|stride| format!("{name}_{stride}")))
            .collect(),
        Decode::Embedding { .. } | Decode::Ctc { .. } => Vec::new(),
    };
    if spec.role == Role::FaceDetector && matches!(spec.decode, Decode::CentrePoints { .. }) {
        needed.push("box".into());
    }
    let names: Vec<&str> = session.outputs().iter().map(Outlet::name).collect();
    match needed.iter().find(|name| !names.contains(&name.as_str())) {
        Some(missing) => Err(format!("output `{missing}` is missing, the file has {}", names.join(", "))),
        None if names.is_empty() => Err("the file has no output".into()),
        None => Ok(()),
    }
}

fn describe_input(spec: &ModelSpec) -> String {
    let size = spec.input.size.map_or("dynamic height x dynamic width".into(), |[h, w]| format!("{h} x {w}"));
    format!("f32 [1, {}, {size}]", spec.input.channels.count())
}

fn describe(outlet: &Outlet) -> String {
    format!("`{}`: {}", outlet.name(), outlet.dtype())
}
