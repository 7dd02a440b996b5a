//! CSV files with a header, read so that a mistake in them is found by whoever wrote it: every complaint names file,
//! line and column.

use std::fs;
use std::path::{Path, PathBuf};

/// A CSV file in memory.
#[derive(Debug)]
pub(crate) struct Table {
    path: PathBuf,
    columns: Vec<String>,
    /// Line number in the file and fields.
    rows: Vec<(u64, csv::StringRecord)>,
}

/// One row of a [`Table`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    table: &'a Table,
    line: u64,
    fields: &'a csv::StringRecord,
}

/// What is wrong with a table.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TableError {
    /// Missing, not readable, not UTF-8 or with a row of another length.
    #[error("{path} cannot be read as CSV")]
    Csv { path: PathBuf, source: csv::Error },
    /// The header lacks a column that is needed.
    #[error("{path} has no column `{column}`; its header must name {needed}")]
    Column { path: PathBuf, column: String, needed: String },
    /// A column appears twice.
    #[error("{path} has two columns `{column}`")]
    Twice { path: PathBuf, column: String },
    /// A field that cannot be right.
    #[error("{path}, line {line}: {problem}")]
    Row { path: PathBuf, line: u64, problem: String },
    /// A header and nothing below it.
    #[error("{path} has no rows below its header")]
    Empty { path: PathBuf },
}

impl Table {
    /// Reads `path`; its header must contain `needed`.
    pub(crate) fn read(path: &Path, needed: &[&str]) -> Result<Self, TableError> {
        let failed = |source| TableError::Csv { path: path.into(), source };
        let text = fs::read(path).map_err(|error| failed(error.into()))?;
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_slice());
        let columns: Vec<String> = reader.headers().map_err(failed)?.iter().map(str::to_owned).collect();
        for (i, column) in columns.iter().enumerate() {
            if columns[..i].contains(column) {
                return Err(TableError::Twice { path: path.into(), column: column.clone() });
            }
        }
        if let Some(missing) = needed.iter().find(|name| !columns.iter().any(|column| column == *name)) {
            let (column, needed) = ((*missing).to_owned(), needed.join(", "));
            return Err(TableError::Column { path: path.into(), column, needed });
        }
        let mut rows = Vec::new();
        for record in reader.into_records() {
            let record = record.map_err(failed)?;
            rows.push((line_of(&text, &record), record));
        }
        if rows.is_empty() {
            return Err(TableError::Empty { path: path.into() });
        }
        Ok(Self { path: path.into(), columns, rows })
    }

    /// Names of the columns, in order.
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The rows below the header.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|(line, fields)| Row { table: self, line: *line, fields })
    }
}

/// The line a record stands on: the reader counts the empty lines before it as part of it.
fn line_of(text: &[u8], record: &csv::StringRecord) -> u64 {
    let Some(position) = record.position() else { return 0 };
    let before = text.get(position.byte() as usize..).unwrap_or_default();
    let empty = before.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).filter(|byte| **byte == b'\n');
    position.line() + empty.count() as u64
}

impl<'a> Row<'a> {
    /// The field under `column`; empty where the table has no such column.
    pub(crate) fn get(&self, column: &str) -> &'a str {
        let index = self.table.columns.iter().position(|name| name == column);
        index.and_then(|index| self.fields.get(index)).unwrap_or_default()
    }

    /// The field under `column`, which must not be empty.
    pub(crate) fn filled(&self, column: &str) -> Result<&'a str, TableError> {
        match self.get(column) {
            "" => Err(self.wrong(format!("`{column}` is empty"))),
            field => Ok(field),
        }
    }

    /// The picture named under `column`, which must exist in `folder`.
    pub(crate) fn picture(&self, column: &str, folder: &Path) -> Result<PathBuf, TableError> {
        let path = folder.join(self.filled(column)?);
        if path.is_file() { Ok(path) } else { Err(self.wrong(format!("picture {} is missing", path.display()))) }
    }

    /// An error about this row.
    pub(crate) fn wrong(&self, problem: impl Into<String>) -> TableError {
        TableError::Row { path: self.table.path.clone(), line: self.line, problem: problem.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, needed: &[&str]) -> Result<Table, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        fs::write(&path, text).unwrap();
        Table::read(&path, needed).map_err(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            format!("{error}: {source}")
        })
    }

    #[test]
    fn fields_are_found_by_name_and_rows_know_their_line() {
        let table = read("image , text\n a.jpg,\"A1,B2\"\n\nb.jpg,\n", &["image"]).unwrap();
        let rows: Vec<Row<'_>> = table.rows().collect();
        assert_eq!((rows[0].get("image"), rows[0].get("text"), rows[0].get("other")), ("a.jpg", "A1,B2", ""));
        assert_eq!(table.columns(), ["image", "text"]);
        let error = rows[1].filled("text").unwrap_err().to_string();
        assert!(error.contains("line 4: `text` is empty"), "{error}");
        let error = rows[1].picture("image", Path::new("/nowhere")).unwrap_err().to_string();
        assert!(error.contains("line 4: picture /nowhere/b.jpg is missing"), "{error}");
    }

    #[test]
    fn what_is_no_table_is_refused_with_the_place() {
        assert!(read("image\n", &["image"]).unwrap_err().contains("no rows"));
        assert!(read("picture,text\na,b\n", &["image", "text"]).unwrap_err().contains("column `image`"));
        assert!(read("image,image\na,b\n", &["image"]).unwrap_err().contains("two columns `image`"));
        let short = read("image,text\na,b\nc\n", &["image"]).unwrap_err();
        assert!(short.contains("line: 3") && short.contains("2 fields"), "{short}");
        assert!(Table::read(Path::new("/nowhere/t.csv"), &[]).unwrap_err().to_string().contains("/nowhere/t.csv"));
    }
}
