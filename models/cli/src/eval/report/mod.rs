//! What an evaluation found, as files: a table for people, the same for programs, plots, and a sheet of misreads.

mod json;
mod markdown;
mod page;
mod plot;
mod sheet;

pub(crate) use page::write_page;

use std::fs;
use std::path::{Path, PathBuf};

use cardea_models::{Frame, Manifest};
use serde::Serialize;

use super::EvalError;
use super::faces::FaceResult;
use super::pad::PadResult;
use super::plates::{PlateResult, View};
use super::sets::About;

/// Width and greatest height of a plate on the sheet, in pixels.
pub(crate) const TILE_WIDTH: usize = 240;
pub(crate) const TILE_HEIGHT: usize = 150;

/// Everything that was found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The command that makes this report.
    pub(crate) command: String,
    /// Of the repository, short; empty where unknown.
    pub(crate) commit: String,
    pub(crate) pack: PackLine,
    pub(crate) sets: Vec<Measured>,
}

/// Which pack.
#[derive(Debug, Serialize)]
pub(crate) struct PackLine {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) licence: String,
    pub(crate) models: Vec<ModelLine>,
}

/// Which model.
#[derive(Debug, Serialize)]
pub(crate) struct ModelLine {
    pub(crate) role: String,
    pub(crate) id: String,
    /// What the manifest says it may be relied upon for.
    pub(crate) fitness: String,
    /// The first digits of its SHA-256.
    pub(crate) hash: String,
    pub(crate) threshold: f32,
    pub(crate) meaning: String,
}

/// One set, or several of one group.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) licence: String,
    pub(crate) notes: String,
    pub(crate) found: Found,
    /// Plates that were misread, worst first; for the sheet only.
    #[serde(skip)]
    pub(crate) misreads: Vec<Misread>,
}

/// By kind of set.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Found {
    /// Photographs with plates.
    Plates(Box<PlateResult>),
    /// Portraits.
    Faces(Box<FaceResult>),
    /// Presentation attacks.
    Pad(PadResult),
}

/// A plate that was not read as it is.
#[derive(Debug)]
pub(crate) struct Misread {
    pub(crate) crop: Frame,
    pub(crate) truth: String,
    /// Empty where the plate was not found.
    pub(crate) read: String,
    /// Whether another plate of the list was accepted for it.
    pub(crate) accepted_wrong: bool,
}

impl PackLine {
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let models = manifest.models.iter().map(|model| ModelLine {
            role: model.role.to_string(),
            id: model.id.clone(),
            fitness: model.fitness.to_string(),
            hash: model.sha256.chars().take(12).collect::<String>().to_lowercase(),
            threshold: model.threshold.value,
            meaning: model.threshold.meaning.clone(),
        });
        Self {
            name: manifest.pack.name.clone(),
            version: manifest.pack.version.clone(),
            licence: manifest.pack.licence.clone(),
            models: models.collect(),
        }
    }
}

impl Measured {
    pub(crate) fn new(about: &About, found: Found) -> Self {
        Self {
            name: about.name.clone(),
            licence: about.licence.clone(),
            notes: about.notes.clone(),
            found,
            misreads: Vec::new(),
        }
    }
}

/// The misreads among `views`, worst first; takes their crops.
pub(crate) fn misreads(views: &mut [View], threshold: f64) -> Vec<Misread> {
    let mut found: Vec<Misread> = views
        .iter_mut()
        .flat_map(|view| &mut view.plates)
        .filter_map(|seen| {
            Some(Misread {
                crop: seen.crop.take()?,
                truth: seen.plate.text.clone()?,
                read: seen.read.clone(),
                accepted_wrong: seen.wrong_scores.iter().any(|score| *score >= threshold),
            })
        })
        .collect();
    let edits = |misread: &Misread| super::similar::edit_distance(&misread.read, &misread.truth);
    found.sort_by_key(|misread| (!misread.accepted_wrong, usize::MAX - edits(misread), misread.truth.clone()));
    found
}

/// Writes `report.md`, `report.json`, plots and sheets into `folder`, and returns their paths.
pub(crate) fn write(report: &Report, folder: &Path) -> Result<Vec<PathBuf>, EvalError> {
    fs::create_dir_all(folder).map_err(|source| EvalError::Write { path: folder.into(), source })?;
    let mut written = Vec::new();
    let mut put = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(|source| EvalError::Write { path: path.clone(), source })?;
        written.push(path);
        Ok::<(), EvalError>(())
    };
    put("report.md", markdown::report(report).as_bytes())?;
    put("report.json", json::report(report)?.as_bytes())?;
    for set in &report.sets {
        let name = file_name(&set.name);
        for (suffix, svg) in plot::plots(set)? {
            put(&format!("{name}-{suffix}.svg"), svg.as_bytes())?;
        }
        if let Some(sheet) = sheet::misreads(&set.misreads) {
            let png = sheet.to_png().map_err(|source| EvalError::picture(&folder.join(&name), source))?;
            put(&format!("{name}-misreads.png"), &png)?;
        }
        if let Found::Faces(faces) = &set.found {
            put(&format!("{name}-scores.csv"), scores(faces).as_bytes())?;
        }
    }
    Ok(written)
}

/// The table for people, for standard output.
pub(crate) fn to_markdown(report: &Report) -> String {
    markdown::report(report)
}

/// A set's name as part of a file's.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect()
}

/// The score of each pair, for comparison with another implementation.
fn scores(faces: &FaceResult) -> String {
    let rows =
        faces.scores.iter().map(|(fold, a, b, same, score)| format!("{fold},{a},{b},{},{score:.6}\n", u8::from(*same)));
    std::iter::once("fold,a,b,same,score\n".to_owned()).chain(rows).collect()
}
