//! `pad.csv`, or names that say it: live faces and presentation attacks.

use std::fs;
use std::path::{Path, PathBuf};

use super::SetError;
use crate::eval::table::{Table, TableError};

/// One presentation to the camera.
#[derive(Debug, Clone)]
pub(crate) struct PadPhoto {
    pub(crate) path: PathBuf,
    /// The presentation attack instrument's species; `None` for a live face.
    pub(crate) species: Option<String>,
}

pub(super) fn read(path: &Path, images: &Path) -> Result<Vec<PadPhoto>, TableError> {
    let table = Table::read(path, &["image", "label", "species"])?;
    table
        .rows()
        .map(|row| {
            let species = match row.get("label") {
                "live" => None,
                "attack" => Some(row.filled("species")?.to_owned()),
                other => return Err(row.wrong(format!("`label` is `{other}`; live or attack is expected"))),
            };
            Ok(PadPhoto { path: row.picture("image", images)?, species })
        })
        .collect()
}

/// Pictures whose names say what they are, as in the minivision sample: `real_…` and `fake_…`.
pub(super) fn read_named(images: &Path) -> Result<Vec<PadPhoto>, SetError> {
    let unreadable = |source| SetError::Read { path: images.into(), source };
    let mut photos = Vec::new();
    for entry in fs::read_dir(images).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let picture = [".jpg", ".jpeg", ".png"].iter().any(|ending| name.ends_with(ending));
        if picture && name.starts_with("real_") {
            photos.push(PadPhoto { path, species: None });
        } else if picture && name.starts_with("fake_") {
            photos.push(PadPhoto { path, species: Some("unspecified".into()) });
        }
    }
    photos.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(photos)
}
