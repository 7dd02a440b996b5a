//! From JPEG to text beside a straightforward pipeline in Python, with ONNX Runtime and OpenCV.
//!
//! Same models, same pictures, one thread each, in turn. Cardea's readings carry the probabilities of every text; the
//! peer's is the text alone.

use anyhow::Context as _;
use cardea_models::manifest::{Channels, Decode};
use cardea_models::{Frame, Manifest, ModelSpec, Pack, PlatePipeline, Role, Runtime};
use serde_json::{Value, json};

use super::peer::Peer;
use super::{Summary, cpu_ms, median};
use crate::look::{base_pack, onnxruntime};
use crate::picture;

const RUNS: usize = 25;
const PICTURES: [&str; 5] = ["car-day.jpg", "car-night.jpg", "car-dirt.jpg", "car-other.jpg", "yard.jpg"];

/// Measures the rate of both, and how many plates they agree about.
pub fn run(summary: &mut Summary) -> anyhow::Result<()> {
    let manifest = Pack::open(&base_pack())?;
    let mut peer = Peer::start("plates.py", &[setup(&manifest)?.to_string()])?;
    let files = PICTURES.map(picture::sample_bytes).into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    // the peer looks once at each picture, so this does
    let mut pipeline =
        Pack::load(&base_pack(), &Runtime::load(&onnxruntime())?, 1)?.take_plate_pipeline()?.looking_once();
    let mut frame = Frame::filled(1, 1, [0; 3]);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut texts, mut answer) = (Vec::new(), Value::Null);
    // the first run of each warms up
    for run in 0..=RUNS {
        let start = cpu_ms();
        texts = look(&mut pipeline, &mut frame, &files)?;
        let took = cpu_ms() - start;
        answer = peer.ask()?;
        if run > 0 {
            ours.push(took);
            theirs.push(answer["cpu_ms"].as_f64().context("the peer did not say how long it took")?);
        }
    }
    let rate = |times| PICTURES.len() as f64 * 1e3 / median(times);
    summary.beside("plate: JPEG to text, pictures per second", rate(ours), "/s", "Python, OpenCV", rate(theirs));
    let peer_texts: Vec<Vec<String>> = serde_json::from_value(answer["texts"].take())?;
    let same = texts.iter().zip(&peer_texts).filter(|(ours, theirs)| ours == theirs).count();
    summary.alone("plate: pictures read the same by both", same as f64, "of 5");
    Ok(())
}

fn look(pipeline: &mut PlatePipeline, frame: &mut Frame, files: &[Vec<u8>]) -> anyhow::Result<Vec<Vec<String>>> {
    files
        .iter()
        .map(|file| {
            frame.decode_into(file)?;
            let seen = pipeline.run(frame)?;
            Ok(seen.plates.iter().filter_map(|plate| plate.reading.as_ref()).map(|reading| reading.text()).collect())
        })
        .collect()
}

/// The models and pictures, as the peer wants them.
fn setup(manifest: &Manifest) -> anyhow::Result<Value> {
    let model = |role| manifest.model(role).with_context(|| format!("the pack has no {role}"));
    let (detector, reader) = (model(Role::PlateDetector)?, model(Role::PlateReader)?);
    let Decode::CentrePoints { stride, point_scale, points_output, .. } = &detector.decode else {
        anyhow::bail!("the peer knows detectors of centre points only");
    };
    let Decode::Ctc { alphabet, blank, two_line } = &reader.decode else {
        anyhow::bail!("the peer knows CTC readers only");
    };
    let mut setup = json!({
        "detector": common(detector),
        "reader": common(reader),
        "pictures": PICTURES.map(picture::sample),
    });
    for (key, value) in [
        ("max_side", json!(detector.input.max_side)),
        ("multiple_of", json!(detector.input.multiple_of)),
        ("stride", json!(stride)),
        ("point_scale", json!(point_scale)),
        ("points_output", json!(points_output)),
        ("threshold", json!(detector.threshold.value)),
    ] {
        setup["detector"][key] = value;
    }
    for (key, value) in [
        ("size", json!(reader.input.size)),
        ("alphabet", json!(alphabet)),
        ("blank", json!(blank)),
        ("two_line", json!(two_line)),
    ] {
        setup["reader"][key] = value;
    }
    Ok(setup)
}

fn common(model: &ModelSpec) -> Value {
    let channels = match model.input.channels {
        Channels::Bgr => "bgr",
        Channels::Rgb => "rgb",
        Channels::Gray => "gray",
    };
    json!({
        "file": base_pack().join(&model.file),
        "channels": channels,
        "mean": model.input.mean,
        "std": model.input.std,
    })
}
