//! Recognition stage by stage, each beside bare inference by the same model on an input of the same shape, in turn.

use std::path::Path;

use anyhow::Context as _;
use cardea_models::{Frame, Manifest, Pack, Role, Runtime};
use ort::session::Session;
use ort::value::Tensor;

use super::{Summary, cpu_ms, median};
use crate::look::{base_pack, onnxruntime};
use crate::picture::{self, View};

const RUNS: usize = 61;
const BARE: &str = "bare ONNX Runtime, same model and shape";

/// Measures both pipelines on one picture each.
pub fn run(summary: &mut Summary) -> anyhow::Result<()> {
    let runtime = Runtime::load(&onnxruntime())?;
    plates(&runtime, summary)?;
    faces(&runtime, summary)
}

fn plates(runtime: &Runtime, summary: &mut Summary) -> anyhow::Result<()> {
    let jpeg = picture::sample_bytes("car-day.jpg")?;
    let mut frame = Frame::decode(&jpeg)?;
    let mut pack = Pack::load(&base_pack(), runtime, 1)?;
    let (mut detector, mut reader) = (pack.take_plate_detector()?, pack.take_plate_reader()?);
    let mut bare_detector = Bare::new(runtime, pack.manifest(), Role::PlateDetector, &frame)?;
    let mut bare_reader = Bare::new(runtime, pack.manifest(), Role::PlateReader, &frame)?;
    let plate = *detector.detect(&frame)?.first().context("car-day.jpg shows no plate")?;
    let mut times: [Vec<f64>; 5] = Default::default();
    for _ in 0..RUNS {
        let mut lap = Lap::start();
        frame.decode_into(&jpeg)?;
        times[0].push(lap.ms());
        detector.detect(&frame)?;
        times[1].push(lap.ms());
        reader.read_plate(&frame, &plate)?;
        times[2].push(lap.ms());
        times[3].push(bare_detector.run()?);
        times[4].push(bare_reader.run()?);
    }
    let [decode, detect, read, bare_detect, bare_read] = times.map(median);
    summary.alone("plate: decoding a 1280x720 JPEG", decode, "ms");
    summary.beside("plate: detect", detect, "ms", BARE, bare_detect);
    summary.beside("plate: rectify and read", read, "ms", BARE, bare_read);
    summary.beside("plate: from frame to reading", detect + read, "ms", BARE, bare_detect + bare_read);
    Ok(())
}

fn faces(runtime: &Runtime, summary: &mut Summary) -> anyhow::Result<()> {
    let frame = Frame::decode(&picture::photograph("grace_hopper.jpg", View::PLAIN)?)?;
    let mut pack = Pack::load(&base_pack(), runtime, 1)?;
    let (mut detector, mut embedder) = (pack.take_face_detector()?, pack.take_face_embedder()?);
    let mut bare_detector = Bare::new(runtime, pack.manifest(), Role::FaceDetector, &frame)?;
    let mut bare_embedder = Bare::new(runtime, pack.manifest(), Role::FaceEmbedder, &frame)?;
    let face = *detector.detect(&frame)?.first().context("the portrait shows no face")?;
    let mut times: [Vec<f64>; 4] = Default::default();
    for _ in 0..RUNS {
        let mut lap = Lap::start();
        detector.detect(&frame)?;
        times[0].push(lap.ms());
        embedder.embed_face(&frame, &face)?;
        times[1].push(lap.ms());
        times[2].push(bare_detector.run()?);
        times[3].push(bare_embedder.run()?);
    }
    let [detect, embed, bare_detect, bare_embed] = times.map(median);
    summary.beside("face: detect", detect, "ms", BARE, bare_detect);
    summary.beside("face: align and embed", embed, "ms", BARE, bare_embed);
    summary.beside("face: from frame to probe", detect + embed, "ms", BARE, bare_detect + bare_embed);
    Ok(())
}

/// Consecutive stages, in milliseconds of this thread's processor time.
struct Lap(f64);

impl Lap {
    fn start() -> Self {
        Self(cpu_ms())
    }

    fn ms(&mut self) -> f64 {
        let now = cpu_ms();
        now - std::mem::replace(&mut self.0, now)
    }
}

/// A model by itself, with an input that stays the same.
struct Bare {
    session: Session,
    input: Tensor<f32>,
}

impl Bare {
    fn new(runtime: &Runtime, manifest: &Manifest, role: Role, frame: &Frame) -> anyhow::Result<Self> {
        let spec = manifest.model(role).with_context(|| format!("the pack has no {role}"))?;
        let shape = fitted(manifest, role, frame);
        let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| (i % 251) as f32 / 125.0 - 1.0).collect();
        let input = Tensor::from_array((shape, values))?;
        let mut bare = Self { session: session(runtime, &base_pack().join(&spec.file))?, input };
        bare.run()?;
        Ok(bare)
    }

    fn run(&mut self) -> anyhow::Result<f64> {
        let start = cpu_ms();
        self.session.run(ort::inputs![&self.input])?;
        Ok(cpu_ms() - start)
    }
}

/// The input shape the pipeline uses for a frame: fixed, or the frame scaled so that its longer side fits.
fn fitted(manifest: &Manifest, role: Role, frame: &Frame) -> [usize; 4] {
    let Some(spec) = manifest.model(role) else { return [0; 4] };
    let channels = spec.input.channels.count();
    if let Some([h, w]) = spec.input.size {
        return [1, channels, h, w];
    }
    let (multiple, longest) = (spec.input.multiple_of.unwrap_or(32), spec.input.max_side.unwrap_or(640));
    let scale = longest as f64 / f64::from(frame.width().max(frame.height()));
    let side = |v: u32| ((f64::from(v) * scale).round() as usize).div_ceil(multiple) * multiple;
    [1, channels, side(frame.height()), side(frame.width())]
}

fn session(runtime: &Runtime, file: &Path) -> anyhow::Result<Session> {
    let builder =
        Session::builder(runtime.environment())?.with_intra_threads(1).map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut builder = builder;
    builder.commit_from_file(file).map_err(|error| anyhow::anyhow!("{error}"))
}
