//! `cardea-models bench`: how fast each model of a pack is on this machine, through the pipeline a controller uses.
//!
//! Each stage is measured alone, with the scaling or cropping that belongs to it, and then each chain as one pass: a frame
//! with one face, a frame with one plate. The passes' rate is what an installer wants to know: a camera that gives more
//! frames a second than that is not looked at more often for it.

mod stages;
mod timing;

use std::fs::{self, File};
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use cardea_models::{Frame, Pack};
use serde::Serialize;

use crate::list::json;
use crate::table::Table;
use crate::{Error, OnnxRuntime, Outcome};
use stages::{Faces, Plates};
use timing::{Timing, measure};

/// No picture file is read beyond this size, in bytes.
const MAX_PICTURE_BYTES: u64 = 64 << 20;

/// Arguments of `cardea-models bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of the pack, with `manifest.toml`
    #[arg(value_name = "PACK")]
    pub pack: PathBuf,
    /// Threads per model, as `recognition.threads` of a controller
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub threads: u16,
    /// Seconds for each measurement
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=600))]
    pub seconds: u16,
    /// A JPEG or PNG from the camera in question; a drawn frame of 1280 x 720 otherwise
    #[arg(long, value_name = "FILE")]
    pub picture: Option<PathBuf>,
    /// ONNX Runtime
    #[command(flatten)]
    pub runtime: OnnxRuntime,
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// What was measured, as JSON has it.
#[derive(Debug, Serialize)]
struct Report {
    pack: String,
    version: String,
    machine: Machine,
    threads: u16,
    /// Width and height, in pixels.
    picture: [u32; 2],
    stages: Vec<Stage>,
    passes: Vec<Pass>,
}

#[derive(Debug, Serialize)]
struct Machine {
    arch: &'static str,
    /// As the kernel names it.
    processor: Option<String>,
    cores: usize,
}

#[derive(Debug, Serialize)]
struct Stage {
    role: &'static str,
    model: String,
    #[serde(flatten)]
    timing: Timing,
}

#[derive(Debug, Serialize)]
struct Pass {
    what: &'static str,
    frames_per_second: f64,
    #[serde(flatten)]
    timing: Timing,
}

impl Pass {
    fn new(what: &'static str, timing: Timing) -> Self {
        Self { what, frames_per_second: 1_000.0 / timing.median_ms, timing }
    }
}

/// Measures and writes the table, or JSON.
pub fn run(args: &Args, out: &mut impl Write) -> Result<Outcome, Error> {
    let frame = match &args.picture {
        Some(path) => read_picture(path)?,
        None => drawn(),
    };
    let runtime = args.runtime.load()?;
    let mut pack = Pack::load(&args.pack, &runtime, args.threads.into())?;
    let mut report = Report {
        pack: pack.manifest().pack.name.clone(),
        version: pack.manifest().pack.version.clone(),
        machine: Machine::this(),
        threads: args.threads,
        picture: [frame.width(), frame.height()],
        stages: Vec::new(),
        passes: Vec::new(),
    };
    let long = Duration::from_secs(args.seconds.into());
    if let Some(plates) = Plates::take(&mut pack, &frame)? {
        plates.measure(&frame, long, &mut report)?;
    }
    if let Some(faces) = Faces::take(&mut pack, &frame)? {
        faces.measure(&frame, long, &mut report)?;
    }
    if args.json {
        json(&report, out)?;
    } else {
        write!(out, "{}", report.text())?;
    }
    Ok(Outcome::Sound)
}

impl Report {
    /// Times `call` as a stage of its own.
    fn stage<T>(
        &mut self,
        role: &'static str,
        model: &str,
        long: Duration,
        call: impl FnMut() -> Result<T, cardea_models::InferenceError>,
    ) -> Result<(), Error> {
        let timing = measure(long, call)?;
        self.stages.push(Stage { role, model: model.to_owned(), timing });
        Ok(())
    }

    fn text(&self) -> String {
        let Machine { arch, processor, cores } = &self.machine;
        let processor = processor.as_deref().unwrap_or(arch);
        let [width, height] = self.picture;
        let mut text = format!(
            "{} {} on {processor} ({cores} cores), threads per model: {}, frames of {width} x {height}\n\n",
            self.pack, self.version, self.threads
        );
        let mut table = Table::new(&["stage", "model", "median ms", "p95 ms", "runs"]);
        for Stage { role, model, timing } in &self.stages {
            table.row([
                (*role).to_owned(),
                model.clone(),
                ms(timing.median_ms),
                ms(timing.p95_ms),
                timing.runs.to_string(),
            ]);
        }
        text.push_str(&table.text(0));
        let mut table = Table::new(&["frame with", "median ms", "p95 ms", "frames per second"]);
        for Pass { what, frames_per_second, timing } in &self.passes {
            let rate = format!("{frames_per_second:.1}");
            table.row([(*what).to_owned(), ms(timing.median_ms), ms(timing.p95_ms), rate]);
        }
        text.push('\n');
        text.push_str(&table.text(0));
        text
    }
}

fn ms(value: f64) -> String {
    format!("{value:.2}")
}

impl Machine {
    fn this() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        Self {
            arch: std::env::consts::ARCH,
            // x86 has the first, a Raspberry Pi the second
            processor: field("model name").or_else(|| field("Model")),
            cores: thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

pub(crate) fn read_picture(path: &Path) -> Result<Frame, Error> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_PICTURE_BYTES).read_to_end(&mut bytes));
    read.map_err(|source| Error::Read { path: path.into(), source })?;
    Frame::decode(&bytes).map_err(|source| Error::Picture { path: path.into(), source })
}

/// A frame as large as a camera's, with structure at every scale, the same each time.
fn drawn() -> Frame {
    let mut frame = Frame::filled(1_280, 720, [96; 3]);
    for y in 0..720_u32 {
        for x in 0..1_280_u32 {
            let noise = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(2_246_822_519)) >> 27;
            let value = |shift: u32| (((x >> shift) + (y >> shift)) % 64 + 64 + noise) as u8;
            frame.set_pixel(x, y, [value(1), value(2), value(4)]);
        }
    }
    frame
}
