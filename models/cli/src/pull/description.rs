//! The public packs `pull` knows: where their files are, what they must be, and the manifest that describes them.
//!
//! A description is one file of `models/cli/packs/`, compiled in. Its `[manifest]` is the manifest of the pack without the
//! hashes, which stand once, at the files. A file without `sha256` is one whose publisher states none and nobody else could
//! be asked: it is not taken on trust unless the caller says so.
//!
//! To add a pack: write its file, name it in [`COMPILED_IN`], and say in it where each hash is from.

use std::collections::{BTreeMap, BTreeSet};

use cardea_models::{Manifest, ManifestError};
use serde::Deserialize;
use toml::Value;
use url::Url;

use super::companion::Companion;
use super::digest::Digest;

/// The files of `models/cli/packs/`.
const COMPILED_IN: &[&str] =
    &[include_str!("../../packs/opencv-zoo-face.toml"), include_str!("../../packs/ankandrew-plates.toml")];
/// No file of a pack may be larger; the library does not load a larger one either.
pub(crate) const MAX_BYTES: u64 = 256 << 20;

/// A public pack.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// What is downloaded.
    #[serde(rename = "file")]
    pub files: Vec<Source>,
    /// `manifest.toml` of the pack, without the models' `sha256`.
    manifest: toml::Table,
}

/// One file of a public pack.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its name in the pack, in a mirror and in a cache.
    pub name: String,
    /// Where its publisher has it, the first one that answers is taken. `https`, or `http` where the hash is known.
    pub urls: Vec<Url>,
    /// Its size in bytes; where it is not known, [`MAX_BYTES`] is the limit.
    pub bytes: Option<u64>,
    /// Its SHA-256; `None` where no trustworthy statement of it exists.
    pub sha256: Option<Digest>,
}

/// Why a description is of no use.
#[derive(Debug, thiserror::Error)]
pub enum DescriptionError {
    /// Not TOML of this format; the source names line and key.
    #[error("the description of the pack is not valid")]
    Format(#[from] toml::de::Error),
    /// Something in it cannot be right.
    #[error("the description of the pack is not usable: {0}")]
    Content(String),
    /// The manifest could not be written as TOML.
    #[error("the manifest of the pack cannot be written")]
    Write(#[from] toml::ser::Error),
    /// The manifest is not one that this version accepts.
    #[error("this version does not accept the manifest of the pack")]
    Manifest(#[from] ManifestError),
}

impl Description {
    /// Parses and checks the text of a description.
    pub fn parse(text: &str) -> Result<Self, DescriptionError> {
        let description: Self = toml::from_str(text)?;
        description.check().map_err(DescriptionError::Content)?;
        Ok(description)
    }

    /// Every pack this program knows.
    pub fn all() -> Result<Vec<Self>, DescriptionError> {
        COMPILED_IN.iter().map(|text| Self::parse(text)).collect()
    }

    /// Name of the pack, and of its folder.
    pub fn name(&self) -> &str {
        self.header("name")
    }

    /// One sentence for people.
    pub fn summary(&self) -> &str {
        self.header("description")
    }

    /// SPDX expression of the pack.
    pub fn licence(&self) -> &str {
        self.header("licence")
    }

    /// What is downloaded, in bytes, as far as it is known.
    pub fn bytes(&self) -> u64 {
        self.files.iter().filter_map(|file| file.bytes).sum()
    }

    /// The roles its models have.
    pub(super) fn roles(&self) -> BTreeSet<String> {
        models(&self.manifest).filter_map(|model| text(model, "role")).map(str::to_owned).collect()
    }

    /// The text of `manifest.toml` for files with these hashes, accepted by this version. A companion's models follow the
    /// described ones, as they are.
    pub(super) fn manifest(
        &self,
        hashes: &BTreeMap<String, Digest>,
        companion: Option<&Companion>,
    ) -> Result<String, DescriptionError> {
        let mut manifest = self.manifest.clone();
        for model in models_mut(&mut manifest) {
            let hash = text(model, "file").and_then(|file| hashes.get(file));
            let hash = hash.ok_or_else(|| DescriptionError::Content("a model's file has no hash".into()))?;
            model.insert("sha256".into(), Value::String(hash.to_string()));
        }
        // the pack first, as a person reads it; the writer alone would sort it behind the models
        let (mut pack, mut models): (toml::Table, toml::Table) =
            manifest.into_iter().partition(|(key, _)| key == "pack");
        if let Some(companion) = companion.filter(|companion| !companion.models.is_empty()) {
            if let Some(described) = models.get_mut("model").and_then(Value::as_array_mut) {
                described.extend(companion.models.iter().cloned().map(Value::Table));
            }
            if let Some(pack) = pack.get_mut("pack").and_then(Value::as_table_mut) {
                let licence = format!("({}) AND ({})", self.licence(), companion.licence);
                let summary = format!("{}; the rest is of the pack {}", self.summary(), companion.name);
                pack.insert("licence".into(), Value::String(licence));
                pack.insert("description".into(), Value::String(summary));
            }
        }
        let body = format!(
            "# Written by `cardea-models pull {}`; do not edit by hand.\n{}\n{}",
            self.name(),
            toml::to_string(&pack)?,
            toml::to_string(&models)?
        );
        Manifest::parse(&body)?;
        Ok(body)
    }

    /// What the manifest will say, apart from hashes, which are known only when the files are here.
    pub fn preview(&self) -> Result<Manifest, DescriptionError> {
        let hashes = self.files.iter().map(|file| (file.name.clone(), Digest::of_bytes(&[]))).collect();
        Ok(Manifest::parse(&self.manifest(&hashes, None)?)?)
    }

    fn header(&self, key: &str) -> &str {
        self.manifest.get("pack").and_then(Value::as_table).and_then(|pack| text(pack, key)).unwrap_or_default()
    }

    fn check(&self) -> Result<(), String> {
        if !is_plain(self.name()) {
            return Err("`manifest.pack.name` must be a plain folder name".into());
        }
        let mut names = BTreeSet::new();
        for file in &self.files {
            file.check()?;
            if !names.insert(file.name.as_str()) {
                return Err(format!("file {} appears twice", file.name));
            }
        }
        let mut used = BTreeSet::new();
        for model in models(&self.manifest) {
            let file = text(model, "file").ok_or("a model has no `file`")?;
            if !names.contains(file) {
                return Err(format!("a model's file {file} has no [[file]]"));
            }
            if model.contains_key("sha256") {
                return Err("hashes stand at [[file]], not in the manifest".into());
            }
            used.insert(file);
        }
        match names.difference(&used).next() {
            Some(file) => Err(format!("no model uses file {file}")),
            None if used.is_empty() => Err("the pack has no model".into()),
            None => Ok(()),
        }
    }
}

impl Source {
    /// No more than this may come, in bytes.
    pub(crate) fn limit(&self) -> u64 {
        self.bytes.unwrap_or(MAX_BYTES)
    }

    fn check(&self) -> Result<(), String> {
        if !is_plain(&self.name) {
            return Err(format!("`{}` is not a plain file name", self.name));
        }
        if self.bytes.is_some_and(|bytes| bytes == 0 || bytes > MAX_BYTES) {
            return Err(format!("{}: `bytes` must be 1 to {MAX_BYTES}", self.name));
        }
        let usable = |url: &Url| url.scheme() == "https" || (url.scheme() == "http" && self.sha256.is_some());
        if self.urls.is_empty() || !self.urls.iter().all(usable) {
            return Err(format!("{}: `urls` must be https, or http where `sha256` is given", self.name));
        }
        Ok(())
    }
}

fn models(manifest: &toml::Table) -> impl Iterator<Item = &toml::Table> {
    manifest.get("model").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table)
}

fn models_mut(manifest: &mut toml::Table) -> impl Iterator<Item = &mut toml::Table> {
    manifest.get_mut("model").and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_table_mut)
}

fn text<'a>(table: &'a toml::Table, key: &str) -> Option<&'a str> {
    table.get(key).and_then(Value::as_str)
}

