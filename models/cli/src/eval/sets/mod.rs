//! Data sets on disk: a folder with pictures and a table of what they show.
//!
//! | table | kind | columns |
//! |---|---|---|
//! | `labels.csv` | plates | `image`, `text` (or `texts`, several separated by a vertical bar), optional `xmin`, `ymin`, `xmax`, `ymax` in pixels; every further column is a tag whose values are reported apart |
//! | `pairs.csv` | faces | `fold`, `a`, `b`, `same` (LFW, View 2); beside it optionally `one_to_n.csv` with `role` (`enrol`, `probe`, `impostor`), `identity`, `image` |
//! | `pad.csv` | presentation attacks | `image`, `label` (`live`, `attack`), `species` |
//! | none | presentation attacks | pictures named `real_…` and `fake_…` |
//!
//! Pictures lie in `images/` (or, where there is no such folder, beside the table). `set.toml` may say more about a set;
//! a description elsewhere may stand for a folder that cannot be written to.

mod faces;
mod pad;
mod plates;

use std::fs;
use std::path::{Path, PathBuf};

use cardea_access::grammar::{Grammars, UnknownGrammar};
use serde::Deserialize;

pub(crate) use faces::{FacePair, FaceSet, SearchEntry, SearchRole};
pub(crate) use pad::PadPhoto;
pub(crate) use plates::{LabelledPlate, PlatePhoto};

use super::table::TableError;

/// A data set, read and checked; its pictures are not opened yet.
#[derive(Debug)]
pub(crate) struct Set {
    pub(crate) about: About,
    pub(crate) kind: Kind,
}

/// What a set says about itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct About {
    /// Short name; that of the folder where not given.
    #[serde(default)]
    pub(crate) name: String,
    /// Under what terms the pictures may be used.
    #[serde(default)]
    pub(crate) licence: String,
    /// Where they come from, how they were labelled, what they cannot show.
    #[serde(default)]
    pub(crate) notes: String,
    /// Sets of one group are also reported together.
    pub(crate) group: Option<String>,
    /// Kinds of plates the gate expects, as in a controller's configuration; all Russian ones where not given.
    pub(crate) grammars: Option<Vec<String>>,
    /// Whether `--perturb` is for this set too; it is where not given. Many independent plates need no second view.
    pub(crate) perturb: Option<bool>,
    /// Where the pictures are, relative to the description; its own folder where not given.
    pub(crate) folder: Option<PathBuf>,
}

/// What a set measures.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Photographs with plates, and the kinds of plates the gate expects.
    Plates(Vec<PlatePhoto>, Grammars),
    /// Portraits to compare.
    Faces(FaceSet),
    /// Live faces and presentation attacks.
    Pad(Vec<PadPhoto>),
}

/// Why a folder is no data set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetError {
    /// Nothing is there, or nothing can be read.
    #[error("data set {path} cannot be read")]
    Read { path: PathBuf, source: std::io::Error },
    /// A description that is not one.
    #[error("{path} is not a description of a data set (name, licence, notes, group, grammars, perturb, folder)")]
    Description { path: PathBuf, source: toml::de::Error },
    /// A grammar that there is not.
    #[error("the description of data set {path} names an unknown grammar")]
    Grammar { path: PathBuf, source: UnknownGrammar },
    /// None of the known layouts.
    #[error("{path} holds no labels.csv, pairs.csv or pad.csv, and no pictures named real_… and fake_…")]
    Unknown { path: PathBuf },
    /// A table has a mistake.
    #[error(transparent)]
    Table(#[from] TableError),
}

impl Set {
    /// Reads the set at `path`: a folder, or a `.toml` description that names one.
    pub(crate) fn read(path: &Path) -> Result<Self, SetError> {
        let unreadable = |source| SetError::Read { path: path.into(), source };
        let metadata = fs::metadata(path).map_err(unreadable)?;
        let description = if metadata.is_dir() { path.join("set.toml") } else { path.to_owned() };
        let mut about = About::default();
        if description.is_file() {
            let text = fs::read_to_string(&description).map_err(unreadable)?;
            about =
                toml::from_str(&text).map_err(|source| SetError::Description { path: description.clone(), source })?;
        }
        let beside = description.parent().unwrap_or(Path::new("."));
        let folder = about.folder.as_ref().map_or_else(|| beside.to_owned(), |folder| beside.join(folder));
        let folder = fs::canonicalize(&folder).map_err(|source| SetError::Read { path: folder.clone(), source })?;
        if about.name.is_empty() {
            about.name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        }
        let grammars = about.grammars().map_err(|source| SetError::Grammar { path: path.into(), source })?;
        Ok(Self { kind: Kind::read(&folder, grammars)?, about })
    }
}

