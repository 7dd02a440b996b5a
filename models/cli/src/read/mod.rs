//! `cardea-models read`: what a pack reads on the plates of a picture, through the controller's own pipeline.
//!
//! For an installer who asks whether this camera sees plates well enough, and to compare two machines: the same pack on the
//! same picture gives the same reading everywhere, with probabilities that differ by the rounding of their processors.

use std::io::Write;
use std::path::PathBuf;

use cardea_models::pipeline::{PlateEvidence, PlateFrame};
use cardea_models::{Frame, Pack, PlatePipeline};
use serde::Serialize;

use crate::bench::read_picture;
use crate::list::json;
use crate::table::Table;
use crate::{Error, OnnxRuntime, Outcome};

/// Arguments of `cardea-models read`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of the pack, with `manifest.toml`
    #[arg(value_name = "PACK")]
    pub pack: PathBuf,
    /// JPEG or PNG files
    #[arg(value_name = "PICTURE", required = true)]
    pub pictures: Vec<PathBuf>,
    /// Threads per model, as `recognition.threads` of a controller
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub threads: u16,
    /// ONNX Runtime
    #[command(flatten)]
    pub runtime: OnnxRuntime,
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// What was read, as JSON has it.
#[derive(Debug, Serialize)]
struct Report {
    pack: String,
    version: String,
    arch: &'static str,
    pictures: Vec<Picture>,
}

#[derive(Debug, Serialize)]
struct Picture {
    picture: PathBuf,
    /// Width and height, in pixels.
    size: [u32; 2],
    /// Best first.
    plates: Vec<Plate>,
    detect_ms: f32,
    read_ms: f32,
}

#[derive(Debug, Serialize)]
struct Plate {
    /// The likeliest text; absent where nothing could be read.
    text: Option<String>,
    /// ln of its likelihood times prior.
    log_weight: Option<f64>,
    /// The least probability among the best characters, 0 to 1.
    weakest_probability: Option<f32>,
    /// How good the picture is to read from, 0 to 1.
    quality: Option<f32>,
    /// Detector probability, 0 to 1.
    detection: f32,
    /// Top left, top right, bottom right, bottom left, in pixels.
    corners: [[f32; 2]; 4],
}

/// Reads the pictures and writes the table, or JSON. [`Outcome::Unsound`] where a picture shows no plate that can be read.
pub fn run(args: &Args, out: &mut impl Write) -> Result<Outcome, Error> {
    let runtime = args.runtime.load()?;
    let mut pack = Pack::load(&args.pack, &runtime, args.threads.into())?;
    let mut pipeline = pack.take_plate_pipeline()?;
    let header = &pack.manifest().pack;
    let (name, version) = (header.name.clone(), header.version.clone());
    let mut report = Report { pack: name, version, arch: std::env::consts::ARCH, pictures: Vec::new() };
    for path in &args.pictures {
        report.pictures.push(Picture::read(path.clone(), &read_picture(path)?, &mut pipeline)?);
    }
    if args.json {
        json(&report, out)?;
    } else {
        write!(out, "{}", report.text())?;
    }
    let read = |picture: &Picture| picture.plates.iter().any(|plate| plate.text.is_some());
    Ok(if report.pictures.iter().all(read) { Outcome::Sound } else { Outcome::Unsound })
}

impl Picture {
    fn read(picture: PathBuf, frame: &Frame, pipeline: &mut PlatePipeline) -> Result<Self, Error> {
        let PlateFrame { plates, timings } = pipeline.run(frame)?;
        Ok(Self {
            picture,
            size: [frame.width(), frame.height()],
            plates: plates.iter().map(Plate::of).collect(),
            detect_ms: timings.detect_ms,
            read_ms: timings.read_ms,
        })
    }
}

impl Plate {
    fn of(evidence: &PlateEvidence) -> Self {
        let reading = evidence.reading.as_ref();
        let best = reading.and_then(|reading| reading.hypotheses(1).into_iter().next());
        let reading = reading.filter(|_| best.is_some());
        Self {
            log_weight: best.as_ref().map(|best| best.log_weight()),
            text: best.map(|best| best.text),
            weakest_probability: reading.map(|reading| reading.weakest_probability()),
            quality: reading.map(|reading| reading.quality()),
            detection: evidence.detection.score,
            corners: evidence.detection.corners.map(|corner| [corner.x, corner.y]),
        }
    }
}

impl Report {
    fn text(&self) -> String {
        let mut table = Table::new(&["picture", "plate", "weakest character", "quality", "detected", "width px", "ms"]);
        let number = |value: Option<f32>| value.map_or_else(String::new, |value| format!("{value:.2}"));
        for Picture { picture, plates, detect_ms, read_ms, .. } in &self.pictures {
            let (picture, ms) = (picture.display().to_string(), format!("{:.0}", detect_ms + read_ms));
            if plates.is_empty() {
                let blank = String::new;
                table.row([picture.clone(), "none found".into(), blank(), blank(), blank(), blank(), ms.clone()]);
            }
            for plate in plates {
                let [left, right, ..] = plate.corners;
                let width = (right[0] - left[0]).hypot(right[1] - left[1]);
                table.row([
                    picture.clone(),
                    plate.text.clone().unwrap_or_else(|| "not readable".into()),
                    number(plate.weakest_probability),
                    number(plate.quality),
                    format!("{:.2}", plate.detection),
                    format!("{width:.0}"),
                    ms.clone(),
                ]);
            }
        }
        format!("{} {} on {}\n\n{}", self.pack, self.version, self.arch, table.text(0))
    }
}