/// A name that stays in its folder, is not hidden and needs no quoting.
fn is_plain(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=100).contains(&name.len()) && name.bytes().all(fits) && !name.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn hashes(description: &Description) -> BTreeMap<String, Digest> {
        description.files.iter().map(|file| (file.name.clone(), Digest::of_bytes(file.name.as_bytes()))).collect()
    }

    #[test]
    fn every_described_pack_has_a_manifest_that_this_version_accepts() {
        let all = Description::all().unwrap();
        assert_eq!(all.iter().map(Description::name).collect::<Vec<_>>(), ["opencv-zoo-face", "ankandrew-plates"]);
        for description in &all {
            let manifest = Manifest::parse(&description.manifest(&hashes(description), None).unwrap()).unwrap();
            assert_eq!(manifest.pack.name, description.name());
            for model in &manifest.models {
                assert_eq!(model.sha256, Digest::of_bytes(model.file.as_bytes()).to_string());
            }
        }
    }

    #[test]
    fn a_mirror_or_cache_can_hold_every_described_pack() {
        let all = Description::all().unwrap();
        let names: Vec<&str> = all.iter().flat_map(|d| &d.files).map(|file| file.name.as_str()).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "two packs share a file name: {names:?}");
    }

    #[test]
    fn every_described_file_is_pinned() {
        for file in Description::all().unwrap().iter().flat_map(|d| &d.files) {
            assert!(file.sha256.is_some() && file.bytes.is_some(), "{}: no hash or no size", file.name);
        }
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        for name in ["", ".", "..", "a/b", "../a", ".hidden", "-f", "a b", "a\\b", "ä"] {
            assert!(!is_plain(name), "{name:?}");
        }
        assert!(is_plain("cct_s_v2_global.onnx"));
    }

    const TINY: &str = r#"
[[file]]
name = "a.onnx"
urls = ["https://example.org/a.onnx"]
[manifest.pack]
name = "tiny"
[[manifest.model]]
file = "a.onnx"
"#;

    #[test]
    fn a_description_must_hold_together() {
        Description::parse(TINY).unwrap();
        for (from, to) in [
            ("https:", "http:"),
            ("https:", "file:"),
            ("name = \"a.onnx\"", "name = \"b.onnx\""),
            ("name = \"tiny\"", "name = \"../tiny\""),
            ("urls = [\"https://example.org/a.onnx\"]", "urls = []"),
            ("file = \"a.onnx\"", "file = \"a.onnx\"\nsha256 = \"00\""),
            ("[manifest.pack]", "[[file]]\nname = \"b.onnx\"\nurls = [\"https://example.org/b\"]\n[manifest.pack]"),
            ("urls =", "bytes = 0\nurls ="),
            ("urls =", "sha256 = \"12\"\nurls ="),
            ("urls =", "sha265 = \"12\"\nurls ="),
        ] {
            assert!(Description::parse(&TINY.replace(from, to)).is_err(), "{from} -> {to}");
        }
    }
}
