//! One ONNX model in an ONNX Runtime session: checked against its manifest entry, fed from a buffer that is kept.

use std::borrow::Cow;
use std::sync::Arc;

use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{Session, SessionInputValue, SessionOutputs};
use ort::value::{Outlet, TensorElementType, TensorRef};
use zeroize::{Zeroize, Zeroizing};

use crate::detect;
use crate::manifest::{Decode, ElementType, Input, Layout, ModelSpec, Role};
use crate::raster::room;
use crate::runtime::Runtime;
use crate::tensor::{TensorView, Tensors, Unexpected};
use crate::weights;

/// No output has more elements: the largest detectors give some ten thousand.
const MAX_OUTPUT_ELEMENTS: i64 = 1 << 26;

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
    /// The input as normalised `f32` planes; holds a face's pixels between runs, hence wiped when dropped.
    pub(crate) tensor: Zeroizing<Vec<f32>>,
    feed: Feed,
    input: Input,
    /// Overwrite output tensors after reading: they are templates.
    wipe_outputs: bool,
    /// The first run also asks whether all outputs are numbers.
    warm: bool,
}

impl Network {
    /// Makes a session of `bytes` with `threads` threads per operator and checks its inputs and outputs.
    pub(crate) fn build(runtime: &Runtime, spec: &ModelSpec, bytes: &[u8], threads: usize) -> Result<Self, BuildError> {
        if weights::lie_elsewhere(bytes) {
            let problem = "its weights lie in another file, which no hash covers; export it as one file";
            return Err(BuildError::Mismatch(problem.into()));
        }
        let session = builder(runtime, threads)?.commit_from_memory(bytes)?;
        check_input(&session, spec).map_err(BuildError::Mismatch)?;
        check_outputs(&session, spec).map_err(BuildError::Mismatch)?;
        Ok(Self {
            model: spec.id.as_str().into(),
            session,
            tensor: Zeroizing::new(Vec::new()),
            feed: Feed::default(),
            input: spec.input.clone(),
            wipe_outputs: spec.role == Role::FaceEmbedder,
            warm: false,
        })
    }

    pub(crate) fn model(&self) -> &Arc<str> {
        &self.model
    }

    /// Runs the model on the filled `tensor` of `size` (height, width) and hands the outputs to `read`.
    pub(crate) fn run<T>(
        &mut self,
        size: [usize; 2],
        read: impl FnOnce(&Outputs<'_, '_>) -> Result<T, Unexpected>,
    ) -> Result<T, InferenceError> {
        let failed = |source| InferenceError::Run { model: self.model.clone(), source };
        let input = self.feed.input(&self.tensor, &self.input, size).map_err(failed)?;
        let mut values = self.session.run(ort::inputs![input]).map_err(failed)?;
        let result = read(&Outputs { values: &values, must_be_finite: !self.warm });
        if self.wipe_outputs {
            for (_, mut value) in &mut values {
                if let Ok((_, data)) = value.try_extract_tensor_mut::<f32>() {
                    data.zeroize();
                }
            }
        }
        let answer = result.map_err(|Unexpected { output, expected, found }| InferenceError::Output {
            model: self.model.clone(),
            output,
            expected,
            found,
        })?;
        self.warm = true;
        Ok(answer)
    }
}

/// The input in the order and type of a model that does not take planes of `f32`.
#[derive(Debug, Default)]
struct Feed {
    floats: Zeroizing<Vec<f32>>,
    bytes: Zeroizing<Vec<u8>>,
}

impl Feed {
    /// `planes` as the model wants them.
    fn input<'a>(
        &'a mut self,
        planes: &'a [f32],
        input: &Input,
        size: [usize; 2],
    ) -> Result<SessionInputValue<'a>, ort::Error> {
        let shape = input.shape(size);
        let channels = input.channels.count();
        let interleaved =
            || (0..size[0] * size[1]).flat_map(move |i| (0..channels).map(move |c| c * size[0] * size[1] + i));
        // made room for at once, so that growing leaves no face behind
        Ok(match (input.dtype, input.layout) {
            (ElementType::F32, Layout::Nchw) => TensorRef::from_array_view((shape, planes))?.into(),
            (ElementType::F32, Layout::Nhwc) => {
                room(&mut self.floats, planes.len());
                self.floats.clear();
                self.floats.extend(interleaved().map(|at| planes[at]));
                TensorRef::from_array_view((shape, self.floats.as_slice()))?.into()
            }
            (ElementType::U8, layout) => {
                let byte = |v: f32| (v + 0.5) as u8;
                room(&mut self.bytes, planes.len());
                self.bytes.clear();
                match layout {
                    Layout::Nchw => self.bytes.extend(planes.iter().map(|v| byte(*v))),
                    Layout::Nhwc => self.bytes.extend(interleaved().map(|at| byte(planes[at]))),
                }
                TensorRef::from_array_view((shape, self.bytes.as_slice()))?.into()
            }
        })
    }
}

