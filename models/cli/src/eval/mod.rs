//! `cardea-models eval`: how good a pack is on labelled pictures.
//!
//! ```text
//! sets (what is where) -> plates, faces, pad (measure, with the pack's own pipelines) -> report (tables, plots, sheets)
//! ```
//!
//! `stats` and `curve` are the arithmetic; `similar` makes the allow-lists, `perturb` the further views, `judge` asks
//! `cardea_models` what a reading is worth, `work` spreads pictures over threads. The same pack, sets and seed give the
//! same report, whatever the number of threads.
//!
//! To measure something else: a layout in `sets`, a module beside `plates` that ends in a serialisable result, a variant
//! of `report::Found` with its rows in `report/markdown.rs`.

mod curve;
mod faces;
mod held_out;
mod judge;
mod pad;
mod perturb;
mod plates;
mod report;
mod sets;
mod similar;
mod stats;
mod table;
mod work;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use cardea_access::grammar::{Grammar, Grammars};
use cardea_models::face::TemplateError;
use cardea_models::plate::{Shapes, ShapesError};
use cardea_models::{FrameError, InferenceError, Manifest, Pack, PackError, Role, Runtime, RuntimeError};

pub use held_out::HeldOut;

use crate::{Error, OnnxRuntime, Outcome};
use pad::PadResult;
use report::{Found, Measured, PackLine, Report};
use sets::{About, Kind, PadPhoto, PlatePhoto, Set, SetError};

/// Arguments of `cardea-models eval`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of the model pack
    #[arg(long, value_name = "DIR")]
    pub pack: PathBuf,
    /// Data set: a folder with labels.csv (plates), pairs.csv (faces) or pad.csv (presentation attacks), or a .toml that
    /// describes one; may be given several times
    #[arg(long = "set", value_name = "DIR", required = true)]
    pub sets: Vec<PathBuf>,
    /// Write report.md, report.json, plots and contact sheets there
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write this pack's section of a documentation page
    #[arg(long, value_name = "FILE")]
    pub docs: Option<PathBuf>,
    /// Pictures looked at side by side; all processors where not given
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Plates on each list of near misses
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub allow_list: usize,
    /// Of lists, perturbations and resampling
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Look at each photograph with plates under this many small changes of aim, light, focus and compression as well
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub perturb: usize,
    /// Measure faces only of people who were held out of training: fold:NUMBER for those of one fold
    #[arg(long, value_name = "RULE")]
    pub held_out: Option<HeldOut>,
    /// Commit to name in the report; that of the current folder where not given
    #[arg(long, value_name = "HASH")]
    pub commit: Option<String>,
    /// ONNX Runtime
    #[command(flatten)]
    pub onnxruntime: OnnxRuntime,
}

