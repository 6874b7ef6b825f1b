//! Files, folders and streams as Arrow record batches of the wanted columns.
//!
//! Knows formats, paths and column names; gives values no meaning. Parquet and Arrow sources keep their types; the text
//! formats (JSON, CSV) yield every value as text, so that one place decides what text means.

mod ahead;
mod batches;
mod blocks;
mod csv;
mod data_file;
mod dialect;
mod discover;
mod files;
mod folders;
mod formats;
mod frames;
pub(crate) mod guard;
mod gzip;
mod json;
mod keys;
mod layout;
mod mend;
mod object;
mod objects;
mod parquet;
mod path_days;
mod records;
mod remote;
mod room;
mod rows;
mod scan;
mod shapes;
mod sixteen;
mod stamp;
mod stream;
mod text_buffer;
mod text_column;
mod value;
mod walk;
mod weight;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::error::Result;
use crate::event::Day;
use crate::schema::{self, DayOf};
use crate::store::Stores;

pub use batches::Batches;
pub use files::{Files, open, open_all};
pub use guard::panic_becomes_error;
pub use layout::columns_by_name;
pub(crate) use layout::{element_type, resolve};
pub use room::Room;
pub use walk::pattern_meets;

/// What a stage wants to know of a table.
#[derive(Clone, Debug)]
pub struct Projection {
    /// The table's name, for messages.
    pub table: String,
    /// The day. Where the path has a part `{column}=…` for the column of the day, that is the day and the column is not read.
    /// Where paths have it by a pattern, that of each file has to be so.
    pub day: DayOf,
    /// The other columns: names, or paths such as `a.b` into structs and through lists.
    pub columns: Vec<String>,
    /// The list of items. A file may have its columns `list.b` as columns `b` instead; of JSON each line may.
    pub list: Option<String>,
    /// How its files are read.
    pub source: schema::Source,
    /// The memory that its readers have.
    pub room: Room,
    /// The object stores that it may lie in.
    pub stores: Stores,
}

impl Projection {
    /// The column of the day, where one has it.
    #[must_use]
    pub fn day_column(&self) -> Option<&str> {
        self.day.column()
    }

    /// The name under which a file may have a column of the list of items beside it.
    #[must_use]
    pub fn flat<'a>(&self, column: &'a str) -> Option<&'a str> {
        column.strip_prefix(self.list.as_deref()?)?.strip_prefix('.')
    }

    /// What the list of items has to be, for messages.
    pub(crate) fn list_of_items(&self) -> String {
        let fields: Vec<String> =
            self.columns.iter().filter_map(|column| Some(format!("`{}`", self.flat(column)?))).collect();
        let (s, fields) = (if fields.len() == 1 { "" } else { "s" }, and(&fields));
        format!("a list of structs with the field{s} {fields}")
    }

    /// The keys of which a row with items has one, for messages.
    pub(crate) fn keys_of_items(&self) -> String {
        let flat = self.columns.iter().filter_map(|column| self.flat(column));
        let keys: Vec<String> = self.list.as_deref().into_iter().chain(flat).map(|key| format!("`{key}`")).collect();
        and(&keys)
    }
}

/// Names in a sentence.
fn and(names: &[String]) -> String {
    match names {
        [first @ .., before, last] => {
            let first: String = first.iter().map(|name| format!("{name}, ")).collect();
            format!("{first}{before} and {last}")
        }
        _ => names.concat(),
    }
}

/// A wanted column of a source, and what is wanted below it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    /// Its name in the source.
    name: String,
    /// Its name as it is wanted, which may be in other case.
    wanted: String,
    /// What its values are, where only they say it.
    shape: Shape,
    /// The wanted fields of its structs; none where its values are wanted themselves.
    fields: Vec<Column>,
}

impl Column {
    /// The place of the column that a key is, exactly or else without case.
    fn place_of(columns: &[Self], key: &str) -> Option<usize> {
        let same = columns.iter().position(|column| column.wanted == key || column.name == key);
        same.or_else(|| columns.iter().position(|column| column.wanted.eq_ignore_ascii_case(key)))
    }
}

/// What stands at a column of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Nothing that is not null has been seen.
    Unknown,
    /// A value, or an object.
    One,
    /// A list of such.
    Many,
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
    /// The day column, unless the path has the day, and the other columns, those of the list of items in it or beside it, or of JSON
    /// both, null where a line lacks them; in any order, found by name.
    pub batch: RecordBatch,
    /// Where they come from.
    pub origin: Origin,
    /// Of lines of JSON, those with the key neither of the list of items nor of a column that may stand beside it.
    pub bare: u64,
    /// The bytes that were read for them, for progress.
    pub bytes: u64,
}

/// What takes chunks; several threads call it at once.
pub type Visitor<'a> = dyn Fn(Chunk) -> Result<()> + Sync + 'a;

/// What is known of a part before it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SplitFacts<'a> {
    /// What its file is, as `csv.gz`.
    pub format: Option<&'static str>,
    /// The day that the path gives.
    pub day: Option<&'a PathDay>,
    /// The bytes of the file that it takes.
    pub bytes: u64,
    /// Its rows.
    pub rows: Option<u64>,
}

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

    /// What is known of a part.
    fn facts(&self, _part: usize) -> SplitFacts<'_> {
        SplitFacts::default()
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
trait Split: Send + Sync {
    /// The bytes of the file that it takes, for progress.
    fn bytes(&self) -> u64;

    /// As [`Source::heaviest`].
    fn weight(&self) -> u64 {
        0
    }

    /// As [`Source::facts`].
    fn facts(&self) -> SplitFacts<'_>;

    /// Begins to fetch it, where it is in a store; `before_turn` where another part is read first. False where there is no memory for
    /// that now.
    fn begin(&self, _before_turn: bool) -> bool {
        true
    }

    /// As [`Source::read`], with `ahead` chunks worked on at once.
    fn read(&self, ahead: usize, visit: &Visitor<'_>) -> Result<()>;
}
