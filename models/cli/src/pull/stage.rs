//! The folder a pack grows in: beside its place, so that it appears there whole, by one rename, or not at all.
//!
//! What an interrupted run left in it is used by the next one. One run at a time holds its lock.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use cardea_models::pack::MANIFEST;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::attempt::disk_hint;

/// Why the folder cannot be worked with.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Reading or writing failed.
    #[error("cannot {action} {path}{}", disk_hint(source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Another run is at it.
    #[error("another `cardea-models pull` is working in {path}; wait for it, or end it")]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// In its place is something else.
    #[error("{path} is there and is not the pack {name}; move it away, or choose another folder with --into")]
    Foreign {
        /// What is there.
        path: PathBuf,
        /// What should be.
        name: String,
    },
}

/// The growing pack.
pub(crate) struct Stage {
    folder: PathBuf,
    target: PathBuf,
    /// Holds the lock as long as it lives.
    _lock: File,
}

impl Stage {
    /// Opens the folder in which pack `name` grows inside `into`.
    pub(crate) fn open(into: &Path, name: &str) -> Result<Self, StageError> {
        let target = into.join(name);
        check_target(&target, name)?;
        let folder = into.join(format!(".{name}.pulling"));
        fs::create_dir_all(&folder).map_err(failed("create", &folder))?;
        let lock = File::open(&folder).map_err(failed("open", &folder))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StageError::Busy { path: folder }),
            Err(TryLockError::Error(source)) => return Err(failed("lock", &folder)(source)),
        }
        // a run that ended this moment has put the folder that was opened in its place
        let same = match (lock.metadata(), fs::metadata(&folder)) {
            (Ok(held), Ok(there)) => (held.dev(), held.ino()) == (there.dev(), there.ino()),
            _ => false,
        };
        if same { Ok(Self { folder, target, _lock: lock }) } else { Err(StageError::Busy { path: folder }) }
    }

    /// Where the pack grows.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where it will be.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The manifest that is there already.
    pub(crate) fn installed_manifest(&self) -> Option<String> {
        fs::read_to_string(self.target.join(MANIFEST)).ok()
    }

    /// Leaves what is there as it is.
    pub(crate) fn discard(self) -> Result<(), StageError> {
        remove(&self.folder)
    }

    /// Writes the manifest, and removes whatever is neither it nor one of `files`.
    pub(crate) fn complete(&self, manifest: &str, files: &BTreeSet<&str>) -> Result<(), StageError> {
        for entry in fs::read_dir(&self.folder).map_err(failed("read", &self.folder))? {
            let entry = entry.map_err(failed("read", &self.folder))?;
            if !entry.file_name().to_str().is_some_and(|name| files.contains(name)) {
                remove(&entry.path())?;
            }
        }
        let path = self.folder.join(MANIFEST);
        let write = || -> io::Result<()> {
            let mut file = File::create_new(&path)?;
            file.write_all(manifest.as_bytes())?;
            file.sync_all()?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(failed("write", &path))
    }

    /// Puts the pack in its place, by one rename. What was there is replaced by the same step and removed afterwards.
    pub(crate) fn install(self) -> Result<(), StageError> {
        let there = self.target.try_exists().map_err(failed("look at", &self.target))?;
        let flags = if there { RenameFlags::EXCHANGE } else { RenameFlags::NOREPLACE };
        renameat_with(CWD, &self.folder, CWD, &self.target, flags)
            .map_err(|error| failed("put the pack in", &self.target)(error.into()))?;
        if let Some(parent) = self.target.parent() {
            File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed("write", parent))?;
        }
        if there { remove(&self.folder) } else { Ok(()) }
    }
}

impl Drop for Stage {
    /// A run that brought nothing leaves nothing; the lock is held until after this.
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Only a pack of this name, or nothing, may be replaced.
fn check_target(target: &Path, name: &str) -> Result<(), StageError> {
    let foreign = || StageError::Foreign { path: target.into(), name: name.into() };
    match fs::symlink_metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed("look at", target)(source)),
        Ok(metadata) if !metadata.is_dir() => return Err(foreign()),
        Ok(_) => {}
    }
    let text = fs::read_to_string(target.join(MANIFEST)).map_err(|_| foreign())?;
    let manifest: toml::Table = text.parse().map_err(|_| foreign())?;
    let found = manifest.get("pack").and_then(|pack| pack.get("name")).and_then(toml::Value::as_str);
    if found == Some(name) { Ok(()) } else { Err(foreign()) }
}

fn remove(path: &Path) -> Result<(), StageError> {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    let removed = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.map_err(failed("remove", path))
}

/// Says what was tried when it failed.
pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StageError {
    let path = path.to_owned();
    move |source| StageError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const OLD: &str = "[pack]\nname = \"p\"\n";

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_pack_appears_whole_and_takes_the_place_of_its_former_version() {
        let into = tempfile::tempdir().unwrap();
        for manifest in [OLD, "[pack]\nname = \"p\"\nversion = \"2\"\n"] {
            let stage = Stage::open(into.path(), "p").unwrap();
            fs::write(stage.folder().join("a.onnx"), "a").unwrap();
            fs::write(stage.folder().join("left.part"), "x").unwrap();
            stage.complete(manifest, &BTreeSet::from(["a.onnx"])).unwrap();
            stage.install().unwrap();
            assert_eq!(names(into.path()), ["p"]);
            assert_eq!(names(&into.path().join("p")), ["a.onnx", MANIFEST]);
            assert_eq!(fs::read_to_string(into.path().join("p").join(MANIFEST)).unwrap(), manifest);
        }
    }

    #[test]
    fn two_runs_do_not_work_in_one_folder() {
        let into = tempfile::tempdir().unwrap();
        let _first = Stage::open(into.path(), "p").unwrap();
        assert!(matches!(Stage::open(into.path(), "p"), Err(StageError::Busy { .. })));
        Stage::open(into.path(), "q").unwrap();
    }

    #[test]
    fn what_is_not_this_pack_is_not_touched() {
        let into = tempfile::tempdir().unwrap();
        let target = into.path().join("p");
        fs::write(&target, "a file").unwrap();
        assert!(matches!(Stage::open(into.path(), "p"), Err(StageError::Foreign { .. })));
        fs::remove_file(&target).unwrap();
        fs::create_dir(&target).unwrap();
        for manifest in [None, Some("nonsense ["), Some("[pack]\nname = \"q\"\n")] {
            if let Some(manifest) = manifest {
                fs::write(target.join(MANIFEST), manifest).unwrap();
            }
            assert!(matches!(Stage::open(into.path(), "p"), Err(StageError::Foreign { .. })), "{manifest:?}");
        }
    }
}
