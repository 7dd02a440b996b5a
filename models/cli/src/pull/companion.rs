//! The models of another pack that fill the roles a public pack leaves open.
//!
//! A controller has one pack, and a site with a barrier and a door needs plates and faces: a public pack for faces takes the
//! plate models of ours with it, each with its own id, licence, threshold and fitness.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use cardea_models::Pack;
use cardea_models::pack::MANIFEST;
use toml::Value;

use super::digest::Digest;
use super::{Description, Origin, PullError, Pulled, stage};

/// Models of a pack on this machine.
pub(super) struct Companion {
    folder: PathBuf,
    /// Name of their pack.
    pub(super) name: String,
    /// Its licence.
    pub(super) licence: String,
    /// Their entries in its manifest, as they are.
    pub(super) models: Vec<toml::Table>,
}

impl Companion {
    /// Reads and verifies the pack in `folder`, and takes from it the roles that `description` has no model for.
    pub(super) fn read(folder: &Path, description: &Description) -> Result<Self, PullError> {
        let manifest = Pack::open(folder).map_err(|error| PullError::Companion(Box::new(error)))?;
        let path = folder.join(MANIFEST);
        let text = fs::read_to_string(&path).map_err(stage::failed("read", &path))?;
        let table: toml::Table = text.parse().map_err(super::DescriptionError::Format)?;
        let taken = description.roles();
        let models = table.get("model").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table);
        let models: Vec<toml::Table> =
            models.filter(|model| !taken.contains(text_of(model, "role"))).cloned().collect();
        let clash = |model: &&toml::Table| description.files.iter().any(|file| file.name == text_of(model, "file"));
        if let Some(model) = models.iter().find(clash) {
            return Err(PullError::Clash { file: text_of(model, "file").to_owned() });
        }
        Ok(Self { folder: folder.into(), name: manifest.pack.name, licence: manifest.pack.licence, models })
    }

    /// Copies their files into the stage, where `installed` is the pack that is there already.
    pub(super) fn copy(&self, stage_folder: &Path, installed: &Path) -> Result<Vec<Pulled>, PullError> {
        let mut files: Vec<Pulled> = Vec::new();
        for model in &self.models {
            let name = text_of(model, "file").to_owned();
            if files.iter().any(|file| file.name == name) {
                continue;
            }
            let (from, to) = (self.folder.join(&name), stage_folder.join(&name));
            let copied = fs::copy(&from, &to).and_then(|_| File::open(&to)?.sync_all());
            copied.map_err(stage::failed("copy a file to", &to))?;
            // what is copied must be what was verified
            let sha256 = Digest::of_file(&to).map_err(stage::failed("read", &to))?;
            let there = Digest::of_file(&installed.join(&name)).is_ok_and(|there| there == sha256);
            let origin = if there { Origin::Installed } else { Origin::Companion(self.name.clone()) };
            files.push(Pulled { name, sha256, origin, on_trust: false });
        }
        Ok(files)
    }
}

/// A text of a model's entry; the manifest was accepted, so it is there.
fn text_of<'a>(model: &'a toml::Table, key: &str) -> &'a str {
    model.get(key).and_then(Value::as_str).unwrap_or_default()
}
