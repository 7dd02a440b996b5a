//! `cardea-models list`: what packs are here, or can be had.
//!
//! It reads manifests and looks at sizes; whether hashes are right and models run is for `verify`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cardea_models::manifest::ModelSpec;
use cardea_models::pack::MANIFEST;
use cardea_models::{Manifest, Role};
use serde::Serialize;

use crate::pull::{Description, PullError};
use crate::table::{Table, size};
use crate::{Error, Outcome, PACKS, PACKS_VARIABLE};

/// Arguments of `cardea-models list`.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Packs, or folders of packs
    #[arg(value_name = "DIR", env = PACKS_VARIABLE, default_value = PACKS)]
    pub dirs: Vec<PathBuf>,
    /// The public packs that `pull` knows, instead
    #[arg(long)]
    pub available: bool,
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// One pack, as JSON has it.
#[derive(Debug, Serialize)]
struct PackRow {
    path: PathBuf,
    #[serde(flatten)]
    pack: Found,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Found {
    Held(Held),
    Unusable { problem: String },
}

#[derive(Debug, Serialize)]
struct Held {
    name: String,
    version: String,
    licence: String,
    description: String,
    models: Vec<ModelRow>,
}

#[derive(Debug, Serialize)]
struct ModelRow {
    role: String,
    id: String,
    fitness: String,
    licence: String,
    source: String,
    file: String,
    /// `null` where the file is missing.
    bytes: Option<u64>,
    threshold: f32,
    meaning: String,
    false_match_rate: Option<f64>,
    evaluation: Option<String>,
}

#[derive(Debug, Serialize)]
struct AvailableRow {
    name: String,
    licence: String,
    description: String,
    files: Vec<FileRow>,
    models: Vec<ModelRow>,
}

#[derive(Debug, Serialize)]
struct FileRow {
    name: String,
    bytes: Option<u64>,
    sha256: Option<String>,
    urls: Vec<String>,
}

/// Writes the table, or JSON.
pub fn run(args: &Args, out: &mut impl Write) -> Result<Outcome, Error> {
    if args.available {
        return available(args.json, out);
    }
    let mut rows = Vec::new();
    for dir in &args.dirs {
        for path in packs(dir)? {
            let pack = read(&path);
            rows.push(PackRow { path, pack });
        }
    }
    if args.json {
        json(&serde_json::json!({ "packs": rows }), out)?;
    } else {
        for row in &rows {
            write!(out, "{}", row.text())?;
        }
        if rows.is_empty() {
            let dirs = args.dirs.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", ");
            writeln!(out, "No pack is in {dirs}. `cardea-models list --available` shows those that can be pulled.")?;
        }
    }
    Ok(if rows.iter().all(|row| matches!(row.pack, Found::Held(_))) { Outcome::Sound } else { Outcome::Unsound })
}

/// The pack in `dir`, or the packs in its folders.
fn packs(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Read { path: dir.into(), source };
    if dir.join(MANIFEST).exists() {
        return Ok(vec![dir.into()]);
    }
    let mut found = Vec::new();
    if dir == Path::new(PACKS) && !dir.exists() {
        // nobody asked for it by name
        return Ok(found);
    }
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // a pack that is being pulled is hidden
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.join(MANIFEST).exists() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Found {
    let unusable = |error: &dyn std::error::Error| Found::Unusable { problem: crate::cli::chain(error) };
    let text = match fs::read_to_string(path.join(MANIFEST)) {
        Ok(text) => text,
        Err(error) => return unusable(&error),
    };
    let manifest = match Manifest::parse(&text) {
        Ok(manifest) => manifest,
        Err(error) => return unusable(&error),
    };
    let models = manifest.models.iter().map(|model| {
        let bytes = fs::metadata(path.join(&model.file)).ok().map(|metadata| metadata.len());
        ModelRow::new(model, bytes)
    });
    Found::Held(Held {
        models: models.collect(),
        name: manifest.pack.name,
        version: manifest.pack.version,
        licence: manifest.pack.licence,
        description: manifest.pack.description,
    })
}

fn available(as_json: bool, out: &mut impl Write) -> Result<Outcome, Error> {
    let mut rows = Vec::new();
    for description in Description::all().map_err(PullError::from)? {
        let files: BTreeMap<&str, _> = description.files.iter().map(|file| (file.name.as_str(), file)).collect();
        let manifest = description.preview().map_err(PullError::from)?;
        let bytes = |model: &ModelSpec| files.get(model.file.as_str()).and_then(|file| file.bytes);
        rows.push(AvailableRow {
            name: description.name().into(),
            licence: description.licence().into(),
            description: description.summary().into(),
            models: manifest.models.iter().map(|model| ModelRow::new(model, bytes(model))).collect(),
            files: description.files.iter().map(FileRow::new).collect(),
        });
    }
    if as_json {
        json(&serde_json::json!({ "available": rows }), out)?;
    } else {
        for row in &rows {
            writeln!(out, "{} ({})\n  {}\n{}", row.name, row.licence, row.description, models_text(&row.models))?;
        }
    }
    Ok(Outcome::Sound)
}

impl PackRow {
    fn text(&self) -> String {
        match &self.pack {
            Found::Held(Held { name, version, licence, description, models }) => {
                let path = self.path.display();
                format!("{name} {version} ({licence})  {path}\n  {description}\n{}\n", models_text(models))
            }
            Found::Unusable { problem } => format!("{}\n  {}\n\n", self.path.display(), problem.trim_end()),
        }
    }
}

fn models_text(models: &[ModelRow]) -> String {
    let mut table = Table::new(&["role", "id", "fitness", "licence", "size", "threshold", "false-match rate"]);
    for model in models {
        table.row([
            model.role.clone(),
            model.id.clone(),
            model.fitness.clone(),
            model.licence.clone(),
            model.bytes.map_or_else(|| "missing".into(), size),
            model.threshold.to_string(),
            match model.false_match_rate {
                Some(rate) => rate.to_string(),
                // a detector matches nothing
                None if model.compares() => "not stated".into(),
                None => "–".into(),
            },
        ]);
    }
    table.text(2)
}

impl ModelRow {
    fn new(model: &ModelSpec, bytes: Option<u64>) -> Self {
        Self {
            role: model.role.to_string(),
            id: model.id.clone(),
            fitness: model.fitness.to_string(),
            licence: model.licence.clone(),
            source: model.source.clone(),
            file: model.file.clone(),
            bytes,
            threshold: model.threshold.value,
            meaning: model.threshold.meaning.clone(),
            false_match_rate: model.threshold.false_match_rate,
            evaluation: model.threshold.evaluation.clone(),
        }
    }

    fn compares(&self) -> bool {
        [Role::FaceEmbedder, Role::PlateReader].iter().any(|role| role.to_string() == self.role)
    }
}

impl FileRow {
    fn new(file: &crate::pull::Source) -> Self {
        Self {
            name: file.name.clone(),
            bytes: file.bytes,
            sha256: file.sha256.map(|hash| hash.to_string()),
            urls: file.urls.iter().map(ToString::to_string).collect(),
        }
    }
}

/// One JSON document and the end of its line.
pub(crate) fn json(value: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}
