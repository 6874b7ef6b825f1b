//! A table made of files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::error::{Error, Invariant, Result};
use crate::event::Day;
use crate::read::csv::CsvFile;
use crate::read::data_file::DataFile;
use crate::read::discover::discover;
use crate::read::formats::Format;
use crate::read::json::JsonFile;
use crate::read::keys::{self, Looked};
use crate::read::parquet::RowGroup;
use crate::read::{Projection, Source, Split, SplitFacts, Visitor};
use crate::store;

/// A table made of the files at some paths.
pub struct Files {
    paths: Vec<Arc<PathBuf>>,
    parts: Vec<Box<dyn Split>>,
    /// Which of them are fetched already, or have been.
    begun: Vec<AtomicBool>,
    /// The bytes of objects in stores that are held beside what a part takes.
    held: u64,
}

/// Parts that are fetched before their turn, at most, for each that is read.
const BEFORE_TURN: usize = 8;

/// Opens the table at `path`: a file, a folder of files at any depth, or a pattern of names with `*`, `?`, `[…]` and `**`.
///
/// As [`open_all`] of one path.
///
/// # Errors
/// Those of [`open_all`].
pub fn open(path: &Path, wanted: Projection, keep: &dyn Fn(Day) -> bool) -> Result<Files> {
    open_all(&[path.to_owned()], wanted, keep)
}

/// Opens the table at some paths, each a file, a folder of files at any depth, or, where nothing has that name, a pattern of
/// names.
///
/// A name says its file's format: `.parquet` (`.parq`, `.pq`), `.json` (`.jsonl`, `.ndjson`), `.csv` or `.tsv`, the text
/// formats also with `.gz` or `.zst`. Where it does not, `wanted.source` does, and where that does not either, the first bytes.
/// Names that start with `_` or `.` and markers of other tools are passed over. A folder `{column}=…`, for the column of the day, gives the day of
/// the files below it, the nearest where there are several; the folder at a path, or around it where it is a file, counts
/// last, and none further up does. Where `wanted.day` is a pattern of paths, that of each file has to be so. Files of a
/// day that `keep` refuses are not opened, and where none is left the table has no parts.
///
/// Here footers, headers and the first objects of JSON files are read. A JSON file without rows has no part; nor has an empty
/// file of another format, where other files are not empty. A key that some objects or files lack is null there; where none of
/// the first ones has a wanted one, it is looked for in the others.
///
/// # Errors
/// [`Error::NoFiles`](crate::error::Error::NoFiles) where a path leads to no data file at all,
/// [`Error::UnknownFormat`](crate::error::Error::UnknownFormat) for a file of which nothing says the format,
/// [`Error::NoDayInPath`](crate::error::Error::NoDayInPath) for a path without the day that it should give,
/// [`Error::Description`](crate::error::Error::Description) for a dialect of CSV that makes no sense,
/// [`Error::MissingColumn`](crate::error::Error::MissingColumn) or
/// [`Error::ColumnType`](crate::error::Error::ColumnType) for a file without a wanted column, or JSON files of which none
/// has it, and
/// [`Error::Unreadable`](crate::error::Error::Unreadable), [`Error::Parquet`](crate::error::Error::Parquet) or
/// [`Error::Text`](crate::error::Error::Text) for one that cannot be read; of several the first in the order of the paths.
pub fn open_all(paths: &[PathBuf], wanted: Projection, keep: &dyn Fn(Day) -> bool) -> Result<Files> {
    let is_in_store = paths.iter().any(|path| store::is_in_store(path));
    let wanted = if is_in_store { Projection { room: wanted.room.clone().for_stores(), ..wanted } } else { wanted };
    let files = discover(paths, &wanted, keep)?;
    let wanted = Arc::new(wanted);
    let opened = open_in_groups(&files, &wanted);
    let (mut parts, mut looked) = (Vec::new(), Vec::new());
    let (mut has_content, mut empty) = (false, None);
    for opened in opened {
        match opened? {
            Opened::Parts(file_parts) => {
                has_content = true;
                parts.extend(file_parts);
            }
            Opened::Json(part, file_looked) => {
                has_content = true;
                parts.push(part);
                looked.push(file_looked);
            }
            Opened::NoRows => {}
            Opened::Empty(error) => empty = empty.or(Some(error)),
        }
    }
    // An empty file among others is what some tools leave where they had nothing to write; alone it is a table that is not there.
    if let Some(error) = empty.filter(|_| !has_content) {
        return Err(error);
    }
    keys::require(&folder_of(paths), &looked, &wanted)?;
    drop(looked);
    let held = if is_in_store { wanted.room.share().saturating_add(wanted.room.held()) } else { 0 };
    let begun = parts.iter().map(|_| AtomicBool::new(false)).collect();
    Ok(Files { paths: files.into_iter().map(|file| file.path).collect(), parts, begun, held })
}

