//! Files, folders and streams as Arrow record batches of the wanted columns.
//!
//! Knows formats, paths and column names; gives values no meaning. Parquet and Arrow sources keep their types; the text
//! formats (JSON, CSV) yield every value as text, so that one place decides what text means.

mod ahead;
mod batches;
mod csv;
mod discover;
mod files;
mod folders;
pub(crate) mod guard;
mod gzip;
mod json;
mod keys;
mod layout;
mod object;
mod parquet;
mod records;
mod room;
mod stamp;
mod stream;
mod weight;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::error::Result;
use crate::event::Day;
use crate::schema;

pub use batches::Batches;
pub use files::{Files, open};
pub use guard::panic_becomes_error;
pub use layout::columns_by_name;
pub use room::Room;

/// The fields of a slate's structs.
pub const SLATE_FIELDS: [&str; 2] = ["item_id", "is_order"];

/// What a stage wants to know of a table.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The table's name, for messages.
    pub table: String,
    /// The column with the day. Where the path has a part `{day_column}=…`, that is the day and the column is not read.
    pub day_column: String,
    /// The columns beside the day, as sets of which the first that a file has in full is read; at least one. Of JSON
    /// all are read, as each line may have another.
    pub layouts: Vec<Vec<Column>>,
    /// How its files are read.
    pub source: schema::Source,
    /// The memory that its readers have.
    pub room: Room,
}

/// A wanted column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
}

/// The shape of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A number, a boolean, a text, a time.
    Scalar,
    /// A list of structs with the fields [`SLATE_FIELDS`].
    Slate,
}

/// The day that a path gives to all rows below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathDay {
    /// A day.
    Day(Day),
    /// Hive's name for null.
    Null,
    /// Something that is no day.
    Unparsable(String),
}

/// Where the rows of a chunk come from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The file, where the source is one.
    pub file: Option<Arc<PathBuf>>,
    /// The day that the path gives.
    pub day: Option<PathDay>,
    /// The numbers of the rows in the file or source, from 1; in text files the line on which a row begins.
    pub rows: RowNumbers,
    /// Whether the source is a text format, whose values are all text or null.
    pub text: bool,
}

impl Origin {
    /// The file's path, where the source is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.file.as_deref().map(PathBuf::as_path)
    }
}

/// The numbers of a chunk's rows.
#[derive(Clone, Debug)]
pub enum RowNumbers {
    /// Consecutive, from this one.
    From(u64),
    /// One for each row.
    Each(Vec<u64>),
    /// None: nobody knows where the rows stood.
    Unknown,
}

impl RowNumbers {
    /// The number of the chunk's row `row`, counted from 0.
    #[must_use]
    pub fn number(&self, row: usize) -> Option<u64> {
        match self {
            Self::From(first) => Some(first + row as u64),
            Self::Each(numbers) => numbers.get(row).copied(),
            Self::Unknown => None,
        }
    }
}

/// Some consecutive rows of a source.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The day column, unless the path has the day, and the columns of one layout, or of JSON those of all, null where
    /// a line lacks them; in any order, found by name.
    pub batch: RecordBatch,
    /// Where they come from.
    pub origin: Origin,
    /// Of lines of JSON, those with no key at all of the columns by which the layouts differ.
    pub bare: u64,
    /// The bytes that were read for them, for progress.
    pub bytes: u64,
}

/// What takes chunks; several threads call it at once.
pub type Visitor<'a> = dyn Fn(Chunk) -> Result<()> + Sync + 'a;

/// A table that can be read in parts, in parallel.
pub trait Source: Send + Sync {
    /// The number of parts.
    fn parts(&self) -> usize;

    /// The bytes of all parts, for progress.
    fn bytes(&self) -> u64;

    /// The most bytes that reading a part may take beside its rows, as far as is known beforehand.
    fn heaviest(&self) -> u64 {
        0
    }

    /// Reads one part and hands over its rows in chunks, possibly from several threads, in no order.
    ///
    /// # Errors
    /// A fault of the part, or whatever `visit` returns. Where several chunks fail, the first in the order of the part.
    fn read(&self, part: usize, visit: &Visitor<'_>) -> Result<()>;

    /// The files, where the source is made of files, for the record of the run.
    fn files(&self) -> Vec<&Path>;

    /// Whether it cannot be read beside another source that says so, as results of one connection to a database cannot.
    fn alone(&self) -> bool {
        false
    }
}

/// What is read in one go of a table in files: a row group, or a text file.
trait Part: Send + Sync {
    /// The bytes of the file that it takes, for progress.
    fn bytes(&self) -> u64;

    /// As [`Source::heaviest`].
    fn weight(&self) -> u64 {
        0
    }

    /// As [`Source::read`], with `ahead` chunks worked on at once.
    fn read(&self, ahead: usize, visit: &Visitor<'_>) -> Result<()>;
}