impl About {
    fn grammars(&self) -> Result<Grammars, UnknownGrammar> {
        let Some(names) = &self.grammars else { return Ok(Grammars::default()) };
        Ok(Grammars::new(names.iter().map(|name| name.parse()).collect::<Result<Vec<_>, _>>()?))
    }
}

impl Kind {
    fn read(folder: &Path, grammars: Grammars) -> Result<Self, SetError> {
        let images = folder.join("images");
        let images = if images.is_dir() { images } else { folder.to_owned() };
        if folder.join("labels.csv").is_file() {
            return Ok(Self::Plates(plates::read(&folder.join("labels.csv"), &images)?, grammars));
        }
        if folder.join("pairs.csv").is_file() {
            return Ok(Self::Faces(faces::read(folder, &images)?));
        }
        if folder.join("pad.csv").is_file() {
            return Ok(Self::Pad(pad::read(&folder.join("pad.csv"), &images)?));
        }
        let named = pad::read_named(&images)?;
        if named.is_empty() { Err(SetError::Unknown { path: folder.into() }) } else { Ok(Self::Pad(named)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn a_folder_says_by_its_table_what_it_is() {
        let plates = folder(&[("labels.csv", "image,text\na.jpg,A1\n"), ("images/a.jpg", "")]);
        assert!(matches!(Set::read(plates.path()).unwrap().kind, Kind::Plates(photos, _) if photos.len() == 1));
        let pad = folder(&[
            ("pad.csv", "image,label,species\na.jpg,live,\nb.jpg,attack,print\n"),
            ("a.jpg", ""),
            ("b.jpg", ""),
        ]);
        let Kind::Pad(photos) = Set::read(pad.path()).unwrap().kind else { panic!("not PAD") };
        assert_eq!((&photos[0].species, photos[1].species.as_deref()), (&None, Some("print")));
        let named = folder(&[("real_1.JPG", ""), ("fake_1.png", ""), ("readme.txt", "")]);
        let Kind::Pad(photos) = Set::read(named.path()).unwrap().kind else { panic!("not PAD") };
        assert_eq!(photos.iter().map(|photo| photo.species.is_some()).collect::<Vec<_>>(), [true, false]);
        let nothing = Set::read(folder(&[("readme.txt", "")]).path()).unwrap_err().to_string();
        assert!(nothing.contains("holds no labels.csv"), "{nothing}");
        let gone = Set::read(Path::new("/nowhere")).unwrap_err().to_string();
        assert!(gone.contains("/nowhere"), "{gone}");
        let bad = folder(&[("pad.csv", "image,label,species\na.jpg,alive,\n"), ("a.jpg", "")]);
        assert!(Set::read(bad.path()).unwrap_err().to_string().contains("line 2: `label` is `alive`"));
    }

    #[test]
    fn a_description_names_a_set_here_or_elsewhere() {
        let data =
            folder(&[("labels.csv", "image,text\na.jpg,A1\n"), ("a.jpg", ""), ("set.toml", "name = \"inner\"\n")]);
        assert_eq!(Set::read(data.path()).unwrap().about.name, "inner");
        let outside = data.path().file_name().unwrap().to_str().unwrap().to_owned();
        let text = format!("name = \"outer\"\nlicence = \"CC0\"\ngroup = \"all\"\nfolder = \"../{outside}\"\n");
        let described = folder(&[("outer.toml", &text)]);
        let set = Set::read(&described.path().join("outer.toml")).unwrap();
        assert_eq!(
            (set.about.name.as_str(), set.about.licence.as_str(), set.about.group.as_deref()),
            ("outer", "CC0", Some("all"))
        );
        let text = text.replace("group", "grammars = [\"generic-latin\"]\ngroup");
        let described = folder(&[("outer.toml", &text)]);
        let Kind::Plates(_, grammars) = Set::read(&described.path().join("outer.toml")).unwrap().kind else {
            panic!("not plates")
        };
        assert!(grammars.matches("WOB123") && !grammars.matches("WOB"));
        let text = text.replace("generic", "martian");
        let described = folder(&[("outer.toml", &text)]);
        assert!(matches!(Set::read(&described.path().join("outer.toml")), Err(SetError::Grammar { .. })));
        let wrong = folder(&[("set.toml", "nmae = \"x\"\n"), ("labels.csv", "image,text\na.jpg,A1\n"), ("a.jpg", "")]);
        assert!(matches!(Set::read(wrong.path()), Err(SetError::Description { .. })));
    }

    #[test]
    fn the_described_sets_are_readable_where_their_pictures_are() {
        let sets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../eval");
        let mut count = 0;
        for entry in fs::read_dir(sets).unwrap() {
            let path = entry.unwrap().path();
            let about: About = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            assert!(!about.licence.is_empty() && !about.notes.is_empty(), "{}", path.display());
            if path.parent().unwrap().join(about.folder.unwrap()).is_dir() {
                Set::read(&path).unwrap();
            }
            count += 1;
        }
        assert!(count >= 4);
    }
}
