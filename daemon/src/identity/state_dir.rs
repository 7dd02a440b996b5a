//! Where everything lies in `state_dir`.

use std::path::{Path, PathBuf};

use super::files::{self, FileError};

/// The state folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// That of the configuration. Nothing is made or read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Makes the folders, mode 0700, where they are missing.
    pub fn create(&self) -> Result<(), FileError> {
        files::make_private_dir(&self.0)?;
        files::make_private_dir(&self.identity())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.0.join("cardea.db")
    }

    /// The key that wraps those in the database.
    pub fn device_key(&self) -> PathBuf {
        self.0.join("device.key")
    }

    /// The folder of the identity.
    pub fn identity(&self) -> PathBuf {
        self.0.join("identity")
    }

    /// Private key and certificate in use.
    pub fn credential(&self) -> PathBuf {
        self.identity().join("controller.pem")
    }

    /// A renewed pair that has not yet proved itself.
    pub fn candidate(&self) -> PathBuf {
        self.identity().join("controller.pem.new")
    }

    pub(super) fn sealing_key(&self) -> PathBuf {
        self.identity().join("sealing.key")
    }

    pub(super) fn ca(&self) -> PathBuf {
        self.identity().join("ca.pem")
    }

    pub(super) fn cloud(&self) -> PathBuf {
        self.identity().join("cloud.json")
    }
}