/// The output tensors of one run.
pub(crate) struct Outputs<'a, 'r> {
    values: &'a SessionOutputs<'r>,
    must_be_finite: bool,
}

impl Outputs<'_, '_> {
    fn view<'v>(&self, name: &str, value: &'v ort::value::DynValue) -> Result<TensorView<'v>, Unexpected> {
        let of_floats = |_| Unexpected::new(name, "a tensor of f32", value.dtype().to_string());
        let (shape, data) = value.try_extract_tensor::<f32>().map_err(of_floats)?;
        if self.must_be_finite && !data.iter().all(|v| v.is_finite()) {
            return Err(Unexpected::new(name, "finite numbers for a blank picture", "NaN or infinity"));
        }
        TensorView::new(shape, data).ok_or_else(|| Unexpected::new(name, "a tensor", format!("{shape:?}")))
    }
}

impl Tensors for Outputs<'_, '_> {
    fn count(&self) -> usize {
        self.values.len()
    }

    fn at(&self, index: usize) -> Result<(Cow<'_, str>, TensorView<'_>), Unexpected> {
        let name = self.values.keys().nth(index).ok_or_else(|| Unexpected::new("", "an output", "none"))?;
        Ok((name.into(), self.named(name)?))
    }

    fn named(&self, name: &str) -> Result<TensorView<'_>, Unexpected> {
        let value = self.values.get(name).ok_or_else(|| Unexpected::new(name, "present", "missing"))?;
        self.view(name, value)
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
    let misfit = || format!("expected input {}, the file has {}", describe_input(spec), describe(input));
    let shape = input.dtype().tensor_shape().filter(|shape| shape.len() == 4).ok_or_else(misfit)?;
    let element = match spec.input.dtype {
        ElementType::F32 => TensorElementType::Float32,
        ElementType::U8 => TensorElementType::Uint8,
    };
    // -1 stands for a side that is not fixed, on either side of the comparison
    let [height, width] = spec.input.size.map_or([-1, -1], |size| size.map(|side| side as i64));
    let channels = spec.input.channels.count() as i64;
    let wanted = match spec.input.layout {
        Layout::Nchw => [1, channels, height, width],
        Layout::Nhwc => [1, height, width, channels],
    };
    let fits = shape.iter().zip(wanted).all(|(have, want)| *have == -1 || *have == want);
    if fits && input.dtype().tensor_type() == Some(element) { Ok(()) } else { Err(misfit()) }
}

/// Names and number of the outputs, and that none is larger than any decoder reads.
fn check_outputs(session: &Session, spec: &ModelSpec) -> Result<(), String> {
    let names: Vec<&str> = session.outputs().iter().map(Outlet::name).collect();
    let (needed, least): (Vec<&str>, usize) = match &spec.decode {
        Decode::CentrePoints { points_output, points, .. } => {
            let sides = if *points == 5 { Some("box") } else { None };
            (["heatmap", points_output.as_str()].into_iter().chain(sides).collect(), 2)
        }
        Decode::Yunet {} => (detect::yunet::output_names().collect(), 12),
        Decode::Scrfd {} => (Vec::new(), detect::scrfd::OUTPUTS),
        Decode::RetinaFace(_) => (Vec::new(), detect::retina::OUTPUTS),
        Decode::Yolo(_) | Decode::Embedding { .. } | Decode::LiveClass(_) | Decode::Ctc { .. } | Decode::Slots(_) => {
            (Vec::new(), 1)
        }
    };
    if let Some(missing) = needed.iter().find(|name| !names.contains(name)) {
        return Err(format!("output `{missing}` is missing, the file has {}", names.join(", ")));
    }
    if names.len() < least {
        let (kind, count) = (spec.decode.kind(), names.len());
        return Err(format!("{kind} needs {least} outputs, the file has {count}: {}", names.join(", ")));
    }
    for outlet in session.outputs() {
        let sides = outlet.dtype().tensor_shape().into_iter().flat_map(|shape| shape.iter());
        let elements = sides.filter(|side| **side > 0).try_fold(1_i64, |product, side| product.checked_mul(*side));
        if elements.is_none_or(|elements| elements > MAX_OUTPUT_ELEMENTS) {
            return Err(format!("output {} is larger than any model's", describe(outlet)));
        }
    }
    Ok(())
}

fn describe_input(spec: &ModelSpec) -> String {
    let size = spec.input.size.map_or("dynamic height x dynamic width".into(), |[h, w]| format!("{h} x {w}"));
    let channels = spec.input.channels.count();
    let element = match spec.input.dtype {
        ElementType::F32 => "f32",
        ElementType::U8 => "u8",
    };
    match spec.input.layout {
        Layout::Nchw => format!("{element} [1, {channels}, {size}]"),
        Layout::Nhwc => format!("{element} [1, {size}, {channels}]"),
    }
}

fn describe(outlet: &Outlet) -> String {
    format!("`{}`: {}", outlet.name(), outlet.dtype())
}
