//! Recognition stage by stage, and what of it is not inference.

use std::path::Path;

use cardea_models::{Frame, Manifest, Pack, Role, Runtime};
use ort::session::Session;
use ort::value::Tensor;

use super::{Summary, median, time_ms};
use crate::look::{base_pack, onnxruntime};
use crate::picture::{self, View};

const RUNS: usize = 60;

/// Measures both pipelines on one picture each, beside bare inference on inputs of the same shape.
pub fn run(summary: &mut Summary) -> anyhow::Result<()> {
    let runtime = Runtime::load(&onnxruntime())?;
    let mut pack = Pack::load(&base_pack(), &runtime, 1)?;
    let manifest = Pack::open(&base_pack())?;

    let jpeg = picture::sample_bytes("car-day.jpg")?;
    let decode = median(time_ms(RUNS, || Ok(Frame::decode(&jpeg).map(|_| ())?))?);
    let frame = Frame::decode(&jpeg)?;
    let mut plates = pack.take_plate_pipeline()?;
    let (mut detect, mut read) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let timings = plates.run(&frame)?.timings;
        detect.push(f64::from(timings.detect_ms));
        read.push(f64::from(timings.read_ms));
    }
    let (detect, read) = (median(detect), median(read));
    let bare_detect = bare(&runtime, &manifest, Role::PlateDetector, fitted(&manifest, Role::PlateDetector, &frame))?;
    let bare_read = bare(&runtime, &manifest, Role::PlateReader, fitted(&manifest, Role::PlateReader, &frame))?;
    summary.alone("plate: capture, decoding a 1280x720 JPEG", decode, "ms");
    summary.beside("plate: detect", detect, "ms", BARE, bare_detect);
    summary.beside("plate: read", read, "ms", BARE, bare_read);
    overhead(summary, "plate: detect and read, share that is not inference", detect + read, bare_detect + bare_read);

    let portrait = picture::photograph("grace_hopper.jpg", View::PLAIN)?;
    let frame = Frame::decode(&portrait)?;
    let mut faces = pack.take_face_pipeline()?;
    let (mut detect, mut embed) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let seen = faces.run(&frame)?;
        let probes = seen.faces.iter().filter(|face| face.template.is_some()).count().max(1) as f64;
        detect.push(f64::from(seen.timings.detect_ms));
        embed.push(f64::from(seen.timings.align_ms + seen.timings.embed_ms) / probes);
    }
    let (detect, embed) = (median(detect), median(embed));
    let bare_detect = bare(&runtime, &manifest, Role::FaceDetector, fitted(&manifest, Role::FaceDetector, &frame))?;
    let bare_embed = bare(&runtime, &manifest, Role::FaceEmbedder, fitted(&manifest, Role::FaceEmbedder, &frame))?;
    summary.beside("face: detect", detect, "ms", BARE, bare_detect);
    summary.beside("face: align and embed, per face", embed, "ms", BARE, bare_embed);
    overhead(summary, "face: detect and embed, share that is not inference", detect + embed, bare_detect + bare_embed);
    Ok(())
}

const BARE: &str = "bare ONNX Runtime, same model and shape";

fn overhead(summary: &mut Summary, name: &str, all: f64, inference: f64) {
    summary.alone(name, (all - inference) / inference * 100.0, "%");
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

/// Median milliseconds of one bare run of a model.
fn bare(runtime: &Runtime, manifest: &Manifest, role: Role, shape: [usize; 4]) -> anyhow::Result<f64> {
    let spec = manifest.model(role).ok_or_else(|| anyhow::anyhow!("the pack has no {role:?}"))?;
    let mut session = session(runtime, &base_pack().join(&spec.file))?;
    let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| (i % 251) as f32 / 125.0 - 1.0).collect();
    let input = Tensor::from_array((shape, values))?;
    Ok(median(time_ms(RUNS, || {
        session.run(ort::inputs![&input])?;
        Ok(())
    })?))
}

fn session(runtime: &Runtime, file: &Path) -> anyhow::Result<Session> {
    let builder =
        Session::builder(runtime.environment())?.with_intra_threads(1).map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut builder = builder;
    builder.commit_from_file(file).map_err(|error| anyhow::anyhow!("{error}"))
}