/// Files of which the first or last bytes are asked for at once, where they are in a store.
const AT_ONCE: usize = 256;

/// Opens files, of those in stores each group while what the next one reads first is under way.
fn open_in_groups<'a>(files: &'a [DataFile], wanted: &'a Arc<Projection>) -> Vec<Result<Opened<'a>>> {
    let mut opened = Vec::with_capacity(files.len());
    let mut groups = files.chunks(AT_ONCE).peekable();
    let begin = |group: &[DataFile]| group.iter().for_each(DataFile::begin_open);
    groups.peek().copied().into_iter().for_each(begin);
    while let Some(group) = groups.next() {
        groups.peek().copied().into_iter().for_each(begin);
        // Collected in order, so that the first error does not depend on the threads.
        opened.extend(group.par_iter().map(|file| open_file(file, wanted)).collect::<Vec<_>>());
    }
    opened
}

/// The path of a table, or the folder around all of its paths.
fn folder_of(paths: &[PathBuf]) -> PathBuf {
    let mut folder = paths.first().cloned().unwrap_or_default();
    for path in paths {
        while !path.starts_with(&folder) && folder.pop() {}
    }
    folder
}

/// What a file was found to hold.
enum Opened<'a> {
    Parts(Vec<Box<dyn Split>>),
    /// Objects, and the keys that the first ones have.
    Json(Box<dyn Split>, Looked<'a>),
    /// A JSON file without an object.
    NoRows,
    /// Nothing, where there has to be a footer or a header; and what to say of that.
    Empty(Error),
}

fn open_file<'a>(file: &'a DataFile, wanted: &'a Arc<Projection>) -> Result<Opened<'a>> {
    let parts = match file.format {
        Format::Parquet => RowGroup::open(file, wanted).map(|groups| groups.into_iter().map(boxed).collect()),
        Format::Json(compression) => {
            return Ok(match keys::look(file, compression, wanted)? {
                Some(looked) => Opened::Json(boxed(JsonFile::new(file, compression, wanted, looked.columns())), looked),
                None => Opened::NoRows,
            });
        }
        Format::Csv(compression) => match CsvFile::open(file, compression, wanted)? {
            Ok(csv) => Ok(vec![boxed(csv)]),
            Err(empty) => return Ok(Opened::Empty(empty)),
        },
    };
    match parts {
        Err(error) if file.stamp.size() == 0 => Ok(Opened::Empty(error)),
        parts => parts.map(Opened::Parts),
    }
}

fn boxed(part: impl Split + 'static) -> Box<dyn Split> {
    Box::new(part)
}

impl Files {
    /// Begins to fetch a part, and those behind it, which is most often what a thread reads next.
    fn begin_from(&self, part: usize) {
        let mut parts = self.parts.iter().zip(&self.begun).skip(part);
        if let Some((this, begun)) = parts.next() {
            begun.store(true, Ordering::Relaxed);
            this.begin(false);
        }
        for (next, begun) in parts.take(BEFORE_TURN) {
            if !begun.swap(true, Ordering::Relaxed) && !next.begin(true) {
                begun.store(false, Ordering::Relaxed);
                return;
            }
        }
    }
}

impl Source for Files {
    fn parts(&self) -> usize {
        self.parts.len()
    }

    fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes()).sum()
    }

    fn heaviest(&self) -> u64 {
        self.parts.iter().map(|part| part.weight()).max().unwrap_or(0).saturating_add(self.held)
    }

    fn facts(&self, part: usize) -> SplitFacts<'_> {
        self.parts.get(part).map_or_else(SplitFacts::default, |part| part.facts())
    }

    fn read(&self, part: usize, visit: &Visitor<'_>) -> Result<()> {
        // Parts are read in parallel; only where they are few must a part keep several threads busy.
        let ahead = rayon::current_num_threads() / self.parts.len().max(1);
        let this = self.parts.get(part).invariant("a part that is read is one of the table's")?;
        if self.held > 0 {
            self.begin_from(part);
        }
        this.read(ahead.max(1), visit)
    }

    fn files(&self) -> Vec<&Path> {
        self.paths.iter().map(|path| path.as_path()).collect()
    }
}
