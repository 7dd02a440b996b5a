//! Values on their way into and out of a database, whichever it is.

use super::super::StorageError;

/// One value. Its `Debug` says only what kind it is: it may be a plate or a key.
#[derive(Clone, Copy)]
pub(crate) enum Cell<'a> {
    /// NULL.
    Null,
    /// INTEGER or BIGINT; a truth value is 0 or 1.
    Integer(i64),
    /// TEXT.
    Text(&'a str),
    /// BLOB or BYTEA.
    Blob(&'a [u8]),
}

impl std::fmt::Debug for Cell<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::Integer(_) => "Integer(…)",
            Self::Text(_) => "Text(…)",
            Self::Blob(_) => "Blob(…)",
        })
    }
}

/// What can be given to a statement.
pub(crate) trait ToCell {
    /// Itself, as the database takes it.
    fn to_cell(&self) -> Cell<'_>;
}

impl ToCell for str {
    fn to_cell(&self) -> Cell<'_> {
        Cell::Text(self)
    }
}
impl ToCell for String {
    fn to_cell(&self) -> Cell<'_> {
        Cell::Text(self)
    }
}
impl ToCell for [u8] {
    fn to_cell(&self) -> Cell<'_> {
        Cell::Blob(self)
    }
}
impl ToCell for Vec<u8> {
    fn to_cell(&self) -> Cell<'_> {
        Cell::Blob(self)
    }
}
impl<const N: usize> ToCell for [u8; N] {
    fn to_cell(&self) -> Cell<'_> {
        Cell::Blob(self)
    }
}
impl ToCell for i64 {
    fn to_cell(&self) -> Cell<'_> {
        Cell::Integer(*self)
    }
}
impl ToCell for u32 {
    fn to_cell(&self) -> Cell<'_> {
        Cell::Integer((*self).into())
    }
}
impl ToCell for bool {
    fn to_cell(&self) -> Cell<'_> {
        Cell::Integer((*self).into())
    }
}
impl<T: ToCell> ToCell for Option<T> {
    fn to_cell(&self) -> Cell<'_> {
        self.as_ref().map_or(Cell::Null, ToCell::to_cell)
    }
}
impl<T: ToCell + ?Sized> ToCell for &T {
    fn to_cell(&self) -> Cell<'_> {
        (*self).to_cell()
    }
}

/// What stands for `?1`, `?2`, … of a statement: an array of one type, or [`params!`](super::params) of several.
pub(crate) trait Params {
    /// The values in order.
    fn cells(&self) -> Vec<Cell<'_>>;
}

impl Params for &[&dyn ToCell] {
    fn cells(&self) -> Vec<Cell<'_>> {
        self.iter().map(|value| value.to_cell()).collect()
    }
}
// An array of none has no type of its own; one impl for it alone lets `[]` be written.
impl Params for [&dyn ToCell; 0] {
    fn cells(&self) -> Vec<Cell<'_>> {
        Vec::new()
    }
}
macro_rules! params_of {
    ($($count:literal)*) => {$(
        impl<T: ToCell> Params for [T; $count] {
            fn cells(&self) -> Vec<Cell<'_>> {
                self.iter().map(ToCell::to_cell).collect()
            }
        }
    )*};
}
params_of!(1 2 3 4 5 6);

/// What can be read from a row.
pub(crate) trait FromCell: Sized {
    /// Itself, or [`StorageError::Corrupt`].
    fn from_cell(cell: Cell<'_>) -> Result<Self, StorageError>;
}

impl FromCell for i64 {
    fn from_cell(cell: Cell<'_>) -> Result<Self, StorageError> {
        if let Cell::Integer(value) = cell { Ok(value) } else { Err(StorageError::Corrupt("number")) }
    }
}
impl FromCell for u32 {
    fn from_cell(cell: Cell<'_>) -> Result<Self, StorageError> {
        i64::from_cell(cell)?.try_into().map_err(|_| StorageError::Corrupt("number"))
    }
}
impl FromCell for bool {
    fn from_cell(cell: Cell<'_>) -> Result<Self, StorageError> {
        match cell {
            Cell::Integer(0) => Ok(false),
            Cell::Integer(1) => Ok(true),
            _ => Err(StorageError::Corrupt("truth value")),
        }
    }
}
impl FromCell for String {
    fn from_cell(cell: Cell<'_>) -> Result<Self, StorageError> {
        if let Cell::Text(value) = cell { Ok(value.to_owned()) } else { Err(StorageError::Corrupt("text")) }
    }
}
impl FromCell for Vec<u8> {
    fn from_cell(cell: Cell<'_>) -> Result<Self, StorageError> {
        if let Cell::Blob(value) = cell { Ok(value.to_vec()) } else { Err(StorageError::Corrupt("string of bytes")) }
    }
}
impl<T: FromCell> FromCell for Option<T> {
    fn from_cell(cell: Cell<'_>) -> Result<Self, StorageError> {
        if let Cell::Null = cell { Ok(None) } else { T::from_cell(cell).map(Some) }
    }
}
