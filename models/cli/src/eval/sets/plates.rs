//! `labels.csv`: photographs with plates.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cardea_models::Rect;

use crate::eval::table::{Row, Table, TableError};

/// Lengths a plate's text may have.
const TEXT_LENGTH: std::ops::RangeInclusive<usize> = 2..=12;

/// One photograph with its plates.
#[derive(Debug, Clone)]
pub(crate) struct PlatePhoto {
    pub(crate) path: PathBuf,
    pub(crate) plates: Vec<LabelledPlate>,
}

/// One plate of a photograph.
#[derive(Debug, Clone)]
pub(crate) struct LabelledPlate {
    /// In Latin capitals and digits; `None` for a plate nobody can read.
    pub(crate) text: Option<String>,
    /// Its upright box, in pixels.
    pub(crate) bbox: Option<Rect>,
    /// Column and value of every further column.
    pub(crate) tags: BTreeMap<String, String>,
}

pub(super) fn read(path: &Path, images: &Path) -> Result<Vec<PlatePhoto>, TableError> {
    const KNOWN: [&str; 7] = ["image", "xmin", "ymin", "xmax", "ymax", "text", "texts"];
    let table = Table::read(path, &["image"])?;
    if !["text", "texts"].iter().any(|name| table.columns().iter().any(|column| column == name)) {
        let needed = "image and text (or texts)".into();
        return Err(TableError::Column { path: path.into(), column: "text".into(), needed });
    }
    let mut photos: Vec<PlatePhoto> = Vec::new();
    let mut index: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for row in table.rows() {
        let picture = row.picture("image", images)?;
        let bbox = read_box(&row)?;
        let tags: BTreeMap<String, String> = table
            .columns()
            .iter()
            .filter(|column| !KNOWN.contains(&column.as_str()) && !row.get(column).is_empty())
            .map(|column| (column.clone(), row.get(column).to_owned()))
            .collect();
        let texts: Vec<&str> = format_texts(&row);
        if texts.len() > 1 && bbox.is_some() {
            return Err(row.wrong("several texts share one box; give each plate a row of its own"));
        }
        let at = *index.entry(picture.clone()).or_insert_with(|| {
            photos.push(PlatePhoto { path: picture, plates: Vec::new() });
            photos.len() - 1
        });
        for text in texts {
            let text = canonical(text).map_err(|problem| row.wrong(problem))?;
            photos[at].plates.push(LabelledPlate { text, bbox, tags: tags.clone() });
        }
    }
    Ok(photos)
}

/// The texts of a row; one empty text where the plate is labelled as unreadable.
fn format_texts<'a>(row: &Row<'a>) -> Vec<&'a str> {
    let joined = if row.get("text").is_empty() { row.get("texts") } else { row.get("text") };
    joined.split('|').map(str::trim).collect()
}

fn read_box(row: &Row<'_>) -> Result<Option<Rect>, TableError> {
    let fields = ["xmin", "ymin", "xmax", "ymax"].map(|column| (column, row.get(column)));
    if fields.iter().all(|(_, field)| field.is_empty()) {
        return Ok(None);
    }
    let mut sides = [0.0_f32; 4];
    for (side, (column, field)) in sides.iter_mut().zip(fields) {
        *side = field
            .parse()
            .ok()
            .filter(|v: &f32| v.is_finite())
            .ok_or_else(|| row.wrong(format!("`{column}` is `{field}`, a number of pixels is expected")))?;
    }
    let [left, top, right, bottom] = sides;
    if right <= left || bottom <= top {
        return Err(row.wrong("the box is empty: xmax must exceed xmin and ymax ymin"));
    }
    Ok(Some(Rect { x: left, y: top, width: right - left, height: bottom - top }))
}

/// A label as the readers write plates: Latin capitals and digits, without spaces and hyphens, Cyrillic letters of GOST
/// plates as their Latin look-alikes. `Ok(None)` for an empty label. The error does not repeat the plate.
fn canonical(label: &str) -> Result<Option<String>, String> {
    let mut text = String::new();
    for c in label.chars().filter(|c| !c.is_whitespace() && *c != '-') {
        let latin = match c.to_uppercase().next().unwrap_or(c) {
            'А' => 'A',
            'В' => 'B',
            'Е' => 'E',
            'К' => 'K',
            'М' => 'M',
            'Н' => 'H',
            'О' => 'O',
            'Р' => 'P',
            'С' => 'C',
            'Т' => 'T',
            'У' => 'Y',
            'Х' => 'X',
            other if other.is_ascii_alphanumeric() => other,
            other => {
                return Err(format!("a plate's text has the character `{other}`; letters and digits are expected"));
            }
        };
        text.push(latin);
    }
    match text.len() {
        0 => Ok(None),
        length if TEXT_LENGTH.contains(&length) => Ok(Some(text)),
        length => Err(format!("a plate's text has {length} characters, 2 to 12 are expected")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn photos(csv: &str) -> Result<Vec<PlatePhoto>, String> {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.jpg", "b.jpg"] {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        let path = folder.path().join("labels.csv");
        std::fs::write(&path, csv).unwrap();
        read(&path, folder.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn rows_of_one_picture_are_one_photograph_and_further_columns_are_tags() {
        let found = photos(
            "image,xmin,ymin,xmax,ymax,text,condition\na.jpg,1,2,30,12,A123BC77,rain\nb.jpg,,,,,,\na.jpg,5,40,36,50,а 123-вс 777,\n",
        )
        .unwrap();
        assert_eq!(found.len(), 2);
        let texts: Vec<_> = found[0].plates.iter().map(|plate| plate.text.as_deref()).collect();
        assert_eq!(texts, [Some("A123BC77"), Some("A123BC777")]);
        assert_eq!(found[0].plates[0].bbox, Some(Rect { x: 1.0, y: 2.0, width: 29.0, height: 10.0 }));
        assert_eq!(found[0].plates[0].tags.get("condition").map(String::as_str), Some("rain"));
        assert!(found[0].plates[1].tags.is_empty());
        assert_eq!((&found[1].plates[0].text, found[1].plates[0].bbox), (&None, None));
        let several = photos("image,texts\na.jpg,A123BC77|X777XX99\n").unwrap();
        assert_eq!(several[0].plates.len(), 2);
    }

    #[test]
    fn mistakes_are_named_with_their_line_and_without_the_plate() {
        for (row, complaint) in [
            ("a.jpg,1,2,x,12,A123BC77", "line 3: `xmax` is `x`"),
            ("a.jpg,1,2,inf,12,A123BC77", "line 3: `xmax` is `inf`"),
            ("a.jpg,1,2,,12,A123BC77", "line 3: `xmax` is ``"),
            ("a.jpg,30,2,1,12,A123BC77", "line 3: the box is empty"),
            ("c.jpg,1,2,30,12,A123BC77", "line 3: picture"),
            ("a.jpg,1,2,30,12,A123Ж", "line 3: a plate's text has the character `Ж`"),
            ("a.jpg,1,2,30,12,A123BC77A123BC77", "line 3: a plate's text has 16 characters"),
            ("a.jpg,1,2,30,12,A123BC77|X1", "line 3: several texts share one box"),
        ] {
            let error = photos(&format!("image,xmin,ymin,xmax,ymax,text\na.jpg,1,2,30,12,A1\n{row}\n")).unwrap_err();
            assert!(error.contains(complaint), "{error}");
            assert!(!error.contains("A123"), "{error}");
        }
        assert!(photos("image,plate\na.jpg,A1\n").unwrap_err().contains("image and text"));
    }
}
