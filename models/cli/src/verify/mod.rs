//! `cardea-models verify`: whether a pack is sound, in the words of `cardead check`.
//!
//! First what can be said without running anything: the manifest, each file's hash, what each model claims of itself. Then
//! the library loads the pack as a controller would: shapes are checked against the manifest and every model is run once.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use cardea_models::manifest::{Fitness, ModelSpec};
use cardea_models::pack::MANIFEST;
use cardea_models::{Manifest, Pack, Role, RuntimeError};
use serde::Serialize;

use crate::cli::chain;
use crate::list::json;
use crate::pull::Digest;
use crate::table::size;
use crate::{Error, OnnxRuntime, Outcome};

/// Arguments of `cardea-models verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of the pack, with `manifest.toml`
    #[arg(value_name = "PACK")]
    pub pack: PathBuf,
    /// ONNX Runtime, which runs each model once
    #[command(flatten)]
    pub runtime: OnnxRuntime,
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    /// It works, and somebody should know.
    Warning,
    Failure,
}

/// What was looked at, what was found, and what to do.
#[derive(Debug, Serialize)]
struct Finding {
    check: String,
    verdict: Verdict,
    found: String,
    todo: Option<String>,
}

impl Finding {
    fn ok(check: &str, found: impl Into<String>) -> Self {
        Self { check: check.into(), verdict: Verdict::Ok, found: found.into(), todo: None }
    }

    fn warning(check: &str, found: impl Into<String>, todo: &str) -> Self {
        Self { check: check.into(), verdict: Verdict::Warning, found: found.into(), todo: Some(todo.into()) }
    }

    fn failure(check: &str, found: impl Into<String>, todo: &str) -> Self {
        Self { check: check.into(), verdict: Verdict::Failure, found: found.into(), todo: Some(todo.into()) }
    }
}

/// Checks the pack and writes what it found. [`Outcome::Unsound`] where a controller could not use it as it is.
pub fn run(args: &Args, out: &mut impl Write) -> Result<Outcome, Error> {
    let findings = check(&args.pack, &args.runtime);
    let sound = findings.iter().all(|finding| finding.verdict != Verdict::Failure);
    if args.json {
        json(&serde_json::json!({ "pack": args.pack, "sound": sound, "findings": findings }), out)?;
    } else {
        write!(out, "{}", text(&findings))?;
    }
    Ok(if sound { Outcome::Sound } else { Outcome::Unsound })
}

fn check(dir: &Path, runtime: &OnnxRuntime) -> Vec<Finding> {
    let manifest = match manifest(dir) {
        Ok(manifest) => manifest,
        Err(finding) => return vec![finding],
    };
    let header = &manifest.pack;
    let models = manifest.models.len();
    let mut findings = vec![Finding::ok(
        "manifest",
        format!("{} {} has {models} models ({})", header.name, header.version, header.licence),
    )];
    for model in &manifest.models {
        findings.push(file(dir, model));
        findings.extend(claims(model));
    }
    findings.extend(strays(dir, &manifest));
    // the library would stop at the first of the files that are wrong already
    if findings.iter().all(|finding| finding.verdict != Verdict::Failure) {
        findings.push(first_runs(dir, runtime));
    }
    findings
}

fn manifest(dir: &Path) -> Result<Manifest, Finding> {
    let path = dir.join(MANIFEST);
    let text = fs::read_to_string(&path).map_err(|error| {
        let todo = "name the folder that holds manifest.toml, or pull the pack again";
        Finding::failure("manifest", format!("cannot read {}: {error}", path.display()), todo)
    })?;
    Manifest::parse(&text).map_err(|error| {
        let todo = "the pack is for another version, or was changed by hand: pull it again, or correct it by docs/reference/packs.md";
        Finding::failure("manifest", chain(&error).trim_end(), todo)
    })
}