/// Why an evaluation ended without a report.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// ONNX Runtime is not available.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The pack cannot be used, or lacks a model that a set needs.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A data set has a mistake.
    #[error(transparent)]
    Set(#[from] SetProblem),
    /// More kinds of plates than can be told apart.
    #[error("the grammars of a data set cannot be used together")]
    Shapes(#[from] ShapesError),
    /// A file cannot be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// A picture is not one, or cannot be encoded.
    #[error("picture {path} cannot be used")]
    Picture {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: FrameError,
    },
    /// A model failed.
    #[error("the pack failed on a picture")]
    Inference(#[from] InferenceError),
    /// Templates cannot be compared.
    #[error("two portraits cannot be compared")]
    Template(#[from] TemplateError),
    /// A file of the report cannot be written.
    #[error("{path} cannot be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The report cannot be put into JSON.
    #[error("the report cannot be written as JSON")]
    Json(#[source] serde_json::Error),
    /// A curve cannot be drawn.
    #[error("a curve cannot be drawn: {0}")]
    Plot(String),
}

/// What is wrong with a data set; its message names file and line.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SetProblem(#[from] SetError);

impl EvalError {
    pub(crate) fn picture(path: &Path, source: FrameError) -> Self {
        Self::Picture { path: path.into(), source }
    }
}

/// Carries the command out.
pub fn run(args: &Args, out: &mut impl Write) -> Result<Outcome, Error> {
    let report = evaluate(args)?;
    if let Some(folder) = &args.out {
        for path in report::write(&report, folder)? {
            writeln!(io::stderr(), "written: {}", path.display())?;
        }
    }
    if let Some(page) = &args.docs {
        report::write_page(&report, page)?;
    }
    out.write_all(report::to_markdown(&report).as_bytes())?;
    Ok(Outcome::Sound)
}

fn evaluate(args: &Args) -> Result<Report, EvalError> {
    // all sets are read before any picture is: a mistake in the last one must not cost an hour
    let sets = args.sets.iter().map(|path| Set::read(path)).collect::<Result<Vec<_>, _>>().map_err(SetProblem)?;
    let runtime = args.onnxruntime.load()?;
    let bench = Bench { args, runtime, manifest: Pack::open(&args.pack)? };
    let mut measured = Vec::new();
    let mut groups = Groups::new();
    for set in &sets {
        measured.push(bench.measure(set, &mut groups)?);
    }
    measured.extend(bench.together(groups)?);
    Ok(Report {
        command: command(args),
        commit: args.commit.clone().or_else(commit_here).unwrap_or_default(),
        pack: PackLine::of(&bench.manifest),
        sets: measured,
    })
}

/// Names and views of the plate sets of each group.
type Groups = BTreeMap<String, (Vec<String>, Vec<plates::View>)>;

/// Pack and options of one evaluation.
struct Bench<'a> {
    args: &'a Args,
    runtime: Runtime,
    manifest: Manifest,
}

impl Bench<'_> {
    fn threads(&self) -> usize {
        self.args.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)).max(1)
    }

    /// One pack per worker: each has sessions of a single thread.
    fn pack(&self) -> Result<Pack, EvalError> {
        Ok(Pack::load(&self.args.pack, &self.runtime, 1)?)
    }

    fn measure(&self, set: &Set, groups: &mut Groups) -> Result<Measured, EvalError> {
        match &set.kind {
            Kind::Plates(photos, grammars) => self.plates(set, photos, grammars, groups),
            Kind::Faces(faces) => {
                let options =
                    faces::Options { held_out: self.args.held_out, seed: self.args.seed, threads: self.threads() };
                let pipeline = || Ok(self.pack()?.take_face_pipeline()?);
                let found = faces::measure(&set.about.name, faces, options, &pipeline)?;
                Ok(Measured::new(&set.about, Found::Faces(Box::new(found))))
            }
            Kind::Pad(photos) => self.presentations(set, photos),
        }
    }

    fn plates(
        &self,
        set: &Set,
        photos: &[PlatePhoto],
        grammars: &Grammars,
        groups: &mut Groups,
    ) -> Result<Measured, EvalError> {
        let shapes = Shapes::new(grammars.iter().flat_map(Grammar::shapes))?;
        let options = plates::Options {
            allow_list: self.args.allow_list,
            perturb: if set.about.perturb.unwrap_or(true) { self.args.perturb } else { 0 },
            seed: self.args.seed,
            threads: self.threads(),
        };
        let stages = || {
            let pipeline = self.pack()?.take_plate_pipeline()?.expecting(&shapes);
            let mut reader = self.pack()?.take_plate_reader()?;
            reader.expect(&shapes);
            Ok(plates::Stages { pipeline, reader })
        };
        let mut views = plates::measure(&set.about.name, photos, grammars, options, &stages)?;
        let stated = self.stated(Role::PlateReader)?;
        let found = plates::summarise(&views, stated, self.args.allow_list, self.args.seed);
        let misreads = report::misreads(&mut views, stated.threshold);
        if let Some(group) = &set.about.group {
            let (names, all) = groups.entry(group.clone()).or_default();
            for seen in views.iter_mut().flat_map(|view| &mut view.plates) {
                seen.plate.tags.insert("set".into(), set.about.name.clone());
            }
            names.push(set.about.name.clone());
            all.extend(views);
        }
        Ok(Measured { misreads, ..Measured::new(&set.about, Found::Plates(Box::new(found))) })
    }

    fn presentations(&self, set: &Set, photos: &[PadPhoto]) -> Result<Measured, EvalError> {
        let stages = || {
            let mut pack = self.pack()?;
            Ok((pack.take_face_detector()?, pack.take_face_pad()?))
        };
        let seen = pad::measure(&set.about.name, photos, self.threads(), &stages)?;
        let found = PadResult::of(&seen, self.stated(Role::Pad)?.threshold);
        Ok(Measured::new(&set.about, Found::Pad(found)))
    }

    /// The sets of each group as one, where there are several.
    fn together(&self, groups: Groups) -> Result<Vec<Measured>, EvalError> {
        let several = groups.into_iter().filter(|(_, (names, _))| names.len() > 1);
        several
            .map(|(name, (names, views))| {
                let stated = self.stated(Role::PlateReader)?;
                let found = plates::summarise(&views, stated, self.args.allow_list, self.args.seed);
                let notes = format!("{} together.", names.join(" and "));
                let about = About { name, notes, licence: "as of each set".into(), ..About::default() };
                Ok(Measured::new(&about, Found::Plates(Box::new(found))))
            })
            .collect()
    }

    /// The threshold of the model for `role`, and what it is said to stand for.
    fn stated(&self, role: Role) -> Result<plates::Stated, EvalError> {
        let missing = || PackError::MissingRole { pack: self.manifest.pack.name.clone(), role };
        let threshold = &self.manifest.model(role).ok_or_else(missing)?.threshold;
        Ok(plates::Stated { threshold: f64::from(threshold.value), false_match_rate: threshold.false_match_rate })
    }
}

/// The command as one would type it, with the options that matter to the figures.
fn command(args: &Args) -> String {
    let name = |path: &Path| path.display().to_string();
    let mut text = format!("cardea-models eval --pack {}", name(&args.pack));
    for set in &args.sets {
        text.push_str(&format!(" --set {}", name(set)));
    }
    text.push_str(&format!(" --allow-list {} --perturb {} --seed {}", args.allow_list, args.perturb, args.seed));
    if let Some(rule) = &args.held_out {
        text.push_str(&format!(" --held-out {rule}"));
    }
    text
}

/// The short hash of the commit that is checked out here; `None` outside a repository.
fn commit_here() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output().ok()?;
    let hash = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !hash.is_empty()).then_some(hash)
}