fn file(dir: &Path, model: &ModelSpec) -> Finding {
    let path = dir.join(&model.file);
    let found = fs::metadata(&path).and_then(|metadata| Ok((metadata.len(), Digest::of_file(&path)?)));
    match found {
        Ok((bytes, hash)) if hash.to_string().eq_ignore_ascii_case(&model.sha256) => Finding::ok(
            &model.id,
            format!("{} in {} ({}), the file the manifest speaks of", model.role, model.file, size(bytes)),
        ),
        Ok((_, hash)) => Finding::failure(
            &model.id,
            format!("{} has SHA-256 {hash}, the manifest says {}", model.file, model.sha256),
            "the file is damaged or another one: pull the pack again",
        ),
        Err(error) => {
            Finding::failure(&model.id, format!("cannot read {}: {error}", path.display()), "pull the pack again")
        }
    }
}

/// What a model says of itself that somebody who hangs a door on it should know.
fn claims(model: &ModelSpec) -> Vec<Finding> {
    let mut findings = Vec::new();
    if model.fitness == Fitness::Demo {
        let todo = match model.role {
            Role::FaceDetector | Role::FaceEmbedder | Role::Pad => {
                "no door opens by it unless `recognition.allow_demo_models = true`: use a pack that is fit for production"
            }
            Role::PlateDetector | Role::PlateReader => {
                "measure it on pictures of your own with `cardea-models eval` before a gate depends on it"
            }
        };
        findings.push(Finding::warning(&model.id, format!("this {} is a demonstration", model.role), todo));
    }
    let compares = matches!(model.role, Role::FaceEmbedder | Role::PlateReader);
    if compares && model.threshold.false_match_rate.is_none() {
        let found = format!("no false-match rate is stated for its threshold {}", model.threshold.value);
        findings.push(Finding::warning(&model.id, found, "measure it with `cardea-models eval`"));
    }
    findings
}

/// Files in the folder that no manifest speaks of are loaded by nobody, and checked by nobody.
fn strays(dir: &Path, manifest: &Manifest) -> Option<Finding> {
    let known: BTreeSet<&str> = manifest.models.iter().map(|model| model.file.as_str()).chain([MANIFEST]).collect();
    let names = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut strays: Vec<String> = names
        .filter(|name| {
            Path::new(name).extension().is_some_and(|extension| extension == "onnx") && !known.contains(name.as_str())
        })
        .collect();
    strays.sort();
    let found = format!("the manifest does not speak of {}", strays.join(", "));
    (!strays.is_empty()).then(|| Finding::warning("folder", found, "remove what is not needed"))
}

fn first_runs(dir: &Path, runtime: &OnnxRuntime) -> Finding {
    const CHECK: &str = "first runs";
    let runtime = match runtime.load() {
        Ok(runtime) => runtime,
        Err(error @ RuntimeError::NotConfigured) => {
            return Finding::failure(CHECK, error.to_string(), "name it with --onnxruntime or ORT_DYLIB_PATH");
        }
        Err(error) => return Finding::failure(CHECK, chain(&error).trim_end(), "name another with --onnxruntime"),
    };
    match Pack::load(dir, &runtime, 1) {
        Ok(_) => Finding::ok(CHECK, "every model takes and gives what the manifest says"),
        Err(error) => {
            Finding::failure(CHECK, chain(&error).trim_end(), "the manifest or the file is wrong: pull the pack again")
        }
    }
}

fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for Finding { check, verdict, found, todo } in findings {
        let mark = match verdict {
            Verdict::Ok => '✓',
            Verdict::Warning => '!',
            Verdict::Failure => '✗',
        };
        let found = found.replace('\n', &format!("\n  {:width$}  ", ""));
        text.push_str(&format!("{mark} {check:width$}  {found}\n"));
        if let Some(todo) = todo {
            text.push_str(&format!("  {:width$}  → {todo}\n", ""));
        }
    }
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    text.push_str(&match (count(Verdict::Failure), count(Verdict::Warning)) {
        (0, 0) => "The pack is sound.\n".to_owned(),
        (0, warnings) => format!("The pack is sound; {warnings} to know of (!).\n"),
        (failures, warnings) => format!("The pack is not sound: {failures} to mend (✗), {warnings} to know of (!).\n"),
    });
    text
}
